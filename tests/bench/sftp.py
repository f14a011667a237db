"""`make bench-sftp`: SFTP at a cluster of three beside a threaded paramiko server on a plain directory, as ratios.

The clients are OpenSSH's sftp, a process a session, each sending or fetching pictures of 1 MiB one after the other.
Both servers get the same load in turn, several rounds; the ratio is the median over the rounds. Every picture that
pixraft acknowledges is fsynced on a majority; the reference syncs nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nodes import PASSWORD, USER, BenchCluster
from openssh import OpenSsh

MIB = 1024 * 1024
WAIT = 300.0


@dataclass(frozen=True)
class Scenario:
    """`sessions` at once, `count` pictures each; `goal` is the ratio that is wanted."""

    operation: str
    sessions: int
    count: int
    goal: float

    @property
    def name(self) -> str:
        """What it is called in the table."""
        return f"{self.operation} 1 MiB, {self.sessions} session{'s' if self.sessions > 1 else ''}"


def scenarios(quick: bool) -> list[Scenario]:
    """The published set, or a short one."""
    alone, each = (2, 1) if quick else (32, 16)
    return [
        Scenario("put", 1, alone, 1.0),
        Scenario("get", 1, alone, 1.0),
        Scenario("put", 8, each, 3.0),
        Scenario("get", 8, each, 3.0),
    ]


def rate(place: Path, port: int, scenario: Scenario) -> float:
    """Run one scenario; return pictures a second, from when all clients have logged in."""
    client = OpenSsh(place / f"client-{port}", port, USER, PASSWORD)
    sessions: list[subprocess.Popen[str]] = []
    try:
        sessions.extend(start(client, place) for _ in range(scenario.sessions))
        for session in sessions:
            assert session.stdin is not None and session.stdout is not None
            session.stdin.write("pwd\n")
            session.stdin.flush()
            while "Remote working directory" not in session.stdout.readline():
                if session.poll() is not None:
                    raise RuntimeError(f"sftp has ended: {session.communicate()[1]}")
        begin = time.monotonic()
        for number, session in enumerate(sessions):
            assert session.stdin is not None
            session.stdin.write("".join(f"{line}\n" for line in batch(scenario, number)))
            session.stdin.close()
            session.stdin = None
        for session in sessions:
            _, errors = session.communicate(timeout=WAIT)
            if session.returncode:
                raise RuntimeError(f"sftp failed: {errors}")
        return scenario.sessions * scenario.count / (time.monotonic() - begin)
    finally:
        for session in sessions:
            if session.poll() is None:
                session.kill()
                session.communicate()


def start(client: OpenSsh, place: Path) -> subprocess.Popen[str]:
    """Start a client that takes commands on its standard input."""
    return subprocess.Popen(
        client.sftp_command(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=client.environment,
        cwd=place,
        text=True,
    )


def batch(scenario: Scenario, session: int) -> Iterator[str]:
    """Yield the commands of one session. What is fetched was put before by the same scenario."""
    for number in range(scenario.count):
        there = f"{scenario.sessions}-{session}-{number}.jpg"
        here = f"picture-{session}.jpg" if scenario.operation == "put" else f"got-{session}.jpg"
        yield f"put {here} {there}" if scenario.operation == "put" else f"get {there} {here}"


@contextmanager
def reference(directory: Path) -> Iterator[int]:
    """A threaded paramiko server in a process of its own; gives its port."""
    directory.mkdir()
    script = Path(__file__).with_name("sftp_reference.py")
    process = subprocess.Popen([sys.executable, str(script), str(directory)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def main() -> int:
    """Measure and print the table; write the figures as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a version of a few seconds: shows that it works")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--encryption", choices=["full", "bulk-auth"], default="full")
    parser.add_argument("--directory", help="where the servers keep their data (default: the system's)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    rows = []
    print("| scenario | pictures/s | reference /s | ratio | goal |\n|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="pixraft-bench-", dir=arguments.directory) as name:
        place = Path(name)
        for number in range(8):
            (place / f"picture-{number}.jpg").write_bytes(os.urandom(MIB))
        with (
            reference(place / "reference") as other,
            BenchCluster(place / "cluster", encryption=arguments.encryption, sftp=True) as cluster,
        ):
            own = cluster.sftp_ports()[0]
            # The first of all starts the workers.
            rate(place, own, Scenario("put", 8, 1, 0))
            for scenario in scenarios(arguments.quick):
                pairs = []
                for _ in range(1 if arguments.quick else arguments.rounds):
                    theirs = rate(place, other, scenario)
                    pairs.append((rate(place, own, scenario), theirs))
                ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
                ratio = statistics.median(one / two for one, two in pairs)
                reached = "reached" if ratio >= scenario.goal else "missed"
                print(
                    f"| {scenario.name} | {ours:.1f} | {theirs:.1f} | **{ratio:.2f}** | {scenario.goal} {reached} |",
                    flush=True,
                )
                rows.append({"scenario": scenario.name, "rate": ours, "reference_rate": theirs, "ratio": ratio})
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
