"""What a catalog of each level consists of: the schema that it starts with, and what migrations make of it."""

from __future__ import annotations

import functools
import sqlite3

from raftstore.metadata.database.database import Schema, fill, schema_of
from raftstore.metadata.machine import Machine
from raftstore.metadata.migrations import migrate


@functools.cache
def schema_at(level: int) -> Schema:
    """Return it, as `database.schema_of` reads it from a catalog of that level."""
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    try:
        fill(fresh)
        migrate(fresh, Machine(fresh), level)
        return schema_of(fresh)
    finally:
        fresh.close()
