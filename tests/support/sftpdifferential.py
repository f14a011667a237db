"""The same random requests to OpenSSH's sftp-server, on a plain directory, and to ours: replies and files must agree.

What differs on purpose (docs/sftp.md, "What differs from a directory") is not sent, or not compared: each such place
says which of the REASONS it is, and they are counted. Nothing else may differ.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import struct
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fakestore
import structlog
from fakestore import FakeStore

from ftpgateway.access.account import Account
from ftpgateway.access.ledger import Charge, Holder, Ledger, Resource
from ftpgateway.access.login.throttle import Throttle
from ftpgateway.access.workspace import Workspace
from ftpgateway.serving.logs.refusallog import RefusalLog
from ftpgateway.sftp import packets
from ftpgateway.sftp.files import draft, drafts, reading
from ftpgateway.sftp.requests import Requests
from raftstore.metadata.levels import NEWEST
from raftstore.store.transfers import spool
from raftstore.store.transfers.spool import SpoolLedger, Spools
from raftstore.types import User

PROGRAMS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server")

REASONS = {
    "versions": "others see what a session writes when it is published, as a whole",
    "opened": "a handle reads the version that was there when it was opened, until its own session changes it",
    "conflict": "of two sessions that change one file the second one's close fails",
    "takes": "a new file that is renamed over another takes its place, for others, when it is published",
    "directories": "a rename replaces no directory, not even an empty one",
    "codes": "what a handle was not opened for is refused as denied, not as a missing file",
}

_U32, _U64 = struct.Struct("!I"), struct.Struct("!Q")
NAMES = ("a", "b", "c", "d/a", "d/b", "d", "e", "e/a")
READ, WRITE, APPEND, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 4, 8, 16, 32


def string(value: bytes) -> bytes:
    return _U32.pack(len(value)) + value


def program() -> str | None:
    """Return where sftp-server is."""
    return next((path for path in PROGRAMS if os.access(path, os.X_OK)), None)


class Reference:
    """One session of OpenSSH's server on a directory."""

    def __init__(self, directory: Path) -> None:
        found = program()
        assert found is not None
        self._process = subprocess.Popen(
            [found, "-d", str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._send(bytes([packets.INIT]) + _U32.pack(3))
        self._receive()

    def _send(self, packet: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(_U32.pack(len(packet)) + packet)
        self._process.stdin.flush()

    def _receive(self) -> bytes:
        assert self._process.stdout is not None
        (size,) = _U32.unpack(self._process.stdout.read(4))
        return self._process.stdout.read(size)

    async def ask(self, kind: int, body: bytes) -> tuple[int, bytes]:
        self._send(bytes([kind]) + _U32.pack(7) + body)
        reply = self._receive()
        return reply[0], reply[5:]

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class _Session:
    """What requests need of a session: everything is allowed."""

    name = "alice"

    def __init__(self, store: Any) -> None:
        self.files = Workspace(store, Account(User("alice", ""), NEWEST))
        self.up, self.down = Throttle(0), Throttle(0)
        self._ledger = Ledger()

    def may(self, *_: Any, **__: Any) -> bool:
        return True

    def charge(self, resource: Resource, amount: int = 0) -> Charge:
        return self._ledger.charge(Holder(self.name, "192.0.2.1"), resource, amount)


class Ours:
    """One session of ours."""

    def __init__(self, store: Any, spools: Spools) -> None:
        events = structlog.get_logger()
        self.requests = Requests(
            _Session(store),  # type: ignore[arg-type]
            max_handles=64,
            wait_limit=30.0,
            spools=spools,
            events=events,
            refused=RefusalLog(lambda: events),
        )

    async def ask(self, kind: int, body: bytes) -> tuple[int, bytes]:
        view = memoryview(body)
        reply = self.requests.at_once(kind, 7, view)
        if reply is None:
            reply = await self.requests.answer(kind, 7, view)
        whole = b"".join(bytes(part) for part in reply)
        return whole[4], whole[9:]

    async def end(self) -> None:
        await self.requests.abandon()


Answer = tuple[Any, ...]


def understood(kind: int, body: bytes) -> Answer:
    """Return a reply as what is compared."""
    if kind == packets.STATUS:
        code = _U32.unpack_from(body)[0]
        return ({packets.OK: "ok", packets.EOF: "eof", packets.NO_SUCH_FILE: "missing"}.get(code, "failure"),)
    if kind == packets.HANDLE:
        return "handle", body[4:]
    if kind == packets.DATA:
        return "data", body[4:]
    if kind == packets.ATTRS:
        return "attributes", *_attributes(body)[0]
    assert kind == packets.NAME, kind
    return "names", tuple(_names(body))


def _attributes(body: bytes) -> tuple[tuple[bool, int], int]:
    flags, at = _U32.unpack_from(body)[0], 4
    size = mode = 0
    if flags & 1:
        size, at = _U64.unpack_from(body, at)[0], at + 8
    if flags & 2:
        at += 8
    if flags & 4:
        mode, at = _U32.unpack_from(body, at)[0], at + 4
    if flags & 8:
        at += 8
    directory = mode & 0o170000 == 0o040000
    return (directory, 0 if directory else size), at


def _names(body: bytes) -> Iterator[tuple[bytes, bool, int]]:
    at = 4
    for _ in range(_U32.unpack_from(body)[0]):
        size = _U32.unpack_from(body, at)[0]
        name, at = body[at + 4 : at + 4 + size], at + 4 + size
        at += 4 + _U32.unpack_from(body, at)[0]
        found, length = _attributes(body[at:])
        at += length
        if name not in (b".", b".."):
            yield name, *found


@dataclass
class Known:
    """A file, as the model follows it: who has unpublished changes, which versions there were."""

    made_by: int = -1
    """The session that has made it and has not published it yet; -1: it is published."""
    changed_by: set[int] = field(default_factory=set)
    version: int = 0
    seen: dict[int, int] = field(default_factory=dict)
    """By session, the version that its changes begin with."""


@dataclass
class Handle:
    """An open handle, at both servers."""

    session: int
    file: Known
    flags: int
    names: tuple[bytes, bytes]
    version: int

    @property
    def writes(self) -> bool:
        return bool(self.flags & WRITE)


class Mismatch(AssertionError):
    """The two servers differ."""


class Run:
    """One random sequence over both servers, in a directory of its own."""

    def __init__(
        self,
        seed: int,
        references: Sequence[Reference],
        ours: Sequence[Ours],
        *,
        steps: int,
        largest: int,
        skipped: Counter[str],
    ) -> None:
        self._random = random.Random(seed)
        self._seed = seed
        self._references = references
        self._ours = ours
        self._steps = steps
        self._largest = largest
        self._skipped = skipped
        self._top = f"s{seed}"
        self._names: dict[str, Known | None] = {}  # None: a directory
        self._handles: list[Handle] = []
        self.reported: list[str] = []
        self.compared = 0

    # Both.

    async def both(self, session: int, kind: int, *fields: Any, reported: str) -> tuple[Answer, Answer]:
        """Send a request to both; a pair among the fields is a handle."""
        answers = []
        peers: tuple[Reference | Ours, ...] = (self._references[session], self._ours[session])
        for which, peer in enumerate(peers):
            body = b"".join(string(one[which]) if isinstance(one, tuple) else one for one in fields)
            answers.append(understood(*await peer.ask(kind, body)))
        self.reported.append(
            f"{session}: {reported} -> {_short(answers[0])}"
            + ("" if answers[0] == answers[1] else f" | {_short(answers[1])}")
        )
        self.compared += 1
        return answers[0], answers[1]

    async def same(self, session: int, kind: int, *fields: Any, reported: str, codes: bool = False) -> Answer:
        """Send a request to both, which must answer the same; `codes`: see REASONS."""
        one, other = await self.both(session, kind, *fields, reported=reported)
        kinds = (one[0], other[0])
        if one[0] == "handle" == other[0]:
            return "handle", (one[1], other[1])
        if codes and all(kind in ("failure", "missing") for kind in kinds):
            return one
        if one != other:
            self.reported[-1] += _where(one, other)
            raise Mismatch(f"seed {self._seed}: they differ in the last of\n  " + "\n  ".join(self.reported))
        return one

    def _path(self, name: str) -> bytes:
        return string(f"{self._top}/{name}".encode())

    def _skip(self, reason: str) -> None:
        assert reason in REASONS
        self._skipped[reason] += 1

    # The sequence.

    async def run(self) -> None:
        await self.same(0, packets.MKDIR, string(self._top.encode()), _U32.pack(0), reported="begin")
        for name in ("d", "e"):
            await self._mkdir(0, name)
        weights = {
            self._open: 8,
            self._write: 12,
            self._read: 8,
            self._close: 6,
            self._fsetstat: 3,
            self._setstat: 2,
            self._stat: 4,
            self._fstat: 4,
            self._rename: 4,
            self._remove: 3,
            self._fsync: 1,
            self._list: 2,
            self._mkdir_any: 1,
            self._rmdir: 1,
        }
        for _ in range(self._steps):
            (step,) = self._random.choices(list(weights), list(weights.values()))
            await step(self._random.randrange(len(self._ours)))
        while self._handles:
            await self._close_one(self._handles[self._random.randrange(len(self._handles))])
        await self._compare_all()

    def _name(self) -> str:
        return self._random.choice(NAMES)

    def _of(self, session: int) -> Handle | None:
        mine = [handle for handle in self._handles if handle.session == session]
        return self._random.choice(mine) if mine else None

    def _number(self) -> int:
        kind = self._random.random()
        if kind < 0.6:
            return self._random.randrange(64)
        return self._random.randrange(600) if kind < 0.95 else self._random.randrange(self._largest)

    def _hidden(self, session: int, name: str) -> bool:
        """Whether somebody else has made what is at a name, and not published it."""
        known = self._names.get(name)
        return known is not None and known.made_by not in (-1, session)

    def _in_flux(self, session: int, known: Known) -> bool:
        return bool(known.changed_by - {session})

    def _hidden_in(self, session: int, directory: str) -> bool:
        return any(self._hidden(session, name) for name in self._names if name.startswith(f"{directory}/"))

    # Names.

    async def _mkdir_any(self, session: int) -> None:
        name = self._random.choice(("d", "e", "a", "d/a"))
        if self._hidden(session, name):
            self._skip("versions")
            return
        await self._mkdir(session, name)

    async def _mkdir(self, session: int, name: str) -> None:
        answer = await self.same(
            session, packets.MKDIR, self._path(name), _U32.pack(0), reported=f"mkdir {name}"
        )
        if answer == ("ok",):
            self._names[name] = None

    async def _rmdir(self, session: int) -> None:
        name = self._random.choice(("d", "e", "a"))
        if self._hidden(session, name) or self._hidden_in(session, name):
            self._skip("versions")
            return
        answer = await self.same(session, packets.RMDIR, self._path(name), reported=f"rmdir {name}")
        if answer == ("ok",):
            del self._names[name]

    async def _remove(self, session: int) -> None:
        name = self._name()
        if self._hidden(session, name):
            self._skip("versions")
            return
        answer = await self.same(session, packets.REMOVE, self._path(name), reported=f"remove {name}")
        if answer == ("ok",):
            del self._names[name]

    async def _rename(self, session: int) -> None:
        source, target = self._name(), self._name()
        posix = self._random.random() < 0.6
        if self._hidden(session, source) or self._hidden(session, target):
            self._skip("versions")
            return
        both = self._names.get(source, 0) is None and self._names.get(target, 0) is None
        if posix and both and source != target and not target.startswith(f"{source}/"):
            self._skip("directories")
            return
        new, there = self._names.get(source), self._names.get(target)
        over = new is not None and new.made_by == session and there is not None and there.made_by != session
        if over and any(handle.file is there and handle.session != session for handle in self._handles):
            self._skip("takes")
            return
        reported = f"{'posix-' if posix else ''}rename {source} {target}"
        paths = self._path(source) + self._path(target)
        codes = self._names.get(source, 0) is None or self._names.get(target, 0) is None
        if posix:
            answer = await self.same(
                session,
                packets.EXTENDED,
                string(b"posix-rename@openssh.com"),
                paths,
                reported=reported,
                codes=codes,
            )
        else:
            answer = await self.same(session, packets.RENAME, paths, reported=reported, codes=codes)
        if answer == ("ok",) and source != target:
            moved = {name: known for name, known in self._names.items() if f"{name}/".startswith(f"{source}/")}
            for name in moved:
                del self._names[name]
            for name, known in moved.items():
                self._names[target + name[len(source) :]] = known

    async def _stat(self, session: int) -> None:
        name = self._name()
        known = self._names.get(name)
        if self._hidden(session, name) or (known is not None and self._in_flux(session, known)):
            self._skip("versions")
            return
        kind = self._random.choice((packets.STAT, packets.LSTAT))
        await self.same(session, kind, self._path(name), reported=f"stat {name}")

    async def _list(self, session: int) -> None:
        name = self._random.choice(("", "d", "e"))
        inside = [known for one, known in self._names.items() if one.rpartition("/")[0] == name]
        hidden = (
            self._hidden_in(session, name)
            if name
            else any(self._hidden(session, one) for one in self._names if "/" not in one)
        )
        if hidden or any(known is not None and self._in_flux(session, known) for known in inside):
            self._skip("versions")
            return
        opened = await self.same(
            session, packets.OPENDIR, self._path(name), reported=f"opendir {name}", codes=True
        )
        if opened[0] != "handle":
            return
        found: list[list[Any]] = [[], []]
        peers: tuple[Reference | Ours, ...] = (self._references[session], self._ours[session])
        for which, peer in enumerate(peers):
            while True:
                answer = understood(*await peer.ask(packets.READDIR, string(opened[1][which])))
                if answer[0] != "names":
                    break
                found[which] += answer[1]
        if sorted(found[0]) != sorted(found[1]):
            self.reported.append(f"{session}: list {name}: {sorted(found[0])} | {sorted(found[1])}")
            raise Mismatch(f"seed {self._seed}: they differ in the last of\n  " + "\n  ".join(self.reported))
        await self.same(session, packets.CLOSE, opened[1], reported="closedir")

    async def _setstat(self, session: int) -> None:
        name, size = self._name(), self._number()
        known = self._names.get(name)
        if self._hidden(session, name) or (known is not None and self._in_flux(session, known)):
            self._skip("versions")
            return
        if known is not None and not self._current(session, known):
            self._skip("conflict")
            return
        body = _U32.pack(1) + _U64.pack(size)
        answer = await self.same(
            session, packets.SETSTAT, self._path(name), body, reported=f"setstat {name} {size}"
        )
        if answer == ("ok",) and known is not None:
            if any(
                handle.session == session and handle.file is known and self._changes(handle)
                for handle in self._handles
            ):
                known.changed_by.add(session)
            else:
                known.version += 1
                known.seen[session] = known.version

    # Files.

    def _changes(self, handle: Handle) -> bool:
        return bool(handle.flags & (WRITE | CREATE | TRUNCATE))

    def _changed_through(self, session: int, known: Known) -> bool:
        """Whether the session has a handle that may change a file."""
        mine = (handle for handle in self._handles if handle.session == session and handle.file is known)
        return any(self._changes(handle) for handle in mine)

    def _current(self, session: int, known: Known) -> bool:
        """Whether what the session changes begins with what is published."""
        writing = self._changed_through(session, known)
        return not writing or known.seen.get(session, known.version) == known.version

    async def _open(self, session: int) -> None:
        if sum(handle.session == session for handle in self._handles) >= 4:
            return
        name = self._name()
        flags = self._random.choice((READ, WRITE, READ | WRITE, READ | WRITE, 0)) | sum(
            flag
            for flag, chance in ((CREATE, 0.7), (TRUNCATE, 0.4), (APPEND, 0.15), (EXCLUSIVE, 0.15))
            if self._random.random() < chance
        )
        known = self._names.get(name)
        if self._hidden(session, name) or (known is not None and self._in_flux(session, known)):
            self._skip("versions")
            return
        if name in self._names and known is None and not flags & (WRITE | CREATE | TRUNCATE):
            self._skip("directories")
            return
        changes = bool(flags & (WRITE | TRUNCATE))
        answer = await self.same(
            session,
            packets.OPEN,
            self._path(name),
            _U32.pack(flags) + _U32.pack(0),
            reported=f"open {name} {_flags(flags)}",
        )
        if answer[0] != "handle":
            return
        if known is None:
            known = self._names[name] = Known(made_by=session)
            known.changed_by.add(session)
        elif changes and session not in known.changed_by:
            known.seen[session] = known.version
        if flags & TRUNCATE:
            known.changed_by.add(session)
        effective = flags if changes or known.made_by == session else flags & ~CREATE
        self._handles.append(Handle(session, known, effective, answer[1], known.version))
        self.reported[-1] += f" #{len(self.reported)}"

    def _readable(self, handle: Handle) -> str | None:
        """Say why what a handle reads is not compared."""
        known, session = handle.file, handle.session
        if self._in_flux(session, known):
            return "versions"
        if session in known.changed_by:
            return None
        writing = self._changed_through(session, known)
        begins = known.seen.get(session) if writing else None
        version = max(handle.version, begins or 0) if begins is not None else handle.version
        return None if version == known.version else "opened"

    def _comparable(self, session: int) -> Handle | None:
        """Return a handle of the session whose reads are compared; None, and it is counted, when they are not."""
        handle = self._of(session)
        if handle is None or (reason := self._readable(handle)) is None:
            return handle
        self._skip(reason)
        return None

    async def _read(self, session: int) -> None:
        handle = self._comparable(session)
        if handle is None:
            return
        offset, length = self._number(), 1 + self._number()
        reads = bool(handle.flags & READ) or not handle.writes
        await self.same(
            session, packets.READ, handle.names, _U64.pack(offset) + _U32.pack(length),
            reported=f"read {_reported(handle)} {offset}+{length}", codes=not reads,
        )  # fmt: skip

    async def _fstat(self, session: int) -> None:
        handle = self._comparable(session)
        if handle is None:
            return
        await self.same(session, packets.FSTAT, handle.names, reported=f"fstat {_reported(handle)}")

    def _refuses_change(self, handle: Handle) -> str | None:
        if self._in_flux(handle.session, handle.file) or not self._current(handle.session, handle.file):
            return "conflict"
        return None

    async def _write(self, session: int) -> None:
        handle = self._of(session)
        if handle is None:
            return
        reason = self._refuses_change(handle)
        if reason is not None:
            self._skip(reason)
            return
        offset, data = (
            self._number(),
            self._random.randbytes(1 + self._random.randrange(self._random.choice((4, 40, 400)))),
        )
        answer = await self.same(
            session, packets.WRITE, handle.names, _U64.pack(offset) + string(data),
            reported=f"write {_reported(handle)} {offset}+{len(data)}", codes=not handle.writes,
        )  # fmt: skip
        if answer == ("ok",):
            handle.file.changed_by.add(session)

    async def _fsetstat(self, session: int) -> None:
        handle = self._of(session)
        if handle is None:
            return
        reason = self._refuses_change(handle)
        if reason is not None:
            self._skip(reason)
            return
        size = self._number()
        one, other = await self.both(
            session,
            packets.FSETSTAT,
            handle.names,
            _U32.pack(1) + _U64.pack(size),
            reported=f"fsetstat {_reported(handle)} {size}",
        )
        if (one == ("ok",)) != (other == ("ok",)):
            raise Mismatch(f"seed {self._seed}: they differ in the last of\n  " + "\n  ".join(self.reported))
        if one == ("ok",):
            handle.file.changed_by.add(session)

    def _published(self, handle: Handle) -> None:
        known, session = handle.file, handle.session
        if session in known.changed_by:
            known.changed_by.discard(session)
            known.version += 1
            known.seen[session] = known.version
        if known.made_by == session:
            known.made_by = -1

    async def _fsync(self, session: int) -> None:
        handle = self._of(session)
        if handle is None or not self._changes(handle):
            return
        await self.same(
            session,
            packets.EXTENDED,
            string(b"fsync@openssh.com"),
            handle.names,
            reported=f"fsync {_reported(handle)}",
        )
        self._published(handle)

    async def _close(self, session: int) -> None:
        handle = self._of(session)
        if handle is not None:
            await self._close_one(handle)

    async def _close_one(self, handle: Handle) -> None:
        self._handles.remove(handle)
        await self.same(handle.session, packets.CLOSE, handle.names, reported=f"close {_reported(handle)}")
        if self._changes(handle):
            self._published(handle)

    # The end.

    async def _compare_all(self) -> None:
        for directory in ("", *(name for name, known in self._names.items() if known is None)):
            self._random = random.Random(0)
            await self._list_named(directory)
        for name, known in self._names.items():
            if known is None:
                continue
            opened = await self.same(
                0, packets.OPEN, self._path(name), _U32.pack(READ) + _U32.pack(0), reported=f"look at {name}"
            )
            offset = 0
            while True:
                answer = await self.same(
                    0,
                    packets.READ,
                    opened[1],
                    _U64.pack(offset) + _U32.pack(100_000),
                    reported=f"read {name} at {offset}",
                )
                if answer[0] != "data":
                    break
                offset += len(answer[1])
            await self.same(0, packets.CLOSE, opened[1], reported="close")

    async def _list_named(self, name: str) -> None:
        answers = []
        for peer in (self._references[0], self._ours[0]):
            kind, body = await peer.ask(packets.OPENDIR, self._path(name))
            handle = understood(kind, body)[1]
            found: list[Any] = []
            while (answer := understood(*await peer.ask(packets.READDIR, string(handle))))[0] == "names":
                found += answer[1]
            await peer.ask(packets.CLOSE, string(handle))
            answers.append(sorted(found))
        if answers[0] != answers[1]:
            self.reported.append(f"at the end, {name or '/'} has {answers[0]} | {answers[1]}")
            raise Mismatch(f"seed {self._seed}: they differ in the last of\n  " + "\n  ".join(self.reported))


def _reported(handle: Handle) -> str:
    return f"#{int.from_bytes(handle.names[1], 'big')}"


def _flags(flags: int) -> str:
    names = {READ: "r", WRITE: "w", APPEND: "a", CREATE: "c", TRUNCATE: "t", EXCLUSIVE: "x"}
    return "".join(letter for flag, letter in names.items() if flags & flag) or "-"


def _short(answer: Answer) -> str:
    return " ".join(f"{one!r}"[:90] for one in answer)


def _where(one: Answer, other: Answer) -> str:
    """Say where two contents differ."""
    if one[0] != "data" or other[0] != "data":
        return ""
    at = next((at for at, pair in enumerate(zip(one[1], other[1], strict=False)) if pair[0] != pair[1]), -1)
    return f" ({len(one[1])} and {len(other[1])} bytes, other ones from {at} on)"


@contextlib.contextmanager
def small_chunks() -> Iterator[None]:
    """Make chunks and pages so small that short files have many of them, some on disk."""
    small = (
        *((module, "CHUNK_SIZE", 256) for module in (draft, spool)),
        *((module, "PAGE", 16) for module in (draft, spool)),
        (spool, "_PAGES", 16),
        (spool, "IN_MEMORY", 8),
        (draft, "A_TURN", 2),
        (draft, "SMALL", 20),
        (drafts, "WARM", 1),
        (fakestore, "BLOCK", 256),
        (reading, "KEPT", 40),  # a read may reach over more than two of them
    )
    before = [(module, name, getattr(module, name)) for module, name, _ in small]
    for module, name, value in small:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


async def campaign(
    place: Path, seeds: Sequence[int], *, sessions: int = 2, steps: int = 40, largest: int = 3000
) -> tuple[int, Counter[str]]:
    """Run a sequence a seed; return how many replies were compared, and what was left out. Raises Mismatch."""
    directory = place / "directory"
    directory.mkdir()
    compared, skipped = 0, Counter[str]()
    references = [Reference(directory) for _ in range(sessions)]
    ledger = SpoolLedger(lambda: 1 << 40)
    spools = Spools(place / "spool", ledger)
    try:
        for seed in seeds:
            store = FakeStore()
            ours = [Ours(store, spools) for _ in range(sessions)]
            sequence = Run(seed, references, ours, steps=steps, largest=largest, skipped=skipped)
            await sequence.run()
            compared += sequence.compared
            for one in ours:
                await one.end()
            shutil.rmtree(directory / f"s{seed}")
            left = (ledger.total, spools.memory_used, spools.files_used, len(store.reserved))
            assert not any(left), f"seed {seed} leaves something behind: {left}"
    finally:
        for reference in references:
            reference.close()
        spools.close()
    return compared, skipped


if __name__ == "__main__":
    import logging
    import sys
    import tempfile

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    first, count, sessions = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with tempfile.TemporaryDirectory() as temporary:
        if sys.argv[4:] != ["large"]:
            stack = contextlib.ExitStack()
            stack.enter_context(small_chunks())
        print(asyncio.run(campaign(Path(temporary), range(first, first + count), sessions=sessions)))
