"""FTP load: sessions in processes of their own that start together and time each operation."""

from __future__ import annotations

import ftplib
import io
import multiprocessing
import os
import random
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

WAIT = 600.0
BLOCK = 256 * 1024


@dataclass(frozen=True)
class Server:
    """Where to log in; `secure`: with TLS on control and data connections (a new TLS session each)."""

    host: str
    port: int
    user: str
    password: str
    secure: bool = False


@dataclass(frozen=True)
class Task:
    """What one session does: `count` transfers of `size` bytes each, named after `prefix`."""

    server: Server
    operation: str
    prefix: str
    size: int
    count: int


@dataclass(frozen=True)
class Outcome:
    """All sessions together: operations, bytes, wall seconds, each operation's seconds."""

    operations: int
    bytes: int
    seconds: float
    latencies: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.operations / self.seconds

    @property
    def megabytes(self) -> float:
        """MB (10^6 bytes) a second."""
        return self.bytes / self.seconds / 1e6

    def quantile(self, share: float) -> float:
        """Seconds within which `share` of the operations were done."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def content(seed: str, size: int) -> bytes:
    """Bytes that no two pictures share, cheap to make: a random block, and a mark of its own every block."""
    generator = random.Random(seed)
    block = generator.randbytes(min(size, BLOCK))
    parts = []
    for offset in range(0, size, BLOCK):
        mark = generator.randbytes(16)
        parts.append((mark + block[16:])[: size - offset])
    return b"".join(parts)


def run(tasks: Sequence[Task]) -> Outcome:
    """Run one session a task, all at once; raise RuntimeError when an operation failed."""
    context = multiprocessing.get_context("fork")
    workers = []
    for task in tasks:
        ours, theirs = context.Pipe()
        process = context.Process(target=_session, args=(task, theirs), daemon=True)
        process.start()
        theirs.close()
        workers.append((process, ours))
    try:
        for _, pipe in workers:
            _expect(pipe, "ready")
        begin = time.monotonic()
        for _, pipe in workers:
            pipe.send("go")
        latencies: list[float] = []
        end = begin
        for _, pipe in workers:
            finished, times = _expect(pipe, "done")
            end = max(end, finished)
            latencies += times
    finally:
        for process, pipe in workers:
            pipe.close()
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()
    total = sum(task.count * task.size for task in tasks)
    return Outcome(len(latencies), total, end - begin, tuple(latencies))


def _expect(pipe: Connection, word: str) -> Any:
    if not pipe.poll(WAIT):
        raise RuntimeError("a session does not answer")
    kind, value = pipe.recv()
    if kind != word:
        raise RuntimeError(f"a session failed: {value}")
    return value


class _Ftps(ftplib.FTP_TLS):
    """Believes any certificate."""

    def __init__(self, timeout: float) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().__init__(timeout=timeout, context=context)


def _session(task: Task, pipe: Connection) -> None:
    try:
        ftp = _Ftps(timeout=WAIT) if task.server.secure else ftplib.FTP(timeout=WAIT)
        ftp.connect(task.server.host, task.server.port)
        ftp.login(task.server.user, task.server.password)
        if isinstance(ftp, ftplib.FTP_TLS):
            ftp.prot_p()
        ftp.voidcmd("TYPE I")
        store = task.operation == "STOR"
        # Made before the clock starts: the clients' own work is not what is measured.
        names = [f"{task.prefix}-{number}.jpg" for number in range(task.count)]
        contents = [content(name, task.size) for name in names] if store else []
        pipe.send(("ready", None))
        pipe.recv()
        times = []
        for number, name in enumerate(names):
            start = time.monotonic()
            if store:
                ftp.storbinary(f"STOR {name}", io.BytesIO(contents[number]), blocksize=BLOCK)
            else:
                _retrieve(ftp, name, task.size)
            times.append(time.monotonic() - start)
        pipe.send(("done", (time.monotonic(), times)))
        ftp.quit()
    except BaseException as error:
        pipe.send(("failed", f"{type(error).__name__}: {error}"))
    finally:
        os._exit(0)


def _retrieve(ftp: ftplib.FTP, name: str, size: int) -> None:
    received = 0
    buffer = bytearray(BLOCK)
    with ftp.transfercmd(f"RETR {name}") as connection:
        while count := connection.recv_into(buffer):
            received += count
    ftp.voidresp()
    if received != size:
        raise RuntimeError(f"{name}: {received} of {size} bytes")
