"""`make bench-turns`: for how long a node's loop is held by what happens to the largest file, and to a small one.

A catalog of `--files` files of one chunk each, as at a node; a file has the most chunks that one may have (8 GiB), on
three stores. What happens to it is a list of commands, each a log entry by itself: its chunks travel ahead, a slice at
a time, and what it leaves is given up in slices. `apply`: applying an entry; `commit`: the end of its transaction,
which is a turn of its own; `read`: the lookup of the file with all of its chunks. Each is the longest turn of its kind,
in milliseconds of processor time, lest it matter what else runs on the machine: the least and the median of `--rounds`,
and the longest of all rounds (p100). For the small file in microseconds, of many. `--whole`: in one command, as at
level 1. What the migration to the newest level takes comes first, and last for how long a snapshot of the catalog holds
the loop when it is installed.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from largecatalog import build

from raftstore.metadata import Catalog
from raftstore.metadata.levels import NEWEST
from raftstore.metadata.tables.contents.longcontents import SLICE
from raftstore.types import CHUNK_SIZE, MAX_CHUNKS
from raftstore.wire import commands_pb2 as commands

NOW = 1_800_000_000_000_000_000
STORES = (1, 2, 3)
OWNER = "bench"
SMALL = 5_000
GOAL = 0.02


class Turns(NamedTuple):
    """The longest turns of a kind, in seconds, and how many entries there were."""

    apply: float
    commit: float
    read: float
    entries: int


class Feeder:
    """Applies commands, one an entry."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._index = catalog.applied_index
        self._boot = time.time_ns()
        self._sequence = 0

    def batch(self, command: commands.Command) -> tuple[int, bytes]:
        """Return the next log entry."""
        self._index += 1
        self._sequence += 1
        if command.WhichOneof("kind") != "set_level":
            command.actor.system = "bench"
        batch = commands.Batch()
        identity = commands.OperationId(
            node="turns", boot=self._boot, sequence=self._sequence, acknowledged=self._sequence - 1
        )
        batch.operations.add(id=identity, time_ns=NOW, command=command.SerializeToString())
        return self._index, batch.SerializeToString()

    def seconds(self, command: commands.Command) -> tuple[float, float]:
        """Return the processor time in which a command is applied, and in which it is committed."""
        index, batch = self.batch(command)
        begun = time.thread_time()
        results = self.catalog.apply(index, batch)
        applied = time.thread_time()
        self.catalog.settle()
        done = time.thread_time()
        self.catalog.make_durable()
        result = commands.Result.FromString(results[0])
        assert result.status == commands.OK, result
        return applied - begun, done - applied

    def turns(self, command: commands.Command, *, whole: bool) -> Turns:
        """Return the longest turns of all that a command needs."""
        found = []
        put = getattr(command, command.WhichOneof("kind") or "")
        if not whole and len(getattr(put, "chunks", ())) > SLICE:
            content = 0
            for offset in range(0, len(put.chunks), SLICE):
                part = commands.StageContent(node="turns", boot=self._boot, content=content, offset=offset)
                part.chunks.extend(put.chunks[offset : offset + SLICE])
                found.append(self.seconds(commands.Command(stage_content=part)))
                content = self.catalog.staged()[-1].content
            staged = commands.Command()
            staged.CopyFrom(command)
            put = getattr(staged, staged.WhichOneof("kind") or "")
            del put.chunks[:]
            put.content = content
            command = staged
        found.append(self.seconds(command))
        while self.catalog.leftovers:
            found.append(self.seconds(commands.Command(forget_contents=commands.ForgetContents(limit=SLICE))))
        begun = time.thread_time()
        if isinstance(put, commands.PutFile):
            self.catalog.file(put.path)
        return Turns(*(max(one) for one in zip(*found, strict=True)), time.thread_time() - begun, len(found))


def chunks(count: int) -> list[commands.Chunk]:
    """Return so many that there are nowhere yet."""
    return [commands.Chunk(digest=os.urandom(32), length=CHUNK_SIZE, stores=STORES) for _ in range(count)]


def put(path: str, content: list[commands.Chunk]) -> commands.Command:
    """Publish a file."""
    size = len(content) * CHUNK_SIZE
    return commands.Command(
        put_file=commands.PutFile(path=path, owner=OWNER, size=size, chunks=content, quorum=2)
    )


def partial(path: str, content: list[commands.Chunk]) -> commands.Command:
    """Keep what an interrupted upload has left."""
    size = len(content) * CHUNK_SIZE
    return commands.Command(put_partial=commands.PutPartial(path=path, owner=OWNER, size=size, chunks=content))


