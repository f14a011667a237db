"""What a catalog consists of before the first entry, and at each level: the schemas of its tables, migrated."""

from __future__ import annotations

import functools
import sqlite3

from raftstore.metadata.database.database import APPLICATION_ID, Statements, schema_of, set_level
from raftstore.metadata.levels import OLDEST
from raftstore.metadata.machine import Machine
from raftstore.metadata.tables import SCHEMAS


def fill(database: sqlite3.Connection) -> None:
    """Make what a catalog has before the first entry, at level 1, within the current transaction."""
    first = [schema for schema in SCHEMAS if schema.level == OLDEST]
    for schema in first:
        schema.make(database)
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    set_level(database, OLDEST)
    for schema in first:
        schema.put_rows(database)


@functools.cache
def schema_at(level: int) -> Statements:
    """Return it, as `database.schema_of` reads it from a catalog of that level."""
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    try:
        fill(fresh)
        Machine(fresh).migrate(level)
        return schema_of(fresh)
    finally:
        fresh.close()
