"""The log: one line a record whatever it holds, in two formats, and never a secret."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import logs
from exporter.errors import UsageError
from exporter.logs import LineFormatter, Redactor, configure, json_line, logfmt
from exporter.secret import Secret
from exporter.settings import LogSettings
from tests.support.cli import logging_as_it_was


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    with logging_as_it_was():
        yield


def record(message: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("exporter.poller", logging.INFO, "poller.py", 1, message, None, None)
    made.created = 1_700_000_000.123
    made.fields = fields
    return made


def test_a_record_is_a_line_of_logfmt_with_time_level_logger_message_and_fields() -> None:
    line = LineFormatter(logfmt, Redactor()).format(
        record("first good poll", agents=12, share=0.5, whole=True, team="Sales A", none=None, ids=["1", "2"], empty="")
    )
    assert line == (
        'ts=2023-11-14T22:13:20.123Z level=info logger=exporter.poller msg="first good poll" '
        'agents=12 share=0.5 whole=true team="Sales A" none=null ids=1,2 empty=""'
    )


def test_a_record_is_one_json_object_with_numbers_as_numbers() -> None:
    line = LineFormatter(json_line, Redactor()).format(record("first good poll", agents=12, wait=float("inf")))
    assert json.loads(line) == {
        "ts": "2023-11-14T22:13:20.123Z",
        "level": "info",
        "logger": "exporter.poller",
        "msg": "first good poll",
        "agents": 12,
        "wait": "inf",
    }


def test_a_field_cannot_take_the_place_of_time_level_or_message() -> None:
    line = LineFormatter(logfmt, Redactor()).format(record("m", ts="now", level="x", **{"a b=": 1}))
    assert line.endswith("msg=m ts_=now level_=x a_b_=1")


@pytest.mark.parametrize("render", [logfmt, json_line])
@given(text=st.text(alphabet=st.characters(), max_size=60))
def test_no_text_ends_the_line_or_reaches_the_terminal_raw(render: object, text: str) -> None:
    line = LineFormatter(render, Redactor()).format(record(text, name=text))  # type: ignore[arg-type]  # one of two
    assert line.isprintable()
    assert len(line.splitlines()) == 1


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_json_reads_back_as_it_was_written(text: str) -> None:
    assert json.loads(LineFormatter(json_line, Redactor()).format(record(text)))["msg"] == text


def test_a_secret_is_masked_in_message_fields_and_traceback_in_each_of_its_forms() -> None:
    redact = Redactor([Secret('pa ss"w/ord'), None])
    try:
        raise ValueError('refused pa ss"w/ord')
    except ValueError:
        made = record('url pa%20ss%22w%2Ford pa+ss%22w%2Ford json pa ss\\"w/ord', url='x pa ss"w/ord y')
        made.exc_info = sys.exc_info()
    line = LineFormatter(json_line, redact).format(made)
    parsed = json.loads(line)
    assert parsed["msg"] == "url <secret> <secret> json <secret>"
    assert parsed["url"] == "x <secret> y"
    assert parsed["exception"].endswith("ValueError: refused <secret>")


def test_what_looks_like_a_token_of_zoho_is_masked_though_nobody_registered_it() -> None:
    token = "1000." + "0a" * 16 + "." + "9f" * 16
    assert Redactor()(f"sent {token} and Zoho-oauthtoken abc.def") == "sent <secret> and Zoho-oauthtoken <secret>"


def test_a_secret_learned_later_is_masked_from_then_on() -> None:
    redact = Redactor([Secret("first-secret")])
    redact.add(Secret("second-secret"))
    assert redact("first-secret second-secret") == "<secret> <secret>"


def test_a_secret_that_is_part_of_another_leaves_no_rest() -> None:
    assert Redactor([Secret("abcd"), Secret("abcdefgh")])("abcdefgh abcd") == "<secret> <secret>"


def test_libraries_are_held_at_warning_even_when_we_debug() -> None:
    stream = StringIO()
    configure(LogSettings(level="debug"), stream=stream)
    logging.getLogger("exporter.x").debug("ours")
    for name in ("httpx", "httpcore.http11", "uvicorn.access", "some.dependency"):
        logging.getLogger(name).info("GET https://voice.example.com/?agentIds=1")
    logging.getLogger("httpx").warning("theirs")
    lines = stream.getvalue().splitlines()
    assert [line.partition(" logger=")[2] for line in lines] == ["exporter.x msg=ours", "httpx msg=theirs"]


def test_the_level_is_kept_and_configuring_twice_writes_once() -> None:
    stream = StringIO()
    configure(LogSettings(level="debug"), stream=StringIO())
    configure(LogSettings(level="warn"), stream=stream)
    logging.getLogger("exporter.x").info("not this")
    logging.getLogger("exporter.x").warning("this")
    assert stream.getvalue().count("\n") == 1
    assert "level=warn logger=exporter.x msg=this" in stream.getvalue()


def test_a_record_that_cannot_be_formatted_is_reported_without_its_arguments() -> None:
    stream = StringIO()
    configure(LogSettings(), stream=stream)
    # Straight to the handler: the one of pytest would raise the mistake as a failure.
    (ours,) = [handler for handler in logging.getLogger().handlers if isinstance(handler, logs.StderrHandler)]
    ours.handle(logging.LogRecord("exporter.x", logging.INFO, "x.py", 7, "%d", ("SECRET",), None))
    assert "SECRET" not in stream.getvalue()
    assert 'msg="a log record could not be written"' in stream.getvalue()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (LogSettings(level="loud"), "--log.level: 'loud' is no level; use one of debug, info, warn, error"),
        (LogSettings(format="xml"), "--log.format: 'xml' is no format; use one of logfmt, json"),
    ],
)
def test_an_unknown_level_or_format_is_refused(settings: LogSettings, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        configure(settings)
    assert str(caught.value) == message


def test_the_traceback_that_ends_a_program_shows_no_secret() -> None:
    program = (
        "from exporter.logs import configure; from exporter.settings import LogSettings; "
        "from exporter.secret import Secret; s = 'top' + 'most-secret'; configure(LogSettings(), [Secret(s)]); "
        "raise ValueError('with ' + s)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: with <secret>\n")
