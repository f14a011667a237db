"""A node's data with a large catalog, made in seconds: for benchmarks, and for tests of large directories."""

from __future__ import annotations

from pathlib import Path

from raftstore.consensus.log.journal import Journal
from raftstore.consensus.pysyncobj.codec import CALL
from raftstore.metadata import Catalog
from raftstore.wire import commands_pb2 as commands

BATCH = 1024
NOW = 1_700_000_000_000_000_000
TERM = 1


def build(data: Path, files: int, directory: int = 10_000, *, empty: bool = False) -> None:
    """Make the data of a node whose catalog holds `files` files of one chunk each, `directory` in a directory
    (see `path_of`), and an empty directory /bench; its log is compacted. `empty`: files without a chunk, so that none
    is missing.
    """
    catalog = Catalog(data / "catalog" / "catalog.db", later=lambda settle: None)
    sequence = index = 0

    def apply(*wanted: commands.Command) -> None:
        nonlocal sequence, index
        batch = commands.Batch()
        for command in wanted:
            sequence += 1
            identity = commands.OperationId(
                node="builder", boot=1, sequence=sequence, acknowledged=sequence - 1
            )
            batch.operations.add(id=identity, time_ns=NOW, command=command.SerializeToString())
        index += 1
        catalog.apply(index, batch.SerializeToString())
        if index % 16 == 0:
            catalog.settle()

    try:
        apply(commands.Command())  # nothing: the entry that every log is born with
        # Stores of nobody: the nodes of the benchmark are not to look for a million pictures that never were.
        for number in (1, 2, 3):
            store = commands.RegisterStore(node=f"builder{number}", identity=bytes([number]) * 16)
            apply(commands.Command(register_store=store))
        apply(commands.Command(make_directory=commands.MakeDirectory(path="/bench", owner="bench")))
        for first in range(0, files, BATCH):
            wanted = []
            for number in range(first, min(files, first + BATCH)):
                path = path_of(number, directory)
                if number % directory == 0:
                    make = commands.MakeDirectory(path=path.rpartition("/")[0], owner="builder")
                    wanted.append(commands.Command(make_directory=make))
                wanted.append(commands.Command(put_file=_file(number, path, empty=empty)))
            apply(*wanted)
        catalog.settle()
        assert catalog.totals()[0] == files
    finally:
        catalog.close()
    journal = Journal(data / "journal")
    journal.setCurrentTerm(TERM, None)
    journal.clear()
    nothing = CALL + commands.Batch().SerializeToString()
    journal.add(nothing, index - 1, TERM)
    journal.add(nothing, index, TERM)
    journal.close()


def path_of(number: int, directory: int) -> str:
    """Where the file of that number is."""
    return f"/{number // directory:04}/picture {number:07}.jpg"


def _file(number: int, path: str, *, empty: bool) -> commands.PutFile:
    if empty:
        return commands.PutFile(path=path, owner="builder")
    digest = (number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "big") * 4
    return commands.PutFile(
        path=path,
        owner="builder",
        size=100_000,
        chunks=[commands.Chunk(digest=digest, length=100_000, stores=(1, 2, 3))],
    )
