"""`check`: is everything in place for `serve`? One line for each question, and what to do where the answer is no."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from exporter.cli import parse
from exporter.cli.api import call_api, retried
from exporter.cli.build import prepare
from exporter.cli.lazy import CONTEXT
from exporter.cli.options import settings_options
from exporter.cli.values import Values
from exporter.clock import SystemClock, utc_text
from exporter.errors import ExporterError
from exporter.history.connection import resolve
from exporter.model import Agent, storable
from exporter.settings import Settings

if TYPE_CHECKING:
    from exporter.web.config.model import TlsServer
    from exporter.zoho.client import StatusRow
    from exporter.zoho.session import Session


_DAY_MS: Final = 86_400_000
_SOON_MS: Final = 30 * _DAY_MS
"""A certificate that ends within this time gets a note."""


class Verdict(Enum):
    """What a line begins with."""

    OK = "ok"
    NOTE = "note"
    SKIP = "skip"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question."""

    verdict: Verdict
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.verdict.value:<4}  {self.subject}: {storable(self.detail)}"


@click.command(context_settings=CONTEXT)
@settings_options("*")
def check(values: Values) -> int:
    """Check configuration, files, credentials, scopes and reachability, and say what to do about each fault.

    Nothing is changed at Zoho and nothing is recorded. The exit code is 1 if anything fails.
    """
    failed = False
    for finding in _findings(values):
        click.echo(str(finding))
        failed |= finding.verdict is Verdict.FAIL
    return 1 if failed else 0


def _findings(values: Values) -> Iterator[Finding]:
    try:
        settings = prepare(values, by_hand=True)
    except ExporterError as error:
        yield Finding(Verdict.FAIL, "configuration", str(error))
        return
    addresses = ", ".join(settings.web.listen_addresses)
    yield Finding(Verdict.OK, "configuration", f"every setting makes sense; metrics would be served at {addresses}")
    yield from _web_config(settings)
    yield _database(settings)
    named, finding = _agents_file(settings)
    if finding is not None:
        yield finding
    yield from _zoho(settings, named)


def _web_config(settings: Settings) -> Iterator[Finding]:
    from exporter.web.config.file import load_web_config
    from exporter.web.config.summary import asked_for

    path = settings.web.config_file
    if path is None:
        return
    subject = "web configuration file"
    try:
        config = load_web_config(path)
    except ExporterError as error:
        yield Finding(Verdict.FAIL, subject, str(error))
        return
    yield Finding(Verdict.OK, subject, f"{path} asks for {asked_for(config)}")
    for note in config.notes:
        yield Finding(Verdict.NOTE, subject, f"{path}: {note}")
    if config.tls is not None:
        yield from _certificate(config.tls)


def _certificate(tls: "TlsServer") -> Iterator[Finding]:
    from exporter.web.config.certificate import ends_ms

    ends = ends_ms(tls.certificate)
    if ends is None:
        return
    left_ms = ends - SystemClock().now_ms()
    if left_ms < 0:
        detail = f"{tls.certificate_name} expired at {utc_text(ends)}, so clients refuse it; put a new one there"
    elif left_ms < _SOON_MS:
        detail = f"{tls.certificate_name} expires in {left_ms // _DAY_MS} days, at {utc_text(ends)}"
    else:
        return
    yield Finding(Verdict.NOTE, "certificate", detail)


def _database(settings: Settings) -> Finding:
    db = settings.history.db
    folder = db.parent
    if not folder.is_dir():
        return Finding(Verdict.FAIL, "database", f"the directory {folder} is not there; make it, or change --db")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding(Verdict.FAIL, "database", f"{folder} cannot be written to; grant it, or change --db")
    try:
        found = resolve(db)
    except ExporterError as error:
        return Finding(Verdict.FAIL, "database", str(error))
    if not found.exists() or not found.stat().st_size:
        return Finding(Verdict.OK, "database", f"{db} will be made")
    if not os.access(found, os.W_OK):
        return Finding(Verdict.FAIL, "database", f"{db} cannot be written to; grant it, or change --db")
    return _readable(db)


def _readable(db: Path) -> Finding:
    from exporter.history.reader import HistoryReader
    from exporter.history.window import Window

    now = SystemClock().now_ms()
    try:
        with HistoryReader.open(db) as reader:
            agents = len(reader.facts(Window(now, now)).agents)
    except ExporterError as error:
        return Finding(Verdict.FAIL, "database", str(error))
    return Finding(Verdict.OK, "database", f"{db} can be read and written; {agents} agents are known in it")


