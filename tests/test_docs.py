"""The documentation says what the program does: its generated parts, and both ways for everything that has a name."""

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
import yaml

from exporter import __main__
from exporter.agents_file import load_agents_file
from exporter.cli.build import settings_from
from exporter.cli.output import FORMATS
from exporter.cli.settings_table import CONFIG_FILE, SECRETS, SETTINGS
from exporter.cli.values import gather
from exporter.errors import DatabaseError, ExporterError, UsageError
from exporter.metrics.families import FAMILIES
from exporter.metrics.family import Type
from exporter.model import Agent
from exporter.settings import ApiSettings
from exporter.zoho.errors import REASONS
from exporter.zoho.throttle import lengthened_interval_s, requests_per_poll
from tests.support.commands import called, every_command
from tests.support.documents import (
    ROOT,
    anchors,
    commands,
    documents,
    fences,
    inline_code,
    links,
    prose,
    read,
    region_names,
    section,
    with_regions,
)
from tests.support.examples import console_commands
from tests.support.reference import GENERATORS

PAGES = documents()
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
EVERYTHING = "\n".join(read(page) for page in PAGES)


def docs(name: str) -> str:
    return read(ROOT / "docs" / name)


def in_code(text: str) -> Iterator[str]:
    """Inline code and blocks, where names are written."""
    yield from inline_code(text)
    for fence in fences(text):
        yield fence.body


# --- generated parts --------------------------------------------------------------------------------------------------


@EVERY_PAGE
def test_the_generated_parts_are_up_to_date(page: Path) -> None:
    assert with_regions(read(page), GENERATORS) == read(page), "run `make docs`"


def test_every_generated_part_stands_somewhere() -> None:
    assert set(region_names(EVERYTHING)) == set(GENERATORS)


# --- commands, flags, variables ---------------------------------------------------------------------------------------

ALL_FLAGS = frozenset(flag for command in every_command() for flag in command.flags)
OTHERS_FLAGS = frozenset(
    {"--max-block-duration", "--storage.tsdb.path", "--storage.tsdb.retention.time", "--upgrade", "--upgrade-package"}
)
"""Of uv, in the text about lock files, and of Prometheus, in the one about back-fill."""
UNDONE = section(read(ROOT / "README.md"), "What it does not do yet")


def test_every_command_and_every_flag_is_in_the_reference() -> None:
    reference, settings = docs("cli.md"), docs("configuration.md")
    for command in every_command():
        if command.words:
            assert f" {' '.join(command.words)}\n" in reference
        for option in command.options:
            assert re.search(rf"`(?:zohovoice-exporter )?{re.escape(option.opts[0])}\b", reference)
    for setting in (*SETTINGS.values(), CONFIG_FILE):
        assert f"`{setting.flag}" in settings
        assert f"`{setting.variable}`" in settings


def test_every_flag_that_is_named_exists() -> None:
    named = {
        flag
        for code in inline_code(EVERYTHING)
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z.-]*\*?", code)
        if not flag.endswith(".*")
    }
    assert named - ALL_FLAGS - OTHERS_FLAGS == set()
    groups = {flag for code in inline_code(EVERYTHING) for flag in re.findall(r"--([a-z]+)\.\*", code)}
    assert groups <= {name.partition(".")[0] for name in SETTINGS}


def test_every_variable_that_is_named_exists() -> None:
    known = {setting.variable for setting in (*SETTINGS.values(), CONFIG_FILE)} | set(SECRETS.values())
    assert set(re.findall(r"ZOHOVOICE_[A-Z_]*[A-Z]", EVERYTHING)) == known


def test_every_command_that_is_named_exists() -> None:
    known = {command.words for command in every_command()}
    for code in inline_code(EVERYTHING.replace(UNDONE, "")):
        words = tuple(code.split()[:2])
        if len(words) == 2 and (words[0],) in known and re.fullmatch("[a-z]+", words[1]):
            assert words in known, code


def program_lines(text: str) -> Iterator[list[str]]:
    """The arguments of every command line of the program in blocks of code, in a container too."""
    names = {command.words[0] for command in every_command() if len(command.words) == 1}
    lines = [line for fence in fences(text, "sh") for line in commands(fence.body)]
    lines += [command for fence in fences(text, "console") for command in console_commands(fence.body)]
    for line in lines:
        words = shlex.split(line)
        for place, word in enumerate(words[:-1]):
            if word == "zohovoice-exporter" and words[place + 1] in names:
                arguments = words[place + 1 :]
                yield arguments[: arguments.index(">")] if ">" in arguments else arguments


