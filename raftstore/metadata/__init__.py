"""The replicated state machine: names, versions, chunks with their replicas, users and stores, kept in SQLite.

Invariant: the catalog is a pure function of the log. Two catalogs that applied the same entries are equal
(`Catalog.digest`), whatever restarts, snapshots or power cuts lie between; the applied index is part of each
transaction, so an entry is applied once. Times and ids come from the command and its log index, never from
here.

It is a package of its own because it needs nothing of the others: it neither knows who agreed on a command
(consensus) nor where bytes lie (chunks: it only notes on which stores they are). `apply` decides a command by
plain reads, refuses it as a value, and writes only once nothing can be refused any more; so a refused command
leaves no trace beside the others of its entry, and an exception out of `apply` means a bug or a broken disk.

Modules: `catalog` is the outside. `tables` has a module a table, with its schema, its queries, and what commands do
to it; `registry` is how a table and the handlers of commands are declared. `machine` frames each operation: once (by
`tables.remembered`), judged (`judging`), by the level in force (`levels`), dispatched to its handler. `database` opens
and checks the file, makes it survive power cuts, lends readers to threads, copies and swaps it; `reports` answers what
repair and status ask.

A new command with a table of its own is a message in proto/commands.proto, a module in `tables`, and a line in
`tables.TABLES` (tests/integration/test_new_commands.py does it). `Catalog.ask` reads it.
"""

from raftstore.metadata.catalog import Catalog

__all__ = ["Catalog"]
