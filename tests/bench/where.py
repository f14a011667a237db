"""Where the CPU time of a picture goes: py-spy on every node during one load, summed up by part of the program.

What the kernel used (disk, network, switches of threads) is known from its own counters; the rest is divided as the
samples of whoever holds Python's lock are.

    python tests/bench/where.py --only "STOR 20 KB" [--flame DIR]

py-spy must be on the PATH (`pip install py-spy`); a sampled node is a little slower than one that is left alone,
so rates are taken from `run.py`, never from here.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from load import run
from nodes import BenchCluster
from run import Scenario, scenarios

RATE = 250
"""Samples a second."""

PARTS = (
    ("structlog", "logging"),
    ("logging/", "logging"),
    ("ftpgateway/cli/logs", "logging"),
    ("ftpgateway/serving/clientlines", "logging"),
    ("ftpgateway/cli/", "event loop"),
    ("ftpgateway/ftp/data/", "data connection"),
    ("ftpgateway/", "ftp control"),
    ("pyftpdlib/", "ftp control"),
    ("raftstore/consensus/log/kernelsync", "disk"),
    ("raftstore/consensus/log/", "journal"),
    ("raftstore/consensus/", "consensus"),
    ("pysyncobj/", "consensus"),
    ("raftstore/metadata/", "catalog"),
    ("raftstore/util/disk", "disk"),
    ("raftstore/util/sending", "peers"),
    ("raftstore/chunks/hashing", "hashing"),
    ("raftstore/peers/seal", "hashing"),
    ("raftstore/chunks/volumes/", "disk"),
    ("raftstore/chunks/format/", "disk"),
    ("raftstore/chunks/", "replication"),
    ("raftstore/peers/", "peers"),
    ("raftstore/cluster/", "cluster"),
    ("raftstore/", "store"),
)
"""The innermost frame that one of these is in says whose the sample is."""


def part_of(stack: list[str]) -> str:
    """Return the part of the program that a stack of `function (file:line)` belongs to."""
    for frame in reversed(stack):
        for prefix, part in PARTS:
            if prefix in frame:
                return part
    return "event loop"


def profiled(scenario: Scenario, encryption: str, flame: Path | None, place: Path) -> None:
    """Run one scenario under py-spy and print the accounting."""
    program = shutil.which("py-spy")
    if program is None:
        raise SystemExit("py-spy is not on the PATH")
    with BenchCluster(place / "cluster", encryption=encryption) as cluster:
        if scenario.operation == "RETR":
            stored = Scenario(
                "", "STOR", scenario.size, scenario.sessions, scenario.count, spread=scenario.spread
            )
            run(stored.tasks(cluster.servers, "p"))
        recorders = []
        for number, pid in enumerate(cluster.pids(), 1):
            target = place / f"n{number}.raw"
            command = [program, "record", "--pid", str(pid), "--rate", str(RATE), "--format", "raw"]
            recorders.append(
                subprocess.Popen(
                    [*command, "--output", str(target), "--gil"],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        before = cluster.cpu_times()
        outcome = run(scenario.tasks(cluster.servers, "p"))
        used = [
            (end[0] - begin[0], end[1] - begin[1])
            for begin, end in zip(before, cluster.cpu_times(), strict=True)
        ]
        for recorder in recorders:
            recorder.send_signal(signal.SIGINT)
        for recorder in recorders:
            recorder.wait(60)
    print(f"{scenario.name}, {encryption}: {outcome.operations} operations, {outcome.rate:.0f}/s while sampled")
    print("CPU ms an operation, by node and part:")
    for number, (user, system) in enumerate(used, 1):
        each = 1e3 / outcome.operations
        account(place / f"n{number}.raw", f"n{number}", user * each, system * each)
        if flame is not None:
            shutil.copy(place / f"n{number}.raw", flame / f"n{number}.raw")


def account(raw: Path, name: str, milliseconds: float, kernel: float) -> None:
    """Print how `milliseconds` an operation divide over the parts, and the costliest functions.

    `kernel`: milliseconds beside them.
    """
    parts: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for line in raw.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        parts[part_of(frames)] += int(count)
        own = next((f for f in reversed(frames) if "raftstore/" in f or "ftpgateway/" in f), frames[-1])
        functions[own.rpartition(":")[0]] += int(count)
    total = sum(parts.values()) or 1
    shares = ", ".join(f"{part} {milliseconds * n / total:.2f}" for part, n in parts.most_common())
    print(f"  {name}: {milliseconds + kernel:.2f} = kernel {kernel:.2f}, {shares}")
    for function, count in functions.most_common(14):
        print(f"      {milliseconds * count / total:6.3f}  {function})")


def main() -> int:
    """Profile the scenarios that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", required=True, help="the scenario whose name contains this")
    parser.add_argument("--encryption", choices=["full", "bulk-auth"], default="full")
    parser.add_argument("--flame", type=Path, help="keep the collapsed stacks here, for a flame graph")
    parser.add_argument("--directory", help="where the nodes keep their data (default: the system's)")
    arguments = parser.parse_args()
    if arguments.flame is not None:
        arguments.flame.mkdir(parents=True, exist_ok=True)
    for scenario in scenarios(quick=False):
        if arguments.only in scenario.name:
            with tempfile.TemporaryDirectory(prefix="pixraft-profile-", dir=arguments.directory) as name:
                profiled(scenario, arguments.encryption, arguments.flame, Path(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
