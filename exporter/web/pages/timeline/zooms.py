"""What the timeline can be zoomed to: the hours of about a day, or the days of weeks. Pure."""

import re
from datetime import date, datetime
from typing import Final

from exporter.history.buckets import days
from exporter.history.calendar import from_instant
from exporter.history.window import Window
from exporter.report.pictures.axis import Tick
from exporter.report.pictures.zoomable import Zoom
from exporter.web.pages.timeline.view import HOUR_MS, View, hours_of, offset_text, to_day, to_hour

_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MOST_HOURS: Final = 26
"""More would be too narrow for a finger and for two digits."""
_MOST_DAYS: Final = 35


def zooms_of(view: View, now_ms: int) -> list[Zoom]:
    """The hours, or the days, that the view is made of; none where it is one hour or too many days."""
    length = view.until - view.since
    if length <= HOUR_MS:
        return []
    if length <= _MOST_HOURS * HOUR_MS:
        return _hours(view, now_ms)
    return _days(view, now_ms) if length <= _MOST_DAYS * 24 * HOUR_MS else []


def _hours(view: View, now_ms: int) -> list[Zoom]:
    zooms = []
    dated = None
    for hour in hours_of(view.window, view.zone):
        moment, end = (from_instant(at, view.zone) for at in (hour.start, hour.end))
        offset = offset_text(hour.start, view.zone)
        day = "" if dated == moment.date() else f"{_WEEKDAYS[moment.weekday()]} {moment:%Y-%m-%d}"
        dated = moment.date()
        told = f"Zoom to {moment:%H:%M}{offset} to {end:%H:%M}{offset_text(hour.end, view.zone)}"
        href = to_hour(view, hour.start) if hour.start <= now_ms else ""
        zooms.append(Zoom(hour.start, hour.end, _hour_names(moment, offset), told, href, Tick(hour.start, day)))
    return zooms


def _hour_names(moment: datetime, offset: str) -> tuple[str, ...]:
    """`02`, or `02+1` in an hour that comes twice where that is room for."""
    short = re.sub(r"^([+-])0?(\d+):00$", r"\1\2", offset)
    return tuple(dict.fromkeys(f"{moment:%H}{after}" for after in (offset, short, "")))


def _days(view: View, now_ms: int) -> list[Zoom]:
    zooms = []
    for day in days(Window(view.since, view.until), view.zone):
        found = from_instant(day.start, view.zone)
        weekday = _WEEKDAYS[found.weekday()]
        names = (f"{weekday} {day.label}", f"{weekday} {day.label[5:]}", day.label[5:], day.label[8:])
        href = to_day(view, date.fromisoformat(day.label)) if day.start <= now_ms else ""
        zooms.append(Zoom(day.start, day.end, names, f"Zoom to {weekday} {day.label}", href, Tick(day.start, "")))
    return zooms
