"""Opening what an earlier process left: identity, lock, volumes; tails are cut, damage is quarantined."""

from __future__ import annotations

import fcntl
import os
import re
from dataclasses import dataclass
from pathlib import Path

import structlog
from blake3 import blake3

from raftstore.chunks.format import needle
from raftstore.chunks.format.checkpoint import Unusable
from raftstore.chunks.format.needle import HEADER_SIZE, MAX_PAYLOAD, Kind
from raftstore.chunks.format.scan import CUT_OFF, UNREADABLE, Damage, Found, Scan, payload_matches, scan
from raftstore.chunks.volumes.files import Files
from raftstore.chunks.volumes.recovery.quarantine import Quarantine
from raftstore.chunks.volumes.volume import NotWritten, Volume, failure_path, volume_path
from raftstore.errors import Damaged, Refused

log = structlog.get_logger()

IDENTITY_SIZE = 16
MAX_BATCH = 2 * MAX_PAYLOAD
"""No batch is longer than this; so no torn tail is. What is longer is damage and is not cut."""

_FORMAT = 1
_VOLUME_NAME = re.compile(r"(\d{8})\.vol")


def lock_directory(directory: Path) -> int:
    """Take the directory for this process; return the descriptor that holds the lock. Refused if taken."""
    fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        raise Refused(f"the volumes in {directory} are in use by process {owner}") from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def volume_numbers(directory: Path) -> list[int]:
    """Return the numbers of the volumes in `directory`, ascending."""
    return sorted(int(match[1]) for path in directory.iterdir() if (match := _VOLUME_NAME.fullmatch(path.name)))


def load_identity(directory: Path, files: Files) -> bytes:
    """Return the identity kept in `directory`; make one if the directory holds no volumes yet.

    Raises Damaged when it is missing beside volumes, or does not match its checksum.
    """
    path = directory / "identity"
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        if volume_numbers(directory):
            raise Damaged(
                f"{path} is missing but there are volumes beside it; put the file back from a backup, "
                "or move the volumes away to start this node with an empty store"
            ) from None
        identity = os.urandom(IDENTITY_SIZE)
        files.save(path, _identity_line(_FORMAT, identity))
        return identity
    words = text.split()
    try:
        version, identity = int(words[1]), bytes.fromhex(words[2].decode())
    except (IndexError, ValueError):
        raise Damaged(f"{path} cannot be read as an identity") from None
    if len(identity) != IDENTITY_SIZE or text != _identity_line(version, identity):
        raise Damaged(f"{path} does not match its checksum")
    if version != _FORMAT:
        raise Refused(f"{path} says volume format {version}; this program knows format {_FORMAT}")
    return identity


def _identity_line(version: int, identity: bytes) -> bytes:
    line = f"pixraft-volumes {version} {identity.hex()}"
    return f"{line} {blake3(line.encode()).hexdigest(8)}\n".encode()


@dataclass(slots=True)
class Recovered:
    """A volume as it was found: its needles in order, and whether it may be written on."""

    volume: Volume
    needles: list[Found]
    writable: bool
    failed: bool = False


