"""`make bench-slow`: what others get beside 500 clients that send a byte a second or never read.

All of them are at one node of three, and so are the others whose rates are measured, in turn without and with them. A
round compares what they get beside the slow clients with the mean of before and after; the ratio is the median. Then
the node must have closed every one of them, at its timeouts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import socket
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from load import Server, Task, run
from nodes import BenchCluster

TIMEOUT = 20
"""Seconds of every timeout of the node; what is measured beside the slow clients takes less."""

GOAL = 0.8
LOOK = 3.0
"""Seconds for which the node's CPU time is looked at with slow clients alone."""
LARGE = 16 * 1024 * 1024
PATIENCE = 300.0
KINDS = ("nameless", "silent", "deaf", "uploads", "downloads", "handshakes")


class SlowClients:
    """So many slow clients in a process of their own."""

    def __init__(self, server: Server, count: int) -> None:
        ours, theirs = multiprocessing.get_context("fork").Pipe()
        self._pipe = ours
        self._process = multiprocessing.get_context("fork").Process(
            target=_slow_main, args=(server, count, theirs), daemon=True
        )
        self._process.start()
        theirs.close()

    def standing(self) -> None:
        """Wait until all of them hold their places."""
        self._expect("standing")

    def closed(self) -> dict[str, list[float]]:
        """Wait until the node has closed all; return how many seconds each held its place, by kind."""
        held: dict[str, list[float]] = self._expect("closed")
        self._process.join()
        return held

    def kill(self) -> None:
        """End them, whatever they do."""
        self._process.kill()
        self._process.join()

    def _expect(self, word: str) -> Any:
        if not self._pipe.poll(PATIENCE):
            raise RuntimeError(f"slow clients: not {word} within {PATIENCE:g} s")
        kind, reported = self._pipe.recv()
        if kind != word:
            raise RuntimeError(f"slow clients: {reported}")
        return reported


def _slow_main(server: Server, count: int, pipe: Connection) -> None:
    try:
        asyncio.run(_slow(server, count, pipe))
    except BaseException as error:
        pipe.send(("failed", f"{type(error).__name__}: {error}"))
        raise


async def _slow(server: Server, count: int, pipe: Connection) -> None:
    standing = asyncio.Semaphore(0)
    limit = asyncio.Semaphore(20)
    kinds = [KINDS[number % len(KINDS)] for number in range(count)]
    clients = [_SlowClient(server, kind, limit, standing) for kind in kinds]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    dripping = asyncio.create_task(_drip(clients))
    for _ in tasks:
        await standing.acquire()
        for task in tasks:
            if task.done():
                task.result()
    pipe.send(("standing", {}))
    held: dict[str, list[float]] = {}
    for kind, seconds in await asyncio.gather(*tasks):
        held.setdefault(kind, []).append(seconds)
    dripping.cancel()
    pipe.send(("closed", held))


async def _drip(clients: list[_SlowClient]) -> None:
    while True:
        for client in clients:
            client.drip()
        await asyncio.sleep(1.0)


class _SlowClient:
    def __init__(
        self, server: Server, kind: str, limit: asyncio.Semaphore, standing: asyncio.Semaphore
    ) -> None:
        self._server = server
        self._kind = kind
        self._limit = limit
        self._standing = standing
        self._loop = asyncio.get_running_loop()
        self._control = self._socket()
        self._data: socket.socket | None = None
        self._seen = b""
        self._stands = False
        self._gone = asyncio.Event()
        self._dripped = 0

    async def run(self) -> tuple[str, float]:
        """Take a place, hold it until the node ends that; return the kind and the seconds that it was held."""
        try:
            async with self._limit:
                await self._loop.sock_connect(self._control, (self._server.host, self._server.port))
                await self._reply()
                await getattr(self, f"_begin_{self._kind}")()
            self._stands = True
            self._standing.release()
            begun = time.monotonic()
            await self._hold()
            return self._kind, time.monotonic() - begun
        finally:
            self._stands = False
            self._control.close()
            if self._data is not None:
                self._data.close()

    # How each kind begins.

    async def _begin_nameless(self) -> None:
        """Never logs in."""

    async def _begin_silent(self) -> None:
        """Logs in and never ends a line."""
        await self._log_in()

    async def _begin_deaf(self) -> None:
        """Asks and asks and never reads; goes on when the node takes nothing more."""
        await self._log_in()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                while True:
                    await self._loop.sock_sendall(self._control, b"HELP\r\n" * 200)
                    await asyncio.sleep(0)  # it does not give way while the node takes everything

    async def _begin_uploads(self) -> None:
        """Sends a byte a second of a picture."""
        await self._log_in()
        await self._open_data(f"STOR slow-{id(self)}.jpg")

    async def _begin_downloads(self) -> None:
        """Never reads what it asked for."""
        await self._log_in()
        await self._open_data("RETR large.bin")

    async def _begin_handshakes(self) -> None:
        """Sends a byte a second of a TLS record."""
        await self._command("AUTH TLS")

    async def _hold(self) -> None:
        """Wait until the node has ended the session, or the transfer (426). Meanwhile `drip` is called."""
        if self._kind == "deaf":  # only writing tells it: reading would make it another kind
            await self._gone.wait()
            return
        with contextlib.suppress(ConnectionError):
            while data := await self._loop.sock_recv(self._control, 4096):
                self._seen += data
                if b"\r\n426 " in self._seen or self._seen.startswith(b"426 "):
                    return

    def drip(self) -> None:
        """Send a byte, where that is the kind's way."""
        slow = self._data if self._kind == "uploads" else self._control
        if not self._stands or slow is None or self._kind == "downloads":
            return
        record = b"\x16\x03\x01\x02\x00" if self._kind == "handshakes" else b""
        try:
            slow.send(record[self._dripped : self._dripped + 1] or b"x")
            self._dripped += 1
        except BlockingIOError:
            pass
        except OSError:
            self._gone.set()

    # Beneath.

    def _socket(self) -> socket.socket:
        made = socket.socket()
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        return made

    async def _log_in(self) -> None:
        await self._command(f"USER {self._server.user}")
        if not (reply := await self._command(f"PASS {self._server.password}")).startswith("230"):
            raise RuntimeError(reply)

    async def _open_data(self, command: str) -> None:
        port = int((await self._command("EPSV")).split("|")[3])
        self._data = self._socket()
        await self._loop.sock_connect(self._data, (self._server.host, port))
        if not (reply := await self._command(command)).startswith("150"):
            raise RuntimeError(reply)

    async def _command(self, line: str) -> str:
        await self._loop.sock_sendall(self._control, f"{line}\r\n".encode())
        return await self._reply()

    async def _reply(self) -> str:
        while b"\r\n" not in self._seen:
            data = await self._loop.sock_recv(self._control, 4096)
            if not data:
                raise RuntimeError(f"{self._kind}: closed too early")
            self._seen += data
        line, _, self._seen = self._seen.partition(b"\r\n")
        return line.decode()


