"""One node of `make bench-consensus`: Consensus, Journal and PeerNetwork as in production, without a front-end.

Run as a program it takes a file of JSON with its place, then commands of a line each on its standard input; the
answer to each is a line of JSON.
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from raftstore.consensus.engine import Consensus
from raftstore.consensus.log.journal import Journal
from raftstore.consensus.statemachine import StateMachine
from raftstore.metadata import Catalog
from raftstore.peers import Identity, PeerNetwork
from raftstore.wire import commands_pb2 as commands

VALUE = 256
TIMEOUT = 30.0


class Counting:
    """The least that a state machine can be: it counts. Good for one run without faults."""

    def __init__(self) -> None:
        self.applied_index = 0
        self.configuration = (0, b"")
        self.count = 0
        self.opening: bytes | None = None

    def refusal(self, command: bytes) -> str | None:
        """Take everything."""
        return None

    batch_refusal = refusal

    def weight(self, command: bytes) -> int:
        """All do as much."""
        return 0

    def apply(self, index: int, batch: bytes) -> list[bytes]:
        """Count the operations; each result is its number."""
        self.applied_index = index
        results = []
        for _ in commands.Batch.FromString(batch).operations:
            self.count += 1
            results.append(b"%d" % self.count)
        return results

    def configure(self, index: int, configuration: bytes) -> None:
        """Remember who the members are."""
        self.applied_index = index
        self.configuration = (index, configuration)

    behind = False

    def catch_up(self) -> None:
        """Nothing is ever undone."""

    def make_durable(self) -> int:
        """Nothing is kept; the log holds it."""
        return self.applied_index

    def write_snapshot(self, target: Path) -> int:
        """Never asked for within a run."""
        raise NotImplementedError

    def prepare_snapshot(self, source: Path) -> int:
        """Never asked for within a run."""
        raise NotImplementedError

    def discard_prepared(self) -> None:
        """Never asked for within a run."""
        raise NotImplementedError

    def install_snapshot(self, source: Path) -> int:
        """Never asked for within a run."""
        raise NotImplementedError


def counted(number: int, client: str) -> bytes:
    """A value as etcd gets it."""
    return b"v" * VALUE


def catalogued(number: int, client: str) -> bytes:
    """A small picture's entry, 256 bytes long: what an upload proposes at its end."""
    chunk = commands.Chunk(digest=random.randbytes(32), length=20_000, stores=[1, 2, 3])
    put = commands.PutFile(path=f"/{client}-{number:08}", owner="camera", size=20_000, chunks=[chunk])
    actor = commands.Actor(system="benchmark")
    put.path += "x" * (VALUE - len(commands.Command(put_file=put, actor=actor).SerializeToString()))
    return commands.Command(put_file=put, actor=actor).SerializeToString()


MACHINES: dict[str, Callable[[int, str], bytes]] = {"counting": counted, "catalog": catalogued}


class Load:
    """Clients of one node: each proposes the next command when the last one is answered."""

    def __init__(self, name: str, consensus: Consensus, make: Callable[[int, str], bytes]) -> None:
        self._name = name
        self._consensus = consensus
        self._make = make
        self._runs = 0

    async def run(self, clients: int, warm_up: float, seconds: float) -> tuple[list[float], int]:
        """Return the latencies of what was answered within `seconds` after `warm_up`, and how many in all."""
        self._runs += 1
        total = 0
        begin = time.perf_counter() + warm_up
        end = begin + seconds
        taken: list[float] = []

        async def client(number: int) -> None:
            nonlocal total
            who, count = f"{self._name}-{self._runs}-{number}", 0
            while True:
                command = self._make(count, who)
                count += 1
                asked = time.perf_counter()
                result = await self._consensus.propose(command, timeout=TIMEOUT)
                answered = time.perf_counter()
                total += 1
                if not result:
                    raise RuntimeError("no result")
                if answered >= end:
                    return
                if answered >= begin:
                    taken.append(answered - asked)

        await asyncio.gather(*(client(number) for number in range(clients)))
        return taken, total


async def serve(place: dict[str, Any]) -> None:
    """Take part until the standard input ends."""
    name, directory = place["name"], Path(place["directory"])
    machine: StateMachine = Counting() if place["machine"] == "counting" else Catalog(directory / "catalog.db")
    members = {member: (host, port) for member, (host, port) in place["members"].items()}
    files = [directory / file for file in ("ca.pem", "node.pem", "node.key")]
    network = PeerNetwork(Identity.load(*files), members[name], members)
    journal = Journal(directory / "journal")
    consensus = Consensus(
        node=name,
        members=list(members),
        machine=machine,
        journal=journal,
        links=network,
        boot=1,
        snapshot_dir=directory / "snapshots",
        on_fatal=lambda error: os._exit(70),
    )
    await network.start()
    await consensus.start()
    try:
        await answer(consensus, Load(name, consensus, MACHINES[place["machine"]]))
    finally:
        await consensus.stop()
        await network.stop()
        journal.close()
        if isinstance(machine, Catalog):
            machine.close()


async def answer(consensus: Consensus, load: Load) -> None:
    """Do what the lines on the standard input say."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        word, *arguments = line.split()
        reply: Any = None
        if word == "leader":
            reply = consensus.leader
        elif word == "run":
            latencies, total = await load.run(int(arguments[0]), float(arguments[1]), float(arguments[2]))
            reply = {"latencies": latencies, "total": total}
        # In a thread: the pipe is small, and the other nodes still need this one.
        await loop.run_in_executor(None, lambda reply=reply: print(json.dumps(reply), flush=True))


def main() -> None:
    """Run on the loop that production uses; with a profile where PIXRAFT_PROFILE says."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    place = json.loads(Path(sys.argv[1]).read_text())
    try:
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    except ImportError:
        factory = asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        if target := os.environ.get("PIXRAFT_PROFILE"):
            profile = cProfile.Profile()
            profile.runcall(runner.run, serve(place))
            profile.dump_stats(f"{target}.{place['name']}")
        else:
            runner.run(serve(place))


if __name__ == "__main__":
    main()
