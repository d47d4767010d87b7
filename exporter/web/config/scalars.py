"""What Go's yaml.v2 takes a scalar for, and which Go types it then fits. Source: resolve.go and decode.go of yaml.v2.

YAML 1.1, with Go's own limits: `yes`, `on` and `y` are true, `0x10`, `010` and `1_000` are numbers, `1e3` is a number
that an int takes, and a quoted scalar is a text, which is neither a number nor a truth value.
"""

import base64
import binascii
import re
from datetime import date, time
from typing import Final

from exporter.web.config.go_duration import parse_go_duration_ns
from exporter.web.config.tree import Scalar

_PREFIX: Final = "tag:yaml.org,2002:"
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
_FALSE: Final = frozenset({"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
_FLOATS: Final = {
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INT: Final = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)|0[oO]?(?P<oct>[0-7]+)|(?P<dec>0|[1-9][0-9]*))"
)
_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_TIME: Final = re.compile(
    r"(?:[Tt]([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?(?:Z|[-+][0-9]{2}:[0-9]{2})"
    r"|[ ]([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?)"
)
_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**63 - 1


class Unfit(Exception):
    """The scalar is not of the wanted type."""


class Moment:
    """A date or a time, which no field of ours takes but as the text that it is."""


def is_null(scalar: Scalar) -> bool:
    """Whether the field gets the zero value of its type. Raises Unfit for a tag that the text does not fit."""
    return resolve(scalar) is None


def is_blank(scalar: Scalar) -> bool:
    """Whether a field that decodes itself (version, cipher suite, curve) is passed over and gets its zero value.

    yaml.v2 takes fewer spellings for nothing there. Raises Unfit for a tag that the text does not fit.
    """
    if scalar.tag is not None:
        return scalar.tag == f"{_PREFIX}null" and is_null(scalar)
    return scalar.plain and scalar.value in ("", "~", "null")


def text(scalar: Scalar) -> str:
    """The value of a string field: the characters as they stand; nothing is the empty text. Raises Unfit."""
    resolved = resolve(scalar)
    if scalar.tag == f"{_PREFIX}binary" and isinstance(resolved, str):
        return resolved
    return "" if resolved is None else scalar.value


def boolean(scalar: Scalar) -> bool:
    """The value of a bool field; nothing is false. Raises Unfit."""
    resolved = resolve(scalar)
    if resolved is None or isinstance(resolved, bool):
        return bool(resolved)
    raise Unfit


def integer(scalar: Scalar) -> int:
    """The value of an int field of 64 bits; fractions are cut off, nothing is 0. Raises Unfit."""
    return _whole(resolve(scalar))


def duration_ns(scalar: Scalar) -> int:
    """Nanoseconds: a number is just that, a text is read as Go writes durations. Raises Unfit."""
    resolved = resolve(scalar)
    if not isinstance(resolved, str):
        return _whole(resolved)
    try:
        return parse_go_duration_ns(resolved)
    except ValueError as error:
        raise Unfit from error


def _whole(resolved: object) -> int:
    if resolved is None:
        return 0
    if isinstance(resolved, float) and resolved <= float(_LARGEST):
        # What no int64 can hold becomes the smallest one, as the processor makes it of it.
        return int(resolved) if _SMALLEST <= resolved < float(_LARGEST) else _SMALLEST
    if isinstance(resolved, int) and not isinstance(resolved, bool) and resolved <= _LARGEST:
        return resolved
    raise Unfit


def resolve(scalar: Scalar) -> str | bool | int | float | Moment | None:
    """The value that `scalar` stands for. Raises Unfit for a tag that the text does not fit."""
    if scalar.tag is None:
        return _implicit(scalar.value, moments=True) if scalar.plain else scalar.value
    kind = scalar.tag.removeprefix(_PREFIX) if scalar.tag.startswith(_PREFIX) else ""
    if kind == "binary":
        return _binary(scalar.value)
    if kind not in ("bool", "int", "float", "null", "timestamp"):
        return scalar.value  # a text by its tag, or a tag that nobody knows
    value = _implicit(scalar.value, moments=kind == "timestamp")
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if _kind(value) != kind:
        raise Unfit
    return value


def _kind(value: object) -> str:
    names = {bool: "bool", int: "int", float: "float", type(None): "null", Moment: "timestamp"}
    return names.get(type(value), "str")


def _implicit(value: str, *, moments: bool) -> str | bool | int | float | Moment | None:
    if value in _NULLS:
        return None
    if value in _TRUE or value in _FALSE:
        return value in _TRUE
    if value in _FLOATS:
        return _FLOATS[value]
    if value[0] in "0123456789+-":
        if moments and _is_moment(value):
            return Moment()
        number = _number(value.replace("_", ""))
        return value if number is None else number
    if value[0] == "." and _FLOAT.fullmatch(value):
        return float(value)
    return value


def _number(plain: str) -> int | float | None:
    match = _INT.fullmatch(plain)
    if match is not None:
        for name, base in (("hex", 16), ("bin", 2), ("oct", 8), ("dec", 10)):
            if match[name] is not None and len(match[name]) < 80:
                whole = int(match[name], base) * (-1 if match["sign"] == "-" else 1)
                # Go reads signed ones up to 63 bits, and those without a sign up to 64.
                if _SMALLEST <= whole <= (_LARGEST if match["sign"] else 2 * _LARGEST + 1):
                    return whole
    if _FLOAT.fullmatch(plain):
        found = float(plain)
        return None if found in (float("inf"), float("-inf")) else found
    return None


def _is_moment(value: str) -> bool:
    match = _DATE.match(value)
    if match is None:
        return False
    rest = value[match.end() :]
    clock = _TIME.fullmatch(rest)
    if rest and clock is None:
        return False
    try:
        date(max(int(match[1]), 4), int(match[2]), int(match[3]))
        if clock is not None:
            hour, minute, second = (int(part) for part in clock.groups() if part is not None)
            time(hour, minute, second)
    except ValueError:
        return False
    return True


def _binary(value: str) -> str:
    try:
        raw = base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unfit from error
    return raw.decode("utf-8", "surrogateescape")
