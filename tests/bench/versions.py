"""This version beside another one: what an operation costs the nodes, in pairs, one after the other.

    python tests/bench/versions.py OTHER_TREE [--only "STOR 20 KB"] [--rounds 6]

OTHER_TREE is a work tree of the other version (`git worktree add`). Each round starts a new cluster of each version,
in turn in either order, with the same leader, and runs one load twice: the first time warms up. The ratio is the median
over the rounds of the ratios within a round, since the machine's speed moves from minute to minute.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve()


@dataclass(frozen=True)
class Cost:
    """Milliseconds of a processor, switches and seconds an operation, over all nodes."""

    user: float
    kernel: float
    voluntary: float
    involuntary: float
    rate: float

    @property
    def total(self) -> float:
        """Milliseconds of a processor an operation."""
        return self.user + self.kernel


def measured(only: str, leader: str) -> Cost:
    """Run the load of that name in a new cluster of the version that is imported."""
    sys.path.insert(0, str(Path.cwd()))
    from load import run
    from nodes import BenchCluster
    from run import Scenario, scenarios

    scenario = next(s for s in scenarios(quick=False) if s.name == only)
    with (
        tempfile.TemporaryDirectory(prefix="pixraft-versions-") as name,
        BenchCluster(Path(name) / "cluster", encryption="full") as cluster,
    ):
        lead(Path(name) / "cluster", leader)
        if scenario.operation == "RETR":
            parts = (scenario.size, scenario.sessions, scenario.count)
            stored = Scenario("", "STOR", *parts, spread=scenario.spread, secure=scenario.secure)
            run(stored.tasks(cluster.servers, "p"))
        else:
            run(scenario.tasks(cluster.servers, "warm"))
        before, switches = cluster.cpu_times(), [switched(pid) for pid in cluster.pids()]
        outcome = run(scenario.tasks(cluster.servers, "p"))
        after, switches_after = cluster.cpu_times(), [switched(pid) for pid in cluster.pids()]
    each = 1 / outcome.operations
    user, kernel = (
        sum(end[part] - begin[part] for begin, end in zip(before, after, strict=True)) * 1e3 * each
        for part in (0, 1)
    )
    voluntary, involuntary = (
        sum(end[part] - begin[part] for begin, end in zip(switches, switches_after, strict=True)) * each
        for part in (0, 1)
    )
    return Cost(user, kernel, voluntary, involuntary, outcome.rate)


def lead(cluster: Path, node: str) -> None:
    """Make `node` the leader: what a command costs depends on whether the client's node is."""
    pixraft = (sys.executable, "-m", "ftpgateway.cli")
    of = ("--cluster", str(cluster))
    for _ in range(10):
        subprocess.run([*pixraft, "leader", "transfer", node, *of], check=False, capture_output=True)
        shown = subprocess.run([*pixraft, "status", *of, "-o", "json"], check=False, capture_output=True)
        if json.loads(shown.stdout)["leader"] == node:
            return
    raise SystemExit(f"{node} does not lead")


def switched(pid: int) -> tuple[int, int]:
    """Voluntary and involuntary switches of all threads of a process so far."""
    voluntary = involuntary = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
        voluntary += int(fields["voluntary_ctxt_switches"])
        involuntary += int(fields["nonvoluntary_ctxt_switches"])
    return voluntary, involuntary


def in_tree(tree: Path, only: str, leader: str) -> Cost:
    """Measure the version of a work tree in a process of its own."""
    environment = dict(os.environ, PYTHONPATH=str(tree))
    command = [sys.executable, str(HERE), str(tree), "--only", only, "--leader", leader, "--child"]
    done = subprocess.run(
        command, cwd=tree / "tests" / "bench", env=environment, check=True, capture_output=True, text=True
    )
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def compare(other: Path, only: str, leader: str, rounds: int) -> None:
    """Print each round and the medians."""
    mine = HERE.parents[2]
    costs: dict[Path, list[Cost]] = {mine: [], other: []}
    print(
        f"{only}: CPU ms (user + kernel), switches (voluntary, involuntary) an operation, operations a second"
    )
    for number in range(rounds):
        trees = (mine, other) if number % 2 else (other, mine)
        for tree in trees:
            cost = in_tree(tree, only, leader)
            costs[tree].append(cost)
            name = "this " if tree == mine else "other"
            print(
                f"  {name} {cost.total:6.3f} ({cost.user:.3f} + {cost.kernel:.3f}), "
                f"{cost.voluntary:.2f}, {cost.involuntary:.2f}, {cost.rate:.0f}/s",
                flush=True,
            )
    for part in ("total", "user", "kernel", "voluntary", "involuntary", "rate"):
        ratios = ratios_of(costs[mine], costs[other], part)
        print(f"  {part}: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


def ratios_of(mine: Sequence[Cost], other: Sequence[Cost], part: str) -> list[float]:
    """This version's value over the other's, round by round."""
    return [getattr(a, part) / getattr(b, part) for a, b in zip(mine, other, strict=True)]


def main() -> int:
    """Compare, or measure one version when called by itself."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="a work tree of the version to compare with")
    parser.add_argument("--only", default="STOR 20 KB", help="the scenario of that name (default: %(default)s)")
    parser.add_argument("--leader", default="n2", help="who leads; clients are at n1 (default: %(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=6, help="how often each is measured (default: %(default)s)"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(asdict(measured(arguments.only, arguments.leader))))
    else:
        compare(arguments.other.resolve(), arguments.only, arguments.leader, arguments.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
