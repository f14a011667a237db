"""The replicated state machine: names, versions, chunks with their replicas, users and stores, kept in SQLite.

Invariant: the catalog is a pure function of the log. Two catalogs that applied the same entries are equal
(`Catalog.digest`), whatever restarts, snapshots or power cuts lie between; the applied index is part of each
transaction, so an entry is applied once. Times and ids come from the command and its log index, never from
here.

It is a package of its own because it needs nothing of the others: it neither knows who agreed on a command
(consensus) nor where bytes lie (chunks: it only notes on which stores they are). `apply` decides a command by
plain reads, refuses it as a value, and writes only once nothing can be refused any more; so a refused command
leaves no trace beside the others of its entry, and an exception out of `apply` means a bug or a broken disk.

Modules: `catalog` is the outside. `machine` decides commands, over `namespace` (directories and files),
`contents` (chunks and references), `replicas` (sets of stores), `accounts` (users), `quotas` (what each owner
has), `partials` (interrupted uploads), `stores` and `remembered` (results of operations, for exactly-once).
`levels` says what of a command belongs to which level, `migrations` what a catalog goes through when the level is
raised, `schemas` what it consists of then. `database` opens and checks the file, `durability` makes it survive power
cuts, `connections` lends readers to threads, `snapshots` copies and swaps it, `reports` answers what repair and
status ask.
"""

from raftstore.metadata.catalog import Catalog

__all__ = ["Catalog"]
