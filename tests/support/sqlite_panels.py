"""The SQL of a dashboard as the plugin frser-sqlite-datasource sends it, and its answer as Grafana gets it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from exporter.model import AVAILABLE, BUSY, ON_BREAK
from tests.support import grafana, minutes
from tests.support.minutes import at, polled
from tests.support.two_sources import rows, write

NAME: Final = "history-sqlite"

_MACRO: Final = re.compile(r"\$__([_a-zA-Z0-9]+)\(([^)]*)\)")
"""As the plugin finds macros: arguments hold no closing bracket, and commas part them."""


@dataclass(frozen=True, slots=True)
class SqlQuery:
    """The query of a panel."""

    panel: str
    raw: str
    kind: str
    times: Sequence[str]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is chosen at the top of the dashboard; None: "All"."""

    since: int
    until: int
    """The time range, ms."""
    agents: Sequence[str] | None = None
    teams: Sequence[str] | None = None
    status: str = "On Break"
    minutes: int = 30


def sql_queries() -> Iterator[SqlQuery]:
    """The query of every panel. What the editor shows and what is sent without an editor are the same."""
    for panel in grafana.panels(NAME):
        (target,) = panel["targets"]
        assert target["queryText"] == target["rawQueryText"]
        yield SqlQuery(panel["title"], target["rawQueryText"], target["queryType"], target["timeColumns"])


def sql_query(panel: str) -> SqlQuery:
    """The query of the panel with this title."""
    (found,) = [one for one in sql_queries() if one.panel == panel]
    return found


def variable(name: str) -> Mapping[str, Any]:
    """A variable of the dashboard."""
    return grafana.variable(NAME, name)


def _listed(name: str, values: Sequence[str] | None) -> str:
    """What Grafana puts in for `${name:sqlstring}`: each value quoted, but what "All" stands for as it is.

    It pairs single quotes, and writes a backslash before double ones, which SQLite takes for part of the value.
    """
    if values is None:
        return str(variable(name)["allValue"])
    return ",".join("'" + value.replace("'", "''").replace('"', '\\"') + "'" for value in values)


def filled(raw: str, chosen: Chosen) -> str:
    """`raw` with variables and macros filled in; no `$` may be left."""
    sql = raw
    for reference, value in {
        "${agent:sqlstring}": _listed("agent", chosen.agents),
        "${team:sqlstring}": _listed("team", chosen.teams),
        "${status:sqlstring}": _listed("status", [chosen.status]),
        "${minutes}": str(chosen.minutes),
        "$__from": str(chosen.since),
        "$__to": str(chosen.until),
    }.items():
        sql = sql.replace(reference, value)
    sql = _MACRO.sub(_expanded, sql)
    assert "$" not in sql
    return sql


def _expanded(macro: re.Match[str]) -> str:
    assert macro[1] == "unixEpochGroupSeconds", "the plugin has no other"
    column, seconds = macro[2].split(",")
    return f"cast(({column} / {int(seconds)}) as int) * {int(seconds)}"


def answer(path: Path, panel: str, chosen: Chosen, now: int) -> list[dict[str, Any]]:
    """The rows of a panel while the clock says `now`, held against what the plugin can make of them."""
    query = sql_query(panel)
    found = rows(path, filled(query.raw, chosen), now)
    for column in found[0] if found else ():
        values = [row[column] for row in found if row[column] is not None]
        # The first value decides what the whole column holds: a later fraction in a column of integers would be cut.
        assert len({type(value) for value in values}) <= 1, f"{panel}: {column}"
        if column in query.times:
            assert all(isinstance(value, float) and abs(value) < 1e11 for value in values), "seconds, not ms"
    if query.kind == "time series":
        assert query.times == ["time"]
        assert [row["time"] for row in found] == sorted({row["time"] for row in found})
        assert all(isinstance(value, int | float | None) for row in found for value in row.values())
    return found


def write_morning(folder: Path) -> Path:
    """`morning.db`: polls on the minute from 08:00 to 08:12, none after 08:05 and before 08:10.

    Agent 2 is asked for until 08:02.
    """
    path = folder / "morning.db"
    polls = polled(
        {
            "1": [("08:00", AVAILABLE), ("08:02", ON_BREAK), ("08:11", BUSY)],
            "2": [("08:00", BUSY), ("08:03", None)],
        },
        "08:00",
        "08:12",
        silent=[("08:05", "08:10")],
    )
    write(path, polls, minutes.PACE, names={at("08:00"): "O'Brien"})
    return path