def _agents_file(settings: Settings) -> tuple[tuple[str, ...], Finding | None]:
    """The agent ids named by file and flag; the finding is None if there is no file."""
    from exporter.agents_file import load_agents_file

    ids = settings.agents.ids
    if settings.agents.file is None:
        return ids, None
    try:
        found: Sequence[Agent] = load_agents_file(settings.agents.file)
    except ExporterError as error:
        return ids, Finding(Verdict.FAIL, "agents file", str(error))
    named = tuple(dict.fromkeys((*(agent.agent_id for agent in found), *ids)))
    return named, Finding(Verdict.OK, "agents file", f"{settings.agents.file} names {len(found)} agents")


def _zoho(settings: Settings, named: tuple[str, ...]) -> Iterator[Finding]:
    """What only Zoho can answer. The session gathers the findings, so what was answered before a failure is told."""
    found: list[Finding] = []

    async def ask(session: "Session", deadline: float) -> None:
        if await _token(session, deadline, found):
            roster = await _roster(session, settings, deadline, found)
            ids = tuple(dict.fromkeys((*named, *roster)))
            _pace(len(ids), settings, found)
            await _sample(session, ids[: settings.api.agents_per_request], deadline, found)

    try:
        call_api(settings, ask, requests=25)
    except ExporterError as error:  # no credentials, or a token cache that cannot be written
        found.append(Finding(Verdict.FAIL, "credentials", str(error)))
    yield from found


async def _token(session: "Session", deadline: float, found: list[Finding]) -> bool:
    from exporter.zoho.errors import ApiError

    try:
        await session.tokens.token(deadline)
    except ApiError as error:
        found.append(Finding(Verdict.FAIL, "credentials", str(error)))
        found.append(Finding(Verdict.SKIP, "roster and status", "they need an access token"))
        return False
    found.append(Finding(Verdict.OK, "credentials", "there is an access token"))
    return True


async def _roster(session: "Session", settings: Settings, deadline: float, found: list[Finding]) -> tuple[str, ...]:
    """The agent ids that the roster adds to those named."""
    from exporter.zoho.errors import ApiError
    from exporter.zoho.roster import read_roster

    agents = settings.agents
    if not agents.discover and not agents.zuids:
        found.append(Finding(Verdict.SKIP, "roster", "not needed, for all agents are named by their ids"))
        return ()
    try:
        listing = await read_roster(session.client, deadline, SystemClock())
    except ApiError as error:
        found.append(Finding(Verdict.FAIL, "roster", str(error)))
        return ()
    detail = f"{len(listing.rows)} agents; {listing.rows_ignored} other users are left out"
    missing = sorted(set(agents.zuids) - {row.zuid for row in listing.rows})
    if missing:
        text = f"these zuids are not on it: {', '.join(missing)}; correct --agents.zuids"
        found.append(Finding(Verdict.FAIL, "roster", text))
    else:
        found.append(Finding(Verdict.OK, "roster", detail))
    return tuple(row.agent_id for row in listing.rows if agents.discover or row.zuid in agents.zuids)


def _pace(agents: int, settings: Settings, found: list[Finding]) -> None:
    from exporter.zoho.throttle import lengthened_interval_s

    interval = settings.poll.interval_s
    lengthened = lengthened_interval_s(agents, settings.api, interval)
    if lengthened <= interval:
        found.append(Finding(Verdict.OK, "pace", f"{agents} agents fit a poll every {parse.as_duration(interval)}"))
        return
    limit = settings.api.max_requests_per_minute
    detail = (
        f"{agents} agents would be polled every {parse.as_duration(lengthened)} instead of "
        f"{parse.as_duration(interval)}, to stay within {limit} requests a minute; "
        "raise --api.max-requests-per-minute or --api.agents-per-request if Zoho allows it"
    )
    found.append(Finding(Verdict.NOTE, "pace", detail))


async def _sample(session: "Session", ids: Sequence[str], deadline: float, found: list[Finding]) -> None:
    from exporter.zoho.errors import ApiError

    if not ids:
        found.append(Finding(Verdict.SKIP, "status", "there is nobody to ask for"))
        return

    async def ask(until: float) -> "tuple[StatusRow, ...]":
        return await session.client.statuses(ids, until)

    try:
        rows = await retried(ask, deadline)
    except ApiError as error:
        found.append(Finding(Verdict.FAIL, "status", str(error)))
        return
    good = sum(row.status is not None for row in rows)
    errors = sum(row.status is None and row.error is not None for row in rows)
    detail = (
        f"of {len(rows)} agents asked for, {good} have a status, {errors} an error, {len(rows) - good - errors} none"
    )
    if good:
        found.append(Finding(Verdict.OK, "status", detail))
    else:
        advice = "check the ids, and that the token's user is an administrator or their supervisor"
        found.append(Finding(Verdict.FAIL, "status", f"{detail}; {advice}"))
