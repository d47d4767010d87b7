"""An export as a staged database."""

import sqlite3
from collections.abc import Iterable
from typing import Final

from exporter.errors import UsageError
from exporter.history.schema import AGENT_BITS, RECORDER
from exporter.history.transfer.format import TABLES
from exporter.history.transfer.incoming import IncomingFile
from exporter.history.transfer.read_export import ExportedRow, Value
from exporter.model import ABSENT, ERROR, EndReason, reported
from exporter.quoting import shown

_INSERT: Final = {
    table.name: (
        f"INSERT INTO {table.name} ({', '.join(field.name for field in table.fields)})"  # noqa: S608 - names of ours
        f" VALUES ({', '.join('?' for _ in table.fields)})"
    )
    for table in TABLES
} | {"transition": "INSERT INTO transition (moment, from_status, to_status, uncertainty) VALUES (?, ?, ?, ?)"}

_WORDS_OF_KINDS: Final[dict[Value, str]] = {int(status.kind): status.word for status in (ERROR, ABSENT)}

_NOT_SO: Final = "the row contradicts rows before it, or itself"


def stage_export(connection: sqlite3.Connection, file: IncomingFile, rows: Iterable[ExportedRow]) -> None:
    """Write the rows into the empty staged database; whether they make a history is for `laws` to say.

    What was still open when the export was made is ended where its evidence ends. Raises UsageError, naming the line,
    for a row that contradicts itself or rows before it.
    """
    connection.execute("DELETE FROM status")
    load = _Loading(connection)
    for row in rows:
        try:
            load.insert(row.table.name, row.values)
        except sqlite3.IntegrityError as error:
            raise UsageError(f"{file.at(row.line)}: {_NOT_SO} ({error})") from error
    _close_what_is_open(connection)


class _Loading:
    """What has been inserted so far, as far as the tables do not watch over it themselves."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ids: dict[str, set[int]] = {"agent": set(), "status": set()}

    def insert(self, table: str, values: tuple[Value, ...]) -> None:
        """Raises sqlite3.IntegrityError for what cannot stand in the table."""
        if table == "source" and values[0] == RECORDER:
            if values[1] != "polls":
                raise sqlite3.IntegrityError("source 0 is the recorder, which polls")
            return  # it stands there already
        if table == "status":
            _refuse_odd_status(*values[1:])
        if table == "transition":
            values = self._transition(*values)
        elif table in self._ids:
            assert isinstance(values[0], int)
            self._ids[table].add(values[0])
        self._connection.execute(_INSERT[table], values)

    def _transition(
        self, seen: Value, agent: Value, from_status: Value, to_status: Value, uncertainty: Value
    ) -> tuple[Value, ...]:
        assert isinstance(seen, int)
        assert isinstance(agent, int)
        if agent not in self._ids["agent"] or not {from_status, to_status} <= {*self._ids["status"], None}:
            raise sqlite3.IntegrityError("its agent or a status of it is not in the file")
        return seen << AGENT_BITS | agent, from_status, to_status, uncertainty


def _refuse_odd_status(kind: Value, word: Value) -> None:
    """A word in another spelling than live polls store would be a status of its own, and count as not ready."""
    assert isinstance(word, str)
    usual = reported(word.strip()).word if kind == 0 else _WORDS_OF_KINDS.get(kind)
    if word != usual:
        raise sqlite3.IntegrityError(f"{shown(word)} is not how this status is written")


def _close_what_is_open(connection: sqlite3.Connection) -> None:
    """End the run and the stretch that went on: nobody will continue them but a recorder that begins anew."""
    reason = EndReason.NOT_IN_FILE.value
    connection.execute(
        "UPDATE run SET end_reason = ?1, ended = coalesce("
        "(SELECT last FROM coverage WHERE end_reason IS NULL AND source = 0), started) WHERE ended IS NULL",
        (reason,),
    )
    connection.execute("UPDATE coverage SET end_reason = ? WHERE end_reason IS NULL", (reason,))
