"""What a target holds for one key: sealed objects by the hash of their content, manifests, and locks.

    pixraft-backup            in clear: the format, and which key it is for
    objects/ab/abcdef...      chunks, and blocks of catalogs
    backups/0123...           manifests
    locks/0123...             who writes or prunes now

**Locks.** Who makes a backup counts on objects that are there already, and nothing refers to what it adds before its
manifest is there. So nobody prunes meanwhile: each notes a lock first and looks for others then. One that was not
renewed for STALE counts as left by a process that died, and is broken: removed. A backup whose lock was broken may lack
what was pruned, so it looks for its lock after it has written its manifest, and takes that away if the lock is gone.
Whoever prunes breaks locks first, then reads the manifests: it sees that manifest, or the lock is gone before it is
written. To renew a lock is to note another one, see that the one before is still there, and remove that; who has broken
one looks for locks once more. So a lock that was broken is not renewed. No clock is part of that argument.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from blake3 import blake3

from ftpgateway.backup.keys import FORMAT, OVERHEAD, Key, Kind
from ftpgateway.backup.manifest import BLOCK, Manifest
from ftpgateway.backup.target import DirectoryTarget, Target
from raftstore.errors import Changed, Damaged, Invalid, NotFound, StoreError, TooNew, Unavailable

HEADER = "pixraft-backup"
OBJECTS, BACKUPS, LOCKS = "objects", "backups", "locks"
STALE = 15 * 60.0
"""Seconds after which a lock that is not renewed was left by a process that died."""
RENEW = 60.0


def object_place(name: str) -> str:
    """Return where at the target the object of a name is."""
    return f"{OBJECTS}/{name[:2]}/{name}"


@dataclass(slots=True)
class Found:
    """A manifest at the target, or why it cannot be read."""

    place: str
    manifest: Manifest | None
    error: StoreError | None = None

    @property
    def title(self) -> str:
        """Its name for people."""
        return self.manifest.name if self.manifest is not None else self.place


class Repository:
    """A target, opened with a key. Every method blocks, and any thread may call it."""

    def __init__(self, target: Target, key: Key) -> None:
        self.target = target
        self.key = key

    # Objects.

    def chunk_name(self, digest: bytes) -> str:
        """Return the name of a chunk's object."""
        return self.key.name(Kind.CHUNK, digest)

    def block_name(self, digest: bytes) -> str:
        """Return the name of the object of a block of a catalog."""
        return self.key.name(Kind.CATALOG, digest)

    def put_chunk(self, digest: bytes, data: bytes) -> int:
        """Store a chunk, verified; return how many bytes it takes. Raises Damaged, DiskFull, DiskFailed."""
        if blake3(data).digest() != digest:
            raise Damaged(f"the bytes that came are not chunk {digest.hex()}")
        return self._put(Kind.CHUNK, self.chunk_name(digest), data)

    def chunk(self, digest: bytes) -> bytes:
        """Return a chunk, verified. Raises NotFound, Damaged, TooNew, DiskFailed."""
        return self._object(Kind.CHUNK, self.chunk_name(digest), digest)

    def put_block(self, data: bytes) -> int:
        """Store a block of a catalog; return how many bytes it takes."""
        name = self.block_name(blake3(data).digest())
        return self._put(Kind.CATALOG, name, zlib.compress(data))

    def block(self, digest: bytes) -> bytes:
        """Return a block of a catalog, verified. Raises as `chunk`."""
        return self._object(Kind.CATALOG, self.block_name(digest), digest)

    def _put(self, kind: Kind, name: str, data: bytes) -> int:
        sealed = self.key.seal(kind, name, data)
        self.target.put(object_place(name), sealed)
        return len(sealed)

    def _object(self, kind: Kind, name: str, digest: bytes) -> bytes:
        data = self.key.unseal(kind, name, self.target.get(object_place(name)))
        if kind == Kind.CATALOG:
            try:
                data = zlib.decompressobj().decompress(data, BLOCK)
            except zlib.error:
                raise Damaged(f"object {name}: not a block of a catalog") from None
        if blake3(data).digest() != digest:
            raise Damaged(f"object {name}: not what it is named after")
        return data

    def objects(self) -> Iterator[tuple[str, int]]:
        """Yield name and size of all objects."""
        for place, size in self.target.sizes(OBJECTS):
            yield place.rpartition("/")[2], size

    # Manifests.

    def put_manifest(self, manifest: Manifest) -> tuple[str, int]:
        """Store a manifest: from now on the backup is there. Return its place and size."""
        place = f"{BACKUPS}/{secrets.token_hex(16)}"
        sealed = self.key.seal(Kind.MANIFEST, place, manifest.encode())
        self.target.put(place, sealed)
        return place, len(sealed)

    def manifests(self) -> list[Found]:
        """Return all backups, the oldest first; those that cannot be read come last."""
        found = []
        for place, _ in self.target.sizes(BACKUPS):
            try:
                data = self.key.unseal(Kind.MANIFEST, place, self.target.get(place))
                found.append(Found(place, Manifest.decode(data)))
            except NotFound:  # pruned meanwhile
                continue
            except (Damaged, TooNew) as error:
                found.append(Found(place, None, error))
        return sorted(
            found, key=lambda one: (one.manifest is None, one.manifest.time_ns if one.manifest else 0)
        )

    def chosen(self, name: str | None) -> Manifest:
        """Return the backup of a name, or the newest. Raises NotFound, Damaged when one that it may be is damaged."""
        found = self.manifests()
        whole = [one.manifest for one in found if one.manifest is not None]
        if name is None and whole:
            return whole[-1]
        for manifest in whole:
            if manifest.name == name:
                return manifest
        for one in found:
            if one.error is not None:
                raise (
                    Damaged(f"{one.place}: {one.error.detail}")
                    if not isinstance(one.error, TooNew)
                    else one.error
                )
        raise NotFound(
            "there is no backup yet" if name is None else f"backup {name}; `pixraft backup list` names them"
        )

    # Locks.

    def lock(self, purpose: str, against: tuple[str, ...]) -> Lock:
        """Note that this process makes a backup (`create`) or prunes (`prune`).

        Raises Unavailable while another is at work with one of the purposes `against`.
        """
        lock = Lock(self, self._note(purpose), purpose)
        try:
            broken = True
            while broken:
                others = [place for place, _ in self.target.sizes(LOCKS) if place != lock.place]
                broken = any(self._broken(place, against) for place in others)
        except BaseException:
            lock.release()
            raise
        return lock

    def _broken(self, place: str, against: tuple[str, ...]) -> bool:
        """Look at another's lock; return whether it was broken."""
        try:
            other = json.loads(self.key.unseal(Kind.LOCK, place, self.target.get(place)))
        except NotFound:
            return False
        except (Damaged, ValueError):
            other = {}
        if other and other["purpose"] not in against:
            return False
        if other and abs(time.time() - other["time"]) < STALE:
            raise Unavailable(
                f"`pixraft backup {other['purpose']}` is at work at this target (process {other['process']} on "
                f"{other['host']}); if it has died, wait {STALE / 60:g} minutes"
            )
        self.target.remove(place)
        return True

    def _note(self, purpose: str) -> str:
        """Note a lock; return its place."""
        place = f"{LOCKS}/{secrets.token_hex(16)}"
        note = {"purpose": purpose, "host": socket.gethostname(), "process": os.getpid(), "time": time.time()}
        self.target.put(place, self.key.seal(Kind.LOCK, place, json.dumps(note).encode()))
        return place

    def renewed(self, lock: Lock) -> str:
        """Note a lock anew, in place of the one before; return its place. Raises Changed when that was broken."""
        place = self._note(lock.purpose)
        try:
            lock.check()
        except BaseException:
            self.target.remove(place)
            raise
        self.target.remove(lock.place)
        return place


