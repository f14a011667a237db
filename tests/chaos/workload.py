"""Clients that change and read names through real FTP sessions at random nodes, and write down what they are told."""

from __future__ import annotations

import contextlib
import ftplib
import io
import itertools
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from history import DIRECTORY, Held, Operation, Outcome

TIMEOUT = 30.0
"""Seconds without an answer after which a client gives up: more than the longest pause of a node."""
BASE_SIZE = 64
ACTIVE = 12
LENGTH = 40
"""Operations of one cell; then another one takes its place, so that a history stays short enough to check."""
TRIES = 3
UNCONFIRMED = "did not confirm"
REASONS = (
    ("No such file", "absent"),
    ("exists already", "present"),
    ("is a directory", "directory"),
    ("Not a directory", "file"),
)
COMMANDS = ("STOR",) * 7 + ("DELE",) * 3 + ("MKD",) * 3 + ("RMD",) * 3 + ("RENAME",) * 3 + ("READ", "RETR") * 3
CHANGES = frozenset({"STOR", "DELE", "MKD", "RMD", "RENAME"})


class Wrong(AssertionError):
    """A client was told what can never be right"""


def content(number: int) -> bytes:
    """A small picture that says its number, and whose size does so too."""
    return random.Random(number).randbytes(BASE_SIZE - 20) + f"{number:020}".encode() + bytes(number)


def number_in(data: bytes) -> int:
    """The number of a picture; Wrong unless it is exactly as it was sent."""
    number = len(data) - BASE_SIZE
    if number < 0 or data != content(number):
        raise Wrong(f"a picture of {len(data)} bytes that nobody has sent")
    return number


@dataclass
class Cell:
    """Two names and what happened to them."""

    number: int
    history: list[Operation] = field(default_factory=list)
    broken: bool = False
    """An upload here has failed, and may have left something for its owner to resume."""

    def path(self, name: int) -> str:
        """The name's path."""
        return f"/c{self.number:04}-{'ab'[name]}"


class Workload:
    """`rate` commands a second, by `clients` sessions, until `stop`. `nodes` gives the addresses, by name."""

    def __init__(
        self, login: Callable[[str], ftplib.FTP], nodes: list[str], *, seed: int, rate: float, clients: int = 8
    ) -> None:
        self.login = login
        self.nodes = nodes
        self.rate = rate
        self.cells: list[Cell] = []
        self.failures: list[BaseException] = []
        self.refused: Counter[str] = Counter()
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._acknowledged = threading.Condition()
        self._acknowledgements: list[tuple[float, float]] = []
        self._numbers = itertools.count(1)
        self._active = [self._new_cell() for _ in range(ACTIVE)]
        self._clients = [Client(self, f"{seed}-{n}", clients / rate) for n in range(clients)]

    def start(self) -> None:
        """Begin."""
        for client in self._clients:
            client.start()

    def stop(self) -> None:
        """End; every client has finished what it was doing."""
        self.stopping.set()
        for client in self._clients:
            client.join(120)
            assert not client.is_alive(), "a client hangs"
        if self.failures:
            raise self.failures[0]

    # For clients.

    def _new_cell(self) -> Cell:
        cell = Cell(len(self.cells))
        self.cells.append(cell)
        return cell

    def choose(self, chance: random.Random) -> Cell:
        """Return a cell to do something with."""
        with self._lock:
            place = chance.randrange(ACTIVE)
            if len(self._active[place].history) >= LENGTH:
                self._active[place] = self._new_cell()
            return self._active[place]

    def next_number(self) -> int:
        """Return a number that no picture had. Small, as it is the size too."""
        with self._lock:
            return next(self._numbers)

    def note(self, cell: Cell, operation: Operation) -> None:
        """Take down an operation."""
        with self._lock:
            cell.history.append(operation)
        if operation.outcome is Outcome.DONE and operation.kind in CHANGES:
            with self._acknowledged:
                self._acknowledgements.append((operation.invoke, operation.respond))
                self._acknowledged.notify_all()

    # For campaigns.

    def wait_acknowledged(self, since: float, timeout: float = 60.0) -> float:
        """Wait for the first acknowledgement of a change that was asked for after `since`; return its time."""
        with self._acknowledged:
            if (
                not self._acknowledged.wait_for(lambda: self.failures or self._first(since) < math.inf, timeout)
                or self.failures
            ):
                raise AssertionError(f"no change acknowledged within {timeout} s; {self.failures}")
            return self._first(since)

    def _first(self, since: float) -> float:
        recent = itertools.takewhile(lambda ack: ack[1] >= since, reversed(self._acknowledgements))
        return min((end for begin, end in recent if begin >= since), default=math.inf)

    def counts(self) -> dict[str, int]:
        """How many operations had which outcome."""
        found = {outcome.value: 0 for outcome in Outcome}
        for cell in self.cells:
            for operation in cell.history:
                found[operation.outcome.value] += 1
        return found

    @property
    def acknowledged(self) -> int:
        """How many changes were acknowledged."""
        return len(self._acknowledgements)


