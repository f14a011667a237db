"""`make bench`: pixraft beside stock pyftpdlib, the same load, the same run, as ratios.

Everything runs on this one machine: three nodes, the clients, the reference. Every picture that pixraft acknowledges
is fsynced on a majority; the reference syncs nothing. Each scenario runs against all in turn, several rounds; the
ratio is the median over the rounds, since the machine's speed moves from minute to minute. Beside the rates stands
what the disk can do by itself: three copies of each picture, many to one fdatasync.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import idle
from disk import copies_a_second
from load import Outcome, Server, Task, run
from nodes import BenchCluster, reference

KIB, MIB = 1024, 1024 * 1024

FULL_SHARE = 0.6
"""Of the rate of uploads of 1 MiB with `bulk-auth` that `full` should reach."""


@dataclass(frozen=True)
class Scenario:
    """A load: `sessions` at once, each `count` transfers of `size` bytes; `spread` over all nodes or all at one.

    `remote`: with a single copy of each picture, which is read through another node than has it. `secure`: by FTPS on
    both sides. `goal`: the rate that is wanted, the reference's = 1; `seconds`: or the time.
    """

    name: str
    operation: str
    size: int
    sessions: int
    count: int
    spread: bool = False
    remote: bool = False
    secure: bool = False
    goal: float | None = None
    seconds: float | None = None

    def tasks(self, servers: list[Server], mark: str) -> list[Task]:
        """One task a session. What RETR reads is what STOR of the same size and mark has put."""
        servers = [replace(server, secure=self.secure) for server in servers]
        chosen = servers if self.spread else servers[:1]
        if self.remote and self.operation == "RETR" and len(servers) > 1:
            chosen = servers[1:2]
        return [
            Task(
                chosen[number % len(chosen)],
                self.operation,
                f"{mark}-{self.size}-{number}",
                self.size,
                self.count,
            )
            for number in range(self.sessions)
        ]


def scenarios(quick: bool) -> list[Scenario]:
    """The published set, or a version of it that takes seconds and shows that everything works."""
    few = 40 if quick else 1
    large = max(1, 32 // few)
    return [
        Scenario("STOR 20 KB", "STOR", 20 * KIB, 8, 200 // few, goal=0.6),
        Scenario("RETR 20 KB", "RETR", 20 * KIB, 8, 200 // few, goal=0.9),
        Scenario("STOR 1 MiB", "STOR", MIB, 8, large, goal=0.4),
        Scenario("RETR 1 MiB", "RETR", MIB, 8, large, goal=0.9),
        Scenario("RETR 1 MiB from another node", "RETR", MIB, 8, large, remote=True, goal=0.3),
        Scenario("FTPS STOR 20 KB", "STOR", 20 * KIB, 8, 100 // few, secure=True, goal=0.8),
        Scenario("FTPS RETR 20 KB", "RETR", 20 * KIB, 8, 100 // few, secure=True, goal=0.8),
        Scenario("FTPS STOR 1 MiB", "STOR", MIB, 8, large, secure=True, goal=0.8),
        Scenario("FTPS RETR 1 MiB", "RETR", MIB, 8, large, secure=True, goal=0.8),
        Scenario("STOR 64 MiB", "STOR", max(2, 64 // few) * MIB, 8, 1),
        Scenario("RETR 64 MiB", "RETR", max(2, 64 // few) * MIB, 8, 1),
        Scenario(
            "10,000 x 20 KB over three nodes",
            "STOR",
            20 * KIB,
            12,
            (10_000 // 12 + 1) // few,
            spread=True,
            seconds=None if quick else 20.0,
        ),
    ]


@dataclass(frozen=True)
class Row:
    """One scenario: both outcomes of each round, and what the nodes used for it.

    `cpu_seconds`: a round's, by node, the mean over the rounds. `disk`: pictures a second that the disk alone takes
    in three copies, None for a scenario that reads.
    """

    scenario: Scenario
    pixraft: list[Outcome]
    reference: list[Outcome]
    cpu_seconds: list[float]
    disk: float | None

    @property
    def ratio(self) -> float:
        """pixraft's rate over the reference's: the median over the rounds."""
        pairs = zip(self.pixraft, self.reference, strict=True)
        return statistics.median(ours.rate / theirs.rate for ours, theirs in pairs)

    def reached(self, ours: Outcome) -> bool | None:
        """Whether the scenario's goal is met, by the round `ours` where it is a time; None without a goal."""
        if self.scenario.goal is not None:
            return self.ratio >= self.scenario.goal
        if self.scenario.seconds is not None:
            return ours.seconds <= self.scenario.seconds
        return None

    def as_dict(self) -> dict[str, object]:
        """The figures for machines; those of the round with the median rate."""
        ours = sorted(self.pixraft, key=lambda outcome: outcome.rate)[len(self.pixraft) // 2]
        theirs = sorted(self.reference, key=lambda outcome: outcome.rate)[len(self.reference) // 2]
        return {
            "scenario": self.scenario.name,
            "rate": round(ours.rate, 1),
            "megabytes": round(ours.megabytes, 1),
            "seconds": round(ours.seconds, 2),
            "p50_ms": round(ours.quantile(0.5) * 1e3, 1),
            "p99_ms": round(ours.quantile(0.99) * 1e3, 1),
            "reference_rate": round(theirs.rate, 1),
            "reference_p50_ms": round(theirs.quantile(0.5) * 1e3, 1),
            "reference_p99_ms": round(theirs.quantile(0.99) * 1e3, 1),
            "ratio": round(self.ratio, 3),
            "goal": self.scenario.goal,
            "goal_seconds": self.scenario.seconds,
            "reached": self.reached(ours),
            "disk_share": None if self.disk is None else round(ours.rate / self.disk, 3),
            "cpu_seconds_per_node": [round(value, 2) for value in self.cpu_seconds],
            "cpu_ms_per_operation": round(sum(self.cpu_seconds) * 1e3 / ours.operations, 2),
        }


HEAD = (
    "| load | rate /s | MB/s | p50 ms | p99 ms | reference /s | its p50 | its p99 | ratio | goal | of the disk "
    "| CPU s a node | CPU ms each |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def markdown(row: dict[str, object]) -> str:
    """One line of the table."""
    cpu = row["cpu_seconds_per_node"]
    assert isinstance(cpu, list)
    nodes = " / ".join(str(value) for value in cpu)
    disk = "" if row["disk_share"] is None else row["disk_share"]
    goal = "" if row["goal"] is None else str(row["goal"])
    if row["goal_seconds"] is not None:
        goal = f"{row['seconds']} s of {row['goal_seconds']}"
    if row["reached"] is not None:
        goal += " reached" if row["reached"] else " missed"
    return (
        f"| {row['scenario']} | {row['rate']} | {row['megabytes']} | {row['p50_ms']} | {row['p99_ms']} "
        f"| {row['reference_rate']} | {row['reference_p50_ms']} | {row['reference_p99_ms']} "
        f"| **{row['ratio']}** | {goal} | {disk} | {nodes} | {row['cpu_ms_per_operation']} |"
    )


def measure(
    cluster: BenchCluster, plain: Server, place: Path, chosen: list[Scenario], rounds: int
) -> Iterator[dict[str, object]]:
    """Run each scenario `rounds` times against both, in turn."""
    for scenario in chosen:
        ours, theirs, disk = [], [], []
        used = [0.0] * len(cluster.servers)
        for number in range(rounds):
            # Equal pictures would be stored once.
            mark = f"r{number}{'s' if scenario.spread else ''}{'t' if scenario.secure else ''}"
            if scenario.operation == "RETR":
                store = replace(scenario, operation="STOR")
                for servers in ([plain], cluster.servers):
                    run(store.tasks(servers, mark))
            else:
                disk.append(copies_a_second(place, scenario.size))
            theirs.append(run(scenario.tasks([plain], mark)))
            before = cluster.cpu_seconds()
            ours.append(run(scenario.tasks(cluster.servers, mark)))
            after = cluster.cpu_seconds()
            used = [sum(times) for times in zip(used, after, [-value for value in before], strict=True)]
        mean = [seconds / rounds for seconds in used]
        yield Row(scenario, ours, theirs, mean, statistics.median(disk) if disk else None).as_dict()


@contextmanager
def workspace(directory: str | None) -> Iterator[Path]:
    """A directory for servers' data that vanishes afterwards."""
    with tempfile.TemporaryDirectory(prefix="pixraft-bench-", dir=directory) as name:
        yield Path(name)


def report(encryption: str, chosen: list[Scenario], rounds: int, directory: str | None) -> dict[str, object]:
    """Measure with one kind of encryption between the nodes; print the table and return the figures."""
    rows: list[dict[str, object]] = []
    peaks: list[list[int]] = []
    print(f"\npeer_encryption = {encryption}, rounds = {rounds}\n\n{HEAD}", flush=True)
    for remote in (False, True):
        some = [scenario for scenario in chosen if scenario.remote == remote]
        if not some:
            continue
        with (
            workspace(directory) as place,
            reference(place / "reference") as plain,
            BenchCluster(place / "cluster", encryption=encryption, replicas=1 if remote else 3) as cluster,
        ):
            for row in measure(cluster, plain, place, some, rounds):
                rows.append(row)
                print(markdown(row), flush=True)
            peaks.append(cluster.peak_memory())
    peak = [max(values) for values in zip(*peaks, strict=True)]
    print(f"\npeak memory a node, MB: {' / '.join(f'{value / 1e6:.0f}' for value in peak)}", flush=True)
    return {"encryption": encryption, "rows": rows, "peak_memory": peak}


def against_bulk_auth(figures: list[dict[str, object]]) -> str:
    """Compare the uploads of 1 MiB with both kinds of encryption, if both were measured."""
    rates: dict[object, object] = {}
    for one in figures:
        rows = one["rows"]
        assert isinstance(rows, list)
        found = [row["ratio"] for row in rows if row["scenario"] == "STOR 1 MiB"]
        rates[one["encryption"]] = found[0] if found else None
    full, bulk = rates.get("full"), rates.get("bulk-auth")
    if not isinstance(full, float) or not isinstance(bulk, float):
        return ""
    share = full / bulk
    verdict = "reached" if share >= FULL_SHARE else "missed"
    return f"STOR 1 MiB, `full` to `bulk-auth`: {share:.2f}, goal {FULL_SHARE} {verdict}"


def main() -> int:
    """Measure and print the tables; write the figures as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a version of a few seconds: shows that it works")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--encryption", choices=["full", "bulk-auth", "both"], default="both")
    parser.add_argument("--only", help="only scenarios whose name contains this")
    parser.add_argument("--directory", help="where the servers keep their data (default: the system's)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    chosen = [one for one in scenarios(arguments.quick) if (arguments.only or "") in one.name]
    modes = ["full", "bulk-auth"] if arguments.encryption == "both" else [arguments.encryption]
    rounds = 1 if arguments.quick else arguments.rounds
    figures = [report(mode, chosen, rounds, arguments.directory) for mode in modes]
    print(against_bulk_auth(figures))
    if not arguments.only:
        print(
            idle.measure(
                250 if arguments.quick else 5000, 3.0 if arguments.quick else 10.0, arguments.directory
            )
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
