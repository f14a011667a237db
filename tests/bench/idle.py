"""What idle sessions cost: many logged-in sessions at one node of three, its memory and its CPU time.

python tests/bench/idle.py [--sessions 5000] [--seconds 10]
"""

from __future__ import annotations

import argparse
import os
import resource
import selectors
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from load import Server
from nodes import BenchCluster

GOAL_MEMORY = 300e6
GOAL_CPU = 0.05
LOGINS_AT_ONCE = 64
WAIT = 300.0


@dataclass(frozen=True)
class Idle:
    """`memory`: resident bytes of the node with all sessions, `before` without; `cpu`: of a core while all are idle,
    `cpu_before` without them.
    """

    sessions: int
    before: int
    memory: int
    cpu_before: float
    cpu: float
    seconds_to_log_in: float

    def __str__(self) -> str:
        each = (self.memory - self.before) / self.sessions
        return (
            f"{self.sessions} idle sessions: {self.memory / 1e6:.0f} MB resident ({self.before / 1e6:.0f} MB without, "
            f"{each / 1e3:.1f} kB each; goal {GOAL_MEMORY / 1e6:.0f} MB), "
            f"{self.cpu:.1%} of a core ({self.cpu_before:.1%} without; goal {GOAL_CPU:.0%}), "
            f"all logged in after {self.seconds_to_log_in:.1f} s"
        )

    @property
    def good(self) -> bool:
        """Whether the goals are met."""
        return self.memory < GOAL_MEMORY and self.cpu < GOAL_CPU


class _Client:
    """A session that logs in, step by step, and then says nothing."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection((server.host, server.port))
        self.socket.setblocking(False)
        self._lines = [f"USER {server.user}\r\n", f"PASS {server.password}\r\n"]

    def answered(self) -> bool:
        """Take an answer and say the next line; whether the login is done."""
        answer = self.socket.recv(4096)
        if answer[:1] not in (b"2", b"3"):
            raise RuntimeError(f"login: {answer!r}")
        if not self._lines:
            return True
        self.socket.send(self._lines.pop(0).encode())
        return False


def log_in(server: Server, count: int) -> list[socket.socket]:
    """Open `count` sessions, some at a time."""
    selector = selectors.DefaultSelector()
    done: list[socket.socket] = []
    begun = 0
    deadline = time.monotonic() + WAIT
    while len(done) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {len(done)} sessions have logged in")
        while begun < count and begun - len(done) < LOGINS_AT_ONCE:
            client = _Client(server)
            selector.register(client.socket, selectors.EVENT_READ, client)
            begun += 1
        for key, _ in selector.select(1.0):
            if key.data.answered():
                selector.unregister(key.data.socket)
                done.append(key.data.socket)
    return done


def resident(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(sessions: int, seconds: float, directory: str | None = None) -> Idle:
    """Measure a cluster that is otherwise idle."""
    places = sessions + 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < places:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(places, hard), hard))
    with (
        tempfile.TemporaryDirectory(prefix="pixraft-bench-", dir=directory) as place,
        BenchCluster(
            Path(place) / "cluster",
            encryption="full",
            environment={
                # All are of one account, which may have three quarters of the places.
                "PIXRAFT_FTP_MAX_SESSIONS": str(places * 3 // 2),
                "PIXRAFT_FTP_IDLE_TIMEOUT": "3600",
            },
        ) as cluster,
    ):
        pid = cluster.pids()[0]

        def used() -> float:
            begin = cluster.cpu_seconds()[0]
            time.sleep(seconds)
            return (cluster.cpu_seconds()[0] - begin) / seconds

        first = log_in(cluster.servers[0], 1)
        before, cpu_before = resident(pid), used()
        began = time.monotonic()
        clients = log_in(cluster.servers[0], sessions - 1)
        took = time.monotonic() - began
        cpu = used()
        result = Idle(sessions, before, resident(pid), cpu_before, cpu, took)
        for client in (*first, *clients):
            client.close()
        return result


def main() -> int:
    """Measure and print; fail when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--directory", help="where the nodes keep their data (default: the system's)")
    arguments = parser.parse_args()
    result = measure(arguments.sessions, arguments.seconds, arguments.directory)
    print(result)
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