class Client(threading.Thread):
    """One client: a session at some node; another one, elsewhere, when that fails or now and then."""

    def __init__(self, workload: Workload, seed: str, interval: float) -> None:
        super().__init__(daemon=True, name=f"client {seed}")
        self._workload = workload
        self._chance = random.Random(seed)
        self._interval = interval
        self._ftp: ftplib.FTP | None = None
        self._node = ""

    def run(self) -> None:
        """Do random things at a steady rate; what was missed is not caught up."""
        due = time.monotonic() + self._chance.random() * self._interval
        try:
            while not self._workload.stopping.wait(max(0.0, due - time.monotonic())):
                due = max(due + self._interval, time.monotonic())
                self._something()
        except BaseException as error:
            self._workload.failures.append(error)
        finally:
            self._leave()

    def _something(self) -> None:
        chance = self._chance
        cell, kind, name = self._workload.choose(chance), chance.choice(COMMANDS), chance.randrange(2)
        if chance.random() < 0.05:
            self._leave()
        for _ in range(TRIES):
            if not self._connected():
                return
            if self._try(cell, kind, name) or self._workload.stopping.wait(chance.uniform(0.05, 0.3)):
                return

    def _connected(self) -> bool:
        if self._ftp is not None:
            return True
        self._node = self._chance.choice(self._workload.nodes)
        try:
            self._ftp = self._workload.login(self._node)
        except ftplib.error_perm as error:
            raise Wrong(f"login refused: {error}") from error
        except ftplib.all_errors:
            self._workload.stopping.wait(0.05)
            return False
        return True

    def _leave(self) -> None:
        if self._ftp is not None:
            self._ftp.close()
            self._ftp = None

    def _try(self, cell: Cell, kind: str, name: int) -> bool:
        """Do it once; False: the client does not know whether it is done, or it is not, and tries again."""
        path, other = cell.path(name), cell.path(1 - name)
        if kind == "RENAME":
            found = self._carry_out(cell, "FOUND", name, None, lambda ftp: void(ftp.sendcmd(f"RNFR {path}")))
            if found is not Outcome.DONE:
                return found is Outcome.REFUSED
        number = self._workload.next_number() if kind == "STOR" else 0
        actions: dict[str, Callable[[ftplib.FTP], Any]] = {
            "MKD": lambda ftp: void(ftp.mkd(path)),
            "RMD": lambda ftp: void(ftp.rmd(path)),
            "DELE": lambda ftp: void(ftp.delete(path)),
            "RENAME": lambda ftp: void(ftp.sendcmd(f"RNTO {other}")),
            "STOR": lambda ftp: void(ftp.storbinary(f"STOR {path}", io.BytesIO(content(number)))),
            "READ": lambda ftp: mlst(ftp, path),
            "RETR": lambda ftp: retrieve(ftp, path),
        }
        # DELE also removes what a broken upload has left, and is then right though nothing is published.
        value = {"STOR": number, "DELE": cell.broken}.get(kind)
        return self._carry_out(cell, kind, name, value, actions[kind]) in (Outcome.DONE, Outcome.REFUSED)

    def _carry_out(
        self, cell: Cell, kind: str, name: int, value: object, action: Callable[[ftplib.FTP], Any]
    ) -> Outcome | None:
        """Do it and note what came of it; None: nothing was done, and nothing is known."""
        assert self._ftp is not None
        reason, reply = "", ""
        outcome: Outcome | None
        begin = time.monotonic()
        try:
            seen = action(self._ftp)
            outcome, value = Outcome.DONE, seen if kind in ("READ", "RETR") else value
        except (ftplib.error_temp, ftplib.error_perm) as error:
            reply = str(error)
            outcome, reason = classify(kind, reply)
            if reply.startswith("421"):
                self._leave()
        except ftplib.all_errors as error:
            outcome, reply = Outcome.UNKNOWN, repr(error)
            self._leave()
        end = time.monotonic()
        cell.broken |= kind == "STOR" and outcome in (None, Outcome.UNKNOWN)
        if outcome is None or (outcome is Outcome.UNKNOWN and kind not in CHANGES):
            self._workload.refused[reply[:60]] += 1
            return None
        if outcome is Outcome.UNKNOWN:
            end = math.inf
        self._workload.note(cell, Operation(kind, name, value, outcome, reason, begin, end, self._node, reply))
        return outcome


