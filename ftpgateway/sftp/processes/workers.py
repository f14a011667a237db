"""The worker processes: started as connections need them, watched, started anew when they die, ended with the node.

A worker has one end of a pair of sockets that nobody else can reach. When the node ends, however it ends, the other end
is closed by the system, and that ends the worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Sequence

import structlog

from ftpgateway.sftp.processes import passing
from raftstore.util.limits.rates import Rates
from raftstore.wire import sftp_pb2 as wire

log = structlog.get_logger()

FIRST_PAUSE = 0.5
STEADY = 60.0
"""Seconds after which a worker that dies was not broken from the start."""
STOP_TIME = 5.0
PROBE_PERIOD = 5.0
"""Seconds between questions whether a worker still works."""
PROBES = 6
"""Questions without an answer after which it does not. They are counted, and not the time, which also passes while this
node is stopped. A worker in the middle of 64 handshakes answers within a second."""
_SUSPECT = 2
_LINES = 4096
"""Bytes of what a worker writes that are logged at once; clients can cause it, so it is bounded by the second, too."""

_saying: Rates[None] = Rates(0.2, 20)


class Worker:
    """One process. `load` is how many connections it has."""

    def __init__(self, setup: wire.Setup, on_end: object) -> None:
        self.load = 0
        self.missed = 0
        self.control, theirs = passing.pair()
        with theirs:
            self._process = subprocess.Popen(
                # -P: nothing is imported from wherever the node was started.
                [sys.executable, "-P", "-m", "ftpgateway.sftp.ssh.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        self.pid = self._process.pid
        self.control.setblocking(False)
        passing.send(self.control, wire.ToWorker(setup=setup))
        self._loop = asyncio.get_running_loop()
        self.started = self._loop.time()
        self.ended = asyncio.Event()
        self._on_end = on_end
        self._handle = os.pidfd_open(self.pid)
        self._loop.add_reader(self._handle, self._died)
        self._loop.add_reader(self.control.fileno(), self._heard)
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        self._loop.add_reader(self._process.stderr.fileno(), self._said)

    def give(self, client: socket.socket, control: socket.socket) -> None:
        """Hand a connection over. Raises OSError when the worker does not take it."""
        message = wire.ToWorker(connection=wire.Connection())
        passing.send(self.control, message, [client.fileno(), control.fileno()])

    def take(self, setup: wire.Setup) -> None:
        """Tell it what holds for connections from now on."""
        try:
            passing.send(self.control, wire.ToWorker(setup=setup))
        except OSError:
            self.kill()  # it takes nothing any more

    def probe(self) -> None:
        """Ask whether it still works."""
        self.missed += 1
        with contextlib.suppress(OSError):
            passing.send(self.control, wire.ToWorker(probe=wire.Probe()))

    def _heard(self) -> None:
        try:
            heard = passing.receive(self.control, wire.Alive)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            heard = None
        if heard is None:  # it ends, or does not do what it should
            self._loop.remove_reader(self.control.fileno())
            self.kill()
            return
        passing.close(heard[1])
        self.missed = 0

    def _said(self) -> None:
        """What a worker writes is a traceback: it has no log of its own."""
        assert self._process.stderr is not None
        try:
            said = os.read(self._process.stderr.fileno(), _LINES)
        except BlockingIOError:
            return
        if not said:
            self._loop.remove_reader(self._process.stderr.fileno())
            return
        if _saying.take(None):
            log.error("an SFTP worker says", worker=self.pid, text=said.decode(errors="replace").rstrip())

    def _died(self) -> None:
        self._loop.remove_reader(self._handle)
        os.close(self._handle)
        code = self._process.wait()
        stderr = self._process.stderr
        assert stderr is not None
        self._said()
        self._loop.remove_reader(stderr.fileno())
        stderr.close()
        self.close()
        self.ended.set()
        self._on_end(self, code)  # type: ignore[operator]

    def close(self) -> None:
        """Let it end. Idempotent."""
        if self.control.fileno() >= 0:
            self._loop.remove_reader(self.control.fileno())
            self.control.close()

    def kill(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


class Workers:
    """Up to `most` of them."""

    def __init__(
        self,
        host_keys: Sequence[bytes],
        most: int,
        channels: int,
        restart_longest: float,
        *,
        legacy_algorithms: bool = False,
        idle_timeout: float = 0.0,
    ) -> None:
        self._setup = wire.Setup(
            host_keys=host_keys,
            channels=channels,
            legacy_algorithms=legacy_algorithms,
            idle_timeout=idle_timeout,
        )
        self._most = most
        self._longest = restart_longest
        self._workers: list[Worker] = []
        self._pause = FIRST_PAUSE
        self._not_before = 0.0
        self._stopping = False
        self._probing: asyncio.TimerHandle | None = None

    @property
    def pids(self) -> list[int]:
        """Process ids of those that run."""
        return [worker.pid for worker in self._workers]

    def pick(self) -> Worker:
        """Return the one with the fewest connections; start another while all have some. Raises OSError."""
        # One that does not answer gets nobody while others can be had.
        sound = [worker for worker in self._workers if worker.missed < _SUSPECT]
        whom = sound if sound or len(self._workers) < self._most else self._workers
        least = min(whom, key=lambda worker: worker.load, default=None)
        if least is not None and (least.load == 0 or len(self._workers) >= self._most):
            return least
        if asyncio.get_running_loop().time() < self._not_before:
            if least is None:
                raise ConnectionRefusedError("SFTP workers keep dying; the next one is started in a moment")
            return least
        worker = Worker(self._setup, self._ended)
        self._workers.append(worker)
        log.info("SFTP worker started", worker=worker.pid)
        if self._probing is None:
            self._probing = asyncio.get_running_loop().call_later(PROBE_PERIOD, self._probe)
        return worker

    def _probe(self) -> None:
        for worker in self._workers:
            if worker.missed >= PROBES:
                log.error("an SFTP worker hangs and is ended", worker=worker.pid, connections=worker.load)
                worker.kill()
            else:
                worker.probe()
        self._probing = (
            asyncio.get_running_loop().call_later(PROBE_PERIOD, self._probe) if self._workers else None
        )

    def take_keys(self, host_keys: Sequence[bytes]) -> None:
        """Show these to who connects from now on."""
        del self._setup.host_keys[:]
        self._setup.host_keys.extend(host_keys)
        for worker in self._workers:
            worker.take(self._setup)

    def _ended(self, worker: Worker, code: int) -> None:
        self._workers.remove(worker)
        if self._stopping:
            return
        now = asyncio.get_running_loop().time()
        if now - worker.started > STEADY:
            self._pause = FIRST_PAUSE
        self._not_before = now + self._pause
        log.error("an SFTP worker has died", worker=worker.pid, code=code, connections=worker.load)
        self._pause = min(2 * self._pause, self._longest)

    async def stop(self) -> None:
        """End all and wait until they are gone."""
        self._stopping = True
        if self._probing is not None:
            self._probing.cancel()
        workers = list(self._workers)
        for worker in workers:
            worker.close()
        if not workers:
            return
        waiting = asyncio.gather(*(worker.ended.wait() for worker in workers))
        try:
            await asyncio.wait_for(asyncio.shield(waiting), STOP_TIME)
        except TimeoutError:
            for worker in workers:
                worker.kill()
            await waiting
