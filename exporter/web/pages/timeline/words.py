"""What the timeline says in sentences: which time it shows, how sure it is, and why there may be nothing. Pure."""

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import pairwise
from typing import Final

from exporter.history.calendar import from_instant, offset_spans
from exporter.history.window import Window
from exporter.model import storable
from exporter.report.formats import clock_text, people_text
from exporter.report.model import ColumnKind, Report
from exporter.report.pictures.frame import Row, instant, text
from exporter.web.pages.timeline.view import Span, View, day_window

_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MOST_GAPS: Final = 5
_MINUTE_MS: Final = 60_000


def heading(view: View) -> str:
    """Which time is shown, as people say it."""
    if view.span is Span.DAY:
        return _day(view.day)
    if view.span is Span.HOUR:
        day = _day(from_instant(view.since, view.zone).date())
        return f"{day}, {_clock(view, view.since)} to {_clock(view, view.until)}"
    return f"{_wall(view, view.since)} to {_wall(view, view.until)}"


def about_the_time(view: View, now_ms: int) -> list[str]:
    """What is unusual about the time itself: clocks that are set on that day, and a time that is not over."""
    told = list(_clock_changes(view)) if view.span is Span.DAY else []
    if view.since < now_ms < view.until:
        what = {Span.DAY: "The day", Span.HOUR: "The hour"}.get(view.span, "This time")
        told.append(f"{what} is not over: the picture ends at {_clock(view, now_ms)}. Load the page again to see more.")
    return told


def why_nothing_can_be_asked(view: View, now_ms: int) -> str:
    """The reason, or "" if there is a time to ask about."""
    if view.since == view.until:
        # The window is the instant at which clocks jumped.
        return f"There was no such day in {view.zone.key}: clocks jumped over it."
    if view.since > now_ms:
        what = {Span.DAY: "This day", Span.HOUR: "This hour"}.get(view.span, "This time")
        return f"{what} lies in the future: nothing is recorded yet."
    return ""


def why_nothing_is_shown(window: Window, begins: int | None, view: View, *, by_team: bool) -> str:
    """The reason why nobody has any time in `window`, which is what the water-mark leaves."""
    if begins is None:
        return "Nothing is recorded yet."
    if window.since >= window.until:
        return "Nothing of this time is left."
    if begins >= window.until:
        return f"The history begins later, at {_wall(view, begins)}."
    return "Nobody was tracked in such a team at this time." if by_team else "Nobody was tracked at this time."


def about_the_past(water_mark: int | None, view: View) -> list[str]:
    """What has been purged of the time that was asked for."""
    if water_mark is None or view.since >= water_mark:
        return []
    return [f"What was recorded before {_wall(view, water_mark)} has been purged."]


def coverage_words(report: Report, gaps: Sequence[Row], view: View) -> list[str]:
    """How much of the agents' time is known, when nobody was looking, and what may still change."""
    meta = report.meta
    tracked, known, share = meta.get("tracked_seconds"), meta.get("known_seconds"), meta.get("coverage")
    told = []
    if isinstance(tracked, int) and isinstance(known, int) and isinstance(share, float):
        whose = f"the {meta.get('agents')} agents' time" if meta.get("agents") != 1 else "the agent's time"
        told.append(
            f"Known: {people_text(share, ColumnKind.SHARE, view.zone)} of {whose}, "
            f"{clock_text(known)} of {clock_text(tracked)}."
        )
    told += _gaps(gaps, view)
    if meta.get("provisional"):
        told.append("The end is provisional: no poll has confirmed it yet.")
    return told


def _gaps(gaps: Sequence[Row], view: View) -> list[str]:
    if not gaps:
        return []
    listed = [_gap(row, view) for row in gaps[:_MOST_GAPS]]
    if len(gaps) > _MOST_GAPS:
        listed.append(f"{len(gaps) - _MOST_GAPS} more times")
    return [f"Nobody was looking {'; '.join(listed)}."]


def _gap(row: Row, view: View) -> str:
    start, end = instant(row, "start") or 0, instant(row, "end") or 0
    same_day = view.span is not Span.ANY
    first, last = (_clock(view, at) if same_day else _wall(view, at) for at in (start, end))
    if same_day and end == day_window(view.day, view.zone).until:
        last = "24:00"
    reason = storable(text(row, "reason"))
    return f"from {first} to {last} ({reason})" if reason else f"from {first} to {last}"


def together_words(below_ms: int) -> str:
    """What is said where stays are drawn together."""
    return (
        f"Stays shorter than {clock_text(below_ms) if below_ms >= 1000 else 'a second'} that follow one another are "
        "drawn as one bar, with a layer for each status, as high as its share of the time. Zoom in to tell them apart; "
        "CSV and JSON have each of them."
    )


def _clock_changes(view: View) -> Iterator[str]:
    hours = (view.until - view.since) / 3_600_000
    for (_, change, before), (_, _, after) in pairwise(offset_spans(view.since, view.until, view.zone)):
        way = "back" if after < before else "forward"
        yield (
            f"Clocks were set {way} from {_shown_by(change, before)} to {_shown_by(change, after)}: "
            f"this day has {hours:g} hours."
        )


def _shown_by(at: int, offset_ms: int) -> str:
    """What a clock with that offset shows."""
    minutes = (at + offset_ms) // _MINUTE_MS % 1440
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _clock(view: View, at: int) -> str:
    """The time of day, with the offset where it happens twice; without seconds if there are none."""
    return _wall(view, at).partition(" ")[2]


def _day(day: date) -> str:
    return f"{_WEEKDAYS[day.weekday()]} {day.isoformat()}"


def _wall(view: View, at: int) -> str:
    """Date and time of day."""
    day, _, clock = people_text(at, ColumnKind.INSTANT, view.zone, offset=False).partition(" ")
    return f"{day} {clock[:5] + clock[8:] if clock[5:8] == ':00' else clock}"