def void(_: object) -> None:
    """What a change gives back."""


def classify(kind: str, reply: str) -> tuple[Outcome | None, str]:
    """What a refusal means. None: surely not done, for want of a quorum or of copies; tells nothing of names."""
    if reply.startswith("550"):
        for text, reason in REASONS:
            if text in reply and possible(kind, reason):
                return Outcome.REFUSED, reason
        raise Wrong(f"{kind} refused with {reply}")
    if UNCONFIRMED in reply or reply.startswith("421"):
        return Outcome.UNKNOWN, ""
    if reply[:3] in ("425", "426", "450", "451") and "Internal error" not in reply:
        return None, ""
    raise Wrong(f"{kind} answered with {reply}")


def possible(kind: str, reason: str) -> bool:
    """Whether a command may be refused for that reason at all."""
    return reason in {
        "MKD": ("present",),
        "RMD": ("absent", "file"),
        "STOR": ("directory",),
        "DELE": ("absent", "directory"),
        "FOUND": ("absent",),
        "RENAME": ("absent", "present"),
        "READ": ("absent",),
        "RETR": ("absent", "directory"),
    }.get(kind, ())


def held(facts: str) -> Held:
    """What MLST or MLSD facts tell of a name."""
    values = dict(fact.lower().split("=", 1) for fact in facts.strip().split(" ")[0].split(";") if "=" in fact)
    return DIRECTORY if values["type"] == "dir" else int(values["size"]) - BASE_SIZE


def mlst(ftp: ftplib.FTP, path: str) -> Held:
    """What a name holds."""
    return held(ftp.sendcmd(f"MLST {path}").splitlines()[1])


def retrieve(ftp: ftplib.FTP, path: str) -> int:
    """The number of the picture that a name holds."""
    parts: list[bytes] = []
    ftp.retrbinary(f"RETR {path}", parts.append)
    return number_in(b"".join(parts))


def look(ftp: ftplib.FTP, cells: list[Cell], node: str) -> None:
    """Note what a node says of all names, from one listing."""
    begin = time.monotonic()
    lines: list[str] = []
    ftp.retrlines("MLSD /", lines.append)
    end = time.monotonic()
    names = {line.split(" ", 1)[1].strip(): held(line) for line in lines}
    for cell in cells:
        state = (names.get(cell.path(0)[1:]), names.get(cell.path(1)[1:]))
        cell.history.append(Operation("LOOK", 0, state, Outcome.DONE, "", begin, end, node))


@contextlib.contextmanager
def running(workload: Workload) -> Iterator[Workload]:
    """Run a workload; at the end everything is quiet, whatever happened."""
    workload.start()
    try:
        yield workload
    finally:
        workload.stopping.set()
        workload.stop()
