"""The times in files that are imported. Pure.

ISO 8601 with a date and a time of at least hours and minutes; with an offset, or else local in a zone. Or whole
milliseconds since 1970, as a number so large that it can mean nothing else: seconds will not have twelve digits before
the year 5138, and microseconds of any time since 1973 have fifteen or more.
"""

import re
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from exporter.errors import UsageError
from exporter.history.calendar import to_instant
from exporter.history.window import iso_text
from exporter.quoting import shown

_ISO: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)
_NUMBER: Final = re.compile(r"-?[0-9]+")
_MILLISECONDS: Final = range(10**11, 10**14)
_LONGEST_NUMBER: Final = 20
_EXPECTED: Final = "write ISO 8601 such as 2026-07-01T09:00:00+02:00, or milliseconds since 1970 (12 to 14 digits)"


def parse_time(said: str | int, zone: ZoneInfo, now: int) -> int:
    """The instant that a file says, in ms, rounded down; a number in text is one all the same.

    Raises UsageError, without the place, for what is no time or leaves open which one is meant, such as a local time
    that happened twice, and for times before 1970 or after `now`: a file tells of the past.
    """
    text = str(said).strip()
    if isinstance(said, int) or _NUMBER.fullmatch(text):
        at = _from_number(text)
    elif _ISO.fullmatch(text):
        at = _from_iso(text, zone)
    else:
        raise UsageError(f"{shown(text)} is not a time: {_EXPECTED}")
    if at < 0:
        raise UsageError(f"{shown(text)} lies before 1970")
    if at > now:
        raise UsageError(f"{shown(text)} lies in the future (it is {iso_text(now, zone)} now)")
    return at


def _from_number(text: str) -> int:
    if len(text) > _LONGEST_NUMBER or int(text) not in _MILLISECONDS:
        raise UsageError(f"{shown(text)} does not say which time it means: {_EXPECTED}")
    return int(text)


def _from_iso(text: str, zone: ZoneInfo) -> int:
    try:
        moment = datetime.fromisoformat(text.upper().replace(",", "."))
        if moment.tzinfo is not None:
            return to_instant(moment)
        earlier, later = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
        if earlier.utcoffset() == later.utcoffset():
            return to_instant(earlier)
        happened = earlier.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == moment
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{shown(text)} is not a time: {_EXPECTED}") from error
    often = "happened twice" if happened else "did not happen"
    raise UsageError(f"{shown(text)} {often} in {zone.key}, where clocks were changed then: write it with its offset")