class Recovery:
    """Opens volumes one by one. Blocks: runs in a thread."""

    def __init__(
        self, directory: Path, files: Files, identity: bytes, key: bytes, quarantine: Quarantine
    ) -> None:
        self._directory = directory
        self._files = files
        self._identity = identity
        self._key = key
        self._quarantine = quarantine

    def reopen_volume(self, number: int, end: int) -> Recovered:
        """Open volume `number`, not the last one, of which all up to `end` is known; Unusable if it is shorter."""
        fd = self._files.open(volume_path(self._directory, number), os.O_RDONLY)
        try:
            volume = Volume(self._files, self._directory, number, fd, self._key, end)
            self._check_length(volume, end)
            self._check_start(volume, volume_path(self._directory, number), rewrite=False)
            return Recovered(volume, [], False, self._failed_at(number) is not None)
        except BaseException:
            self._files.close(fd)
            raise

    def open_volume(self, number: int, *, last: bool, start: int = 0) -> Recovered:
        """Open volume `number`; in the last one cut the torn tail. Damaged when it is another store's.

        What lies before `start` is known and durable. Unusable when it is shorter than that.
        """
        path = volume_path(self._directory, number)
        failed = self._failed_at(number)
        fd = self._files.open(path, os.O_RDWR if last else os.O_RDONLY)
        try:
            volume = Volume(self._files, self._directory, number, fd, self._key, 0)
            self._check_length(volume, start)
            whole = self._check_start(volume, path, rewrite=last and failed is None)
            if last and failed is None:
                return self._open_last(volume, start, may_write=whole)
            size = self._files.size(fd)
            found = self._scan(volume, size if failed is None else max(start, min(size, failed)), start)
            if found.tail is not None:
                found.damage.append(found.tail)
            return self._result(volume, found, failed=failed is not None)
        except BaseException:
            self._files.close(fd)
            raise

    def _failed_at(self, number: int) -> int | None:
        """Return up to where a volume that failed earlier was durable; None if it did not fail."""
        path = failure_path(self._directory, number)
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return int(text.split(b"\n", 1)[0])
        except ValueError:
            raise Damaged(f"{path} does not say up to where the volume was durable") from None

    def _check_start(self, volume: Volume, path: Path, *, rewrite: bool) -> bool:
        """Check whose volume it is; return whether its start is whole.

        A volume whose making was cut off is made anew.
        """
        try:
            raw = volume.read(0, HEADER_SIZE)
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise
            raw = b""
        start = needle.decode_start(raw)
        if start is None:
            # Nothing is written behind the start before the start is durable.
            if rewrite and self._files.size(volume.fd) <= HEADER_SIZE:
                volume.start(self._identity)
                return True
            self._quarantine.add(volume.number, 0, HEADER_SIZE, "damaged start of the volume", content=raw)
            return False
        if start[0] != self._identity:
            raise Damaged(f"{path} belongs to store {start[0].hex()}, this one is {self._identity.hex()}")
        if start[1] != volume.number:
            raise Damaged(f"{path} was volume {start[1]} when it was written; it must have been renamed")
        return True

    def _check_length(self, volume: Volume, known: int) -> None:
        if self._files.size(volume.fd) < known:
            raise Unusable(f"volume {volume.number} is shorter than it was")

    def _open_last(self, volume: Volume, start: int, *, may_write: bool) -> Recovered:
        size = self._files.size(volume.fd)
        found = self._scan(volume, size, start)
        if start == size:
            mark = size - needle.footprint(0)
            header = volume.decode(volume.read(mark, HEADER_SIZE), mark)
            volume.marked = header is not None and header.kind is Kind.MARK and header.synced == mark
            return self._result(volume, found, writable=may_write)
        if found.needles and found.needles[-1].kind is Kind.MARK and found.synced == size - needle.footprint(0):
            volume.marked = True
            return self._result(volume, found, writable=may_write)
        # Look at the disk, not at the cache: after a failed sync the cache shows what the disk does not hold.
        self._files.sync(volume.fd)
        self._files.forget(volume.fd, found.synced)
        tail = self._scan(volume, size, found.synced)
        tail.needles[:0] = [item for item in found.needles if item.end <= found.synced]
        tail.damage[:0] = [item for item in found.damage if item.offset < found.synced]
        found = tail
        if found.needles or found.tail is not None or found.damage:
            may_write = self._settle_tail(volume, found, size, may_cut=may_write) and may_write
        return self._result(volume, found, writable=may_write)

    def _settle_tail(self, volume: Volume, found: Scan, size: int, *, may_cut: bool) -> bool:
        """Check what may never have been synced, cut what is torn; return whether the volume can be written on.

        Whole needles stay wherever they lie, since any of them may have been acknowledged.
        """
        proven = [item for item in found.needles if item.end <= found.synced]
        checked = [(item, payload_matches(volume.read, item)) for item in found.needles[len(proven) :]]
        whole = [item for item, matches in checked if matches]
        broken = [item for item, matches in checked if not matches]
        end = max([HEADER_SIZE, found.synced, *(item.end for item in whole)])
        may_cut = may_cut and (end == size or self._cut(volume, found, end, size))
        if may_cut:
            found.end, found.tail = end, None
            broken = [item for item in broken if item.offset < end]
            found.damage = [damage for damage in found.damage if damage.offset < end]
        elif found.tail is not None:
            found.damage.append(found.tail)
        reason = "payload of an unconfirmed write does not match; torn or damaged"
        found.damage += [Damage(item.offset, item.end - item.offset, reason) for item in broken]
        found.needles = proven + whole
        if may_cut:
            volume.end = end
            self._mark(volume)
        return may_cut

    def _cut(self, volume: Volume, found: Scan, end: int, size: int) -> bool:
        """Cut the volume at `end`; return False, and leave it as it is, if that might lose something.

        What is cut is kept aside first, unless it plainly is an unfinished write.
        """
        length = size - end
        if length > MAX_BATCH or self._quarantine.reaches(volume.number, end):
            return False
        unfinished = found.tail is not None and found.tail.offset == end and found.tail.reason == CUT_OFF
        if not unfinished and length >= HEADER_SIZE:
            content = volume.read(end, length)
            if len(content) != length:
                return False
            if content.count(0) != length and not self._quarantine.keep_cut(volume.number, end, content):
                return False
        log.warning("torn tail of a volume cut", volume=volume.number, at=end, bytes=length)
        self._files.truncate(volume.fd, end)
        self._files.sync(volume.fd)
        return True

    def _mark(self, volume: Volume) -> None:
        try:
            volume.mark()
        except NotWritten:
            log.warning("no room to note that a volume is checked", volume=volume.number)

    def _scan(self, volume: Volume, size: int, start: int) -> Scan:
        def read(offset: int, length: int) -> bytes:
            return volume.read(offset, min(length, size - offset))

        return scan(read, size, self._key, volume.number, start)

    def _result(
        self, volume: Volume, found: Scan, *, writable: bool = False, failed: bool = False
    ) -> Recovered:
        """Quarantine what is damaged and keep what is not."""
        for damage in found.damage:
            content = None
            if damage.length <= MAX_BATCH:
                content = b""
                try:
                    content = volume.read(damage.offset, damage.length)
                except OSError as error:
                    log.warning("damaged bytes cannot be read", volume=volume.number, error=str(error))
            self._quarantine.add(volume.number, damage.offset, damage.length, damage.reason, content=content)
        volume.end = max(volume.end, found.end)
        usable = [item for item in found.needles if (volume.number, item.offset) not in self._quarantine]
        return Recovered(volume, usable, writable, failed)
