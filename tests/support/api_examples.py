"""The answers of the API that its documentation shows: made by the program, of values that never change."""

import asyncio
import atexit
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import httpx

from exporter.history.classes import DEFAULT_CLASSES
from exporter.history.parameters import TAKES
from exporter.model import AVAILABLE, ON_BREAK, Agent
from exporter.web.app import create_app
from exporter.web.reports.asked import REPEATABLE, names
from exporter.web.reports.frames import Task
from exporter.web.reports.request import PATHS, ReportReply, ReportRequest
from exporter.web.reports.worker import answered
from exporter.web.state import WebState
from tests.support.documents import table
from tests.support.metrics import Polled
from tests.support.sample_history import write_sample_history
from tests.support.web import IDENTITY, web_state

CREW: Final = {
    "40777714114600167": Agent("40777714114600167", "Sanne Hansen", "Support"),
    "40777714114600168": Agent("40777714114600168", "Eun-ji Patel", "Sales"),
    "40777714114600169": Agent("40777714114600169", "Zoë Rossi", "Sales"),
}
QUESTIONS: Final = {
    "timeline": "since=2025-03-04T10:58&until=2025-03-04T11:22&tz=Europe/Berlin&agent=Zo*&limit=2",
    "summary": "since=2025-03-04&until=2025-03-05&tz=Europe/Berlin&by=team&status=On+Call&status=Available",
    "intervals": "since=2025-03-04T10:00&until=2025-03-04T11:00&tz=Europe/Berlin&step=30m&status=Available",
    "coverage": "since=2025-03-04T10:00&until=2025-03-04T12:00&tz=Europe/Berlin",
}
_NOW: Final = 1_741_262_400_000
"""Two days after the sample history."""


@cache
def database() -> Path:
    """The sample history, for as long as this process runs."""
    folder = tempfile.TemporaryDirectory(prefix="api-examples-")
    atexit.register(folder.cleanup)
    return write_sample_history(Path(folder.name))


class SampleReports:
    """Makes reports on the sample history where they are asked for, without a process."""

    async def ask(self, request: ReportRequest) -> ReportReply:
        """See `exporter.web.reports.request.Reports`."""
        return answered(Task(request, database(), DEFAULT_CLASSES, "1.2.3", _NOW), ZoneInfo("UTC"))


def sample_state() -> WebState:
    """A program after one good poll and one that failed."""
    polled = Polled()
    state = web_state(polled, reports=SampleReports())
    statuses = dict(zip(CREW, (AVAILABLE, ON_BREAK, AVAILABLE), strict=True))
    polled.poll(statuses, CREW)
    state.updates.tell()
    polled.fail()
    state.updates.tell()
    return state


def got(target: str, **headers: str) -> httpx.Response:
    """The answer to a GET."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(sample_state()))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get(target, headers=IDENTITY | headers)

    return asyncio.run(ask())


def event() -> str:
    """What the stream of events begins with."""

    async def listen() -> bytes:
        sent, gone = bytearray(), asyncio.Event()

        async def receive() -> dict[str, str]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: object) -> None:
            assert isinstance(message, dict)
            sent.extend(message.get("body", b""))
            if b"data: " in sent:
                gone.set()

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": "/api/v1/events",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1")],
        }
        await create_app(sample_state())(scope, receive, send)
        return bytes(sent)

    return asyncio.run(listen()).decode()


def agents_example() -> str:
    """The whole answer."""
    return _shown("/api/v1/agents")


def events_example() -> str:
    """The first event."""
    return f"\n```text\n{event()}```\n\n"


def reports_example() -> str:
    """An answer of each report, and one of them as CSV."""
    shown = [f"#### {name}\n{_shown(f'{PATHS[name]}?{query}')}" for name, query in QUESTIONS.items()]
    target = f"{PATHS['timeline']}?{QUESTIONS['timeline']}&format=csv"
    answer = got(target)
    head = "".join(f"{name}: {answer.headers[name]}\n" for name in ("content-type", "content-disposition", "link"))
    return "\n" + "".join(shown) + f"#### CSV\n\n```text\nGET {target}\n\n{head}\n{answer.text}```\n\n"


def _shown(target: str) -> str:
    answer = got(target)
    assert answer.status_code == 200, answer.text
    return f"\n```text\nGET {target}\n```\n\n```json\n{answer.text}```\n\n"


def parameters() -> str:
    """Which reports take which parameters, and what they may be."""
    every = list(dict.fromkeys(name for report in PATHS for name in names(report)))
    rows: Iterator[tuple[str, ...]] = (
        (f"`{name}`", _takers(name), "yes" if name in REPEATABLE else "", _values(name)) for name in every
    )
    return "\n" + table(("Parameter", "Reports", "May be repeated", "Values"), rows) + "\n"


def _takers(name: str) -> str:
    takers = [report for report in PATHS if name in names(report)]
    return "all" if len(takers) == len(PATHS) else ", ".join(f"`{report}`" for report in takers)


def _values(name: str) -> str:
    choices = _VALUES.get(name)
    if choices is None:
        found = [TAKES[report].by if name == "by" else TAKES[report].quality for report in PATHS]
        choices = ", ".join(f"`{one}`" for one in max(found, key=len))
        if name == "by":
            choices += "; in `intervals` only `class`"
    return choices


_VALUES: Final = {
    "since": "start of the window; default `today`",
    "until": "its end, not included; default `now`",
    "tz": "an IANA zone; default the machine's",
    "agent": "a pattern for ids and names",
    "team": "a pattern for teams",
    "format": "`json`, `csv`; default what `Accept` prefers, else `json`",
    "limit": "1 to 10,000 rows; default 1,000",
    "offset": "rows to leave out; default 0",
    "status": "Zoho's word, `unknown`, `absent` or `error`",
    "step": "length of an interval, such as `30m`; default `15m`",
    "fewer-than": "a whole number from 1; default 1",
    "weekday": "`mon`, `mon-fri`, `sat,sun`",
    "hours": "such as `09:00-17:30`",
    "share-of": "`known` (default), `window`",
    "stays": "`true`, `false` (default)",
    "edges": "`seen` (default), `midpoint`, `not-before`",
    "bridge": "a duration; default `0s`",
}
