"""`make bench-consensus`: commits of pixraft's consensus beside etcd's, in the same run, and their ratio.

Both are three processes on this machine that sync every commit on a majority; values have 256 bytes. pixraft's
clients are in its nodes, as its front-ends are, and in its CPU; links are TLS. etcd's clients are h2load over loopback,
without TLS, with a connection each or a few shared ones. The fair comparison is the latter: a program with many
clients of etcd shares connections, as etcd's own library does, and etcd does more that way. Both are printed.
How fast the same clients read from one member (`reads`) shows that they do not limit etcd, and what the hop costs.
Everything is measured in turn, several rounds; figures are medians over the rounds, ratios medians of the rounds'.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from consensus_systems import Etcd, Pixraft, Rate, missing, shares, workspace

CLIENTS = (1, 16, 64)
HEAD = (
    "| clients | at | system | commits /s | p50 ms | p99 ms | CPU us | clients' CPU us | rate / etcd's | p50 / etcd's "
    "| rate / etcd's shared | p50 / etcd's shared |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Load:
    """So many clients, at the leader or over all three nodes."""

    clients: int
    spread: bool

    def __str__(self) -> str:
        return f"{self.clients} | {'all nodes' if self.spread else 'leader'}"


@dataclass(frozen=True)
class Figures:
    """Medians over the rounds of one system under one load."""

    rate: float
    p50: float
    p99: float
    cpu: float
    client_cpu: float

    @classmethod
    def of(cls, rounds: list[Rate]) -> Figures:
        """Take the medians."""
        return cls(
            statistics.median(one.rate for one in rounds),
            statistics.median(one.median for one in rounds),
            statistics.median(one.quantile(0.99) for one in rounds),
            statistics.median(one.cpu for one in rounds),
            statistics.median(one.client_cpu for one in rounds),
        )


Runner = Callable[[Load, float], Rate]

LONGEST = 30.0
"""Seconds in which anything at all must be committed."""
ETCD, SHARED = "etcd", "etcd, shared connections"


def runners(pixraft: list[Pixraft], etcd: Etcd | None) -> dict[str, Runner]:
    """What is measured, by name."""

    def ours(cluster: Pixraft) -> Runner:
        return lambda load, seconds: cluster.run(shares(load.clients, load.spread, cluster.leader()), seconds)

    found = {f"pixraft, {cluster.machine}": ours(cluster) for cluster in pixraft}
    if etcd is not None:

        def theirs(shared: bool, reads: bool = False) -> Runner:
            act = etcd.ceiling if reads else etcd.run
            return lambda load, seconds: act(
                shares(load.clients, load.spread, etcd.leader()), seconds, shared=shared
            )

        found |= {ETCD: theirs(False), SHARED: theirs(True)}
        found |= {"(reads of etcd's clients)": theirs(True, reads=True)}
    return found


def _measured(run: Runner, load: Load, seconds: float) -> Rate:
    """Return a rate with something in it: a machine so slow that nothing was committed is given more time."""
    while not (rate := run(load, seconds)).latencies:
        if seconds > LONGEST:
            raise RuntimeError(f"nothing was committed in {seconds:g} s")
        seconds *= 2
    return rate


def measure(systems: dict[str, Runner], load: Load, rounds: int, seconds: float) -> dict[str, list[Rate]]:
    """Measure all systems in turn."""
    taken: dict[str, list[Rate]] = {name: [] for name in systems}
    for _ in range(rounds):
        for name, run in systems.items():
            if load.clients > 1 or "shared" not in name:
                taken[name].append(_measured(run, load, seconds))
    return {name: some for name, some in taken.items() if some}


def ratios(ours: list[Rate], theirs: list[Rate] | None) -> tuple[float, float]:
    """How many times the rate, and the median latency, of what was measured in the same rounds."""
    if not theirs:
        return float("nan"), float("nan")
    pairs = list(zip(ours, theirs, strict=True))
    return (
        statistics.median(one.rate / other.rate for one, other in pairs),
        statistics.median(one.median / other.median for one, other in pairs),
    )


def rows(load: Load, found: dict[str, list[Rate]]) -> list[str]:
    """The table's lines."""
    lines = []
    for name, rounds in found.items():
        one = Figures.of(rounds)
        compared = [ratio for other in (ETCD, SHARED) for ratio in ratios(rounds, found.get(other))]
        lines.append(
            f"| {load} | {name} | {one.rate:,.0f} | {one.p50 * 1e3:.2f} | {one.p99 * 1e3:.2f} | {one.cpu * 1e6:.0f} "
            f"| {one.client_cpu * 1e6:.0f} | " + " | ".join(f"{ratio:.2f}" for ratio in compared) + " |"
        )
    return lines


def verdict(load: Load, found: dict[str, list[Rate]]) -> list[str]:
    """What has become of the goals; nothing for a load that has none."""
    ours = next((rounds for name, rounds in found.items() if name.startswith("pixraft")), None)
    if ours is None or load.spread or ETCD not in found:
        return []
    if load.clients == 1:
        return [f"alone: {ratios(ours, found[ETCD])[1]:.2f} times etcd's latency (goal: at most 1.2)"]
    if load.clients != max(CLIENTS):
        return []
    shared, own = ratios(ours, found.get(SHARED))[0], ratios(ours, found[ETCD])[0]
    return [
        f"{load.clients} clients: {shared:.2f} times etcd's rate, {own:.2f} with a connection each (goal: 3)"
    ]


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--clients", type=int, action="append", help="instead of 1, 16 and 64")
    parser.add_argument("--machine", choices=["counting", "catalog"], action="append")
    parser.add_argument("--no-etcd", action="store_true", help="pixraft alone")
    parser.add_argument("--directory", help="where the nodes keep their data (default: the system's)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    if not arguments.no_etcd and (programs := missing()):
        print(f"not installed: {', '.join(programs)} (Debian: etcd-server, nghttp2-client); or --no-etcd")
        return 2
    loads = [
        Load(n, spread)
        for n in arguments.clients or CLIENTS
        for spread in ((False, True) if n > 1 else (False,))
    ]
    written, goals = [], []
    with workspace(arguments.directory) as place, ExitStack() as stack:
        pixraft = []
        for machine in arguments.machine or ("counting", "catalog"):
            cluster = Pixraft(place / machine, machine)
            stack.callback(cluster.close)
            pixraft.append(cluster)
        etcd = None
        if not arguments.no_etcd:
            etcd = Etcd(place / "etcd")
            stack.callback(etcd.close)
            etcd.wait_ready()
        for cluster in pixraft:
            cluster.wait_ready()
        print(f"load average of the machine before: {os.getloadavg()[0]:.1f}\n\n{HEAD}", flush=True)
        systems = runners(pixraft, etcd)
        for load in loads:
            found = measure(systems, load, arguments.rounds, arguments.seconds)
            print("\n".join(rows(load, found)), flush=True)
            goals += verdict(load, found)
            written += [
                {"load": str(load), "system": name} | vars(Figures.of(some)) for name, some in found.items()
            ]
    print("\n".join(["", *goals]))
    if arguments.json:
        arguments.json.write_text(json.dumps(written, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
