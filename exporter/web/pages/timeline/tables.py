"""The tables beside and below the timeline, made of `summary`. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from exporter.model import storable
from exporter.report.formats import clock_text
from exporter.report.palette import in_order, look_of, looks_of
from exporter.report.pictures.frame import Row, amount, by_lane, text, words_of
from exporter.web.pages.timeline.answer import Answer
from exporter.web.pages.timeline.view import View, to_agent


class StatusLine(NamedTuple):
    """The time in a status."""

    status: str
    look: str
    """Its class in style sheets."""
    time: str
    share: str
    """Of the time in any status that Zoho reported; "–" for what is no part of it."""
    stays: int


class AgentLine(NamedTuple):
    """The time of an agent in each status of the table."""

    name: str
    agent_id: str
    """"" if it is the name."""
    href: str
    times: tuple[str, ...]
    known: str


@dataclass(frozen=True, slots=True)
class Table:
    """Lines and what stands below or above them."""

    statuses: tuple[str, ...]
    lines: Sequence[StatusLine | AgentLine]
    agents: int
    tracked: str = ""


def together(found: Answer) -> Table:
    """A line for each status: all agents' time in it."""
    looks = looks_of(words_of(found.picture.rows))
    rows = {text(row, "status"): row for row in found.together.rows}
    lines = [
        StatusLine(
            storable(status),
            looks.get(status, look_of(status)).slug,
            clock_text(amount(rows[status], "duration_seconds")),
            _percent(rows[status].get("share")),
            round(amount(rows[status], "stays")),
        )
        for status in in_order(rows)
    ]
    tracked = sum(amount(row, "duration_seconds") for row in rows.values())
    return Table(tuple(line.status for line in lines), lines, found.agents, clock_text(tracked))


def each_agent(found: Answer, view: View) -> Table:
    """A line for each agent on the page, a column for each status."""
    statuses = in_order(words_of(found.each.rows))
    lines = [_agent_line(rows, statuses, view) for rows in by_lane(found.each)]
    return Table(tuple(map(storable, statuses)), lines, len(lines))


def _agent_line(rows: Sequence[Row], statuses: Sequence[str], view: View) -> AgentLine:
    of_status = {text(row, "status"): amount(row, "duration_seconds") for row in rows}
    agent_id, name = text(rows[0], "agent_id"), storable(text(rows[0], "name"))
    return AgentLine(
        name or storable(agent_id),
        storable(agent_id) if name else "",
        to_agent(view, agent_id),
        tuple(clock_text(of_status[status]) if of_status.get(status) else "" for status in statuses),
        _percent(rows[0].get("coverage")),
    )


def _percent(share: object) -> str:
    return f"{share * 100:.1f} %" if isinstance(share, int | float) else "–"
