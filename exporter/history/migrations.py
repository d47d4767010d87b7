"""How a history database comes to be, and how one made by an older version becomes one of today.

Each migration is a function that takes the database one version further. It runs in a transaction of its own together
with its row in `migration` and the new `user_version`: a crash leaves the version before, whole. One that has been
released is never changed again; `tests/data/history` keeps a small file of each version for the next one to migrate.
"""

from collections.abc import Callable
from typing import Final

from sqlite_utils import Database

from exporter.history import schema, views


def first_version(db: Database) -> None:
    """All tables of version 1, and the status words that get the cheapest ids."""
    for statement in schema.VERSION_1:
        db.execute(statement)
    db.table("status").insert_all({"id": id_, "kind": kind, "word": word} for id_, kind, word in schema.FIRST_STATUSES)
    db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")


def sources_and_water_marks(db: Database) -> None:
    """Version 2: where coverage comes from, several tracks of one agent, what was purged, and running totals.

    What was recorded is the recorder's. Checkpoints are derived: without them everything is right, and the next
    `rebuild` makes them anew, with totals.
    """
    for view in schema.VIEWS_1:
        db.execute(f"DROP VIEW {view}")
    for statement in schema.VERSION_2_TABLES:
        db.execute(statement)
    for table, keep, make, put_back in schema.REBUILT:
        db.execute(keep)
        db.execute(f"DROP TABLE {table}")
        db.execute(make)
        db.execute(put_back)
        db.execute(f"DROP TABLE temp.old_{table}")
    for statement in schema.REINDEXED:
        db.execute(statement)
    db.execute("DELETE FROM carried")
    db.execute("DELETE FROM checkpoint")
    for _, statement in views.VIEWS:
        db.execute(statement)


MIGRATIONS: Final[tuple[Callable[[Database], None], ...]] = (first_version, sources_and_water_marks)
"""In order: the n-th one (from 1) makes version n."""


def migrate(db: Database, version: int, *, now_ms: int, program: str) -> None:
    """Bring `db` from `version` (0: an empty file) to the newest one; `program` is the version of this program."""
    if version < len(MIGRATIONS):
        # A table that others refer to can only be made anew while nobody watches over the references.
        (watched,) = db.execute("PRAGMA foreign_keys").fetchone()
        db.execute("PRAGMA foreign_keys = OFF")
        try:
            _migrate(db, version, now_ms, program)
        finally:
            db.execute(f"PRAGMA foreign_keys = {watched}")


def _migrate(db: Database, version: int, now_ms: int, program: str) -> None:
    for number, migration in enumerate(MIGRATIONS[version:], start=version + 1):
        with db.atomic():
            migration(db)
            db.table("migration").insert(
                {"version": number, "name": migration.__name__, "applied": now_ms, "program": program}
            )
            db.execute(f"PRAGMA user_version = {number}")