@EVERY_PAGE
def test_every_command_line_can_be_parsed(page: Path) -> None:
    for arguments in program_lines(read(page)):
        command, flags = called(arguments)
        assert set(flags) <= command.flags, arguments
        rest = arguments[len(command.words) :]
        command.command.make_context(" ".join(command.words), rest)  # raises for what click does not take


def test_there_are_command_lines_to_parse() -> None:
    assert len(list(program_lines(EVERYTHING))) >= 15


def test_the_exit_codes_are_those_of_the_program() -> None:
    codes = [int(code) for code in re.findall(r"(?m)^\| (\d+) \|", section(read(ROOT / "README.md"), "Exit codes"))]
    assert codes == [
        0,
        ExporterError.exit_code,
        UsageError.exit_code,
        DatabaseError.exit_code,
        __main__.INTERRUPTED,
    ]


def test_the_formats_are_named() -> None:
    (line,) = re.findall(r"`--format` takes (.*);", docs("cli.md"))
    assert tuple(re.findall("`([a-z]+)`", line)) == FORMATS


# --- configuration ----------------------------------------------------------------------------------------------------


def test_the_example_of_a_configuration_file_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fence,) = fences(docs("configuration.md"), "yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "zohovoice.yml").write_text(fence.body, encoding="utf-8")
    (tmp_path / "company-root.pem").write_text("-----BEGIN CERTIFICATE-----\n", encoding="utf-8")
    (tmp_path / "secrets").mkdir()
    for name in ("client-secret", "refresh-token"):
        (tmp_path / "secrets" / name).touch(mode=0o600)
        (tmp_path / "secrets" / name).write_text(f"1000.{name}\n", encoding="utf-8")
    settings = settings_from(gather({"config.file": ("zohovoice.yml",)}, {}))
    assert settings.api.accounts_url == "https://accounts.zoho.eu"
    assert settings.auth.refresh_token is not None
    assert settings.auth.refresh_token.reveal() == "1000.refresh-token"
    assert settings.auth.token_cache == Path("history/zohovoice-token.json")
    assert settings.history.mode == 0o640
    assert settings.history.classes.not_ready == {"Busy", "On Break", "Lunch"}
    assert settings.metrics.agent_limit == 2000
    assert settings.web.listen_addresses == ("127.0.0.1:10042", "[::1]:10042")
    assert settings.log.format == "json"


@pytest.mark.parametrize(
    ("ending", "second"),
    [
        ("csv", Agent("40777714114600210", "Smith, Mehmet", "Sales")),
        ("yml", Agent("40777714114600210", "Mehmet Smith")),
    ],
)
def test_the_examples_of_agents_files_are_taken(tmp_path: Path, ending: str, second: Agent) -> None:
    (fence,) = fences(docs("configuration.md"), ending)
    path = tmp_path / f"agents.{ending}"
    path.write_text(fence.body, encoding="utf-8")
    assert load_agents_file(path) == (Agent("40777714114600183", "Ann Schmidt", "Support"), second)


def test_the_numbers_under_limits_are_those_of_the_arithmetic() -> None:
    limits = section(read(ROOT / "README.md"), "Limits")
    assert "750 agents every 30 seconds: 15 requests" in limits
    assert requests_per_poll(750, ApiSettings()) == 15
    assert lengthened_interval_s(750, ApiSettings(), 30) == 30 < lengthened_interval_s(751, ApiSettings(), 30)
    assert "2,000 agents every 30 seconds, raise `--api.agents-per-request` to 134" in limits
    assert lengthened_interval_s(2000, ApiSettings(agents_per_request=134), 30) == 30
    assert lengthened_interval_s(2000, ApiSettings(agents_per_request=133), 30) > 30
    assert "`--api.max-requests-per-minute` to 80" in limits
    assert lengthened_interval_s(2000, ApiSettings(max_requests_per_minute=80), 30) == 30
    assert lengthened_interval_s(2000, ApiSettings(max_requests_per_minute=79), 30) > 30


# --- metrics ----------------------------------------------------------------------------------------------------------


def test_every_metric_is_documented_and_every_one_that_is_named_exists() -> None:
    histograms = {
        f"{f.name}{suffix}" for f in FAMILIES if f.type is Type.HISTOGRAM for suffix in ("_bucket", "_sum", "_count")
    }
    known = {family.name for family in FAMILIES}
    named = set(re.findall(r"\bzohovoice_[a-z_]*[a-z]\b", "\n".join(in_code(EVERYTHING))))
    assert named - histograms == known
    assert re.findall(r"(?m)^### (zohovoice_\w+)$", docs("metrics.md")) == [family.name for family in FAMILIES]


def test_the_reasons_are_those_of_the_program() -> None:
    table = docs("metrics.md").partition("`reason`:")[2].partition("## Queries")[0]
    assert tuple(re.findall(r"(?m)^\| `(\w+)` \|", table)) == REASONS


# --- the house --------------------------------------------------------------------------------------------------------


def test_every_room_of_the_house_is_named_and_every_one_that_is_named_exists() -> None:
    rooms = section(docs("development.md"), "The rooms of the house")
    named = {code.rstrip("/") for code in inline_code(rooms) if "/" in code or code.endswith(".py")}
    for path in named:
        assert (ROOT / path).exists(), path
    inside = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "exporter").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert inside - named == {"exporter/__init__.py", "exporter/__main__.py"}


