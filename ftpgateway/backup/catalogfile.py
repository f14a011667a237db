"""The copy of a catalog in a backup, on this machine: put together, checked, and asked. Blocking."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from blake3 import blake3

from ftpgateway.backup.manifest import BLOCK
from raftstore.metadata.database import snapshots
from raftstore.metadata.database.database import level_of
from raftstore.types import ChunkRef

_PAGE = 10_000
_PATHS = 3
"""Of what has a damaged chunk so many names are told."""
_HOLDERS = """
SELECT e.parent, e.name FROM contents AS c JOIN chunks AS k ON k.id = c.chunk
  JOIN entries AS e ON e.inode = c.inode WHERE k.digest = ?1
UNION
SELECT e.parent, e.name FROM contents AS c JOIN chunks AS k ON k.id = c.chunk
  JOIN content_of AS o ON o.content = c.inode JOIN entries AS e ON e.inode = o.inode WHERE k.digest = ?1
LIMIT ?2
"""


class CatalogFile:
    """A catalog that nobody changes, open for reading."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = sqlite3.connect(
            f"{path.absolute().as_uri()}?immutable=1", uri=True, check_same_thread=False
        )
        self._execute = self._database.execute
        self.level = level_of(self._database)
        self.index, self.files = map(int, self._execute("SELECT applied, files FROM state").fetchone())

    @classmethod
    def unpacked(cls, copy: Path, scratch: Path) -> Self:
        """Open a copy as a node gives it out, with its seal; it is unpacked into `scratch`, which the caller removes.

        Raises Damaged when it is not whole, TooNew.
        """
        path = scratch / "catalog.db"
        snapshots.unpack(copy, path)
        return cls(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def totals(self) -> tuple[int, int]:
        """Return how many chunks it refers to, and their bytes."""
        count, size = self._execute("SELECT count(*), coalesce(sum(length), 0) FROM chunks").fetchone()
        return int(count), int(size)

    def chunks(self) -> Iterator[ChunkRef]:
        """Yield what it refers to, in the order in which it came, with the stores that are said to have it."""
        stores = {
            number: tuple(map(int, text.split(","))) if text else ()
            for number, text in self._execute("SELECT id, stores FROM replicas")
        }
        after = 0
        while True:
            rows = self._execute(
                "SELECT id, digest, length, replicas FROM chunks WHERE id > ? ORDER BY id LIMIT ?",
                (after, _PAGE),
            ).fetchall()
            if not rows:
                return
            for _, digest, length, replicas in rows:
                yield ChunkRef(digest, length, stores[replicas])
            after = rows[-1][0]

    def paths(self, digest: bytes) -> list[str]:
        """Return some of the files with a chunk: none, if only what nobody sees has it."""
        rows = self._execute(_HOLDERS, (digest, _PATHS)).fetchall()
        return sorted(self._path(parent, name) for parent, name in rows)

    def _path(self, parent: int, name: str) -> str:
        names = [name]
        while row := self._execute("SELECT parent, name FROM entries WHERE inode = ?", (parent,)).fetchone():
            parent = row[0]
            names.append(row[1])
            if row[0] == parent and not row[1]:
                break
        return "/" + "/".join(reversed([each for each in names if each]))


def blocks(copy: Path) -> Iterator[bytes]:
    """Yield the blocks of a copy, in order."""
    with copy.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def digest_of(copy: Path) -> tuple[int, str]:
    """Return size and BLAKE3 hash, in hex, of a file."""
    hasher = blake3()
    hasher.update_mmap(copy)
    return copy.stat().st_size, hasher.hexdigest()
