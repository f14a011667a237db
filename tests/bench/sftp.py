"""`make bench-sftp`: SFTP at a cluster of three beside a threaded paramiko server on a plain directory, as ratios.

The clients are OpenSSH's sftp, a process a session, each sending or fetching pictures of 1 MiB one after the other.
All servers get the same load in turn, several rounds; a ratio is the median over the rounds. Every picture that
pixraft acknowledges is fsynced on a majority; the references sync nothing: a server as in paramiko's demo; the same
with TCP_NODELAY, without which each of its answers may wait 40 ms for an acknowledgement; where it is installed
(openssh-server), OpenSSH's own server, which tells what SFTP costs at least.

The second table tells processor time in ms a picture, from when all clients have logged in: of the clients, of the
workers, of the node that they talk to, of the other nodes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodes import PASSWORD, USER, BenchCluster
from openssh import OpenSsh
from sshd import sshd

MIB = 1024 * 1024
WAIT = 300.0


@dataclass(frozen=True)
class Scenario:
    """`sessions` at once, `count` pictures each; `goal` is the ratio to the server as in the demo that is wanted."""

    operation: str
    sessions: int
    count: int
    goal: float

    @property
    def name(self) -> str:
        """What it is called in the table."""
        return f"{self.operation} 1 MiB, {self.sessions} session{'s' if self.sessions > 1 else ''}"


@dataclass(frozen=True)
class Login:
    """Where clients connect, and as whom: with the password, unless `options` name a key."""

    port: int
    user: str = USER
    options: Sequence[str] = ()


def scenarios(quick: bool) -> list[Scenario]:
    """The published set, or a short one."""
    alone, each = (2, 1) if quick else (32, 16)
    return [
        Scenario("put", 1, alone, 1.0),
        Scenario("get", 1, alone, 1.0),
        Scenario("put", 8, each, 3.0),
        Scenario("get", 8, each, 3.0),
    ]


def rate(
    place: Path,
    login: Login,
    scenario: Scenario,
    begun: Callable[[Sequence[int]], None] = lambda clients: None,
) -> float:
    """Run one scenario; return pictures a second, from when all clients have logged in: then `begun` gets their ids."""
    if scenario.operation == "put":
        make_pictures(place, scenario)
    client = OpenSsh(place / f"client-{login.port}", login.port, login.user, PASSWORD)
    sessions: list[subprocess.Popen[str]] = []
    try:
        sessions.extend(start(client, place, login.options) for _ in range(scenario.sessions))
        for session in sessions:
            assert session.stdin is not None and session.stdout is not None
            session.stdin.write("pwd\n")
            session.stdin.flush()
            while "Remote working directory" not in session.stdout.readline():
                if session.poll() is not None:
                    raise RuntimeError(f"sftp has ended: {session.communicate()[1]}")
        begun([session.pid for session in sessions])
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


def start(client: OpenSsh, place: Path, options: Sequence[str]) -> subprocess.Popen[str]:
    """Start a client that takes commands on its standard input."""
    return subprocess.Popen(
        client.sftp_command(*options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=client.environment,
        cwd=place,
        text=True,
    )


def make_pictures(place: Path, scenario: Scenario) -> None:
    """Make what is put: each is another one than all that were put before, since equal ones are stored once."""
    for session in range(scenario.sessions):
        for number in range(scenario.count):
            picture = place / f"picture-{session}-{number}.jpg"
            if not picture.exists():
                picture.write_bytes(os.urandom(MIB))
            with picture.open("r+b") as file:
                file.write(os.urandom(16))


def batch(scenario: Scenario, session: int) -> Iterator[str]:
    """Yield the commands of one session. What is fetched was put before by the same scenario."""
    for number in range(scenario.count):
        there = f"{scenario.sessions}-{session}-{number}.jpg"
        here = f"picture-{session}-{number}.jpg" if scenario.operation == "put" else f"got-{session}.jpg"
        yield f"put {here} {there}" if scenario.operation == "put" else f"get {there} {here}"


def seconds(processes: Iterable[int]) -> float:
    """Seconds of processor time that processes and their ended children have used."""
    ticks = 0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def children(processes: Iterable[int]) -> list[int]:
    """Process ids of the children of processes."""
    return [
        int(child)
        for process in processes
        for tasks in Path(f"/proc/{process}/task").iterdir()
        for child in (tasks / "children").read_text().split()
    ]


def descendants(processes: Iterable[int]) -> list[int]:
    """Process ids of the children of processes, their children and so on."""
    found = children(processes)
    return [*found, *descendants(found)] if found else []


class Meter:
    """Processor time of one scenario by role: clients, and groups of processes that live on.

    `forks`: the servers have a process for each session, which counts when it has ended.
    """

    def __init__(self, groups: Sequence[Sequence[int]], forks: bool) -> None:
        self._groups = groups
        self._forks = forks
        self._before = [0.0]

    def begin(self, clients: Sequence[int]) -> None:
        """Everybody has logged in. What clients use is known when they have ended."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        so_far = ended.ru_utime + ended.ru_stime + seconds([*clients, *children(clients)])
        groups = self._groups if not self._forks else [[*group, *descendants(group)] for group in self._groups]
        self._before = [so_far, *map(seconds, groups)]

    def milliseconds(self, pictures: int) -> list[float]:
        """Processor time since then in ms a picture: of the clients, and of each group."""
        deadline = time.monotonic() + WAIT
        while self._forks and any(map(children, self._groups)):
            if time.monotonic() > deadline:
                raise RuntimeError("sessions do not end")
            time.sleep(0.01)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        after = [ended.ru_utime + ended.ru_stime, *map(seconds, self._groups)]
        return [(last - first) * 1000 / pictures for last, first in zip(after, self._before, strict=True)]


