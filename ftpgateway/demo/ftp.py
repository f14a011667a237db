"""What the demo does as an FTP client, with the standard library's."""

from __future__ import annotations

import contextlib
import ftplib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from ftpgateway.demo import interrupts
from raftstore.util.addresses import Address

TIMEOUT = 30.0
"""Seconds that an FTP command may take."""

_BLOCK = 256 * 1024


def greets(address: Address) -> bool:
    """Whether an FTP server says 220 there."""
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=2.0) as link:
        return link.recv(3) == b"220"
    return False


@contextlib.contextmanager
def session(address: Address, user: str, password: str) -> Iterator[ftplib.FTP]:
    """Log in; log out at the end. A signal that asks for the end breaks off what is done in between."""
    client = ftplib.FTP(timeout=TIMEOUT, encoding="utf-8")
    try:
        with interrupts.allowed():
            client.connect(address.host, address.port)
            client.login(user, password)
            yield client
            with contextlib.suppress(ftplib.Error, OSError, EOFError):
                client.quit()
    finally:
        client.close()


def upload(client: ftplib.FTP, name: str, file: Path, progress: Callable[[int], None]) -> None:
    """Store a file; `progress` is told how many bytes more were sent."""
    with file.open("rb") as source:
        client.storbinary(f"STOR {name}", source, _BLOCK, lambda block: progress(len(block)))


def differs(client: ftplib.FTP, name: str, file: Path, progress: Callable[[int], None]) -> bool:
    """Read a file back and compare it, byte for byte, with the original."""
    equal = True
    with file.open("rb") as original:

        def compare(block: bytes) -> None:
            nonlocal equal
            equal = equal and original.read(len(block)) == block
            progress(len(block))

        client.retrbinary(f"RETR {name}", compare, _BLOCK)
        return not equal or original.read(1) != b""