@dataclass(slots=True)
class Lock:
    """A lock of this process."""

    repository: Repository
    place: str
    purpose: str

    def renew(self) -> None:
        """Say that this process is alive. Raises Changed if the lock was broken."""
        self.place = self.repository.renewed(self)

    def check(self) -> None:
        """Raise Changed if it was broken: this process was away for too long."""
        try:
            self.repository.target.get(self.place)
        except NotFound:
            raise Changed(
                "this process was away for so long that another took its lock at the target"
            ) from None

    def release(self) -> None:
        """End it."""
        self.repository.target.remove(self.place)


def open_repository(target: DirectoryTarget, key: Key, *, make: bool = False) -> Repository:
    """Open what a target holds; `make`: an empty one begins. Raises NotFound, Invalid (another key's), TooNew."""
    try:
        words = target.get(HEADER).decode("ascii", "replace").split()
    except NotFound:
        if not make:
            raise NotFound(f"there are no backups of pixraft: no file {HEADER}") from None
        if not target.is_empty():
            raise Invalid(
                f"the target holds something else: no file {HEADER} is there, and it is not empty"
            ) from None
        target.put(HEADER, f"pixraft-backup {FORMAT} {key.identity}\n".encode())
        return Repository(target, key)
    if len(words) != 3 or words[0] != "pixraft-backup" or not words[1].isdecimal():
        raise Damaged(f"{HEADER} at the target is not what pixraft wrote")
    if int(words[1]) > FORMAT:
        raise TooNew(f"the target is of format {words[1]}, this program knows up to {FORMAT}")
    if words[2] != key.identity:
        raise Invalid(
            f"the key is not that of this target: it is {key.identity[:8]}, the target's is {words[2][:8]}"
        )
    return Repository(target, key)


def sealed_size(length: int) -> int:
    """Return how many bytes the object of a chunk takes."""
    return length + OVERHEAD


Report = Callable[[str, int, int], None]
"""Hears (what is done, how many bytes are done, of how many)."""
