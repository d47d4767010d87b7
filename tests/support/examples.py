"""Runs the examples of the documentation: commands with their output, and SQL with its rows."""

import re
import shlex
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, chdir
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rich.cells import cell_len

from exporter.cli.main import PROGRAM
from tests.support.cli import environment, run, simulator
from tests.support.documents import fences, with_fences
from tests.support.sample_history import AGENTS, SEED, write_sample_history

_PROMPT: Final = "$ "
_MORE: Final = "\\\n"
_SQL: Final = re.compile(r"(?s)```sql\n(?P<query>.*?)```\n\n```text\n(?P<rows>.*?)```")


class Examples:
    """A folder with the sample history in it, and a simulator for the commands that ask Zoho."""

    def __init__(self) -> None:
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._folder = Path(self._open.enter_context(tempfile.TemporaryDirectory()))
        self._empty = Path(self._open.enter_context(tempfile.TemporaryDirectory()))
        self.database = write_sample_history(self._folder)
        running = self._open.enter_context(simulator(AGENTS, SEED))
        self._environment = {"ZOHOVOICE_API_URL": running.url, "ZOHOVOICE_API_ACCOUNTS_URL": running.url, "TZ": "UTC"}
        self.credentials: Mapping[str, str] = environment(running)
        """The variables that make commands talk to the simulator."""
        _configure(self._empty, self.credentials)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def run_again(self, page: str) -> str:
        """The page with the output of its `console` blocks and the rows of its SQL made anew."""
        return _SQL.sub(self._with_rows, with_fences(page, "console", self.console))

    def console(self, body: str) -> str:
        """A `console` block made anew: each command (after `$ `) with what it says on a terminal that is wide enough.

        The commands of a block run in one folder. That of reports holds the sample history, that of others the
        configuration and the secrets that the README tells of.
        """
        folder = self._folder if f"{PROGRAM} history" in body else self._empty
        with chdir(folder):
            return "".join(f"{_PROMPT}{command}\n{self.output(command)}" for command in console_commands(body))

    def output(self, command: str) -> str:
        """What a command says. Raises AssertionError if it fails."""
        program, *arguments = shlex.split(command.replace(_MORE, ""))
        assert program == PROGRAM, f"only {PROGRAM} can be run here, not {program}"
        writes_rows = arguments[0] in ("history", "status", "agents") and "--output" not in arguments
        if writes_rows and "--format" not in arguments:
            arguments += ["--format", "table"]  # as on a terminal
        done = run(*arguments, env=self._environment)
        assert done.code == 0, f"{command}: {done.err}"
        return done.out + done.err

    def rows(self, query: str) -> str:
        """What a query gives, as a table of plain text."""
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        try:
            cursor = connection.execute(query)
            headings = tuple(str(column[0]) for column in cursor.description)
            cells = [tuple("" if value is None else str(value) for value in row) for row in cursor]
        finally:
            connection.close()
        return "".join(_aligned((headings, *cells)))

    def _with_rows(self, match: re.Match[str]) -> str:
        return f"```sql\n{match['query']}```\n\n```text\n{self.rows(match['query'])}```"


def _configure(folder: Path, credentials: Mapping[str, str]) -> None:
    """What the README has made by the time it comes to `check`."""
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    for name in ("client-secret", "refresh-token"):
        file = secrets / name
        file.touch(mode=0o600)
        file.write_text(credentials[f"ZOHOVOICE_AUTH_{name.upper().replace('-', '_')}"] + "\n", encoding="utf-8")
    (folder / "zohovoice.yml").write_text(
        f"auth:\n  client-id: {credentials['ZOHOVOICE_AUTH_CLIENT_ID']}\n"
        "  client-secret-file: secrets/client-secret\n  refresh-token-file: secrets/refresh-token\n",
        encoding="utf-8",
    )


def console_commands(body: str) -> Iterator[str]:
    """The commands of a `console` block as they stand there, with their continuation lines."""
    lines = iter(body.splitlines(keepends=True))
    for line in lines:
        if not line.startswith(_PROMPT):
            continue
        command = line.removeprefix(_PROMPT)
        while command.endswith(_MORE):
            command += next(lines)
        yield command.rstrip("\n")


def queries(page: str) -> tuple[str, ...]:
    """All SQL of a page."""
    return tuple(fence.body for fence in fences(page, "sql"))


def queries_with_rows(page: str) -> tuple[str, ...]:
    """The SQL of a page that its rows follow."""
    return tuple(match["query"] for match in _SQL.finditer(page))


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(cell_len(row[place]) for row in rows) for place in range(len(rows[0]))]
    rule = ["-" * width for width in widths]
    for row in (rows[0], rule, *rows[1:]):
        cells = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip() + "\n"
