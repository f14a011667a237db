"""`make bench-expiring`: for how long what expires holds a node's loop, a command at a time.

Two catalogs of `--files` files of one chunk each. In one all of them are removed into the trash and expire by cluster
time; in the other a directory gets a retention that all of them are too old for, is scanned by the leader's own code
and emptied. Each command is a log entry, applied and committed as at a node. Printed are how many commands there
were, for how long the longest held the loop and the median (apply and commit are turns of their own), in processor
time, the longest by the clock, whatever else runs on the machine, and files a second.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import tempfile
import time
from pathlib import Path

from raftstore.cluster.clustertime import REMOVED
from raftstore.cluster.retaining import RetentionWork
from raftstore.metadata import Catalog
from raftstore.metadata.levels import NEWEST
from raftstore.metadata.results import accepted
from raftstore.metadata.tables.cluster.clock import STEP
from raftstore.wire import commands_pb2 as commands

NOW = 1_800_000_000_000_000_000
DAY = 86_400 * 10**9
BATCH = 512
DIRECTORY = 10_000
GOAL = 0.2


class Log:
    """Applies log entries, and keeps for how long each held the loop."""

    def __init__(self, path: Path) -> None:
        self.catalog = Catalog(path, later=lambda settle: None)
        self.turns: list[float] = []
        self.waits: list[float] = []
        """The same by the clock."""
        self.now_ns = NOW
        self._index = self._sequence = 0

    def apply(self, *wanted: commands.Command) -> commands.Result:
        """Apply one entry; return the last result."""
        batch = commands.Batch()
        for each in wanted:
            self._sequence += 1
            identity = commands.OperationId(
                node="bench", boot=1, sequence=self._sequence, acknowledged=self._sequence - 1
            )
            batch.operations.add(id=identity, time_ns=self.now_ns, command=each.SerializeToString())
        self._index += 1
        data = batch.SerializeToString()
        begun, since = time.thread_time(), time.perf_counter()
        results = self.catalog.apply(self._index, data)
        applied, until = time.thread_time(), time.perf_counter()
        self.catalog.settle()
        self.turns += [applied - begun, time.thread_time() - applied]
        self.waits += [until - since, time.perf_counter() - until]
        return accepted(results[-1])

    def begin(self) -> float:
        """Forget what was measured; return the time."""
        self.turns.clear()
        self.waits.clear()
        return time.perf_counter()

    def advance(self, until_ns: int) -> commands.Result:
        """Move cluster time."""
        self.now_ns = until_ns
        return self.apply(
            commands.Command(advance_clock=commands.AdvanceClock(time_ns=until_ns, limit=REMOVED))
        )

    def tick(self) -> None:
        """Let some minutes pass."""
        for _ in range(2):
            self.advance(self.now_ns + STEP)


def command(kind: str, actor: commands.Actor, message: object) -> commands.Command:
    """Return a command with its actor."""
    return commands.Command(actor=actor, **{kind: message})  # type: ignore[arg-type]


def made(path: Path, files: int, trash_ns: int) -> tuple[Log, commands.Actor]:
    """Return the log of a new catalog with so many files in /pictures, and the account that has put them."""
    log, system = Log(path), commands.Actor(system="bench")
    log.apply(commands.Command(set_level=commands.SetLevel(level=NEWEST, fresh=True)))
    for number in (1, 2, 3):
        store = commands.RegisterStore(node=f"n{number}", identity=bytes([number]) * 16)
        log.apply(commands.Command(register_store=store))
    log.advance(NOW)
    user = commands.User(name="ada", home="/", rights="elradfmwMT", trash_ns=trash_ns)
    log.apply(commands.Command(put_user=commands.PutUser(user=user)))
    account = log.catalog.user("ada")
    assert account is not None
    actor = commands.Actor(account=account.owner, opened=account.revision)
    log.apply(command("make_directory", system, commands.MakeDirectory(path="/pictures")))
    for number in range(0, files, DIRECTORY):
        log.apply(
            command("make_directory", system, commands.MakeDirectory(path=f"/pictures/{number // DIRECTORY}"))
        )
    for first in range(0, files, BATCH):
        log.apply(
            *(command("put_file", actor, _file(number)) for number in range(first, min(files, first + BATCH)))
        )
    return log, actor


def path_of(number: int) -> str:
    """Return where a file is."""
    return f"/pictures/{number // DIRECTORY}/IMG_{number:07}.jpg"


def _file(number: int) -> commands.PutFile:
    chunk = commands.Chunk(digest=number.to_bytes(32, "big"), length=20_000, stores=(1, 2, 3))
    return commands.PutFile(path=path_of(number), size=20_000, chunks=[chunk], quorum=2)


def report(name: str, log: Log, files: int, begun: float) -> None:
    """Print what the turns since were."""
    turns, seconds = log.turns, time.perf_counter() - begun
    longest = max(turns)
    print(
        f"  {name:34} {len(turns) // 2:7,} commands  longest turn {longest * 1000:6.1f} ms"
        f" ({max(log.waits) * 1000:.1f} by the clock)  median {statistics.median(turns) * 1000:5.2f} ms"
        f"  {files / seconds:8,.0f} files/s"
        f"{'  over the goal' if longest > GOAL else ''}",
        flush=True,
    )


def expire_trash(path: Path, files: int) -> None:
    """Fill the trash, and let it expire."""
    log, actor = made(path, files, trash_ns=30 * DAY)
    try:
        begun = log.begin()
        for first in range(0, files, BATCH):
            removes = (
                commands.RemoveFile(path=path_of(each)) for each in range(first, min(files, first + BATCH))
            )
            log.apply(*(command("remove_file", actor, remove) for remove in removes))
        report(f"into the trash, {BATCH} an entry", log, files, begun)
        log.tick()
        gc.collect()
        begun = log.begin()
        while not log.advance(NOW + 60 * DAY).finished:
            pass
        report("expire from the trash", log, files, begun)
        assert log.catalog.totals() == (0, 0)
    finally:
        log.catalog.close()


def expire_retention(path: Path, files: int) -> None:
    """Have a directory keep nothing of what is there."""
    log, _ = made(path, files, trash_ns=0)

    async def propose(wanted: commands.Command) -> commands.Result:
        return log.apply(wanted)

    async def work() -> None:
        steps = RetentionWork(catalog=log.catalog, leads=lambda: True, propose=propose)
        while await steps.look():
            if not scanned and log.catalog.totals()[0] < files:
                report("retention: scanned", log, files, begun)
                scanned.append(True)
                log.begin()

    try:
        log.tick()
        log.advance(NOW + 60 * DAY)
        rule = commands.PutRetention(path="/pictures", age_ns=30 * DAY)
        log.apply(command("put_retention", commands.Actor(system="bench"), rule))
        log.tick()
        gc.collect()
        scanned: list[bool] = []
        log.advance(NOW + 100 * DAY)
        begun = log.begin()
        asyncio.run(work())
        report("retention: removed", log, files, begun)
        assert log.catalog.totals() == (0, 0)
    finally:
        log.catalog.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=1_000_000)
    options = parser.parse_args()
    print(f"{options.files:,} files")
    for run in (expire_trash, expire_retention):
        with tempfile.TemporaryDirectory() as scratch:
            run(Path(scratch) / "catalog.db", options.files)


if __name__ == "__main__":
    main()
