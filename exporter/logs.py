"""Logging to stderr, one record a line, as logfmt or JSON.

Three things hold whatever a library or a hostile name brings: a record stays one line, libraries speak only from
warnings up (httpx logs whole URLs at info), and a known secret comes out as `<secret>`, in tracebacks too.
"""

import json
import logging
import re
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, TextIO

from exporter.errors import UsageError
from exporter.secret import MASK, Secret, spellings
from exporter.settings import LogSettings

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
FORMATS: Final = ("logfmt", "json")
_OURS: Final = "exporter"
THEIRS: Final = ("httpx", "httpcore", "uvicorn", "uvicorn.error", "uvicorn.access", "asyncio")
"""Libraries whose loggers are held at warnings by name."""
_LEVEL_WORDS: Final = {"WARNING": "warn", "CRITICAL": "error"}
_MOST_PASSING: Final = 16
"""An access token is over after an hour: so many are remembered, not all of a year."""

# What a token of Zoho looks like, and the header that carries it: caught even if nobody registered it.
_TOKEN: Final = re.compile(
    r"(Zoho-oauthtoken(?:\s|\+|%20)+)[^\s\"',;]+|1000\.[0-9a-f]{16,}\.[0-9a-f]{16,}", re.IGNORECASE
)
_PLAIN: Final = re.compile(r"[^\s=\"\\]+")
_KEY: Final = re.compile(r"[^A-Za-z0-9_.]")
_RESERVED: Final = ("ts", "level", "logger", "msg", "exception")

Field = str | int | float | bool | None


class Redactor:
    """Replaces known secrets in a text by `<secret>`."""

    def __init__(self, secrets: Iterable[Secret | None] = ()) -> None:
        self._lasting: set[str] = set()
        self._passing: deque[frozenset[str]] = deque(maxlen=_MOST_PASSING)
        self._pattern: re.Pattern[str] | None = None
        for secret in secrets:
            if secret is not None:
                self.add(secret)

    def add(self, secret: Secret) -> None:
        """Mask `secret` from now on, also as it looks in a URL, a JSON text or a Python literal."""
        self._lasting |= spellings(secret)
        self._renew()

    def add_passing(self, secret: Secret) -> None:
        """The same for a secret that is soon over: the latest of them are masked."""
        forms = spellings(secret)
        if forms not in self._passing:
            self._passing.append(forms)
            self._renew()

    def _renew(self) -> None:
        longest_first = sorted(self._lasting.union(*self._passing), key=len, reverse=True)
        if longest_first:
            self._pattern = re.compile("|".join(re.escape(form) for form in longest_first))

    def __call__(self, text: str) -> str:
        """`text` without secrets."""
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        return _TOKEN.sub(lambda match: (match[1] or "") + MASK, text)


class LineFormatter(logging.Formatter):
    """A record as one line: `ts`, `level`, `logger`, `msg`, the fields, and the traceback if there is one.

    `ts` is RFC 3339 in UTC with milliseconds. Fields are what `extra={"fields": {...}}` brought.
    """

    def __init__(self, render: Callable[[Mapping[str, Field]], str], redact: Redactor) -> None:
        super().__init__()
        self._render = render
        self.redact: Final = redact

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        values: dict[str, Field] = {
            "ts": timestamp(record.created),
            "level": _LEVEL_WORDS.get(record.levelname, record.levelname.lower()),
            "logger": record.name,
            "msg": self.redact(record.getMessage()),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, Mapping):
            for key, value in fields.items():
                values[_field_key(str(key))] = self._value(value)
        if record.exc_info and record.exc_info[0] is not None:
            values["exception"] = self.redact("".join(traceback.format_exception(*record.exc_info)).rstrip())
        return self._render(values)

    def _value(self, value: object) -> Field:
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if value - value == 0 else str(value)  # JSON has neither NaN nor infinity
        if isinstance(value, list | tuple | set | frozenset):
            return self.redact(",".join(str(item) for item in value))
        return self.redact(str(value))


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds, of seconds since 1970-01-01 UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def logfmt(values: Mapping[str, Field]) -> str:
    """`key=value` pairs; a value that is not plain stands in double quotes with JSON's escapes."""
    return " ".join(f"{key}={_logfmt_value(value)}" for key, value in values.items())


def json_line(values: Mapping[str, Field]) -> str:
    """One JSON object; nothing in it can end the line or steer a terminal."""
    return _escaped(json.dumps(values, ensure_ascii=False))


def _logfmt_value(value: Field) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if value.isprintable() and _PLAIN.fullmatch(value):
        return value
    return _escaped(json.dumps(value, ensure_ascii=False))


def _escaped(text: str) -> str:
    """`text` with what JSON leaves be though it ends lines or steers terminals (U+2028, C1, bidi marks), escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] if ord(c) != 0x7F else "\\u007f" for c in text)


def _field_key(key: str) -> str:
    cleaned = _KEY.sub("_", key) or "_"
    return f"{cleaned}_" if cleaned in _RESERVED else cleaned


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to stderr. A record that cannot be written is reported without its arguments, which may be anything."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        try:
            where = f"{record.name}:{record.lineno}"
            self.stream.write(
                logfmt({"level": "error", "msg": "a log record could not be written", "at": where}) + "\n"
            )
        except (OSError, ValueError):
            return  # stderr is gone: there is nobody to tell


def configure(settings: LogSettings, secrets: Iterable[Secret | None] = (), stream: TextIO | None = None) -> Redactor:
    """Make this process log as told, replacing what an earlier call set up.

    Returns the redactor; `remember_secret` adds to it what is learned later. An exception that ends the program or
    a thread is printed through it too. Raises UsageError for a level or format that does not exist.
    """
    if settings.level not in LEVELS:
        raise UsageError(f"--log.level: '{settings.level}' is no level; use one of {', '.join(LEVELS)}")
    if settings.format not in FORMATS:
        raise UsageError(f"--log.format: '{settings.format}' is no format; use one of {', '.join(FORMATS)}")
    level = LEVELS[settings.level]
    redactor = Redactor(secrets)
    handler = StderrHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter(json_line if settings.format == "json" else logfmt, redactor))
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, StderrHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    # Everyone is held at warnings but ourselves; the named ones also against a library that sets its own level.
    root.setLevel(max(level, logging.WARNING))
    for name in THEIRS:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.getLogger(_OURS).setLevel(level)
    sys.excepthook = _excepthook(redactor)
    threading.excepthook = _thread_excepthook(redactor)
    return redactor


def remember_secret(secret: Secret) -> None:
    """Mask `secret` too from now on in what this process logs: an access token that it has come by while it runs."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, StderrHandler) and isinstance(handler.formatter, LineFormatter):
            handler.formatter.redact.add_passing(secret)


def _excepthook(
    redact: Redactor,
) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))

    return hook


def _thread_excepthook(redact: Redactor) -> Callable[[threading.ExceptHookArgs], None]:
    def hook(args: threading.ExceptHookArgs) -> None:
        trace = "".join(traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback))
        sys.stderr.write(redact(f"Exception in thread {args.thread.name if args.thread else '?'}:\n{trace}"))

    return hook
