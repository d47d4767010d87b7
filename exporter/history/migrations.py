"""How a history database comes to be, and how one made by an older version becomes one of today.

Each migration is a function that takes the database one version further. It runs in a transaction of its own together
with its row in `migration` and the new `user_version`: a crash leaves the version before, whole. One that has been
released is never changed again; `tests/data/history` keeps a small file of each version for the next one to migrate.
"""

from collections.abc import Callable
from typing import Final

from sqlite_utils import Database

from exporter.history import schema


def first_version(db: Database) -> None:
    """All tables of version 1, and the status words that get the cheapest ids."""
    for statement in schema.VERSION_1:
        db.execute(statement)
    db.table("status").insert_all({"id": id_, "kind": kind, "word": word} for id_, kind, word in schema.FIRST_STATUSES)
    db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")


MIGRATIONS: Final[tuple[Callable[[Database], None], ...]] = (first_version,)
"""In order: the n-th one (from 1) makes version n."""


def migrate(db: Database, version: int, *, now_ms: int, program: str) -> None:
    """Bring `db` from `version` (0: an empty file) to the newest one; `program` is the version of this program."""
    for number, migration in enumerate(MIGRATIONS[version:], start=version + 1):
        with db.atomic():
            migration(db)
            db.table("migration").insert(
                {"version": number, "name": migration.__name__, "applied": now_ms, "program": program}
            )
            db.execute(f"PRAGMA user_version = {number}")
