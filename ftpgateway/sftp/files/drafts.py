"""The files that a session writes: found by what they are, whatever their names are by now, and by path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ftpgateway.access.ledger import UPLOAD_BEGINS, Charge, LimitReached
from ftpgateway.access.workspace import Workspace
from ftpgateway.sftp import packets
from ftpgateway.sftp.files.draft import Draft
from raftstore import paths
from raftstore.errors import AlreadyExists, Denied, IsADirectory, NotEmpty, NotFound, StoreError
from raftstore.store.targets import Target
from raftstore.store.transfers.spool import Spools
from raftstore.types import CHUNK_SIZE, Entry

WARM = 16
"""Files of a session that are written to without a detour: each has up to a megabyte in memory."""

READ_BACK = 4
"""Files of a session of which is kept what was read last, while they are open to be written, too."""

MOST_READ_BACK = 4 * CHUNK_SIZE
"""Bytes of each at most: the blocks of a reader, and a chunk that was changed."""


def _kept(draft: Draft, more: int) -> int:
    """Return how much of a draft may be in memory when `more` bytes were written to it."""
    return UPLOAD_BEGINS if draft.size + more <= UPLOAD_BEGINS else CHUNK_SIZE


@dataclass(frozen=True, slots=True)
class Manner:
    """How a file is opened, as SFTP's flags say."""

    read: bool = False
    write: bool = False
    append: bool = False
    create: bool = False
    truncate: bool = False
    exclusive: bool = False

    @staticmethod
    def of(flags: int) -> Manner:
        """Decode the flags of OPEN; neither to read nor to write means to read, as it does to OpenSSH."""
        write = bool(flags & packets.FLAG_WRITE)
        return Manner(
            read=bool(flags & packets.FLAG_READ) or not write,
            write=write,
            append=bool(flags & packets.FLAG_APPEND),
            create=bool(flags & packets.FLAG_CREATE),
            truncate=bool(flags & packets.FLAG_TRUNCATE),
            exclusive=bool(flags & packets.FLAG_EXCLUSIVE) and bool(flags & packets.FLAG_CREATE),
        )


class Own(NamedTuple):
    """What a session sees in a directory beside what is published: new files by name, changed ones by inode."""

    new: dict[str, Entry]
    changed: dict[int, Entry]


