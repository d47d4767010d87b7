"""A day that is known to the second, recorded poll by poll, and the timeline page of it."""

import html
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

from exporter.history.classes import DEFAULT_CLASSES
from exporter.history.reader import HistoryReader
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import (
    AVAILABLE,
    BUSY,
    ERROR,
    OFFLINE,
    ON_BREAK,
    ON_CALL,
    Agent,
    AgentId,
    EndReason,
    Poll,
    Status,
)
from exporter.tracker import NOTHING_TRACKED, Pace, advance
from exporter.web.pages.timeline import timeline_page
from exporter.web.reports.context import WorkerContext
from exporter.web.reports.request import ReportReply, ReportRequest
from tests.support.pictured import SVG, pictures

ZONE: Final = ZoneInfo("Europe/Berlin")
DAY: Final = "2025-03-04"
"""A Tuesday with 24 hours."""
INTERVAL_S: Final = 30
HOSTILE: Final = "</title><script>alert('x')</script>\u202e\"&amp;"
SHOWN_HOSTILE: Final = HOSTILE.replace("\u202e", "\ufffd")
LATER: Final = round(datetime(2025, 3, 6, 12, tzinfo=ZONE).timestamp() * 1000)
"""Two days after."""

LOOKED: Final = (("08:00", "12:00"), ("13:00", "17:00"))
"""From the first poll to the last one of two runs, both full hours; between them nobody was looking."""
AGENTS: Final = (
    Agent("7001", "Ann", "Sales"),
    Agent("7002", HOSTILE, "Support"),
    Agent("7003", "Cat", "Sales"),
)
STAYS: Final = {
    "7001": (
        ("08:00", AVAILABLE),
        ("09:30", ON_CALL),
        ("10:15", BUSY),
        ("13:00", AVAILABLE),
        ("15:00", ON_BREAK),
        ("16:30", OFFLINE),
    ),
    "7002": (("08:00", OFFLINE), ("14:00", ERROR), ("15:00", AVAILABLE)),
    # Six stays of half a minute each, from 10:00:00 to 10:03:00.
    "7003": (
        ("08:00", AVAILABLE),
        *(
            (f"10:0{second // 60}:{second % 60:02}", (ON_CALL, AVAILABLE)[second // 30 % 2])
            for second in range(0, 180, 30)
        ),
        ("10:03", BUSY),
    ),
}
"""Each status from the poll that was the first to see it."""


def at(clock: str, day: str = DAY, zone: ZoneInfo = ZONE) -> int:
    """Milliseconds of a local time."""
    return round(datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=zone).timestamp() * 1000)


def write_known_day(path: Path, day: str = DAY) -> Path:
    """Record the known day, or the same times of another one. A poll is received at each full half minute, a second
    after it was sent."""
    writer = HistoryWriter.open(path, RunInfo(version="1", host="h", boot_id="", pid=1, started=at("08:00", day)))
    agents = {agent.agent_id: agent for agent in AGENTS}
    state, pace = NOTHING_TRACKED, Pace.of_interval(INTERVAL_S * 1000)
    for since, until in LOOKED:
        for received in range(at(since, day), at(until, day) + 1, INTERVAL_S * 1000):
            poll = Poll(received - 1000, received, {key: _status(key, received, day) for key in agents})
            state, facts = advance(state, poll, agents, pace, silence=EndReason.SHUTDOWN)
            writer.append(facts)
    writer.close(at("17:00", day), EndReason.SHUTDOWN)
    return path


def write_crowd(path: Path, names: Sequence[str], day: str = DAY, *, goes_on: bool = False) -> Path:
    """Record an hour, from 09:00 to 10:00, in which everybody was available; with `goes_on` the run did not end."""
    agents = {str(number): Agent(str(number), name, "Crowd") for number, name in enumerate(names, start=1)}
    writer = HistoryWriter.open(path, RunInfo(version="1", host="h", boot_id="", pid=1, started=at("09:00", day)))
    state, pace = NOTHING_TRACKED, Pace.of_interval(600_000)
    for received in range(at("09:00", day), at("10:00", day) + 1, 600_000):
        poll = Poll(received - 200, received, dict.fromkeys(agents, AVAILABLE))
        state, facts = advance(state, poll, agents, pace)
        writer.append(facts)
    if goes_on:
        writer.abandon()
    else:
        writer.close(at("10:00", day), EndReason.SHUTDOWN)
    return path


def _status(agent_id: AgentId, received: int, day: str) -> Status:
    return [status for since, status in STAYS[agent_id] if at(since, day) <= received][-1]


def ask(db: Path, asked: Mapping[str, str | list[str]], *, now: int = LATER, zone: ZoneInfo = ZONE) -> ReportReply:
    """The page as the process that makes reports makes it."""
    texts = {name: (value,) if isinstance(value, str) else tuple(value) for name, value in asked.items()}
    with HistoryReader.open(db) as reader:
        context = WorkerContext(now, zone, DEFAULT_CLASSES, "1.2.3")
        return timeline_page(reader, ReportRequest("timeline", "page", texts), context)


def picture_of(page: str) -> str:
    """The `<svg>` elements of the timeline, without those of its legend."""
    region = r'<div class="wide" role="region" aria-labelledby="drawn"[^>]*>(.*?)</div>\s*<div id="told"'
    found = re.search(f"(?s){region}", page)
    assert found is not None, sentences(page)
    return found[1]


def links(page: str) -> dict[str, str]:
    """Where the links with a text lead, by their text; of those with the same text, the first one."""
    found = re.findall(r'<a href="([^"]*)"[^>]*>([^<]*)</a>', page)
    return {html.unescape(text): html.unescape(href) for href, text in reversed(found)}


def zooms(page: str) -> dict[str, str]:
    """What the parts of the axis say that they do, and where they lead."""
    found = re.findall(r'<a [^>]*class="zoom"[^>]*>', page)
    pairs = [(re.search(r'aria-label="([^"]*)"', one), re.search(r'href="([^"]*)"', one)) for one in found]
    return {html.unescape(told[1]): html.unescape(href[1]) for told, href in pairs if told and href}


def sentences(page: str) -> list[str]:
    """The paragraphs, without their markup, each in one line."""
    found = re.findall(r"(?s)<p(?: [^>]*)?>(.*?)</p>", page)
    return [" ".join(html.unescape(re.sub(r"<[^>]*>", "", text)).split()) for text in found]


def shown(db: Path, *, now: int = LATER, zone: ZoneInfo = ZONE, **asked: str | list[str]) -> str:
    """The page of what can be shown."""
    reply = ask(db, asked, now=now, zone=zone)
    assert reply.status == 200, reply.body.decode()
    return reply.body.decode()


def lane(page: str, name: str) -> list[ElementTree.Element]:
    """The bars of an agent."""
    for picture in pictures(picture_of(page)):
        for group in picture.iter(f"{SVG}g"):
            if group.get("role") == "group" and (group.get("aria-label") or "").startswith(name):
                return [element for element in group if element.get("class") == "bar"]
    raise AssertionError(f"no lane of {name}")


def rectangles(bar: ElementTree.Element) -> list[tuple[str, float, float, float, float]]:
    """Look, x, y, width and height of what is drawn."""

    def number(one: ElementTree.Element, key: str) -> float:
        return float(one.get(key) or "nan")

    return [
        (one.get("class") or "", number(one, "x"), number(one, "y"), number(one, "width"), number(one, "height"))
        for one in bar.iter(f"{SVG}rect")
    ]


def cells(page: str, table: str) -> list[list[str]]:
    """The rows of the table below the heading with that id, as texts."""
    found = re.search(rf'(?s)aria-labelledby="{table}".*?<tbody>(.*?)</table>', page)
    assert found is not None
    rows = re.findall(r"(?s)<tr>(.*?)</tr>", found[1])
    return [
        [
            " ".join(html.unescape(re.sub(r"<[^>]*>", "", cell)).split())
            for cell in re.findall(r"(?s)<t[hd].*?</t[hd]>", row)
        ]
        for row in rows
    ]
