"""The lines of the agents' families, in pieces small enough to let other things run in between."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from exporter.metrics.agents import AgentsView, Row
from exporter.metrics.families import FAMILY
from exporter.metrics.family import Family
from exporter.metrics.text import cleaned, escaped
from exporter.model import AgentId
from exporter.settings import MetricsSettings

_PIECE: Final = 250
"""Agents rendered in one go: some 3,500 lines, about a millisecond."""

_HERE: Final = "\0"
"""Stands for the agent id in a prepared text; `cleaned` leaves no NUL in any label."""

T = TypeVar("T")
Counts = Mapping[tuple[str, int], int]
"""Agents by team and place of their status."""


@dataclass(frozen=True, slots=True)
class AgentsContent:
    """What of the agents is exposed."""

    view: AgentsView
    settings: MetricsSettings
    last_active: Mapping[AgentId, int]
    """When Zoho says that agents were last active, ms UTC; of others, too."""


def agent_sections(content: AgentsContent) -> Iterator[tuple[Family, Iterator[bytes]]]:
    """The agents' families in the order of the table, each with its lines; `zohovoice_up` is not among them."""
    view, settings = content.view, content.settings
    labels = [escaped(label) for label in view.labels]
    counts = view.counts
    yield FAMILY["zohovoice_agents"], _totals(counts, labels)
    yield FAMILY["zohovoice_team_agents"], _teams(counts, labels)
    if not settings.per_agent:
        return
    rows = view.rows[: settings.agent_limit]
    yield FAMILY["zohovoice_agents_over_limit"], _over_limit(len(view.rows) - len(rows))
    yield FAMILY["zohovoice_agent_status"], _statuses(rows, labels)
    yield FAMILY["zohovoice_agent_status_since_timestamp_seconds"], _since(rows)
    if settings.last_seen:
        yield FAMILY["zohovoice_agent_last_seen_timestamp_seconds"], _last_seen(rows, content.last_active)
    yield FAMILY["zohovoice_agent_status_changes_total"], _changes(rows)
    if settings.agent_seconds:
        yield FAMILY["zohovoice_agent_status_seconds_total"], _seconds(rows, labels, view.known_ms)
    if settings.names:
        yield FAMILY["zohovoice_agent_info"], _names(rows)


def _totals(counts: Counts, labels: Sequence[str]) -> Iterator[bytes]:
    """How many agents are in each status, with a 0 for each status that nobody is in."""
    totals = [0] * len(labels)
    for (_, place), agents in counts.items():
        totals[place] += agents
    yield _encoded(
        f'zohovoice_agents{{status="{label}"}} {total}\n' for label, total in zip(labels, totals, strict=True)
    )


def _teams(counts: Counts, labels: Sequence[str]) -> Iterator[bytes]:
    for some in _batches(sorted({team for team, _ in counts})):
        yield _encoded(
            f'zohovoice_team_agents{{team="{escaped(team)}",status="{label}"}} {counts.get((team, place), 0)}\n'
            for team in some
            for place, label in enumerate(labels)
        )


def _over_limit(agents: int) -> Iterator[bytes]:
    yield f"zohovoice_agents_over_limit {agents}\n".encode()


def _statuses(rows: Sequence[Row], labels: Sequence[str]) -> Iterator[bytes]:
    prepared = [
        "".join(
            f'zohovoice_agent_status{{agent_id="{_HERE}",status="{label}"}} {int(place == held)}\n'
            for place, label in enumerate(labels)
        )
        for held in range(len(labels))
    ]
    for some in _batches(rows):
        yield _encoded(prepared[row.place].replace(_HERE, row.label) for row in some)


def _since(rows: Sequence[Row]) -> Iterator[bytes]:
    name = "zohovoice_agent_status_since_timestamp_seconds"
    for some in _batches(rows):
        yield _encoded(f'{name}{{agent_id="{row.label}"}} {row.tracked.since / 1000}\n' for row in some)


def _last_seen(rows: Sequence[Row], last_active: Mapping[AgentId, int]) -> Iterator[bytes]:
    name = "zohovoice_agent_last_seen_timestamp_seconds"
    known = [(row, last_active.get(row.tracked.agent.agent_id)) for row in rows]
    for some in _batches([(row, at) for row, at in known if at is not None]):
        yield _encoded(f'{name}{{agent_id="{row.label}"}} {at / 1000}\n' for row, at in some)


def _changes(rows: Sequence[Row]) -> Iterator[bytes]:
    name = "zohovoice_agent_status_changes_total"
    for some in _batches(rows):
        yield _encoded(f'{name}{{agent_id="{row.label}"}} {row.changes}\n' for row in some)


def _seconds(rows: Sequence[Row], labels: Sequence[str], known_ms: int) -> Iterator[bytes]:
    name = "zohovoice_agent_status_seconds_total"
    prepared = "".join(f'{name}{{agent_id="{_HERE}",status="{label.replace("%", "%%")}"}} %s\n' for label in labels)
    for some in _batches(rows):
        yield _encoded(
            (prepared % tuple([time / 1000 for time in row.credited_ms(known_ms, len(labels))])).replace(
                _HERE, row.label
            )
            for row in some
        )


def _names(rows: Sequence[Row]) -> Iterator[bytes]:
    for some in _batches(rows):
        yield _encoded(
            f'zohovoice_agent_info{{agent_id="{row.label}",name="{escaped(cleaned(row.tracked.agent.name))}"'
            f',team="{escaped(row.team)}"}} 1\n'
            for row in some
        )


def _batches(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """`values` in runs of at most `_PIECE`."""
    for start in range(0, len(values), _PIECE):
        yield values[start : start + _PIECE]


def _encoded(lines: Iterator[str]) -> bytes:
    return "".join(lines).encode()
