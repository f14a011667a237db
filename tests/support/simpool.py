"""Seeds on several processes. A process that dies or hangs in a seed is the failure of that seed, not of the run."""

from __future__ import annotations

import faulthandler
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

T = TypeVar("T")
J = TypeVar("J")

CHUNK = 16
"""Seeds a process. Each chunk gets a new one: what seeds leave in memory goes with it, which is faster than to
collect it."""
PATIENCE = 120.0
"""Seconds of real time that a seed may take (it takes a fraction of one); then its process says where it is and
ends."""


def each(
    work: Callable[[J], T],
    jobs: Sequence[J],
    processes: int,
    lost: Callable[[J, str], T],
    *,
    chunk: int = CHUNK,
) -> Iterator[T]:
    """Yield the result of `work` of each job, in their order; of `lost(job, why)` where the process died or hung.

    Ending the iteration early ends the processes.
    """
    pool = _Pool(work, jobs, lost, chunk)
    try:
        yield from pool.run(processes)
    finally:
        pool.close()


class _Pool(Generic[J, T]):
    def __init__(
        self, work: Callable[[J], T], jobs: Sequence[J], lost: Callable[[J, str], T], chunk: int
    ) -> None:
        self._work = work
        self._jobs = jobs
        self._lost = lost
        self._chunks = [range(at, min(at + chunk, len(jobs))) for at in range(0, len(jobs), chunk)]
        self._chunks.reverse()
        self._running: dict[Connection, tuple[BaseProcess, range]] = {}

    def run(self, processes: int) -> Iterator[T]:
        done: dict[int, T] = {}
        following = 0
        while following < len(self._jobs):
            while self._chunks and len(self._running) < processes:
                self._start(self._chunks.pop())
            for connection in wait(list(self._running)):
                assert isinstance(connection, Connection)
                self._take(connection, done)
            while following in done:
                yield done.pop(following)
                following += 1

    def _start(self, chunk: range) -> None:
        context = multiprocessing.get_context("fork")
        mine, its = context.Pipe(duplex=False)
        process = context.Process(target=self._serve, args=(its, chunk), daemon=True)
        process.start()
        its.close()
        self._running[mine] = process, chunk

    def _serve(self, connection: Connection, chunk: range) -> None:
        for position in chunk:
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
            connection.send(self._work(self._jobs[position]))
        faulthandler.cancel_dump_traceback_later()
        connection.close()

    def _take(self, connection: Connection, done: dict[int, T]) -> None:
        process, chunk = self._running[connection]
        try:
            done[chunk[0]] = connection.recv()
        except EOFError:
            process.join()
            del self._running[connection]
            if not chunk:
                return
            why = f"its process ends with {process.exitcode}, after {PATIENCE:g} s or by itself"
            done[chunk[0]] = self._lost(self._jobs[chunk[0]], why)
            if chunk[1:]:
                self._chunks.append(chunk[1:])
            return
        self._running[connection] = process, chunk[1:]

    def close(self) -> None:
        for process, _ in self._running.values():
            process.kill()
        for process, _ in self._running.values():
            process.join()
        self._running.clear()