class Drafts:
    """The files that one session writes."""

    def __init__(self, files: Workspace, user: str, spools: Spools, wait_limit: float, memory: Charge) -> None:
        """`memory` is charged for what is kept of them; to be released when all are closed."""
        self._memory = memory
        self._files = files
        self._user = user
        self._spools = spools
        self._limit = wait_limit
        self._drafts: list[Draft] = []
        self._warm: dict[Draft, int] = {}  # and what is charged; the one that was written to last is the last
        self.current: Draft | None = None
        """The one that was written to last."""
        self._read_back: dict[Draft, int] = {}  # the same, of which something was read last

    async def was_read(self, draft: Draft) -> None:
        """Something of `draft` was read back: of a few it is kept, as long as the account may hold it."""
        self._read_back.pop(draft, None)
        self._read_back[draft] = min(draft.size, MOST_READ_BACK)
        while self._read_back and not (len(self._read_back) <= READ_BACK and self._charged()):
            await self._forget_one()

    async def _forget_one(self) -> None:
        oldest = next(iter(self._read_back))
        del self._read_back[oldest]
        await oldest.forget()

    def ready(self, draft: Draft, more: int) -> bool:
        """Whether `more` bytes can be written to `draft` without `use`."""
        return draft is self.current and _kept(draft, more) <= self._warm.get(draft, 0)

    async def use(self, draft: Draft, more: int) -> None:
        """`more` bytes are written to `draft` now; those that were not for the longest time keep nothing in memory.

        Raises StoreError, LimitReached.
        """
        before, self.current = self.current, draft
        if before is not None and before is not draft and before not in self._read_back:
            await before.forget()
        amount = max(_kept(draft, more), self._warm.pop(draft, 0))
        self._warm[draft] = amount
        try:
            while len(self._warm) > WARM or not self._charged():
                if self._read_back and len(self._warm) <= WARM:
                    await self._forget_one()
                elif len(self._warm) == 1:
                    self._memory.resize(amount)  # raises
                else:
                    oldest = next(iter(self._warm))
                    del self._warm[oldest]
                    await oldest.put_down()
        except StoreError as error:
            draft.fail(error)
            raise

    def _kept_now(self) -> int:
        return sum(self._warm.values()) + sum(self._read_back.values())

    def _charged(self) -> bool:
        """Charge what is kept; False: the account may not hold so much."""
        try:
            self._memory.resize(self._kept_now())
        except LimitReached:
            return False
        return True

    def __iter__(self) -> Iterator[Draft]:
        return iter(self._drafts)

    # Finding.

    async def at(self, path: str) -> Draft | None:
        """Return what the session writes that it sees at `path`. Raises StoreError."""
        if not self._drafts:
            return None
        return (await self.look(path))[0]

    async def look(self, path: str) -> tuple[Draft | None, Entry | None]:
        """Return what the session writes that it sees at `path`, and what is published there. Raises StoreError."""
        try:
            found = await self._files.entry(path)
        except NotFound:
            found = None
        return await self._at(path, found), found

    async def _at(self, path: str, found: Entry | None) -> Draft | None:
        new: list[tuple[Draft, Target]] = []
        for draft in self._drafts:
            if draft.unlinked:
                continue
            target = await draft.target()
            if target.inode and found is not None and target.inode == found.inode:
                return draft
            over = draft.replaces.inode if draft.replaces is not None else 0
            if not target.inode and over == (found.inode if found is not None else 0):
                new.append((draft, target))
        if not new or path == "/":
            return None
        directory = await self._files.directory_of(path)
        name = paths.parent(path)[1]
        for draft, target in new:
            if (target.directory, target.name) == (directory, name):
                return draft
        return None

    async def within(self, path: str) -> Own:
        """Return what the session sees of its own in the directory `path`. Raises StoreError."""
        seen = [draft for draft in self._drafts if not draft.unlinked and draft.dirty]
        if not seen:
            return Own({}, {})
        directory = (await self._files.entry(path)).inode
        new, changed = {}, {}
        for draft in seen:
            target = await draft.target()
            if target.inode:
                changed[target.inode] = draft.entry()
            elif target.directory == directory:
                new[target.name] = draft.entry()
        return Own(new, changed)

    # Opening.

    async def open(self, path: str, manner: Manner) -> Draft | None:
        """Return the file at `path`, to be changed by one more handle; None: it is only read. Raises StoreError."""
        found: Entry | None = None
        draft = None
        anew = manner.create and manner.truncate and not manner.exclusive
        if self._drafts or not anew:
            try:
                draft, found = await self.look(path)
            except Denied:  # who sees nothing there may store there all the same
                if not anew:
                    raise
                draft = await self._at(path, None)
        if found is not None and found.is_directory:
            raise IsADirectory(path)
        if manner.exclusive and (draft is not None or found is not None):
            raise AlreadyExists(path)
        if draft is not None:
            if found is not None and not draft.unchanged_since(found):
                await draft.begin_anew(await self._files.base(path))
            if manner.truncate:
                await draft.set_size(0)
        elif found is not None and not (manner.write or manner.truncate):
            return None
        else:
            draft = await self._open(path, manner, found, anew)
            self._drafts.append(draft)
        draft.handles += 1
        return draft

    async def _open(self, path: str, manner: Manner, found: Entry | None, anew: bool) -> Draft:
        draft = Draft(self._files, self._user, path, self._spools, self._limit)
        if found is not None and not manner.truncate:
            draft.begin_as(await self._files.base(path))
            return draft
        if found is None and not anew:
            begun = await self._files.begun(path, anew=False)
            if not manner.create and not (begun and manner.write):
                raise NotFound(path)
            if begun and not manner.truncate and not manner.exclusive:
                directory, name = await self._files.directory_of(path), paths.parent(path)[1]
                draft.begin_at(Target(directory, name), begun)
                return draft
        reserved = await self._files.reserve(path) if manner.exclusive else None
        exclusive = manner.exclusive and reserved is None
        try:
            upload = await self._files.upload(
                path, offset=None, append=False, exclusive=exclusive, expected=None, handle=True
            )
        except BaseException:
            if reserved is not None:
                self._files.forget_reservation(reserved)
            raise
        draft.begin_new(upload, reserved)
        return draft

    async def cut(self, path: str, size: int) -> None:
        """Publish what is at `path`, which nobody here has open, with another size. Raises StoreError."""
        draft = await self.open(path, Manner(write=True))
        assert draft is not None
        try:
            await draft.set_size(size)
            await draft.publish()
        finally:
            await self.close(draft)

    async def close(self, draft: Draft) -> None:
        """One handle less that may change it; what is not published by then never is."""
        draft.handles -= 1
        if not draft.handles:
            self._drafts.remove(draft)
        await self._let_go(draft)

    async def close_reader(self, draft: Draft) -> None:
        """One handle less that reads it."""
        draft.readers -= 1
        await self._let_go(draft)

    async def _let_go(self, draft: Draft) -> None:
        if not draft.handles and not draft.readers:
            if self._warm.pop(draft, 0) + self._read_back.pop(draft, 0):
                self._memory.resize(min(self._memory.amount, self._kept_now()))
            self.current = None if self.current is draft else self.current
            await draft.abandon()

    # Names.

    async def remove(self, path: str) -> None:
        """Remove a file. Raises StoreError."""
        draft, found = (await self.look(path)) if self._drafts else (None, None)
        if draft is not None and found is None:
            await self._files.check_remove(path)
        else:
            await self._files.remove(path)
        if draft is not None:
            await draft.unlink()

    async def rename(self, source: str, target: str, *, exclusive: bool) -> None:
        """Rename a file or a directory; `exclusive`: over nothing. Raises StoreError."""
        if not self._drafts:
            await self._files.rename(source, target, exclusive=exclusive)
            return
        draft, found = await self.look(source)
        if draft is None and found is None:
            raise NotFound(source)
        there, published = await self.look(target)
        replaced = there is not None or published is not None
        if replaced and (exclusive or (found is not None and found.is_directory)):
            raise AlreadyExists(target)
        if draft is not None and draft is there:
            return
        if draft is not None and not (await draft.target()).inode:
            await self._rename_new(draft, source, target, published)
        else:
            if there is not None:
                await there.give_up_name()
            await self._files.rename(source, target, exclusive=exclusive)
            self._moved(source, target)
        if there is not None:
            await there.unlink()

    async def _rename_new(self, draft: Draft, source: str, target: str, published: Entry | None) -> None:
        """Move where a file will be published."""
        await self._files.check_rename_new(source, target, published)
        if published is not None and published.is_directory:
            raise AlreadyExists(target)
        directory, name = await self._files.directory_of(target), paths.parent(target)[1]
        if draft.replaces is not None:
            await self._files.remove(source)  # what it had taken the place of
        replaces = (published.inode, published.version) if published is not None else (0, 0)
        await draft.move(target, Target(directory, name, replaces=replaces), published)

    def _moved(self, source: str, target: str) -> None:
        for draft in self._drafts:
            if paths.within(draft.path, source):
                draft.path = target + draft.path[len(source) :]

    async def check_empty(self, path: str) -> None:
        """Raise NotEmpty when the session writes a new file in the directory `path`."""
        if (await self.within(path)).new:
            raise NotEmpty(path)
