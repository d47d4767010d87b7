"""The ten questions of docs/questions.md: SQL and command line give the same answer."""

import json
import re
import shlex
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import chdir, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.cli import run
from tests.support.documents import ROOT, fences, read
from tests.support.examples import console_commands
from tests.support.sample_history import write_sample_history

PAGE = read(ROOT / "docs" / "questions.md")
TIME = re.compile(r"\d{4}-\d{2}-\d{2}T[\d:.]+(Z|[+-]\d{2}:\d{2})")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and the two ways of asking it."""

    question: str
    sql: str
    command: str


def asked() -> Iterator[Asked]:
    for part in re.split(r"(?m)^## ", PAGE)[1:]:
        (query,), (console,), (_,) = (fences(part, info) for info in ("sql", "console", "text"))
        (command,) = console_commands(console.body)
        yield Asked(part.splitlines()[0], query.body, command)


QUESTIONS = tuple(asked())


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample_history(tmp_path_factory.mktemp("sample"))


def test_there_are_ten_and_each_is_a_question() -> None:
    assert [one.question.partition(" ")[0] for one in QUESTIONS] == [f"{number}." for number in range(1, 11)]
    assert all(one.question.endswith("?") for one in QUESTIONS)


@pytest.mark.parametrize("one", QUESTIONS, ids=lambda one: one.question)
def test_sql_and_command_line_give_the_same_answer(one: Asked, sample: Path) -> None:
    with closing(sqlite3.connect(f"file:{sample}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        by_sql = [dict(row) for row in connection.execute(one.sql)]
    _, *arguments = shlex.split(one.command)
    with chdir(sample.parent):
        done = run(*arguments, "--format", "json", env={"TZ": "UTC"})
    assert done.code == 0, done.err
    by_command = json.loads(done.out)["rows"]
    assert by_sql
    assert by_sql[0].keys() <= by_command[0].keys(), "name the columns as the report does"
    columns = list(by_sql[0])
    assert in_order(by_sql, columns) == in_order(by_command, columns)


def in_order(rows: list[dict[str, object]], columns: list[str]) -> list[list[str]]:
    """The cells of some columns in one spelling, the rows by what is in them."""
    return sorted([plain(row, column) for column in columns] for row in rows)


def plain(row: Mapping[str, object], column: str) -> str:
    """Instants in UTC, truth as a number, and numbers with the digits that the program prints."""
    value = row[column]
    if isinstance(value, str) and TIME.fullmatch(value):
        return f"{datetime.fromisoformat(value).timestamp():.3f}"
    if isinstance(value, bool | int | float):
        return f"{value:.{3 if column.endswith('_seconds') else 6}f}"
    return str(value)