def test_every_target_of_make_is_named_and_every_one_that_is_named_exists() -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8")))
    named = {name for code in in_code(EVERYTHING) for name in re.findall(r"\bmake (?:PYTHON=\S+ )?([a-z-]+)", code)}
    assert named <= targets
    assert targets - named == {"help", "format", "wheel", "clean"}


# --- pages ------------------------------------------------------------------------------------------------------------


@EVERY_PAGE
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in links(read(page)):
        if urlsplit(target).scheme:
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        assert path.is_relative_to(ROOT)
        assert not anchor or anchor in anchors(read(path)), target


def test_every_page_is_reached_from_the_readme() -> None:
    reached = {(ROOT / target.partition("#")[0]).resolve() for target in links(read(ROOT / "README.md"))}
    assert set(PAGES) - {ROOT / "README.md"} <= reached


HOSTS = re.compile(r"https?://\[?([A-Za-z0-9.:-]+)")
GOOD_HOST = re.compile(r"(?:.+\.)?zoho(?:cloud)?\.[a-z.]+|127\.0\.0\.1|localhost|prometheus|.+\.example\.com")


@EVERY_PAGE
def test_no_page_names_a_registry_or_a_place_on_somebodys_machine(page: Path) -> None:
    text = read(page)
    for host in HOSTS.findall(text):
        assert GOOD_HOST.fullmatch(host.rstrip(".").rpartition(":")[0] or host.rstrip(".")), host
    assert not re.search(r"(?<![\w.])/(?:home|root|work|tmp/[a-z]|Users)\b", text)


@EVERY_PAGE
def test_prose_holds_no_raw_html_and_no_name_that_lacks_backticks(page: Path) -> None:
    text = re.sub(r"(?m)^#.*", "", prose(read(page)))
    assert not re.search(r"<[a-z/]", text)
    assert not re.search(r"(?<![\w-])--[a-z]|\bzohovoice_|\bZOHOVOICE_", text)


def test_the_picture_is_small_and_needs_nothing_from_elsewhere() -> None:
    path = ROOT / "docs" / "flow.svg"
    assert path.stat().st_size < 20_000
    text = path.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not re.search(r"href|@import|<script|<image", text)


def test_the_yaml_of_the_pages_is_yaml() -> None:
    for fence in (*fences(EVERYTHING, "yaml"), *fences(EVERYTHING, "yml")):
        assert isinstance(yaml.safe_load(fence.body), dict)


def test_the_entry_point_tells_the_same_exit_codes() -> None:
    assert inspect.getdoc(__main__.main) is not None
    assert re.findall(r"\b(\d+) ", (inspect.getdoc(__main__.main) or "").partition("Exit codes:")[2]) == [
        "0", "1", "2", "3", "130",
    ]  # fmt: skip
