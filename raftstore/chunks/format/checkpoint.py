"""The index on disk, so that a start need not read all volumes: only what was written after the checkpoint.

It is made while chunks come and go: the place in the log (volume, offset) up to which it is right is noted first,
then the buckets of the index are saved one after the other, some of them with later changes. That is no harm, since
the log from that place on is applied to it again: needles and tombstones say the same when they are applied twice.

    magic, then parts: u32 number of buckets, u32 size of each, their content
    u32 0, u32 length of the notes, notes (JSON)
    keyed BLAKE3 of all before it

It is only ever a short cut: where it is missing, damaged or does not fit the volumes, they are scanned.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import structlog
from blake3 import blake3

from raftstore.chunks.format.index import Index
from raftstore.chunks.volumes.files import Files
from raftstore.chunks.volumes.holdings import Holdings

log = structlog.get_logger()

Position = tuple[int, int]
"""A place in the log: number of a volume, offset in it."""

NAME = "index"
_MAGIC = b"PxIndex\x01"
_SIZE = struct.Struct("<I")
_HASH_SIZE = 32
_PART = 16
_PORTION = 500
_MAX_PART = 256 * 1024 * 1024


class Unusable(Exception):
    """There is a checkpoint, but it cannot be used; says why."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a checkpoint says of a volume: where it ended, and its tombstones by the volume that they name."""

    end: int
    tombstones: Counter[int]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An index that holds all before `position` in the log."""

    index: Index
    position: Position
    volumes: dict[int, Known]
    stale: set[int]


def index_secret(key: bytes) -> int:
    """Return the secret of the index in the store with this key."""
    return int.from_bytes(blake3(key, derive_key_context="pixraft index buckets").digest(8), "little") | 1


def _hasher(key: bytes) -> blake3:
    return blake3(key=blake3(key, derive_key_context="pixraft index checkpoint").digest())


def load(directory: Path, key: bytes) -> Checkpoint | None:
    """Return the checkpoint in `directory`, None if there is none. Unusable when it is damaged. Blocks."""
    try:
        with (directory / NAME).open("rb") as file:
            return _Loader(file, key).load()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unusable(f"it cannot be read: {error}") from error


class _Loader:
    """Reads a checkpoint; nothing of it counts before the hash at its end has matched."""

    def __init__(self, file: BinaryIO, key: bytes) -> None:
        self._file = file
        self._hash = _hasher(key)
        self._secret = index_secret(key)

    def load(self) -> Checkpoint:
        if self._read(len(_MAGIC)) != _MAGIC:
            raise Unusable("it does not begin like one")
        index = Index.load(self._secret, self._parts())
        notes = self._read(self._number())
        expected = self._hash.digest()
        if self._file.read(_HASH_SIZE + 1) != expected:
            raise Unusable("it does not match its checksum")
        known = json.loads(notes)
        return Checkpoint(
            index,
            (known["position"][0], known["position"][1]),
            {
                number: Known(end, Counter({int(of): count for of, count in tombstones.items()}))
                for number, end, tombstones in known["volumes"]
            },
            set(known["stale"]),
        )

    def _parts(self) -> Iterator[tuple[tuple[int, ...], bytes]]:
        while count := self._number():
            sizes = struct.unpack(f"<{count}I", self._read(_SIZE.size * count))
            yield sizes, self._read(sum(sizes))

    def _number(self) -> int:
        return int(_SIZE.unpack(self._read(_SIZE.size))[0])

    def _read(self, length: int) -> bytes:
        if length > _MAX_PART:
            raise Unusable("it has a part of impossible size")
        content = self._file.read(length)
        if len(content) != length:
            raise Unusable("it is cut off")
        self._hash.update(content)
        return content


class Checkpointer:
    """Saves the index of one volume set. On the loop; what blocks is done in a thread."""

    def __init__(
        self,
        directory: Path,
        files: Files,
        key: bytes,
        holdings: Holdings,
        *,
        applied: Callable[[], Position],
        saved: Position,
        after: int,
    ) -> None:
        """`applied`: up to where in the log `holdings` is right now. `after`: so many needles make saving due."""
        self.saved = saved
        """Up to where what is saved is right."""
        self._applied = applied
        self._after = after
        self._unsaved = 0
        self._saving: asyncio.Task[None] | None = None
        self._directory = directory
        self._files = files
        self._key = key
        self._holdings = holdings

    def count(self, needles: int) -> None:
        """Save the index in the background when enough was written since it was saved last."""
        self._unsaved += needles
        due = max(self._after, len(self._holdings.index) // _PART)
        if self._unsaved >= due and (self._saving is None or self._saving.done()):
            self._unsaved = 0
            self._saving = asyncio.create_task(self.save(self._applied))

    async def finish(self, end: Position) -> None:
        """Save the index at the end of the log, unless it is saved."""
        if self._saving is not None:
            await self._saving
        if self.saved != end:
            await self.save(lambda: end)

    async def save(self, applied: Callable[[], Position]) -> None:
        """Save the index, which is right up to what `applied` returns. If that fails, it is only told."""
        position = applied()
        notes = [
            (number, position[1] if number == position[0] else volume.end, dict(volume.tombstones))
            for number, volume in self._holdings.volumes.items()
            if number <= position[0]
        ]
        stale = set(self._holdings.stale)
        index = self._holdings.index
        index.hold_buckets(True)
        try:
            saving = await asyncio.to_thread(_Saving, self._directory, self._files, self._key)
            try:
                await asyncio.to_thread(saving.begin)
                for start in range(0, index.buckets, _PORTION):
                    await asyncio.to_thread(saving.part, *index.save_buckets(start, _PORTION))
                # A volume of which copies were made meanwhile: its chunks may be saved with their new places.
                stale |= self._holdings.stale
                content = {"position": position, "volumes": notes, "stale": sorted(stale)}
                await asyncio.to_thread(saving.finish, json.dumps(content).encode())
            finally:
                await asyncio.to_thread(saving.close)
        except OSError as error:
            log.warning("index could not be saved; the next start may take longer", error=str(error))
        else:
            self.saved = position
        finally:
            index.hold_buckets(False)


class _Saving:
    """A checkpoint that is being written. Blocks."""

    def __init__(self, directory: Path, files: Files, key: bytes) -> None:
        self._files = files
        self._path = directory / NAME
        self._temporary = directory / f"{NAME}.tmp"
        self._hash = _hasher(key)
        self._end = 0
        self._lock = threading.Lock()
        self._closed = False
        self._fd = files.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def begin(self) -> None:
        """Write what it begins with."""
        with self._lock:
            self._write(_MAGIC)

    def part(self, sizes: list[int], content: bytes) -> None:
        """Write some buckets."""
        with self._lock:
            self._write(struct.pack(f"<{len(sizes) + 1}I", len(sizes), *sizes) + content)

    def finish(self, notes: bytes) -> None:
        """Write the rest and put the file in place, durably."""
        with self._lock:
            self._write(_SIZE.pack(0) + _SIZE.pack(len(notes)) + notes)
            self._write(self._hash.digest())
            self._files.sync(self._fd)
            self._files.replace(self._temporary, self._path)

    def close(self) -> None:
        """Close the file; take it away if it was not finished."""
        with self._lock:
            self._closed = True
            self._files.close(self._fd)
            self._files.unlink(self._temporary)

    def _write(self, content: bytes) -> None:
        if self._closed:
            raise OSError(errno.EBADF, "given up meanwhile")
        self._hash.update(content)
        view = memoryview(content)
        while view:
            written = self._files.write(self._fd, [view], self._end)
            if written <= 0:
                raise OSError(errno.EIO, "the disk took no bytes")
            self._end += written
            view = view[written:]
