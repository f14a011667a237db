"""The stall watch: how long the loop takes to come to something new, and what held it when that is too long.

A thread asks the loop for a sign of life every two thresholds and takes the time: what lasts three thresholds is seen
for certain. While the answer is late it looks where the loop's thread is; one line in the log then says how long, and
where. This works with every event loop and costs the loop two short turns, and the interpreter's lock, each time: asked
twice as often it took a sixth of what an idle node does.

What the machine itself was busy with is taken off: the time for which the loop's thread was ready and had no processor
(the kernel counts it, /proc/self/task/ID/schedstat). The processor time of the loop's thread is told beside it: where
it is much shorter, the loop waited for a disk, a lock or the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from pathlib import Path
from types import FrameType

import structlog

from raftstore.types import LoopStatus
from raftstore.util.metrics import Buckets, counter, gauge, histogram

log = structlog.get_logger()

BOUNDS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds: upper bounds of the classes in which answers are counted; a last class has no bound."""

LINE_SECONDS = 10.0
"""Seconds between two lines in the log."""

FRAMES = 4
"""Frames of the project that a line names, the innermost first."""

SAMPLES = 64
"""Looks at the loop's thread during one stall."""

_ROOT = str(Path(__file__).resolve().parents[2]) + os.sep
_PROJECT = tuple(f"{_ROOT}{package}{os.sep}" for package in ("raftstore", "ftpgateway"))


def place(frame: FrameType | None) -> str:
    """Say where a thread is: the innermost function, unless it is the project's, and the project's that led there."""
    found: list[str] = []
    innermost = frame
    while frame is not None and len(found) < FRAMES:
        code = frame.f_code
        if code.co_filename.startswith(_PROJECT):
            found.append(f"{code.co_filename.removeprefix(_ROOT)}:{frame.f_lineno} {code.co_name}")
        elif frame is innermost:
            found.append(f"{Path(code.co_filename).name}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return " < ".join(found)


def held(wall: float, cpu: float, delay: float) -> float:
    """Return for how many seconds the loop itself was not to be had, the machine's own waiting taken off.

    `wall` seconds went by, `cpu` of them the loop's thread ran, and for `delay` it was ready and had no processor.
    """
    return max(0.0, wall - min(delay, max(0.0, wall - cpu)))


class _RunDelay:
    """For how many seconds in all a thread had to wait for a processor; 0.0 where nobody counts."""

    def __init__(self, thread: int) -> None:
        try:
            self._file: int | None = os.open(f"/proc/self/task/{thread}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._file = None

    def seconds(self) -> float:
        if self._file is None:
            return 0.0
        try:
            return int(os.pread(self._file, 128, 0).split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return 0.0

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class StallWatch:
    """Watches the running loop from a thread, from `start` to `stop`. `status` is what it has seen."""

    def __init__(self, threshold: float) -> None:
        """`threshold`: seconds from which on the loop counts as held up."""
        self._threshold = threshold
        self._over = threading.Event()
        self._answered = threading.Event()
        self._thread: threading.Thread | None = None
        self._at = self._cpu = 0.0
        self._next_line, self._left_out = 0.0, 0
        self._busy = 0.0
        self.status = LoopStatus(threshold=threshold, classes=[0] * (len(BOUNDS) + 1))

    def start(self) -> None:
        """Begin to watch the loop that runs on this thread; again, after `stop`."""
        self._over.clear()
        loop = asyncio.get_running_loop()
        ident = threading.get_ident()
        clock = time.pthread_getcpuclockid(ident)
        delay = _RunDelay(threading.get_native_id())
        self._thread = threading.Thread(
            target=self._watch, args=(loop, ident, clock, delay), name="stall-watch", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the watch. On the loop's thread."""
        self._over.set()
        self._answered.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @counter(
        "pixraft_loop_stalls_total", "Looks that found the loop held up for `log.stalls` milliseconds or more."
    )
    def stalls(self) -> float:
        """How often the loop was held up."""
        return self.status.stalls

    @gauge("pixraft_loop_longest_stall_seconds", "Longest time for which the loop was held up.")
    def longest(self) -> float:
        """Seconds, the machine's own waiting taken off."""
        return self.status.longest

    @histogram(
        "pixraft_loop_busy_seconds", "Processor time of the loop before it came to something new, by looks."
    )
    def busy(self) -> Buckets:
        """How the looks are distributed."""
        return Buckets(BOUNDS, self.status.classes, self._busy)

    def _answer(self) -> None:
        """On the loop: say that it has come to this."""
        self._at, self._cpu = time.perf_counter(), time.thread_time()
        self._answered.set()

    def _watch(self, loop: asyncio.AbstractEventLoop, ident: int, clock: int, delay: _RunDelay) -> None:
        try:
            self._probe(loop, ident, clock, delay)
        finally:
            delay.close()

    def _probe(self, loop: asyncio.AbstractEventLoop, ident: int, clock: int, delay: _RunDelay) -> None:
        while not self._over.wait(2 * self._threshold):
            self._answered.clear()
            asked, cpu, delayed = time.perf_counter(), time.clock_gettime(clock), delay.seconds()
            try:
                loop.call_soon_threadsafe(self._answer)
            except RuntimeError:  # the loop is closed
                return
            where: list[str] = []
            while not self._answered.wait(self._threshold / 2):
                if len(where) < SAMPLES:
                    where.append(place(sys._current_frames().get(ident)))
            if self._over.is_set():
                return
            self._note(self._at - asked, self._cpu - cpu, delay.seconds() - delayed, where)

    def _note(self, wall: float, cpu: float, delay: float, where: list[str]) -> None:
        status, seconds = self.status, held(wall, cpu, delay)
        status.probes += 1
        self._busy += cpu
        status.classes[sum(cpu > bound for bound in BOUNDS)] += 1
        status.longest = max(status.longest, round(seconds, 4))
        status.longest_cpu = max(status.longest_cpu, round(cpu, 4))
        if seconds < self._threshold:
            return
        status.stalls += 1
        now = time.monotonic()
        if now < self._next_line:
            self._left_out += 1
            return
        self._next_line = now + LINE_SECONDS
        left_out, self._left_out = self._left_out, 0
        log.warning(
            "the loop was held up: clients and other nodes had to wait",
            seconds=round(seconds, 3),
            cpu=round(cpu, 3),
            where=max(where, key=where.count) if where else "",
            **({"left_out": left_out} if left_out else {}),
        )
