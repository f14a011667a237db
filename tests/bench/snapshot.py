"""`make bench-snapshot`: what a snapshot of a large catalog costs those who commit meanwhile.

Three nodes on this machine, each a process. Two have a catalog of a million files (`--files`), the third has nothing:
when it starts, the leader takes a snapshot and sends it, and the third installs it. Two workers at each of the first
two nodes make directories all the time. What is compared, within one run: latency of commits before the third node
starts, while the snapshot is taken, sent and installed, and after. `stall`: for how long a node's event loop, and so
its heartbeats and all its clients, was held up at most, for whatever reason; of the longest one is told how much of
it the loop ran, waited for a CPU, and waited for something else, and what it was seen in.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from largecatalog import build

from ftpgateway.demo.cluster import LocalCluster

GOAL = 3.0
STALL = 0.2
PATIENCE = 600.0


class Node:
    """A node's process, and how it is spoken to."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.log = directory / "node.log"
        script = Path(__file__).with_name("snapshotnode.py")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(script), str(directory / "pixraft.toml")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def tell(self, command: str) -> None:
        """Send a command; its answer is to be fetched with `answer`."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to the oldest command that has none yet."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"node {self.name} ended:\n{self.log.read_text(errors='replace')[-3000:]}")
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self, command: str) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self.tell(command)
        return self.answer()

    def close(self) -> None:
        """Stop the process."""
        if self._process.poll() is None:
            try:
                self.tell("stop")
                self._process.wait(60)
            except (OSError, subprocess.TimeoutExpired):
                self._process.kill()
                self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class Bench:
    """Two nodes with the catalog and one without."""

    def __init__(self, directory: Path, template: Path) -> None:
        made = LocalCluster(directory)
        self.nodes: list[Node] = []
        for name in list(made.nodes)[:2]:
            shutil.copytree(template, directory / name / "data")
        try:
            self.nodes += [Node(name, directory / name) for name in made.nodes]
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the nodes."""
        for node in self.nodes:
            node.close()

    def each(self, command: str, nodes: list[Node]) -> list[dict[str, Any]]:
        """Have several nodes follow a command at once."""
        for node in nodes:
            node.tell(command)
        return [node.answer() for node in nodes]

    def measure(self, nodes: list[Node]) -> Phase:
        """What was since the last measurement."""
        return Phase(self.each("report", nodes), [node.name for node in nodes])


class Phase:
    """Commits and stalls of one phase."""

    def __init__(self, reports: list[dict[str, Any]], names: list[str]) -> None:
        self.seconds = sorted(second for report in reports for second in report["commits"])
        self.refused = sum(report["refused"] for report in reports)
        self.longest = {name: report["stalls"] for name, report in zip(names, reports, strict=True)}
        self.stalls = {name: found[0]["seconds"] for name, found in self.longest.items()}
        self.leader = next((n for n, report in zip(names, reports, strict=True) if report["leads"]), "?")

    def quantile(self, share: float) -> float:
        """Latency in seconds."""
        return self.seconds[min(len(self.seconds) - 1, int(share * len(self.seconds)))]

    def worst(self) -> str:
        """What the longest stalls were made of: of all, and of those parts in which no CPU was waited for."""
        lines = []
        for place, title in enumerate(("longest", "longest but for the wait for a CPU")):
            found = {name: stalls[place] for name, stalls in self.longest.items()}
            key = (lambda one: one["seconds"], lambda one: one["seconds"] - one["queued"])[place]
            name = max(found, key=lambda name: key(found[name]))
            stall = found[name]
            ran, queued = stall["ran"] * 1000, stall["queued"] * 1000
            lines.append(
                f"  {title}: {name}, {stall['seconds'] * 1000:.0f} ms (ran {ran:.0f}, no CPU {queued:.0f}, "
                f"else {stall['seconds'] * 1000 - ran - queued:.0f})"
            )
            lines += [f"    {where}" for where in stall["where"]]
        return "\n".join(lines)

    def line(self, title: str, duration: float) -> str:
        """One line of the report."""
        stalls = "  ".join(f"{name} {stall * 1000:.0f}" for name, stall in self.stalls.items())
        return (
            f"{title:<26} {len(self.seconds) / duration:6.0f}/s  p50 {self.quantile(0.5) * 1000:6.1f}  "
            f"p99 {self.quantile(0.99) * 1000:6.1f}  max {self.seconds[-1] * 1000:6.0f}  "
            f"stall (ms) {stalls}  leader {self.leader}  refused {self.refused}"
        )


def wait_for(log: Path, text: str, node: Node) -> None:
    """Wait until the node has logged something."""
    deadline = time.monotonic() + PATIENCE
    while text not in log.read_text(errors="replace"):
        if time.monotonic() > deadline:
            raise RuntimeError(f"node {node.name}: no {text!r} in {log}")
        time.sleep(0.05)


def main() -> int:
    """Build, measure, print; the exit code says whether the goals are reached."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="of the phases without a snapshot")
    parser.add_argument("--workers", type=int, default=2, help="clients at each of two nodes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--template", type=Path, help="where the catalog is built, or was")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pixraft-bench-") as scratch:
        template = arguments.template or Path(scratch) / "template"
        if not (template / "journal").exists():
            began = time.monotonic()
            build(template, arguments.files)
            print(f"catalog of {arguments.files} files built in {time.monotonic() - began:.0f} s", flush=True)
        size = (template / "catalog" / "catalog.db").stat().st_size
        print(f"catalog: {size / 2**20:.0f} MiB; milliseconds of a commit", flush=True)
        ratios, stalls = [], []
        for turn in range(arguments.rounds):
            directory = Path(scratch) / f"round {turn}"
            with Bench(directory, template) as bench:
                ratio, stall = _round(bench, arguments)
            ratios.append(ratio)
            stalls.append(stall)
            shutil.rmtree(directory)
    ratio, stall = statistics.median(ratios), statistics.median(stalls)
    print(f"p99 with a snapshot / without: {ratio:.2f} (goal: at most {GOAL:g}), rounds {_join(ratios)}")
    print(f"longest stall: {stall * 1000:.0f} ms (goal: at most {STALL * 1000:.0f}), rounds {_join(stalls)}")
    return 0 if ratio <= GOAL and stall <= STALL else 1


def _join(values: list[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)


def _round(bench: Bench, arguments: argparse.Namespace) -> tuple[float, float]:
    """Measure once; return the ratio of the p99s and the longest stall during a snapshot."""
    old, new = bench.nodes[:2], bench.nodes[2]
    bench.each("start", old)
    bench.each(f"load {arguments.workers}", old)
    new.ask("report-nothing")  # it is up, its imports done
    time.sleep(2)
    bench.measure(old)
    time.sleep(arguments.seconds)
    before = bench.measure(old)
    print(before.line("before", arguments.seconds), flush=True)
    began = time.monotonic()
    new.ask("start")
    new.ask("report")  # how its start held it up does not count
    wait_for(new.log, "snapshot installed", new)
    duration = time.monotonic() - began
    during = bench.measure(bench.nodes)
    print(during.line(f"snapshot ({duration:.1f} s)", duration), flush=True)
    print(during.worst(), flush=True)
    time.sleep(arguments.seconds)
    after = bench.measure(bench.nodes)
    print(after.line("after", arguments.seconds), flush=True)
    if new.ask("report")["files"] != arguments.files:
        raise RuntimeError("the new node's catalog is not the others'")
    without = statistics.mean([before.quantile(0.99), after.quantile(0.99)])
    return during.quantile(0.99) / without, max(during.stalls.values())


if __name__ == "__main__":
    sys.exit(main())
