"""`status …`: the four status endpoints by hand."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.cli import parse
from exporter.cli.api import API_SETTINGS, call_api, retried, status_report
from exporter.cli.ask import confirm
from exporter.cli.build import prepare
from exporter.cli.lazy import CONTEXT, LazyGroup
from exporter.cli.options import settings_options, yes_option
from exporter.cli.output import plain_output_options, write_report
from exporter.cli.values import Values
from exporter.clock import SystemClock
from exporter.errors import UsageError
from exporter.model import ABSENT, ERROR, SETTABLE_STATUSES, Status, reported
from exporter.quoting import shown
from exporter.report.model import Cell

if TYPE_CHECKING:
    from exporter.zoho.client import StatusRow
    from exporter.zoho.session import Session

Row = dict[str, Cell]

status = LazyGroup(
    "status",
    "Read and set agents' status by hand.",
    {
        "get": ("exporter.cli.status:get", "The status of the token's own user, or of the agents named."),
        "set": ("exporter.cli.status:set_own", "Set the status of the token's own user; asks first."),
        "override": ("exporter.cli.status:override", "Set the status of other agents; asks first."),
    },
)


@click.command("get", context_settings=CONTEXT)
@click.argument("agents", metavar="[AGENT]...", nargs=-1)
@click.option("--zuids", is_flag=True, help="The AGENTs are Zoho account ids (zuid) instead of agent ids.")
@click.option("--names", is_flag=True, help="Also read the roster, to show names.")
@plain_output_options
@settings_options(*API_SETTINGS)
def get(
    values: Values, agents: tuple[str, ...], zuids: bool, names: bool, form: str | None, output: Path | None
) -> int:
    """Show the status of each AGENT (an agent id), or of the token's own user if none is named.

    An agent whom the answer leaves out is `absent`. The exit code is 1 if any agent has no status.
    """
    ids = _ids(agents)
    if zuids and not ids:
        raise UsageError("--zuids: name at least one Zoho account id")
    settings = prepare(values, by_hand=True)
    size = settings.api.agents_per_request

    async def read(session: "Session", deadline: float) -> "tuple[list[StatusRow], dict[str, str]]":
        rows = await _status_rows(session, ids, deadline, size=size, zuids=zuids)
        return rows, await _names(session, deadline) if names else {}

    found, known = call_api(settings, read, requests=-(-len(ids) // size) + (20 if names else 1))
    rows = [_row(row, known) for row in found]
    write_report(status_report("status get", rows), form, output)
    asked = len(ids) or 1
    # By zuid the answer names agent ids only, so who is missing can only be counted.
    without = asked - sum(row.status is not None for row in found)
    if without > 0:
        click.echo(f"{without} of {asked} agents have no status in Zoho's answer", err=True)
    return 1 if without > 0 else 0


async def _status_rows(
    session: "Session", ids: Sequence[str], deadline: float, *, size: int, zuids: bool
) -> "list[StatusRow]":
    if not ids:
        return [await retried(session.client.own_status, deadline)]
    rows: list[StatusRow] = []
    for chunk in _chunks(ids, size):
        ask = partial(session.client.statuses, chunk, by="zuids" if zuids else "agentIds")
        rows += await retried(ask, deadline)
    return rows


async def _names(session: "Session", deadline: float) -> dict[str, str]:
    from exporter.zoho.roster import read_roster

    listing = await read_roster(session.client, deadline, SystemClock())
    return {row.agent_id: row.name for row in listing.rows}


def _row(row: "StatusRow", names: dict[str, str]) -> Row:
    word = row.status.word if row.status else ERROR.word if row.error is not None else ABSENT.word
    return {"agent_id": row.agent_id, "name": names.get(row.agent_id), "status": word, "error": row.error}


@click.command("set", context_settings=CONTEXT)
@click.argument("wanted", metavar="STATUS")
@yes_option
@settings_options(*API_SETTINGS)
def set_own(values: Values, wanted: str, yes: bool) -> None:
    """Set the status of the token's own user to STATUS: Available, Busy, "On Break" or Offline.

    It has a visible effect on call routing, so it asks first. Needs the scope ZohoVoice.agents.UPDATE.
    """
    status_wanted = _settable(wanted)
    settings = prepare(values, by_hand=True)
    confirm(f"Set your own status to {status_wanted.word}?", yes=yes)

    async def write(session: "Session", deadline: float) -> None:
        await session.client.set_own_status(status_wanted, deadline)

    call_api(settings, write)
    click.echo(f"your own status was set to {status_wanted.word}", err=True)


@click.command("override", context_settings=CONTEXT)
@click.argument("wanted", metavar="STATUS")
@click.argument("agents", metavar="AGENT...", nargs=-1, required=True)
@yes_option
@plain_output_options
@settings_options(*API_SETTINGS)
def override(
    values: Values, wanted: str, agents: tuple[str, ...], yes: bool, form: str | None, output: Path | None
) -> int:
    """Set the status of each AGENT (an agent id) to STATUS: Available, Busy, "On Break" or Offline.

    It has a visible effect on call routing, so it asks first. The exit code is 1 if any agent was refused.
    Needs the scope ZohoVoice.agents.UPDATE.
    """
    status_wanted = _settable(wanted)
    ids = _ids(agents)
    settings = prepare(values, by_hand=True)
    confirm(f"Set the status of {_whom(ids)} to {status_wanted.word}?", yes=yes)
    chunks = list(_chunks(ids, settings.api.agents_per_request))

    async def write(session: "Session", deadline: float) -> list[Row]:
        return await _override(session, chunks, status_wanted, deadline)

    rows = call_api(settings, write, requests=len(chunks))
    write_report(status_report("status override", rows), form, output)
    refused = sum(row["error"] is not None for row in rows)
    if refused:
        click.echo(f"{refused} of {len(ids)} agents were not set to {status_wanted.word}", err=True)
    return 1 if refused else 0


async def _override(
    session: "Session", chunks: Sequence[tuple[str, ...]], wanted: Status, deadline: float
) -> list[Row]:
    """One row for each agent. A failure ends it, but what was done before is told: it has changed the world."""
    from exporter.zoho.errors import ApiError

    errors: dict[str, str | None] = {}
    failure: ApiError | None = None
    for chunk in chunks:
        if failure is not None:
            errors.update(dict.fromkeys(chunk, "not tried, for a request before it failed"))
            continue
        try:
            answered = {
                row.agent_id: row.error for row in await session.client.override_statuses(chunk, wanted, deadline)
            }
        except ApiError as error:
            if not errors:
                raise
            failure = error
            answered = dict.fromkeys(chunk, str(error))
        errors.update({agent_id: answered.get(agent_id, "Zoho's answer leaves this agent out") for agent_id in chunk})
    return [
        {"agent_id": agent_id, "name": None, "status": None if error else wanted.word, "error": error}
        for agent_id, error in errors.items()
    ]


def _settable(text: str) -> Status:
    found = reported(text.strip())
    if found not in SETTABLE_STATUSES:
        words = ", ".join(f"'{one.word}'" for one in SETTABLE_STATUSES)
        raise UsageError(f"STATUS: {shown(text)} is not a status that Zoho lets be set; use one of {words}")
    return found


def _ids(agents: Sequence[str]) -> tuple[str, ...]:
    if not agents:
        return ()
    try:
        return parse.ids(",".join(agents))
    except UsageError as error:
        raise UsageError(f"AGENT: {error}") from error


def _chunks(ids: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(ids), size):
        yield tuple(ids[start : start + size])


def _whom(ids: Sequence[str]) -> str:
    named = ", ".join(ids[:5])
    return f"agent {named}" if len(ids) == 1 else f"{len(ids)} agents ({named}{', …' if len(ids) > 5 else ''})"
