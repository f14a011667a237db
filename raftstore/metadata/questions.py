"""What can be asked of the catalog beside names: accounts, stores, jobs, and which copies there are."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TypeVar

from raftstore import paths
from raftstore.errors import StoreError, Unavailable
from raftstore.metadata.machine import Machine
from raftstore.metadata.refusal import MAX_INTEGER
from raftstore.metadata.reports import Reports
from raftstore.metadata.tables.reservations import Reservation
from raftstore.rights import Rights
from raftstore.types import ChunkRef, PartialUpload, StoreInfo, Usage, User, Wanted
from raftstore.wire import commands_pb2 as commands

_T = TypeVar("_T")


class Questions:
    """Reads of the state as it is applied, over the writer's connection. The base of `Catalog`, which has the state."""

    _machine: Machine
    _reports: Reports

    def _unreadable(self, error: sqlite3.Error) -> StoreError:
        raise NotImplementedError

    # Accounts, stores, totals.

    def user(self, name: str) -> User | None:
        """Return an account, None when there is none."""
        try:
            return self._machine.accounts.user(name)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def rights(self, name: str) -> Rights | None:
        """Return what an account may do, None when there is none. The same object until the account changes."""
        try:
            return self._machine.accounts.rights(name)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def orphans(self) -> list[tuple[str, Usage]]:
        """Return who has something and no account (any more), by identity, and what is published of it."""
        try:
            accounts = self._machine.accounts
            owners = self._machine.quotas.owners()
            return [(owner, usage) for owner, usage in owners if owner and accounts.owner(owner) is None]
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def users(self, after: str = "", limit: int = -1) -> list[User]:
        """Return the accounts behind the name `after`, by name; `limit` -1: all."""
        try:
            return self._machine.accounts.users(after, limit)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def usage(self, owner: str) -> Usage:
        """Return what `owner` has published."""
        try:
            return self._machine.quotas.usage(owner)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def secret(self, name: str) -> bytes | None:
        """Return a secret of the cluster, None when there is none."""
        try:
            return self._machine.secrets.find(name)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def stores(self) -> list[StoreInfo]:
        """Return every store ever registered, by number."""
        return self._machine.stores.list()

    def superseded(self, node: str, identity: bytes) -> bool:
        """Whether `node` has registered another store since the one with `identity`."""
        return self._machine.stores.superseded(node, identity)

    def latest_boot(self, node: str) -> int:
        """Return the number of the newest start of `node` that has proposed something; 0: of none."""
        return self._machine.remembered.boot(node)

    def boot_before(self, node: str, boot: int) -> int:
        """Return the number of the newest start of `node` that has proposed something but for `boot`; 0: none known."""
        return self._machine.remembered.boot_before(node, boot)

    def swept(self) -> Mapping[int, int]:
        """Return by store number the log index at which each store last began to remove chunks (0: never)."""
        return self._machine.stores.swept

    def totals(self) -> tuple[int, int]:
        """Return the number of published files and the sum of their sizes in bytes."""
        counters = self._machine.counters
        return counters.files, counters.bytes

    def partial_totals(self) -> tuple[int, int]:
        """Return the number of partial uploads and the bytes that they hold."""
        partials = self._machine.partials
        return partials.total, partials.bytes

    def partial_tick(self) -> int | None:
        """Return the tick by which partial uploads age now; None before level 2."""
        return self._machine.partials.tick

    def partials_due(self, keep: int) -> bool:
        """Whether there are partial uploads that nothing was added to for `keep` ticks."""
        try:
            return self._machine.partials.due(keep)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def partials(self, after: tuple[int, str, str], limit: int) -> list[PartialUpload]:
        """Return up to `limit` partial uploads after one with that `place` (0, "", "": from the first on)."""
        try:
            names, found = self._machine.names, self._machine.partials.page(after, limit)
            return [
                PartialUpload(
                    paths.join(names.path_of(parent) or "/", name),
                    owner,
                    size,
                    mtime_ns,
                    age,
                    (parent, name, owner),
                )
                for parent, name, owner, size, mtime_ns, age in found
            ]
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def intents(self) -> list[commands.Intent]:
        """Return what operators want of the membership, in the order in which they wanted it."""
        return self._machine.intents.list()

    def jobs(self) -> list[commands.Job]:
        """Return the jobs that are open, and those that are kept after their end, by number; not to be changed."""
        return self._machine.jobs.list()

    def job(self, number: int) -> commands.Job | None:
        """Return a job, not to be changed; None when there is none."""
        return self._machine.jobs.find(number)

    def reservations(self) -> list[Reservation]:
        """Return the names that are taken for files which are still to be published."""
        return self._machine.reservations.all()

    # Replicas.

    def unlisted(self, names: Iterable[bytes], store: int) -> list[bytes]:
        """Return those of `names`, digests or the first bytes of them, of which no chunk is said to be on `store`.

        What no file or partial upload refers to is said to be nowhere.
        """
        try:
            return self._machine.contents.unlisted(names, store)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def held_by(self, names: Iterable[bytes]) -> list[tuple[bytes, tuple[int, ...]]]:
        """Return digest and stores of the chunks that have one of `names`, as in `unlisted`."""
        try:
            return self._machine.contents.held_by(names)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def chunk_stores(self, digest: bytes) -> tuple[int, ...]:
        """Return the numbers of the stores that hold a chunk; none for an unknown one."""
        try:
            return self._machine.contents.stores_of(digest)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def chunks_on(self, store: int) -> Iterator[list[bytes]]:
        """Yield the digests of the chunks in use that are said to be on a store, some hundred at a time.

        The catalog may change between two of them, but not be replaced: Unavailable then.
        """
        return self._paged(lambda reports: reports.chunks_on(store))

    def store_totals(self, store: int) -> tuple[int, int]:
        """Return the pictures (files whose first chunk is there) and bytes (each chunk once) on a store."""
        return self._reports.store_totals(store)

    def short_files(self, wanted: Wanted, live: Collection[int], limit: int) -> tuple[int, list[str]]:
        """Return how many files have a chunk on fewer stores of `live` than are `wanted`, and up to `limit` paths,
        sorted.

        Costs microseconds when there are none. The count is exact up to some thousand chunks, see reports.
        """
        try:
            return self._reports.short_files(wanted, live, limit)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def short_chunks(
        self,
        wanted: Wanted,
        live: Collection[int],
        limit: int,
        among: Callable[[tuple[int, ...]], bool] = lambda stores: True,
        upto: int = MAX_INTEGER,
    ) -> list[ChunkRef]:
        """Return up to `limit` chunks on fewer stores of `live` than are `wanted`, the most urgent first.

        `among` is asked once for each set of stores: those of which it says False are passed over, and so are
        chunks with a number above `upto` (see `newest_chunk`).
        """
        try:
            return self._reports.short_chunks(wanted, live, limit, among, upto)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def short_pages(
        self, wanted: Wanted, live: Collection[int], among: Callable[[tuple[int, ...]], bool], upto: int
    ) -> Iterator[list[ChunkRef]]:
        """Yield all that `short_chunks` means, some hundred at a time; as `chunks_on`."""
        return self._paged(lambda reports: reports.short_pages(wanted, live, among, upto))

    def short_count(self, wanted: Wanted, live: Collection[int], on: int | None = None) -> int:
        """Return how many chunks (that are on store `on`) are on fewer stores of `live` than wanted. Microseconds."""
        return self._reports.short_count(wanted, live, on)

    def is_short(self, digest: bytes, wanted: Wanted, live: Collection[int]) -> bool:
        """Whether a chunk that something refers to is on fewer stores of `live` than are `wanted`."""
        try:
            copies, stores = self._machine.contents.copies(digest, wanted)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        return len(frozenset(live).intersection(stores)) < copies

    def surplus_chunks(self, wanted: Wanted, live: Collection[int], limit: int, upto: int) -> list[ChunkRef]:
        """Return some chunks, about `limit`, on more stores of `live` than are `wanted`, of all sets of stores."""
        try:
            return self._reports.surplus_chunks(wanted, live, limit, upto)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def surplus_pages(
        self, wanted: Wanted, live: Collection[int], on: int, upto: int
    ) -> Iterator[list[ChunkRef]]:
        """Yield all that `surplus_chunks` means and is on store `on`, some hundred at a time; as `chunks_on`."""
        return self._paged(lambda reports: reports.surplus_pages(wanted, live, on, upto))

    def absent_pages(self, wanted: Wanted, store: int, upto: int) -> Iterator[list[ChunkRef]]:
        """Yield the chunks that are not on `store`, some hundred at a time; as `chunks_on`."""
        return self._paged(lambda reports: reports.absent_pages(wanted, store, upto))

    @property
    def newest_chunk(self) -> int:
        """Number of the chunk that came last; later ones have higher numbers."""
        return self._machine.contents.next_chunk - 1

    def _paged(self, pages: Callable[[Reports], Iterator[list[_T]]]) -> Iterator[list[_T]]:
        reports = self._reports
        try:
            for page in pages(reports):
                yield page
                if reports is not self._reports:
                    raise Unavailable("the catalog was replaced")
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
