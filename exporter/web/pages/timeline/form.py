"""The form above the timeline: filled with what was asked for, also where that was wrong. Pure."""

from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from exporter.history.extent import Extent
from exporter.web.pages.timeline.view import Asked, Span, View, day_window, hour_around, hour_text, hours_of


@dataclass(frozen=True, slots=True)
class Form:
    """What stands in the fields."""

    dated: bool
    """Date and hour are asked for, not since and until."""
    date: str
    is_date: bool
    """A browser's own field for dates can hold it."""
    hour: str
    hours: tuple[str, ...]
    since: str
    until: str
    zone: str
    zones: tuple[str, ...]
    agents: tuple[str, ...]
    """At least one, perhaps empty."""
    teams: tuple[str, ...]
    known_teams: tuple[str, ...]


def form_of(asked: Asked, view: View | None, default_zone: ZoneInfo | None, reach: Extent) -> Form:
    """The fields for what was asked; `view` is what it means, None if it means nothing."""

    def first(name: str, default: str = "") -> str:
        return next((text.strip() for text in asked.get(name, ()) if text.strip()), default)

    def many(name: str) -> tuple[str, ...]:
        return tuple(text for text in asked.get(name, ()) if text.strip()) or ("",)

    date_text, hour = first("date", "today"), first("hour")
    hours: tuple[str, ...] = ()
    if view is not None:
        date_text = view.day.isoformat()
        hour = hour_text(hour_around(view.since, view.zone).start, view.zone) if view.span is Span.HOUR else ""
        hours = tuple(hour_text(one.start, view.zone) for one in hours_of(day_window(view.day, view.zone), view.zone))
    default = default_zone.key if default_zone is not None else ""
    zone = first("tz", default)
    return Form(
        dated=not (first("since") or first("until")),
        date=date_text,
        is_date=_is_date(date_text),
        hour=hour,
        hours=tuple(dict.fromkeys((*hours, *filter(None, [hour])))),
        since=first("since"),
        until=first("until"),
        zone=zone,
        zones=tuple(dict.fromkeys(filter(None, (zone, default, "UTC")))),
        agents=many("agent"),
        teams=many("team"),
        known_teams=reach.teams,
    )


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
