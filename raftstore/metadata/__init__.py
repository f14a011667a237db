"""The replicated state machine: names, versions, chunks with their replicas, users and stores, kept in SQLite.

Invariant: the catalog is a pure function of the log. Two catalogs that applied the same entries are equal
(`Catalog.digest`), whatever restarts, snapshots or power cuts lie between; the applied index is part of each
transaction, so an entry is applied once. Times and ids come from the command and its log index, never from
here. DESIGN.md argues it.

    catalog     the outside: apply, and reads
    machine     decides commands by plain reads and refuses them as values; writes once nothing can be refused any more
    tables      a module a table: schema, queries, what commands do to it
    registry    how a table and the handlers of commands are declared
    levels      what of a command belongs to which level; `migrations`: what raising the level does
    database    the SQLite file: opening, transactions, durability, readers for threads, snapshots
    reports     what repair and status ask

A new command with a table of its own is a message in proto/commands.proto, a module in `tables`, and a line in
`tables.TABLES` (tests/house/test_places_of_a_change.py does it). `Catalog.ask` reads it.
"""

from raftstore.metadata.catalog import Catalog

__all__ = ["Catalog"]
