"""Opening a volume set: from the saved index and what was written after it, or by a scan of all volumes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from raftstore.chunks.format import checkpoint as checkpoints
from raftstore.chunks.format import needle
from raftstore.chunks.format.checkpoint import Checkpoint, Position, Unusable, index_secret
from raftstore.chunks.format.index import Index, Place
from raftstore.chunks.volumes.files import Files
from raftstore.chunks.volumes.holdings import Holdings
from raftstore.chunks.volumes.recovery.quarantine import Quarantine
from raftstore.chunks.volumes.recovery.recovery import (
    Recovered,
    Recovery,
    load_identity,
    lock_directory,
    volume_numbers,
)
from raftstore.chunks.volumes.volume import Volume

log = structlog.get_logger()


@dataclass(slots=True)
class Opened:
    """What was found: `position` is the end of the log, `saved` up to where the saved index is right.

    `identity`, `key`: of the store. `failed`: how many volumes failed once.
    """

    holdings: Holdings
    active: Volume | None = None
    failed: int = 0
    position: Position = (0, 0)
    saved: Position = (0, 0)
    identity: bytes = b""
    key: bytes = b""
    lock: int = -1

    def release(self) -> None:
        """Close the volumes and give the directory to whoever wants it next."""
        for volume in self.holdings.volumes.values():
            volume.close()
        self.holdings.volumes.clear()
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1


def open_directory(directory: Path, files: Files, quarantine: Quarantine) -> Opened:
    """Take a directory for this process and open what is in it. Blocks. Nothing is left open when it fails.

    Raises Refused when another process has it, Damaged when it cannot be trusted as a whole, OSError when the disk
    fails.
    """
    if not directory.is_dir():
        directory.mkdir(mode=0o700, parents=True)
        files.sync_directory(directory.parent)
    lock = lock_directory(directory)
    try:
        identity = load_identity(directory, files)
        key = needle.header_key(identity)
        quarantine.open()
        opened = Opening(directory, files, identity, key, quarantine).run()
    except BaseException:
        os.close(lock)
        raise
    opened.identity, opened.key, opened.lock = identity, key, lock
    return opened


class Opening:
    """Opens the volumes of a directory. Blocks: runs in a thread. Nothing is left open when it fails."""

    def __init__(
        self, directory: Path, files: Files, identity: bytes, key: bytes, quarantine: Quarantine
    ) -> None:
        self._directory = directory
        self._key = key
        self._quarantine = quarantine
        self._recovery = Recovery(directory, files, identity, key, quarantine)

    def run(self) -> Opened:
        """Raises Damaged when the directory cannot be trusted as a whole, OSError when the disk fails."""
        numbers = volume_numbers(self._directory)
        started = time.monotonic()
        reason = "there is no saved index"
        try:
            if checkpoint := checkpoints.load(self._directory, self._key):
                return self._from_checkpoint(checkpoint, numbers)
        except Unusable as error:
            reason = str(error)
        opened = Opened(Holdings(Index(index_secret(self._key))))
        self._open(opened, numbers, None)
        if numbers:
            seconds = round(time.monotonic() - started, 3)
            log.info("index was rebuilt from all volumes", reason=reason, seconds=seconds)
        return opened

    def _from_checkpoint(self, checkpoint: Checkpoint, numbers: list[int]) -> Opened:
        if not numbers or numbers[-1] < checkpoint.position[0]:
            raise Unusable("it is of volumes that are missing")
        opened = Opened(Holdings(checkpoint.index), saved=checkpoint.position)
        opened.holdings.stale = checkpoint.stale
        if bad := self._quarantine.volumes():
            for key, place in checkpoint.index.entries_in(bad):
                if (place.volume, place.offset) in self._quarantine:
                    checkpoint.index.pop(key)
        self._open(opened, numbers, checkpoint)
        opened.holdings.settle()
        return opened

    def _open(self, opened: Opened, numbers: list[int], checkpoint: Checkpoint | None) -> None:
        try:
            for number in numbers:
                recovered = self._open_volume(number, number == numbers[-1], checkpoint)
                self._adopt(opened, recovered)
            opened.holdings.serve()
        except BaseException:
            for volume in opened.holdings.volumes.values():
                volume.close()
            raise

    def _open_volume(self, number: int, last: bool, checkpoint: Checkpoint | None) -> Recovered:
        if checkpoint is None or number > checkpoint.position[0]:
            return self._recovery.open_volume(number, last=last)
        known = checkpoint.volumes.get(number)
        if known is None:
            raise Unusable(f"it does not know volume {number}")
        if number < checkpoint.position[0]:
            recovered = self._recovery.reopen_volume(number, known.end)
        else:
            recovered = self._recovery.open_volume(number, last=last, start=known.end)
        recovered.volume.tombstones = known.tombstones
        return recovered

    def _adopt(self, opened: Opened, recovered: Recovered) -> None:
        volume = recovered.volume
        opened.holdings.volumes[volume.number] = volume
        opened.failed += recovered.failed
        opened.active = volume if recovered.writable else None
        opened.position = (volume.number, volume.end)
        for found in recovered.needles:
            place = Place(volume.number, found.offset, found.length)
            opened.holdings.apply(found.kind, found.digest, place)
