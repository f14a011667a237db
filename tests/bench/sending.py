"""`make bench-sending`: what a picture costs that is put to a person, and to a group, beside a STOR to a directory.

    python tests/bench/sending.py [--rounds 5] [--sessions 8] [--members 100]

One cluster of three nodes. In each round the same pictures of 20 KB are put to a directory, to a person and to a group,
one load after the other, in an order that turns from round to round. Printed are rate, p50 and CPU milliseconds a
picture over all nodes; then the ratios to the directory's, each the median over the rounds of the ratios within a
round, since the machine's speed moves from minute to minute. Last, how much the catalog grows with each picture.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from argon2 import PasswordHasher
from expiring import Log
from load import Server, Task, run
from nodes import BenchCluster
from versions import lead

from ftpgateway.demo.cluster import LocalCluster
from raftstore.cluster.calls import accounts as accounts_calls
from raftstore.cluster.calls import people as people_calls
from raftstore.metadata.levels import NEWEST
from raftstore.rights import ROLES, Actor
from raftstore.wire import admin_pb2
from raftstore.wire import commands_pb2 as commands

SIZE = 20 * 1024
SENDER, RECIPIENT, GROUP = "anna", "p0", "team"
DIRECTORY = "to a directory"
LEADER = "n2"
GROWN = 4_000
"""Pictures that are put for the growth of a catalog."""

GOALS = {"to a person": 1.15, "to a group": 3.0}
GROWTH_GOAL = 450


@dataclass(frozen=True)
class Load:
    """Where pictures are put, and how many each session puts."""

    name: str
    directory: str
    count: int


@dataclass(frozen=True)
class Cost:
    """Of one picture: CPU milliseconds over all nodes, p50 in milliseconds; and pictures a second."""

    cpu: float
    p50: float
    rate: float


def loads(count: int) -> list[Load]:
    """Return what is compared."""
    return [
        Load(DIRECTORY, "", count),
        Load("to a person", f"/send/{RECIPIENT}/", count),
        Load("to a group", f"/send/{GROUP}/", max(4, count // 4)),
    ]


def peopled(cluster: LocalCluster, members: int) -> None:
    """Make the persons, and a group of all."""

    async def asked() -> None:
        client = cluster.client()
        quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        names = [f"p{number}" for number in range(members)]
        for name in (SENDER, *names):
            put = admin_pb2.UserPut(name=name, password_hash=quick.hash(name), person=True)
            await client.ask(accounts_calls.put_user, put, repeat=True)
        group = admin_pb2.GroupPut(name=GROUP, create=True, add=[SENDER, *names])
        await client.ask(people_calls.put_group, group)

    asyncio.run(asked())


def measured(cluster: BenchCluster, load: Load, sessions: int, mark: str) -> Cost:
    """Put the pictures of one load, under names that begin with `mark`."""
    server = Server(cluster.servers[0].host, cluster.servers[0].port, SENDER, SENDER)
    tasks = [
        Task(server, "STOR", f"{load.directory}{mark}-{number}", SIZE, load.count) for number in range(sessions)
    ]
    before = sum(cluster.cpu_seconds())
    outcome = run(tasks)
    used = sum(cluster.cpu_seconds()) - before
    return Cost(1e3 * used / outcome.operations, 1e3 * outcome.quantile(0.5), outcome.rate)


def compare(directory: Path, members: int, sessions: int, count: int, rounds: int) -> None:
    """Print each round, and the medians of the ratios."""
    asked = loads(count)
    costs: dict[str, list[Cost]] = {load.name: [] for load in asked}
    with BenchCluster(directory, encryption="full") as cluster:
        peopled(cluster.local, members)
        lead(directory, LEADER)
        for load in asked:
            measured(cluster, replace(load, count=4), sessions, "warm")
        for number in range(rounds):
            turned = asked[number % len(asked) :] + asked[: number % len(asked)]
            for load in turned:
                cost = measured(cluster, load, sessions, f"r{number}")
                costs[load.name].append(cost)
                print(
                    f"  {load.name:15} {cost.rate:7.1f}/s, p50 {cost.p50:6.2f} ms, CPU {cost.cpu:6.3f} ms",
                    flush=True,
                )
    for name, goal in GOALS.items():
        for part in ("cpu", "p50"):
            ratios = [
                getattr(cost, part) / getattr(plain, part)
                for cost, plain in zip(costs[name], costs[DIRECTORY], strict=True)
            ]
            middle = statistics.median(ratios)
            verdict = "reached" if middle <= goal else "missed"
            span = f"{min(ratios):.2f} to {max(ratios):.2f}"
            print(f"{name}, {part}: {middle:.2f} of a STOR to a directory ({span}); goal {goal}: {verdict}")


def growth(directory: Path) -> None:
    """Print by how much a catalog grows with a picture, each of one chunk."""
    log = Log(directory / "catalog.db")
    log.apply(commands.Command(set_level=commands.SetLevel(level=NEWEST, fresh=True)))
    store = commands.RegisterStore(node="bench", identity=b"1".ljust(16, b"\0"))
    log.apply(commands.Command(register_store=store))
    for name in (SENDER, RECIPIENT):
        user = commands.User(
            name=name, password_hash="x", home=f"/people/{name}", rights=ROLES["member"], person=True
        )
        log.apply(commands.Command(put_user=commands.PutUser(user=user)))
    account = log.catalog.user(SENDER)
    assert account is not None
    actor = Actor.session(account).message()
    grown = {}
    for name, way in (
        (DIRECTORY, f"/people/{SENDER}/cam"),
        ("to a person", f"/people/@sent/{SENDER}/{RECIPIENT}"),
    ):
        made = commands.Command(make_directory=commands.MakeDirectory(path=way), actor=actor)
        log.apply(made)
        before = pages(log)
        for number in range(GROWN):
            chunk = commands.Chunk(digest=f"{way} {number}".encode()[-32:].rjust(32), length=SIZE, stores=[1])
            put = commands.PutFile(path=f"{way}/IMG_{number:06}.jpg", size=SIZE, chunks=[chunk], mtime_ns=1)
            log.now_ns += 10**9
            log.apply(commands.Command(put_file=put, actor=actor))
        grown[name] = (pages(log) - before) / GROWN
    log.catalog.close()
    own = grown["to a person"] - grown[DIRECTORY]
    verdict = "reached" if own <= GROWTH_GOAL else "missed"
    print(
        f"the catalog grows by {grown[DIRECTORY]:.0f} bytes with a STOR to a directory, by"
        f" {grown['to a person']:.0f} with one to a person: {own:.0f} for the delivery; goal {GROWTH_GOAL}: {verdict}"
    )


def pages(log: Log) -> int:
    """Return the bytes that a catalog has in use."""
    log.catalog.settle()
    database = log.catalog._database
    count, free, size = (
        database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((count - free) * size)


def main() -> int:
    """Compare, and print how the catalog grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rounds", type=int, default=5, help="how often each is measured (default: %(default)s)"
    )
    parser.add_argument("--sessions", type=int, default=8, help="of the sender, at once (default: %(default)s)")
    parser.add_argument(
        "--count", type=int, default=200, help="pictures a session and load (default: %(default)s)"
    )
    parser.add_argument(
        "--members", type=int, default=100, help="of the group, beside the sender (default: %(default)s)"
    )
    parser.add_argument("--growth", action="store_true", help="measure only how the catalog grows")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pixraft-sending-") as name:
        if not arguments.growth:
            compare(
                Path(name) / "cluster",
                arguments.members,
                arguments.sessions,
                arguments.count,
                arguments.rounds,
            )
        growth(Path(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