def largest(count: int) -> list[tuple[str, commands.Command]]:
    """Return commands of files with so many chunks, in an order in which each can be done."""
    first, second, third = chunks(count), chunks(count), chunks(count)
    mixed = second[: count // 2] + chunks(count - count // 2)
    remove = commands.RemoveFile(path="/bench/big")
    return [
        ("put, new", put("/bench/big", first)),
        ("put, the content of another", put("/bench/copy", first)),
        ("replace, both have it elsewhere", put("/bench/copy", first)),
        ("replace, all new", put("/bench/big", second)),
        ("replace, half new", put("/bench/big", mixed)),
        ("partial, new", partial("/bench/part", third)),
        ("put what was the partial", put("/bench/part", third)),
        ("replace in it one chunk", put("/bench/part", chunks(1) + third[1:])),
        ("rename over it", commands.Command(rename=commands.Rename(source="/bench/big", target="/bench/part"))),
        ("rename back", commands.Command(rename=commands.Rename(source="/bench/part", target="/bench/big"))),
        ("remove", commands.Command(remove_file=remove)),
        ("partial again", partial("/bench/part", third)),
        ("drop the partial", commands.Command(drop_partial=commands.DropPartial(path="/bench/part", owner=OWNER))),
        ("remove the copy", commands.Command(remove_file=commands.RemoveFile(path="/bench/copy"))),
    ]  # fmt: skip


def small(feeder: Feeder, count: int) -> tuple[float, float]:
    """Return seconds of processor time in which a small file is put, and removed."""
    found = []
    for make in (
        lambda number: put(f"/bench/{number}", chunks(1)),
        lambda number: commands.Command(remove_file=commands.RemoveFile(path=f"/bench/{number}")),
    ):
        entries = [feeder.batch(make(number)) for number in range(count)]
        gc.collect()
        begun = time.thread_time()
        for index, batch in entries:
            feeder.catalog.apply(index, batch)
        found.append((time.thread_time() - begun) / count)
        feeder.catalog.settle()
        feeder.catalog.make_durable()
    return found[0], found[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--chunks", type=int, default=MAX_CHUNKS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--whole", action="store_true", help="in one command, as at level 1")
    parser.add_argument(
        "--data", type=Path, help="a directory for a catalog that is built once, and used again"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        data = options.data or Path(scratch)
        if not (data / "catalog").exists():
            build(data, options.files)
        catalog = Catalog(data / "catalog" / "catalog.db", check_seconds=0, later=lambda settle: None)
        try:
            feeder = Feeder(catalog)
            while catalog.level < NEWEST:
                raised = commands.Command(set_level=commands.SetLevel(level=catalog.level + 1))
                print(f"to level {catalog.level + 1}: {feeder.seconds(raised)[0] * 1000:.0f} ms")
            report(feeder, options.chunks, options.rounds, whole=options.whole)
            report_swap(catalog, data, options.rounds)
        finally:
            catalog.close()


def report(feeder: Feeder, count: int, rounds: int, *, whole: bool) -> None:
    """Print what commands take."""
    times: dict[str, list[Turns]] = {}
    for _ in range(rounds):
        commands_of_round = largest(count)
        gc.collect()
        gc.freeze()  # as at a node; this process has a log in memory, too
        for name, command in commands_of_round:
            times.setdefault(name, []).append(feeder.turns(command, whole=whole))
    print(
        f"{count} chunks: {'entries':>19} {'apply':>14} {'commit':>20} {'read':>20}   ms: least, median, p100"
    )
    for name, turns in times.items():
        columns = [
            f"{min(one) * 1000:5.1f} {statistics.median(one) * 1000:5.1f} {max(one) * 1000:6.1f}"
            for one in zip(*(each[:3] for each in turns), strict=True)
        ]
        over = max(min(one) for one in zip(*(each[:3] for each in turns), strict=True)) > GOAL
        print(f"  {name:32} {turns[0].entries:3}  {'  '.join(columns)}{'  over the goal' if over else ''}")
    runs = [small(feeder, SMALL) for _ in range(rounds)]
    for name, found in zip(("put", "remove"), zip(*runs, strict=True), strict=True):
        print(
            f"  1 chunk, {name:6} {min(found) * 1e6:6.1f} {statistics.median(found) * 1e6:6.1f}   µs of processor time"
        )


def report_swap(catalog: Catalog, scratch: Path, rounds: int) -> None:
    """Print for how long the loop is held when a snapshot, prepared in a thread, is installed."""
    snapshot = scratch / "turns.snapshot"
    catalog.write_snapshot(snapshot)
    found = []
    for _ in range(rounds):
        catalog.prepare_snapshot(snapshot)
        begun = time.perf_counter(), time.thread_time()
        catalog.install_snapshot(snapshot)
        found.append((time.perf_counter() - begun[0], time.thread_time() - begun[1]))
    seconds, processor = (min(one) * 1000 for one in zip(*found, strict=True))
    megabytes = snapshot.stat().st_size / 1e6
    snapshot.unlink()
    print(
        f"  a snapshot of {megabytes:.0f} MB installed: {seconds:.1f} ms, {processor:.1f} of them processor time"
    )


if __name__ == "__main__":
    main()
