"""The timeline page: agents' time as coloured bars, the sums beside it, and ways to other times.

The page is made in the process that makes reports, so no question holds up polls and scrapes.
"""

from collections.abc import Callable
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from exporter.errors import DatabaseError, UsageError
from exporter.history.extent import Extent, extent
from exporter.history.reader import HistoryReader
from exporter.report.pictures import legend
from exporter.report.pictures.zoomable import zoomable_timeline
from exporter.web.pages.policy import PAGE_HEADERS
from exporter.web.pages.render import render
from exporter.web.pages.timeline import words
from exporter.web.pages.timeline.answer import AGENTS_ON_A_PAGE, Answer, answer
from exporter.web.pages.timeline.form import form_of
from exporter.web.pages.timeline.tables import each_agent, together
from exporter.web.pages.timeline.view import Asked, View, steps, to_page, to_report, view_of
from exporter.web.pages.timeline.zooms import zooms_of
from exporter.web.reports.asked import without_dashes
from exporter.web.reports.context import WorkerContext
from exporter.web.reports.request import ReportReply, ReportRequest

HTML: Final = "text/html; charset=utf-8"
_NOTHING: Final = Extent(None, ())


def timeline_page(reader: HistoryReader, request: ReportRequest, context: WorkerContext) -> ReportReply:
    """The whole page; a page with a sentence if what was asked is wrong or the history cannot be read."""
    try:
        view = view_of(request.asked, context.zone, context.now_ms)
    except UsageError as error:
        return refused(400, str(error), request.asked, context.zone)
    try:
        return _reply(200, _contents(reader, view, request.asked, context))
    except DatabaseError as error:
        return refused(503, str(error), request.asked, context.zone)


def refused(status: int, sentence: str, asked: Asked, zone: ZoneInfo | None = None) -> ReportReply:
    """The page with nothing on it but the form, as it was filled, and a sentence that says why.

    `zone` stands in the form where none was given.
    """
    form = form_of(asked, None, zone, _NOTHING)
    return _reply(status, {"title": "Timeline", "form": form, "complaint": _sentence(sentence)})


def _reply(status: int, values: dict[str, object]) -> ReportReply:
    page = render("timeline.html", current="timeline", **{**_EMPTY, **values})
    return ReportReply(status, HTML, page.encode(), tuple(PAGE_HEADERS.items()))


_EMPTY: Final[dict[str, object]] = {
    "complaint": "",
    "heading": "",
    "steps": (),
    "notices": (),
    "nothing": "",
    "picture": "",
}


def _contents(reader: HistoryReader, view: View, asked: Asked, context: WorkerContext) -> dict[str, object]:
    now = context.now_ms
    reach = extent(reader)
    heading = words.heading(view)
    values: dict[str, object] = {
        "title": f"Timeline, {heading}",
        "form": form_of(asked, view, context.zone, reach),
        "heading": heading,
        "zone": view.zone.key,
        "steps": steps(view, now),
        "notices": words.about_the_time(view, now),
        "nothing": words.why_nothing_can_be_asked(view, now),
    }
    if values["nothing"]:
        return values
    try:
        found = answer(reader, view, now)
    except UsageError as error:  # nobody matches, which is no mistake in the address
        return {**values, "nothing": _sentence(str(error))}
    values["notices"] = [*words.about_the_time(view, now), *words.about_the_past(found.water_mark, view)]
    if not found.agents:
        by_team = bool(view.selection.teams)
        return {**values, "nothing": words.why_nothing_is_shown(found.window, reach.begins, view, by_team=by_team)}
    return values | _drawn(found, view, now)


def _drawn(found: Answer, view: View, now_ms: int) -> dict[str, object]:
    drawn = zoomable_timeline(found.picture, view.since, view.until, zooms_of(view, now_ms))
    first = (found.page - 1) * AGENTS_ON_A_PAGE
    return {
        "picture": Markup(drawn.markup),  # noqa: S704 - pictures escape what they are given
        "legend": Markup(legend(found.picture)),  # noqa: S704 - as above
        "coverage": words.coverage_words(found.together, found.gaps, view),
        "drawn_together": words.together_words(drawn.together_below_ms) if drawn.together_below_ms else "",
        "together": together(found),
        "each": each_agent(found, view),
        "shown": f"Agents {first + 1} to {first + _count(found)} of {found.agents}" if found.pages > 1 else "",
        "pages": _pages(found, lambda number: to_page(view, number)),
        "reports": [
            (f"{name}, {form.upper()}", to_report(view, report, form))
            for report, name in (("timeline", "Timeline"), ("summary", "Time in status"))
            for form in ("csv", "json")
        ],
    }


def _count(found: Answer) -> int:
    return min(AGENTS_ON_A_PAGE, found.agents - (found.page - 1) * AGENTS_ON_A_PAGE)


def _pages(found: Answer, address: Callable[[int], str]) -> list[tuple[str, str]]:
    ways = (("Agents before", found.page - 1), ("More agents", found.page + 1))
    return [(wording, address(number)) for wording, number in ways if 1 <= number <= found.pages]


def _sentence(text: str) -> str:
    """What commands say, as a sentence of a page."""
    plain = without_dashes(text)
    return f"{plain[:1].upper()}{plain[1:]}{'' if plain.endswith('.') else '.'}"
