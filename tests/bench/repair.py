"""Uploads while the pictures of a node that is away are copied to the others, beside uploads without that: in pairs of
windows that follow each other, since the machine's speed changes from minute to minute.

PYTHONPATH=tests/support python tests/bench/repair.py [--pictures 2000] [--pairs 6]
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import threading
import time
from pathlib import Path

from harness import Cluster
from pictures import picture
from waiting import eventually

SIZE = 20_000
SESSIONS = 6
NAMES = 500
WINDOW = 6.0
"""Seconds of uploads that are counted at a time."""

MARGIN = 2.0
REPAIR_AFTER = 1 + WINDOW + MARGIN / 2


class Load(threading.Thread):
    """One session that uploads until it is stopped; `stamps` are the times of its acknowledgements."""

    def __init__(self, cluster: Cluster, node: str, number: int) -> None:
        super().__init__(daemon=True)
        self.cluster, self.node, self.number = cluster, node, number
        self.stamps: list[float] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        """Upload."""
        with self.cluster.login(self.node) as ftp:
            while not self.stopping.is_set():
                count = len(self.stamps)
                content = picture(f"{self.number}/{count}", SIZE)
                ftp.storbinary(f"STOR {self.number}-{count % NAMES}.jpg", io.BytesIO(content))
                self.stamps.append(time.monotonic())


def fill(cluster: Cluster, count: int) -> None:
    """Put pictures through all nodes at once."""

    def put(node: str, numbers: range) -> None:
        with cluster.login(node) as ftp:
            for number in numbers:
                ftp.storbinary(f"STOR p{number}.jpg", io.BytesIO(picture(number, SIZE)))

    step = len(cluster.names)
    threads = [
        threading.Thread(target=put, args=(node, range(first, count, step)))
        for first, node in enumerate(cluster.names)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cluster.wait_verdict("healthy")


class Windows:
    """A node is away: at first nothing is made up for, then it is. Uploads of both times, in the same minute."""

    def __init__(self, cluster: Cluster, lost: str, loads: list[Load]) -> None:
        self.cluster, self.lost, self.loads = cluster, lost, loads
        self.pairs: list[tuple[float, float]] = []
        self.copied = 0

    def rate(self, begin: float) -> float:
        """Uploads a second from a time on."""
        end = begin + WINDOW
        time.sleep(max(0.0, end - time.monotonic()))
        return sum(begin <= stamp < end for load in self.loads for stamp in load.stamps) / WINDOW

    def missing(self) -> int:
        """Pictures with too few copies."""
        return int(self.cluster.status("n1")["short_count"])

    def pair(self) -> bool:
        """Measure one pair; False when all is made up for."""
        self.cluster.kill(self.lost)
        gone = time.monotonic()
        without = self.rate(gone + 1)
        time.sleep(max(0.0, gone + 1 + WINDOW + MARGIN - time.monotonic()))
        before = self.missing()
        begun = time.monotonic()
        beside = self.rate(begun)
        left = self.missing()
        if left and left < before and without:
            self.pairs.append((without, beside))
            self.copied += before - left
        self.cluster.start_node(self.lost)
        eventually(self._back)
        return left > 0

    def _back(self) -> bool:
        nodes = {node.name: node for node in self.cluster.status("n1")["nodes"]}
        return bool(nodes[self.lost].reachable)


def measure(cluster: Cluster, pictures: int, pairs: int) -> str:
    """Lose a node again and again; return what was measured, in lines."""
    fill(cluster, pictures)
    lost = cluster.follower(besides="n1")
    others = [name for name in cluster.names if name != lost]
    loads = [Load(cluster, others[number % len(others)], number) for number in range(SESSIONS)]
    for load in loads:
        load.start()
    windows = Windows(cluster, lost, loads)
    time.sleep(3)
    for _ in range(pairs):
        if not windows.pair():
            break
    for load in loads:
        load.stopping.set()
    for load in loads:
        load.join(30)
    lines = [
        f"without {one:5.0f} uploads/s, beside repair {other:5.0f}: {other / one:.2f}"
        for one, other in windows.pairs
    ]
    ratios = sorted(other / one for one, other in windows.pairs)
    if not ratios:
        return "\n".join([*lines, "nothing was measured: more --pictures are needed"])
    seconds = WINDOW * len(ratios)
    lines.append(
        f"median of {len(ratios)} pairs {statistics.median(ratios):.2f} (goal: 0.7), lowest {ratios[0]:.2f}; "
        f"pictures made up for: {windows.copied / seconds:.0f}/s"
    )
    return "\n".join(lines)


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--pairs", type=int, default=6)
    options = parser.parse_args()
    environment = {"PIXRAFT_JOBS_REPAIR_AFTER": f"{REPAIR_AFTER:.0f}"}
    with (
        tempfile.TemporaryDirectory() as scratch,
        Cluster(Path(scratch) / "cluster", nodes=4, environment=environment) as cluster,
    ):
        print(measure(cluster, options.pictures, options.pairs))


if __name__ == "__main__":
    main()
