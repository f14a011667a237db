"""What was found damaged: remembered durably, with bytes and reason; never served, never deleted."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path

import structlog

from raftstore.chunks.volumes.files import Files

log = structlog.get_logger()

COPY_LIMIT = 256 * 1024 * 1024
"""Bytes of copies that are kept. Past it only the reason is noted: the bytes still lie in their volume."""

_NAME = re.compile(r"(\d{8})-([0-9a-f]{12})\.json")


class Quarantine:
    """The damaged places of a volume directory, each a small JSON file and, where readable, the bytes.

    Thread-safe. A place is (number of the volume, offset of the needle in it).
    """

    def __init__(self, directory: Path, files: Files, *, copy_limit: int = COPY_LIMIT) -> None:
        self._directory = directory
        self._files = files
        self._copy_limit = copy_limit
        self._copied = 0
        self._lock = threading.Lock()
        self._places: set[tuple[int, int]] = set()
        self._in_place: set[int] = set()

    def open(self) -> None:
        """Make the directory if needed and read which places are known. The name alone counts."""
        if not self._directory.is_dir():
            self._directory.mkdir(mode=0o700)
            self._files.sync_directory(self._directory.parent)
        for path in self._directory.iterdir():
            if match := _NAME.fullmatch(path.name):
                self._places.add((int(match[1]), int(match[2], 16)))
                if not path.with_suffix(".bytes").exists() and not _was_unreadable(path):
                    self._in_place.add(int(match[1]))
            elif path.suffix == ".bytes":
                self._copied += path.stat().st_size

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, place: tuple[int, int]) -> bool:
        return place in self._places

    def reaches(self, volume: int, offset: int) -> bool:
        """Whether a place in `volume` at or behind `offset` is quarantined."""
        return any(number == volume and place >= offset for number, place in self._places)

    def volumes(self) -> set[int]:
        """Return the volumes in which places are quarantined."""
        return {volume for volume, _ in self._places}

    def only_in(self, volume: int) -> bool:
        """Whether damaged bytes of which there is no copy here lie in `volume`: it must not be deleted."""
        return volume in self._in_place

    def add(
        self,
        volume: int,
        offset: int,
        length: int,
        reason: str,
        *,
        digest: bytes = b"",
        content: bytes | None = b"",
    ) -> bool:
        """Remember a damaged place of `length` bytes; return whether that is durable.

        It counts as quarantined in this process in any case. `content` is what can be read of it, None if nobody
        tried.
        """
        with self._lock:
            if (volume, offset) in self._places:
                return True
            self._places.add((volume, offset))
            log.error(
                "damaged bytes quarantined", volume=volume, offset=offset, reason=reason, chunk=digest.hex()
            )
            name = f"{volume:08d}-{offset:012x}"
            return self._save(name, volume, offset, length, reason, digest, content)

    def keep_cut(self, volume: int, offset: int, content: bytes) -> bool:
        """Keep the bytes of a tail that is about to be cut; return whether they are durable.

        The place is not quarantined: sound needles will be written there.
        """
        with self._lock:
            name = f"{volume:08d}-{offset:012x}-cut-{time.time_ns()}"
            reason = "torn or damaged tail"
            return self._save(name, volume, offset, len(content), reason, b"", content, must_copy=True)

    def _save(
        self,
        name: str,
        volume: int,
        offset: int,
        length: int,
        reason: str,
        digest: bytes,
        content: bytes | None,
        *,
        must_copy: bool = False,
    ) -> bool:
        copied = 0
        try:
            if content and (must_copy or self._copied + len(content) <= self._copy_limit):
                self._files.save(self._directory / f"{name}.bytes", content)
                copied = len(content)
                self._copied += copied
        except OSError as error:
            log.error("damaged bytes could not be copied", volume=volume, offset=offset, error=str(error))
            if must_copy:
                return False
        unreadable = content == b""
        if not copied and not unreadable:
            self._in_place.add(volume)
        note = {
            "volume": volume,
            "offset": offset,
            "length": length,
            "reason": reason,
            "chunk": digest.hex(),
            "found": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "copied": copied,
            "unreadable": unreadable,
        }
        try:
            self._files.save(self._directory / f"{name}.json", (json.dumps(note, indent=1) + "\n").encode())
        except OSError as error:
            log.error("quarantine could not be written", volume=volume, offset=offset, error=str(error))
            self._in_place.add(volume)
            return False
        return True


def _was_unreadable(path: Path) -> bool:
    """Whether a note says that there were no bytes that could have been copied."""
    try:
        return bool(json.loads(path.read_bytes())["unreadable"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
