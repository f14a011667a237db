"""One node of `make bench-snapshot`: a whole store in a process of its own, which measures its commits and its loop.

Reads commands as lines from standard input and answers each with a line of JSON: `start`, `load WORKERS`, `rest`,
`report`, `stop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ftpgateway.cli import logs
from ftpgateway.node.config.log import LogSettings
from ftpgateway.node.config.reading import load_node_config
from ftpgateway.node.config.whole import NodeConfig
from ftpgateway.node.node import store_settings
from raftstore.errors import StoreError
from raftstore.rights import Actor
from raftstore.store.facade import Store

TICK = 0.002
LOOK = 0.004
WORTH_A_LOOK = 0.015
DEPTH = 4


class Load:
    """Makes directories, one after the other in each worker, and keeps how long each took."""

    def __init__(self, store: Store, mark: str) -> None:
        self._store = store
        self._mark = mark
        self._made = 0
        self._tasks: list[asyncio.Task[None]] = []
        self.seconds: list[float] = []
        self.refused = 0

    def start(self, workers: int) -> None:
        self._tasks = [asyncio.create_task(self._work()) for _ in range(workers)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _work(self) -> None:
        while True:
            self._made += 1
            path = f"/bench/{self._mark}-{self._made}"
            began = time.monotonic()
            try:
                await self._store.make_directory(Actor.system("benchmark"), path)
            except StoreError as error:
                self.refused += 1
                print(f"refused: {error}", file=sys.stderr)
            else:
                self.seconds.append(time.monotonic() - began)


@dataclass
class Stall:
    """One time, in seconds, that the loop was held up: on a CPU, waiting for one, and the rest (disk, locks)."""

    seconds: float = 0.0
    ran: float = 0.0
    queued: float = 0.0
    where: list[str] = field(default_factory=list)
    """What the loop was seen in, in order, innermost first."""

    @property
    def own(self) -> float:
        """What other processes have no part in: all but the wait for a CPU."""
        return self.seconds - self.queued


class Stalls:
    """How long the loop was held up at most since the last look, and in what: a thread looks at it meanwhile."""

    def __init__(self) -> None:
        self._worst = self._worst_own = Stall()
        self._began = time.monotonic()
        self._before = self._used()
        self._seen: list[str] = []
        self._loop_thread = threading.get_ident()
        threading.Thread(target=self._look, daemon=True).start()

    @staticmethod
    def _used() -> tuple[float, float]:
        """Seconds on a CPU, and waiting for one, of the calling thread."""
        ran, queued, _ = Path("/proc/thread-self/schedstat").read_text().split()
        return int(ran) / 1e9, int(queued) / 1e9

    async def watch(self) -> None:
        while True:
            self._began, self._before, self._seen = time.monotonic(), self._used(), []
            await asyncio.sleep(TICK)
            seconds = time.monotonic() - self._began - TICK
            if seconds > min(self._worst.seconds, self._worst_own.own):
                ran, queued = self._used()
                stall = Stall(seconds, ran - self._before[0], queued - self._before[1], self._seen)
                self._worst = max(self._worst, stall, key=lambda one: one.seconds)
                self._worst_own = max(self._worst_own, stall, key=lambda one: one.own)

    def _look(self) -> None:
        while True:
            time.sleep(LOOK)
            if time.monotonic() - self._began > WORTH_A_LOOK:
                frame, inner = sys._current_frames().get(self._loop_thread), []
                while frame is not None and len(inner) < DEPTH:
                    inner.append(
                        f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}:{frame.f_lineno}"
                    )
                    frame = frame.f_back
                place = " < ".join(inner)
                if not self._seen or self._seen[-1] != place:
                    self._seen.append(place)

    def take(self) -> list[dict[str, object]]:
        """Return the longest, and the longest but for the wait for a CPU."""
        found = [asdict(self._worst), asdict(self._worst_own)]
        self._worst = self._worst_own = Stall()
        return found


async def serve(config: Path) -> None:
    """Follow the commands until `stop`."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    failed: asyncio.Future[BaseException] = loop.create_future()
    node = load_node_config(config)
    logs.configure(node[LogSettings])
    stalls = Stalls()
    watching = asyncio.create_task(stalls.watch())
    try:
        await serve_started(lines, config, await started(lines, node, failed), stalls)
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
    if failed.done():
        raise failed.result()


async def started(
    lines: asyncio.StreamReader, node: NodeConfig, failed: asyncio.Future[BaseException]
) -> Store:
    """Return the store that is started when `start` comes; until then every command has an empty answer."""
    while (line := await lines.readline()).decode().split() != ["start"]:
        if not line or line == b"stop\n":
            raise EOFError("ended before it was started")
        print(json.dumps({}), flush=True)
    store = await Store.open(store_settings(node), failed.set_result)
    print(json.dumps({}), flush=True)
    return store


async def serve_started(lines: asyncio.StreamReader, config: Path, store: Store, stalls: Stalls) -> None:
    """Follow the other commands until `stop`."""
    load = Load(store, f"{config.parent.name}-{time.time_ns()}")
    try:
        while line := (await lines.readline()).decode().split():
            answer: dict[str, object] = {}
            match line:
                case ["load", workers]:
                    load.start(int(workers))
                case ["rest"]:
                    await load.stop()
                case ["report"]:
                    status = await store.status()
                    answer = {"commits": load.seconds, "refused": load.refused, "stalls": stalls.take()}
                    answer["files"] = status.files
                    answer["leads"] = any(
                        node.role == "leader" and node.name == config.parent.name for node in status.nodes
                    )
                    load.seconds, load.refused = [], 0
                case ["stop"]:
                    break
            print(json.dumps(answer), flush=True)
    finally:
        await load.stop()
        await store.stop()


if __name__ == "__main__":
    try:
        import uvloop

        factory = uvloop.new_event_loop
    except ImportError:
        factory = asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(Path(sys.argv[1])))