def loads(quick: bool) -> list[tuple[str, str, int, int]]:
    """Name, operation, bytes and count a session of what is measured."""
    few = 10 if quick else 1
    return [
        ("STOR 1 MiB", "STOR", 1 << 20, max(1, 30 // few)),
        ("RETR 1 MiB", "RETR", 1 << 20, max(1, 30 // few)),
        ("STOR 20 KB", "STOR", 20 * 1024, max(1, 200 // few)),
    ]


def _rates(server: Server, quick: bool, mark: str) -> dict[str, float]:
    """Measure each load with eight sessions; what is read was stored by the load before."""
    rates = {}
    for name, operation, size, count in loads(quick):
        tasks = [Task(server, operation, f"{mark}-{size}-{number}", size, count) for number in range(8)]
        rates[name] = run(tasks).rate
    return rates


def _store_large(server: Server) -> None:
    import ftplib
    import io

    with ftplib.FTP(timeout=PATIENCE) as ftp:
        ftp.connect(server.host, server.port)
        ftp.login(server.user, server.password)
        ftp.storbinary("STOR large.bin", io.BytesIO(bytes(LARGE)))


def measure(directory: Path, count: int, rounds: int, *, timeout: int = TIMEOUT, quick: bool = False) -> bool:
    """Run it all and print the table; return whether the goal is reached and all slow clients were closed."""
    timeouts = ("LOGIN_TIMEOUT", "IDLE_TIMEOUT", "STALL_TIMEOUT", "HANDSHAKE_TIMEOUT", "DATA_TIMEOUT")
    environment = {f"PIXRAFT_FTP_{name}": str(timeout) for name in timeouts}
    alone: list[dict[str, float]] = []
    beside: list[dict[str, float]] = []
    closings: list[float] = []
    idle: list[float] = []
    with BenchCluster(directory, encryption="full", environment=environment) as cluster:
        server = cluster.servers[0]
        _store_large(server)
        after = _rates(server, quick, "a")
        for number in range(rounds):
            before_them = after
            slow = SlowClients(server, count)
            try:
                slow.standing()
                before = cluster.cpu_seconds()[0]
                time.sleep(LOOK)
                idle.append((cluster.cpu_seconds()[0] - before) / LOOK)
                beside.append(_rates(server, quick, f"b{number}"))
                held = slow.closed()
            finally:
                slow.kill()
            longest = {kind: max(times) for kind, times in held.items()}
            closings.append(max(longest.values()))
            reported = ", ".join(
                f"{len(held[kind])} {kind} {seconds:.1f} s" for kind, seconds in longest.items()
            )
            print(f"round {number + 1}: closed after at most: {reported}", flush=True)
            assert sum(map(len, held.values())) == count
            after = _rates(server, quick, f"a{number}")
            alone.append({name: (before_them[name] + after[name]) / 2 for name in after})
        peak = cluster.peak_memory()
    print(f"\n| load | alone /s | beside {count} slow clients /s | ratio |\n|---|---|---|---|")
    reached = True
    for name, *_ in loads(quick):
        ratio = statistics.median(two[name] / one[name] for one, two in zip(alone, beside, strict=True))
        one, two = (statistics.median(rates[name] for rates in some) for some in (alone, beside))
        reached &= ratio >= GOAL
        print(f"| {name} | {one:.1f} | {two:.1f} | {ratio:.2f} {'reached' if ratio >= GOAL else 'missed'} |")
    print(f"\n{count} slow clients alone: {statistics.median(idle):.1%} of a core at their node")
    print(f"closed after {max(closings):.1f} s at most (timeouts: {timeout} s); goal {GOAL}")
    print(f"peak memory a node, MB: {' / '.join(f'{value / 1e6:.0f}' for value in peak)}")
    return reached


def main() -> int:
    """Measure; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--timeout", type=int, default=TIMEOUT)
    parser.add_argument("--quick", action="store_true", help="a version of a few seconds: shows that it works")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pixraft-slow-") as place:
        reached = measure(
            Path(place) / "c",
            arguments.clients,
            arguments.rounds,
            timeout=arguments.timeout,
            quick=arguments.quick,
        )
    return 0 if reached or arguments.quick else 1


if __name__ == "__main__":
    sys.exit(main())
