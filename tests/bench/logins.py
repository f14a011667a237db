"""`make bench-logins`: logins with argon2id at one node of three, and what somebody who guesses does to the others.

First the first login of a user, then repeated ones of it by several clients at once, then the same beside guesses from
another address, 50 a second; meanwhile a session that is logged in asks for something all the time.
"""

from __future__ import annotations

import argparse
import contextlib
import ftplib
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TypeVar

from load import Server
from nodes import BenchCluster

Found = TypeVar("Found")

GUESSES = 50
CLIENTS = 8
WAIT = 120.0
GUESSER = "127.0.0.9"

GOAL_FIRST = 0.150
GOAL_RATE = 500.0
GOAL_KEPT = 0.8


@dataclass(frozen=True)
class Logins:
    """Seconds of first logins (median of several users' one), logins a second without and beside guesses, the slowest
    of the idle session's answers in seconds, and what became of the guesses.
    """

    first: float
    rate: float
    rate_beside: float
    first_beside: float
    slowest: float
    guesses: dict[str, int]

    def __str__(self) -> str:
        return (
            f"first login {self.first * 1e3:.0f} ms (goal {GOAL_FIRST * 1e3:.0f}), repeated {self.rate:.0f}/s "
            f"(goal {GOAL_RATE:.0f}); beside {GUESSES} guesses a second from one address: first login "
            f"{self.first_beside * 1e3:.0f} ms, repeated {self.rate_beside:.0f}/s "
            f"({self.rate_beside / self.rate:.0%}, goal {GOAL_KEPT:.0%}), slowest answer to another session "
            f"{self.slowest * 1e3:.0f} ms; guesses answered {self.guesses}"
        )

    @property
    def good(self) -> bool:
        """Whether the goals are met."""
        kept = self.rate_beside >= GOAL_KEPT * self.rate
        return self.first < GOAL_FIRST and self.rate >= GOAL_RATE and kept


def log_in(server: Server, user: str, password: str, source: str = "") -> float:
    """Log in and out; return the seconds until the 230. Raises ftplib.Error."""
    begun = time.monotonic()
    with ftplib.FTP(timeout=WAIT, source_address=(source, 0) if source else None) as session:
        session.connect(server.host, server.port)
        session.login(user, password)
        return time.monotonic() - begun


def rate_of(server: Server, user: str, seconds: float) -> float:
    """Return how many logins a second several clients reach together."""
    counts: list[int] = []
    until = time.monotonic() + seconds

    def client() -> None:
        done = 0
        while time.monotonic() < until:
            log_in(server, user, user)
            done += 1
        counts.append(done)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{sum(counts)} logins in {seconds:g} s", file=sys.stderr)
    return sum(counts) / seconds


@contextmanager
def beside(work: Callable[[Server, Event], Found], server: Server) -> Iterator[list[Found]]:
    """Run `work` in a process of its own until the end of the block; then the list has what it returned."""
    context = multiprocessing.get_context("fork")
    over, (ours, theirs) = context.Event(), context.Pipe()
    process = context.Process(target=lambda: theirs.send(work(server, over)), daemon=True)
    process.start()
    found: list[Found] = []
    try:
        yield found
    finally:
        over.set()
        if ours.poll(WAIT):
            found.append(ours.recv())
        process.join(WAIT)


def guess(server: Server, over: Event) -> dict[str, int]:
    """Try wrong passwords, so many a second as the test says, whether they are answered or not."""
    answers: dict[str, int] = {}

    def one(number: int) -> None:
        with contextlib.suppress(OSError, EOFError):
            try:
                log_in(server, "user0", f"wrong {number}", GUESSER)
            except ftplib.Error as error:
                answers[str(error)[:3]] = answers.get(str(error)[:3], 0) + 1

    threads = []
    number = 0
    while not over.wait(1 / GUESSES):
        threads.append(threading.Thread(target=one, args=(number,)))
        threads[-1].start()
        number += 1
    for thread in threads:
        thread.join()
    return answers


def ask(server: Server, over: Event) -> float:
    """Ask for something all the time in one session; return the seconds of the slowest answer."""
    slowest = 0.0
    with ftplib.FTP(timeout=WAIT) as session:
        session.connect(server.host, server.port)
        session.login("user0", "user0")
        while not over.wait(0.005):
            begun = time.monotonic()
            session.voidcmd("NOOP")
            slowest = max(slowest, time.monotonic() - begun)
    return slowest


def measure(directory: Path, seconds: float) -> Logins:
    """Start a cluster and measure."""
    with BenchCluster(directory, encryption="full") as cluster:
        server = cluster.servers[0]
        for number in range(10):
            cluster.add_user(f"user{number}")
        first = statistics.median(log_in(server, f"user{number}", f"user{number}") for number in range(5))
        rate = rate_of(server, "user0", seconds)
        with beside(guess, server) as guesses, beside(ask, server) as slowest:
            first_beside = statistics.median(
                log_in(server, f"user{number}", f"user{number}") for number in range(5, 10)
            )
            rate_beside = rate_of(server, "user0", seconds)
    return Logins(first, rate, rate_beside, first_beside, slowest[0], guesses[0])


def main() -> int:
    """Measure and print; return 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each rate")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        result = measure(Path(directory) / "cluster", arguments.seconds)
    print(result)
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
