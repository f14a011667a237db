"""One picture that is overwritten all the time, and readers that must never see it go back.

Its content and its size say its number. A reader notes the highest number that was acknowledged anywhere before it
asked: whatever it is told must be at least that.
"""

from __future__ import annotations

import contextlib
import ftplib
import io
import itertools
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from waiting import eventually
from workload import BASE_SIZE, Wrong, content, mlst, number_in, retrieve

PATH = "/counter.jpg"


class Counter:
    """Writes the picture through nodes of `nodes`, one after another, while it is `running`."""

    def __init__(self, login: Callable[[str], ftplib.FTP], nodes: Sequence[str]) -> None:
        self._login = login
        self._nodes = tuple(nodes)
        self._stopping = threading.Event()
        self._lock = threading.Condition()
        self._tried = self._acknowledged = 0
        self._avoided: frozenset[str] = frozenset()
        self._at = ""
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="counter", daemon=True)

    @property
    def acknowledged(self) -> int:
        """The highest number that a client was told is stored."""
        with self._lock:
            return self._acknowledged

    @property
    def tried(self) -> int:
        """The highest number that a client has sent."""
        with self._lock:
            return self._tried

    def avoid(self, *nodes: str) -> None:
        """Write through other nodes than these from now on; none of them is in the midst of it on return."""
        with self._lock:
            self._avoided = frozenset(nodes)
            assert self._lock.wait_for(lambda: self._at not in nodes, 60)

    def start(self) -> None:
        """Begin; returns when the picture is there."""
        self._thread.start()
        deadline = time.monotonic() + 60
        while not self.acknowledged:
            if self._failure is not None or time.monotonic() > deadline:
                raise AssertionError(f"the counter does not start: {self._failure}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "the counter hangs"
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        sessions: dict[str, ftplib.FTP] = {}
        try:
            for node in itertools.cycle(self._nodes):
                if self._stopping.is_set():
                    return
                with self._lock:
                    if node in self._avoided:
                        continue
                    self._at = node
                    self._tried += 1
                    number = self._tried
                try:
                    if node not in sessions:
                        sessions[node] = self._login(node)
                    sessions[node].storbinary(f"STOR {PATH}", io.BytesIO(content(number)))
                except ftplib.all_errors:
                    if node in sessions:
                        sessions.pop(node).close()
                    self._stopping.wait(0.05)
                else:
                    with self._lock:
                        self._acknowledged = number
                finally:
                    with self._lock:
                        self._at = ""
                        self._lock.notify_all()
        except BaseException as error:
            self._failure = error
        finally:
            for session in sessions.values():
                session.close()


@dataclass
class Tally:
    """What readers were told: how many answers, how many refusals."""

    answers: int = 0
    refusals: int = 0
    early: int = 0
    """Answers to what was asked while the node was still paused."""


class Readers:
    """Three sessions at one node that read the counter: MLST, SIZE and RETR.

    `ask` sends the commands without waiting, so that a paused node finds them when it wakes; `check` takes the
    answers. Wrong: one is older than what was acknowledged before it was asked.
    """

    def __init__(self, login: Callable[[str], ftplib.FTP], node: str, counter: Counter, tally: Tally) -> None:
        self._counter = counter
        self._tally = tally
        self.node = node
        self._sessions = [eventually(lambda: login(node)) for _ in range(3)]
        host, port = self._sessions[2].makepasv()
        self._place = (host, port)
        self._data: socket.socket | None = None
        self._least = 0

    def ask(self) -> None:
        """Send one command on each session."""
        self._data = socket.create_connection(self._place, 60)
        self._least = self._counter.acknowledged
        for session, command in zip(self._sessions, ("MLST", "SIZE", "RETR"), strict=True):
            session.putcmd(f"{command} {PATH}")

    def check(self) -> None:
        """Take the answers to `ask`."""
        by_mlst, by_size, by_retr = self._sessions
        before = self._tally.answers
        self._take(
            "MLST", self._least, lambda: int(by_mlst.getresp().splitlines()[1].split("size=")[1].split(";")[0])
        )
        self._take("SIZE", self._least, lambda: int(by_size.getresp().split()[1]))
        self._take("RETR", self._least, lambda: BASE_SIZE + self._receive(by_retr))
        self._tally.early += self._tally.answers - before

    def _receive(self, session: ftplib.FTP) -> int:
        assert self._data is not None
        with self._data as data:
            session.getresp()
            parts = []
            while part := data.recv(1 << 16):
                parts.append(part)
        session.voidresp()
        return number_in(b"".join(parts))

    def go_on(self, seconds: float) -> None:
        """Read again and again."""
        until = time.monotonic() + seconds
        by_mlst, by_size, by_retr = self._sessions
        while time.monotonic() < until:
            self._take("MLST", self._counter.acknowledged, lambda: BASE_SIZE + int(mlst(by_mlst, PATH) or 0))
            self._take("SIZE", self._counter.acknowledged, lambda: by_size.size(PATH) or 0)
            self._take("RETR", self._counter.acknowledged, lambda: BASE_SIZE + retrieve(by_retr, PATH))

    def _take(self, command: str, least: int, answer: Callable[[], int]) -> None:
        try:
            number = answer() - BASE_SIZE
        except ftplib.all_errors as error:
            if str(error).startswith("550"):
                raise Wrong(f"{command} at {self.node}: {error}") from error
            self._tally.refusals += 1
            time.sleep(0.01)
            return
        self._tally.answers += 1
        if not least <= number <= self._counter.tried:
            raise Wrong(f"{command} at {self.node} gave {number}; {least} was acknowledged before it was asked")

    def close(self) -> None:
        """Hang up."""
        for session in self._sessions:
            with contextlib.suppress(OSError):
                session.close()
        if self._data is not None:
            self._data.close()
