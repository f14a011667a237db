"""One node of `make bench-snapshot`: a whole store in a process of its own, which measures its commits and its loop.

Reads commands as lines from standard input and answers each with a line of JSON: `start`, `load WORKERS`, `rest`,
`report`, `stop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path

from ftpgateway.cli import logs
from ftpgateway.config import load_node_config
from ftpgateway.node import store_settings
from raftstore.errors import StoreError
from raftstore.store import Store

TICK = 0.002


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
                await self._store.make_directory(path, "bench")
            except StoreError as error:
                self.refused += 1
                print(f"refused: {error}", file=sys.stderr)
            else:
                self.seconds.append(time.monotonic() - began)


class Stalls:
    """How long the loop was held up at most since the last look."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def watch(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(TICK)
            self.longest = max(self.longest, time.monotonic() - began - TICK)

    def take(self) -> float:
        longest, self.longest = self.longest, 0.0
        return longest


async def serve(config: Path) -> None:
    """Follow the commands until `stop`."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    failed: asyncio.Future[BaseException] = loop.create_future()
    node = load_node_config(config)
    logs.configure(node.log)
    store = Store(store_settings(node), failed.set_result)
    load, stalls = Load(store, f"{config.parent.name}-{time.time_ns()}"), Stalls()
    watching = asyncio.create_task(stalls.watch())
    started = False
    try:
        while line := (await lines.readline()).decode().split():
            answer: dict[str, object] = {}
            match line:
                case ["start"]:
                    await store.start()
                    started = True
                case ["load", workers]:
                    load.start(int(workers))
                case ["rest"]:
                    await load.stop()
                case ["report"]:
                    status = await store.status()
                    answer = {"commits": load.seconds, "refused": load.refused, "stall": stalls.take()}
                    answer["files"] = status.files
                    answer["leads"] = any(
                        node.role == "leader" and node.name == config.parent.name for node in status.nodes
                    )
                    load.seconds, load.refused = [], 0
                case ["stop"]:
                    break
            print(json.dumps(answer), flush=True)
    finally:
        watching.cancel()
        await load.stop()
        if started:
            await store.stop()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
    if failed.done():
        raise failed.result()


if __name__ == "__main__":
    try:
        import uvloop

        factory = uvloop.new_event_loop
    except ImportError:
        factory = asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(Path(sys.argv[1])))
