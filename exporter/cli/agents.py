"""`agents …`: the roster."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.cli.api import API_SETTINGS, STATUS_COLUMNS, call_api, status_report
from exporter.cli.build import prepare
from exporter.cli.lazy import CONTEXT, LazyGroup
from exporter.cli.options import settings_options
from exporter.cli.output import plain_output_options, write_report
from exporter.cli.values import Values
from exporter.clock import SystemClock
from exporter.report.model import Column

if TYPE_CHECKING:
    from exporter.zoho.roster import RosterListing
    from exporter.zoho.session import Session

agents = LazyGroup(
    "agents",
    "The roster as Zoho gives it.",
    {"list": ("exporter.cli.agents:list_agents", "Everyone on the roster, with team and present status.")},
)


@click.command("list", context_settings=CONTEXT)
@plain_output_options
@settings_options(*API_SETTINGS)
def list_agents(values: Values, form: str | None, output: Path | None) -> None:
    """Everyone on Zoho's roster who is an agent, with name, team and present status."""
    settings = prepare(values, by_hand=True)
    from exporter.zoho.roster import read_roster

    async def read(session: "Session", deadline: float) -> "RosterListing":
        return await read_roster(session.client, deadline, SystemClock())

    listing = call_api(settings, read, requests=20)
    rows = [
        {
            "agent_id": row.agent_id,
            "name": row.name,
            "status": row.status.word if row.status else None,
            "error": None,
            "team": row.team,
            "zuid": row.zuid,
        }
        for row in listing.rows
    ]
    columns = (*STATUS_COLUMNS, Column("team"), Column("zuid"))
    report = status_report(
        "agents list", rows, columns=columns, read_at=listing.read_at, rows_ignored=listing.rows_ignored
    )
    write_report(report, form, output)
