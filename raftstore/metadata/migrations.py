"""What a catalog goes through when the level is raised: new tables and columns, and what is filled in there.

A migration runs inside the transaction of the entry `SetLevel`, on every node alike, so it must be deterministic: of
the tables and of nothing else, and in a given order where it goes through rows. It finds all tables up to date (what
`Machine` keeps in memory was written before) and leaves memory and tables saying the same. An exception stops the node.

A table that a migration makes has a line in `database.TABLES`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

from raftstore.metadata.database.database import set_level
from raftstore.metadata.tables import reservations, spans

if TYPE_CHECKING:
    from raftstore.metadata.machine import Machine

Migration = Callable[[sqlite3.Connection, "Machine"], None]
"""Gets the connection, within a transaction, and the machine; `machine.level` is still the level before."""


def count_directories(database: sqlite3.Connection, machine: Machine) -> None:
    """Directories count for who has made them, as files do; see `quotas`."""
    rows = database.execute(
        "SELECT owner, count(*) FROM entries WHERE kind = 2 AND name > '' GROUP BY owner"
    ).fetchall()
    for owner, directories in sorted(rows):
        machine.quotas.count(owner, files=directories)
    machine.quotas.flush()


def let_partials_age(_: sqlite3.Connection, machine: Machine) -> None:
    """Interrupted uploads age from now on; see `partials`."""
    machine.partials.begin_to_age()


migrate_to_2: tuple[Migration, ...] = (
    lambda database, machine: spans.make(database),
    lambda database, machine: reservations.make_table(database),
    count_directories,
    let_partials_age,
)
"""In this order; one function a concern."""

MIGRATIONS: dict[int, tuple[Migration, ...]] = {2: migrate_to_2}
"""By the level that they lead to."""


def migrate(database: sqlite3.Connection, machine: Machine, level: int) -> None:
    """Take a catalog from the level in force to a higher one, within the current transaction."""
    while machine.level < level:
        for migration in MIGRATIONS[machine.level + 1]:
            migration(database, machine)
        machine.level += 1
    set_level(database, level)