@contextmanager
def reference(directory: Path, *options: str) -> Iterator[tuple[int, int]]:
    """A threaded paramiko server in a process of its own; gives its port and process id."""
    directory.mkdir()
    script = Path(__file__).with_name("sftp_reference.py")
    process = subprocess.Popen(
        [sys.executable, str(script), str(directory), *options], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline()), process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@dataclass(frozen=True)
class Target:
    """A server that is measured, and the processes that serve, by role."""

    login: Login
    groups: Sequence[Sequence[int]]
    forks: bool = False

    def measure(self, place: Path, scenario: Scenario) -> tuple[float, list[float]]:
        """Return pictures a second, and processor time by role in ms a picture."""
        meter = Meter(self.groups, self.forks)
        pictures = rate(place, self.login, scenario, meter.begin)
        return pictures, meter.milliseconds(scenario.sessions * scenario.count)


@contextmanager
def targets(place: Path, encryption: str) -> Iterator[dict[str, Target]]:
    """Start all servers."""
    with (
        reference(place / "demo") as demo,
        reference(place / "nodelay", "--nodelay") as nodelay,
        sshd(place / "openssh") as openssh,
        BenchCluster(place / "cluster", encryption=encryption, sftp=True) as cluster,
    ):
        login = Login(cluster.sftp_ports()[0])
        # The first of all starts the workers.
        rate(place, login, Scenario("put", 8, 1, 0))
        first, *others = cluster.pids()
        workers = children([first])
        servers = {
            "pixraft": Target(login, [workers, [first], others]),
            "demo": Target(Login(demo[0]), [[demo[1]]]),
            "nodelay": Target(Login(nodelay[0]), [[nodelay[1]]]),
        }
        if openssh is not None:
            options = ["-i", str(openssh.key)]
            servers["openssh"] = Target(Login(openssh.port, openssh.user, options), [[openssh.pid]], forks=True)
        yield servers


def compare(place: Path, servers: dict[str, Target], scenario: Scenario, rounds: int) -> dict[str, object]:
    """Run a scenario at all servers in turn; return its figures."""
    runs: dict[str, list[tuple[float, list[float]]]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name, target in servers.items():
            runs[name].append(target.measure(place, scenario))
    rates = {name: [run[0] for run in measured] for name, measured in runs.items()}
    return {
        "scenario": scenario.name,
        "goal": scenario.goal,
        "rates": {name: statistics.median(values) for name, values in rates.items()},
        "ratios": {
            name: statistics.median(
                ours / theirs for ours, theirs in zip(rates["pixraft"], values, strict=True)
            )
            for name, values in rates.items()
        },
        "processor_ms": {
            name: [statistics.median(column) for column in zip(*(run[1] for run in measured), strict=True)]
            for name, measured in runs.items()
        },
    }


def print_row(*cells: str) -> None:
    """Print a line of a table."""
    print("| " + " | ".join(cells) + " |", flush=True)


def main() -> int:
    """Measure and print the tables; write the figures as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a version of a few seconds: shows that it works")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--encryption", choices=["full", "bulk-auth"], default="full")
    parser.add_argument("--directory", help="where the servers keep their data (default: the system's)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    rows: list[Any] = []
    with tempfile.TemporaryDirectory(prefix="pixraft-bench-", dir=arguments.directory) as name:
        place = Path(name)
        with targets(place, arguments.encryption) as servers:
            print_row("scenario", "pictures/s", "goal", *(f"{name} /s | ratio" for name in [*servers][1:]))
            print("|---" * (1 + 2 * len(servers)) + "|")
            for scenario in scenarios(arguments.quick):
                row: Any = compare(place, servers, scenario, 1 if arguments.quick else arguments.rounds)
                rows.append(row)
                rates, ratios = row["rates"], row["ratios"]
                reached = "reached" if ratios["demo"] >= scenario.goal else "missed"
                others = [f"{rates[name]:.1f} | **{ratios[name]:.2f}**" for name in [*servers][1:]]
                print_row(scenario.name, f"{rates['pixraft']:.1f}", f"{scenario.goal} {reached}", *others)
    print()
    parts = ["clients | workers | node | others", *(f"clients of {name} | {name}" for name in [*servers][1:])]
    print_row("ms a picture", *parts)
    print("|---" * (3 + 2 * len(servers)) + "|")
    for row in rows:
        used = [f"{value:.2f}" for name in servers for value in row["processor_ms"][name]]
        print_row(row["scenario"], *used)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
