"""Picture-like test data, and uploads that remember what the server acknowledged."""

from __future__ import annotations

import ftplib
import io
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

PAUSE = 0.25
PATIENCE = 180.0
"""Seconds for a server that is away to come back."""


def picture(seed: int | str, size: int) -> bytes:
    """`size` bytes that start as a JPEG does and are otherwise unlike any other seed's."""
    return (b"\xff\xd8\xff\xe0" + random.Random(seed).randbytes(max(0, size - 4)))[:size]


def spread_sizes(count: int, least: int, most: int, seed: int = 1) -> list[int]:
    """`count` sizes from `least` to `most`, small ones more often, both ends among them."""
    generator = random.Random(seed)
    sizes = [int(least * (most / least) ** generator.random()) for _ in range(count - 2)]
    return [least, *sizes, most]


def retrieve(ftp: ftplib.FTP, name: str) -> bytes:
    """RETR a file whole."""
    parts: list[bytes] = []
    ftp.retrbinary(f"RETR {name}", parts.append, blocksize=1 << 18)
    return b"".join(parts)


@dataclass
class Ledger:
    """What was sent and what was acknowledged. `sent` holds everything that was ever begun."""

    sent: dict[str, bytes] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)


class Uploader(threading.Thread):
    """Puts pictures one after another through `connect()`, on a new session after each failure."""

    def __init__(self, connect: Callable[[], ftplib.FTP], pictures: dict[str, bytes], ledger: Ledger) -> None:
        super().__init__(daemon=True)
        self.connect = connect
        self.pictures = pictures
        self.ledger = ledger
        self.stopping = threading.Event()
        self.failure: BaseException | None = None
        self.progress = threading.Condition()

    def run(self) -> None:
        try:
            self._upload()
        except BaseException as error:
            self.failure = error
        finally:
            with self.progress:
                self.progress.notify_all()

    def _upload(self) -> None:
        ftp: ftplib.FTP | None = None
        for name, content in self.pictures.items():
            if self.stopping.is_set():
                break
            ftp = ftp or self._connected()
            if ftp is None:
                break
            self.ledger.sent[name] = content
            try:
                ftp.storbinary(f"STOR {name}", io.BytesIO(content), blocksize=1 << 16)
                self.ledger.acknowledged.add(name)
            except ftplib.all_errors as error:
                self.ledger.refused[name] = str(error)
                ftp.close()
                ftp = None
            with self.progress:
                self.progress.notify_all()
        if ftp is not None:
            ftp.close()

    def _connected(self) -> ftplib.FTP | None:
        """Wait for a session: a server that is away costs no pictures. None when told to stop."""
        deadline = time.monotonic() + PATIENCE
        while not self.stopping.is_set():
            try:
                return self.connect()
            except ftplib.all_errors:
                if time.monotonic() >= deadline:
                    raise
                self.stopping.wait(PAUSE)
        return None

    def wait_for(self, acknowledged: int, timeout: float = PATIENCE) -> None:
        """Wait until so many pictures are acknowledged."""
        with self.progress:
            assert self.progress.wait_for(
                lambda: len(self.ledger.acknowledged) >= acknowledged or not self.is_alive(), timeout
            ), f"{len(self.ledger.acknowledged)} acknowledged, {self.ledger.refused}"


def check(ledger: Ledger, ftp: ftplib.FTP) -> None:
    """Every acknowledged picture is there, identical; every other is absent or whole."""
    for name, content in ledger.sent.items():
        try:
            got = retrieve(ftp, name)
        except ftplib.error_perm as error:
            assert str(error).startswith("550"), error
            assert name not in ledger.acknowledged, f"{name} was acknowledged and is gone: {error}"
            continue
        assert got == content, f"{name}: {len(got)} bytes, not the {len(content)} that were sent"
