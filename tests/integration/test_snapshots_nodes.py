"""Compaction and snapshots with real processes: a node that was away for long, broken lines, kills at any point."""

from __future__ import annotations

import ftplib
import random
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Cluster
from waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ENTRIES, BYTES = 60, 128 * 1024
SMALL = {
    "PIXRAFT_CONSENSUS_LOG_ENTRIES": str(ENTRIES),
    "PIXRAFT_CONSENSUS_LOG_BYTES": str(BYTES),
    "PIXRAFT_CONSENSUS_SNAPSHOT_PIECE": "4096",
}
INSTALLED = "snapshot installed"


def make_directories(cluster: Cluster, node: str, names: list[str], sessions: int = 4) -> None:
    """Make the directories, through several sessions at once."""
    failures: list[BaseException] = []

    def work(part: list[str]) -> None:
        try:
            with cluster.login(node) as ftp:
                for name in part:
                    ftp.mkd(name)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(names[n::sessions],)) for n in range(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def make_once(cluster: Cluster, node: str, name: str) -> bool:
    """Make a directory unless an attempt that was refused has made it all the same."""
    with cluster.login(node) as ftp:
        try:
            ftp.mkd(name)
        except ftplib.error_perm:
            return name in ftp.nlst()
    return True


def compactions(cluster: Cluster, names: list[str]) -> dict[str, int]:
    return {name: cluster.log(name).count("log compacted") for name in names}


def wait_compacted(cluster: Cluster, before: dict[str, int]) -> None:
    """Wait until these nodes have cut their logs since: who was away meanwhile then needs a snapshot."""
    eventually(lambda: all(count > before[name] for name, count in compactions(cluster, list(before)).items()))


def names_at(cluster: Cluster, node: str) -> list[str]:
    with cluster.login(node) as ftp:
        return sorted(ftp.nlst())


def file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def watch_for(condition: Callable[[], bool], timeout: float = 60.0) -> bool:
    """Poll as fast as can be: what is waited for may last for milliseconds only."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.0005)
    return False


def journal_bytes(cluster: Cluster, node: str) -> int:
    return sum(max(0, file_size(path)) for path in (cluster.data(node) / "journal").iterdir())


def test_a_node_that_was_away_past_the_compaction_point_gets_a_snapshot(tmp_path):
    with Cluster(tmp_path / "cluster", environment=SMALL) as cluster:
        away = cluster.follower()
        node = next(name for name in cluster.names if name != away)
        make_directories(cluster, node, ["before"])
        cluster.kill(away)
        names = [f"directory {number:05} {'x' * 100}" for number in range(3000)]
        before = compactions(cluster, [name for name in cluster.names if name != away])
        make_directories(cluster, node, names)
        wait_compacted(cluster, before)
        for name in cluster.names:
            if name != away:
                held = [int(found) for found in re.findall(r"log compacted.*?entries=(\d+)", cluster.log(name))]
                assert max(held) < 3000 / 4, "what one second brings goes over the bound"
        # Whole files are removed only, and the mark and hard state are there too.
        eventually(lambda: all(journal_bytes(cluster, n) < 4 * BYTES for n in cluster.names if n != away))
        cluster.start_node(away)
        cluster.wait_ready(away)
        assert INSTALLED in cluster.log(away)
        expected = sorted(["before", *names])
        assert names_at(cluster, away) == expected == names_at(cluster, node)
        # It is a full member: with it, and without another one, everything goes on.
        cluster.kill(node)
        eventually(lambda: make_once(cluster, away, "after"))
        assert names_at(cluster, away) == sorted([*expected, "after"])
        cluster.start_node(node)
        cluster.wait_ready(node)


def test_a_broken_line_does_not_make_a_snapshot_begin_again(tmp_path):
    with Cluster(tmp_path / "cluster", environment=SMALL, proxied=True) as cluster:
        away = cluster.follower()
        node = next(name for name in cluster.names if name != away)
        cluster.kill(away)
        names = [f"directory {number:05} {'x' * 100}" for number in range(2500)]
        make_directories(cluster, node, names)
        # In the midst of the snapshot: nothing else of that size is fetched by a node.
        cluster.cut_after(away, 250_000)
        cluster.start_node(away)
        incoming = cluster.data(away) / "snapshots" / "incoming.snapshot"
        eventually(lambda: "snapshot not fetched" in cluster.log(away))
        assert file_size(incoming) >= 100_000
        cluster.heal()
        cluster.wait_ready(away)
        log = cluster.log(away)
        assert INSTALLED in log
        offsets = [int(found) for found in re.findall(r"fetching snapshot.*?offset=(\d+)", log)]
        assert offsets[0] == 0
        assert offsets[-1] >= 100_000, offsets
        assert names_at(cluster, away) == sorted(names)


POINTS = ("taking", "sending", "preparing", "installing")


def test_kills_at_any_point_of_a_snapshot(tmp_path):
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with Cluster(tmp_path / "cluster", environment=SMALL) as cluster:
        names: list[str] = []
        rounds = [(point, victim) for point in POINTS for victim in ("sender", "receiver")]
        chance.shuffle(rounds)
        hit = 0
        for turn, (point, victim) in enumerate(rounds):
            leader, away = cluster.leader(), cluster.follower()
            other = next(name for name in cluster.names if name not in (leader, away))
            cluster.kill(away)
            before = compactions(cluster, [leader, other])
            more = [f"{turn} {number:05} {'x' * 100}" for number in range(1200 if not turn else 300)]
            make_directories(cluster, other, more)
            wait_compacted(cluster, before)
            names += more
            hit += _kill_at(cluster, point, leader, away, leader if victim == "sender" else away, chance)
            for name in cluster.names:
                cluster.start_node(name)
            for name in cluster.names:
                cluster.wait_ready(name)
                assert names_at(cluster, name) == sorted(names), (seed, turn, point, victim, name)
        # A point may last for less than a look at it takes: most are met, which ones depends on the machine.
        assert hit, "all kills missed their point"
        assert any(INSTALLED in cluster.log(name) for name in cluster.names)
        leftovers = [
            cluster.data(name) / leftover
            for name in cluster.names
            for leftover in ("snapshots/incoming.snapshot", "catalog/catalog.db.incoming")
        ]
        eventually(lambda: not any(leftover.exists() for leftover in leftovers))


def _kill_at(cluster: Cluster, point: str, leader: str, away: str, victim: str, chance: random.Random) -> bool:
    """Start `away` and kill `victim` at that point of what follows; say whether the point was seen."""
    outgoing = cluster.data(leader) / "snapshots" / "outgoing.snapshot"
    incoming = cluster.data(away) / "snapshots" / "incoming.snapshot"
    prepared = cluster.data(away) / "catalog" / "catalog.db.incoming"
    installed = cluster.log(away).count(INSTALLED)
    sent = chance.randrange(1, 200_000)
    old = file_size(outgoing)
    conditions: dict[str, Callable[[], bool]] = {
        "taking": lambda: 0 <= file_size(outgoing) != old,
        "sending": lambda: file_size(incoming) >= sent,
        "preparing": lambda: file_size(prepared) >= 0,
        "installing": lambda: cluster.log(away).count(INSTALLED) > installed,
    }
    cluster.start_node(away)
    # Where the log is enough after all, or the snapshot is installed at once, the point is not met.
    watch_for(lambda: conditions[point]() or conditions["installing"]())
    seen = conditions[point]()
    if point != "installing":
        time.sleep(chance.random() * 0.01)
    cluster.kill(victim)
    return seen
