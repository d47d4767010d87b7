"""What is chosen at the top of the dashboard "History from SQLite", and what agents are called on it."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.model import AVAILABLE, BUSY
from tests.support import minutes
from tests.support.minutes import at, polled
from tests.support.sqlite_panels import Chosen, answer, filled, variable, write_morning
from tests.support.two_sources import rows, write

MORNING = Chosen(at("08:00"), at("09:00"))


def choices(path: Path, name: str, chosen: Chosen = MORNING) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in rows(path, filled(variable(name)["query"], chosen), at("09:00"))]


def lanes(path: Path, chosen: Chosen = MORNING) -> set[str]:
    return {row["agent"] for row in answer(path, "Status of each agent", chosen, at("09:00"))}


def named(folder: Path, names: Mapping[str, str]) -> Path:
    """A history of agents with these names, by their ids."""
    path = folder / "named.db"
    write(path, polled({agent_id: [("08:00", BUSY)] for agent_id in names}, "08:00", "08:04"), minutes.PACE)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "UPDATE agent_version SET name = ? WHERE agent = (SELECT id FROM agent WHERE agent_id = ?)",
            [(name, agent_id) for agent_id, name in names.items()],
        )
    return path


def test_variables_offer_teams_agents_and_status_words(tmp_path: Path) -> None:
    path = write_morning(tmp_path)
    assert choices(path, "team") == [("O'Brien",)]
    assert choices(path, "agent") == [("O'Brien 1", "1"), ("O'Brien 2", "2")]
    assert choices(path, "agent", replace(MORNING, teams=["O'Brien"])) == [("O'Brien 1", "1"), ("O'Brien 2", "2")]
    assert choices(path, "agent", replace(MORNING, teams=["Sales"])) == []
    assert choices(path, "status") == [("Available",), ("Busy",), ("Offline",), ("On Break",), ("On Call",)]


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ({"1": "Ann", "2": "Bob"}, {"Ann": "1", "Bob": "2"}),
        ({"1": "Ann", "2": "Ann"}, {"Ann (1)": "1", "Ann (2)": "2"}),
        ({"1": "Ann", "2": "Ann", "3": "Ann (1)"}, {"Ann (1) (1)": "1", "Ann (2)": "2", "Ann (1) (3)": "3"}),
        ({"1": "", "2": "Bob"}, {"1": "1", "Bob": "2"}),
        ({"1": "", "2": "1"}, {"1 (1)": "1", "1 (2)": "2"}),
    ],
    ids=["names of their own", "one name", "a name like another's with its id", "no name", "a name like another's id"],
)
def test_no_two_agents_are_shown_under_the_same_name(
    tmp_path: Path, names: Mapping[str, str], shown: Mapping[str, str]
) -> None:
    path = named(tmp_path, names)
    assert lanes(path) == set(shown)
    assert dict(choices(path, "agent")) == shown
    assert {row["agent"] for row in answer(path, "Who changed when", MORNING, at("09:00"))} == set(shown)


def test_who_is_chosen_alone_needs_no_id(tmp_path: Path) -> None:
    assert lanes(named(tmp_path, {"1": "Ann", "2": "Ann"}), replace(MORNING, agents=["1"])) == {"Ann"}


@pytest.mark.parametrize("team", ['The "Nord"', "O'Brien's", "'\"'", "\\", "') OR 1=1 --", "Ünï; 电话"])
def test_a_team_can_be_chosen_whatever_its_name_holds(tmp_path: Path, team: str) -> None:
    path = tmp_path / "history.db"
    polls = polled({"1": [("08:00", BUSY)], "2": [("08:00", AVAILABLE)]}, "08:00", "08:04")
    write(path, polls, minutes.PACE, names={at("08:00"): "Sales"})
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE agent_version SET team = ? WHERE name = 'Sales 1'", (team,))
    assert set(choices(path, "team")) == {(team,), ("Sales",)}
    for chosen, expected in ((team, "Sales 1"), ("Sales", "Sales 2")):
        alone = replace(MORNING, teams=[chosen])
        assert choices(path, "agent", alone) == [(expected, expected[-1])]
        assert lanes(path, alone) == {expected}
        assert [row["agent"] for row in answer(path, "Time in status, by agent", alone, at("09:00"))] == [expected]
    both = replace(MORNING, teams=[team, "Sales"])
    assert lanes(path, both) == {"Sales 1", "Sales 2"}


def test_a_status_can_be_chosen_whatever_its_word_holds(tmp_path: Path) -> None:
    path = named(tmp_path, {"1": "Ann"})
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE status SET word = 'Gone \"out\", O''Brien' WHERE word = 'Busy'")
    chosen = replace(MORNING, status='Gone "out", O\'Brien', minutes=1)
    assert [row["agent"] for row in answer(path, "Long breaks", chosen, at("09:00"))] == ["Ann"]
