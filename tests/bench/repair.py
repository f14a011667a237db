"""Uploads while the pictures of a node that is lost for good are copied to the others: rates before, while, after.

PYTHONPATH=tests/support python tests/bench/repair.py [--pictures 2000]
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import threading
import time
from pathlib import Path

from harness import Cluster, eventually
from pictures import picture

SIZE = 20_000
SESSIONS = 6
NAMES = 500


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


def measure(cluster: Cluster, pictures: int) -> str:
    """Lose a node; return what was measured, in a line."""
    fill(cluster, pictures)
    lost = cluster.follower(besides="n1")
    others = [name for name in cluster.names if name != lost]
    cluster.kill(lost)
    shutil.rmtree(cluster.data(lost))
    loads = [Load(cluster, others[number % len(others)], number) for number in range(SESSIONS)]
    for load in loads:
        load.start()

    def rate(begin: float, end: float) -> float:
        return sum(begin <= stamp < end for load in loads for stamp in load.stamps) / (end - begin)

    def short() -> int:
        return int(cluster.status("n1")["short_count"])

    most = eventually(short)
    time.sleep(3)
    begin = time.monotonic()
    while (now := short()) > most - 30:
        most = max(most, now)
        time.sleep(0.5)
    repairing = time.monotonic()
    while short() > pictures // 40:
        time.sleep(0.5)
    done = time.monotonic()
    time.sleep(9)
    for load in loads:
        load.stopping.set()
    for load in loads:
        load.join(30)
    before, meanwhile, after = rate(begin, repairing - 1), rate(repairing, done), rate(done + 3, done + 9)
    return (
        f"{most} pictures short, whole again after {done - repairing:.0f} s; uploads/s before {before:.0f}, "
        f"meanwhile {meanwhile:.0f}, after {after:.0f}; meanwhile/before {meanwhile / before:.2f} (goal: 0.7)"
    )


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=2000)
    options = parser.parse_args()
    environment = {"PIXRAFT_JOBS_REPAIR_AFTER": "14"}
    with (
        tempfile.TemporaryDirectory() as scratch,
        Cluster(Path(scratch) / "cluster", nodes=4, environment=environment) as cluster,
    ):
        print(measure(cluster, options.pictures))


if __name__ == "__main__":
    main()
