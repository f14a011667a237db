"""Which clients are at this node, over whatever protocol, and what each does: what operators list, end and drain.

A front-end adds each client that it serves (`OpenSessions.add`, from `FrontendContext.sessions`) and takes it out when
it has left. Its number is the `session` of its lines in the log, so a front-end asks for one here (`next_number`).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from ftpgateway.serving.transfercounts import TransferCounts
from raftstore.errors import Invalid, NotFound
from raftstore.peers.calls import admin_call
from raftstore.wire import admin_pb2 as admin

log = structlog.get_logger()

KILLED = "An administrator has ended your session."
_MOST = 10_000
"""Sessions that one answer tells of."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What a session does just now: `what` is upload, download or the name of a command.

    `path` as the session sees it, "" where it has none; `moved` bytes so far, None of what moves none; for `seconds`.
    """

    what: str
    path: str
    moved: int | None
    seconds: float


class OpenSession(Protocol):
    """One client, from the moment a front-end serves it; it need not have logged in."""

    number: int
    """As `OpenSessions.next_number` gave it."""
    peer: str
    """The client's address."""
    began: float
    """Seconds since the epoch."""

    @property
    def protocol(self) -> str:
        """ftp, ftps, sftp, ..."""
        ...

    @property
    def user(self) -> str:
        """The account's name, "" before login."""
        ...

    def operations(self) -> Sequence[Operation]:
        """Return what it does now; nothing while it waits for its client."""
        ...

    def kill(self, reason: str) -> None:
        """End it now, with a sentence for its client. What it has under way ends as if the client had left."""
        ...

    def leave(self, reason: str) -> None:
        """End it, with a sentence for its client, once no transfer is under way; to be asked again until it is over."""
        ...


class OpenSessions:
    """All sessions of a node. On the loop."""

    def __init__(self, refusal: Callable[[], str] = str, ended: TransferCounts | None = None) -> None:
        """`refusal` says why no new session begins, "" while they may; `ended` counts transfers that are over."""
        self.refusal = refusal
        self.ended = TransferCounts() if ended is None else ended
        self._numbers = itertools.count(1)
        self._sessions: dict[int, OpenSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def next_number(self) -> int:
        """Return a number for a new session: of all front-ends, since the node's start."""
        return next(self._numbers)

    def add(self, session: OpenSession) -> None:
        """A session has begun."""
        self._sessions[session.number] = session

    def discard(self, session: OpenSession) -> None:
        """A session is over. Idempotent."""
        self._sessions.pop(session.number, None)

    def all(self) -> list[OpenSession]:
        """Return them, the oldest first."""
        return list(self._sessions.values())

    def kill(self, *, number: int = 0, user: str = "") -> list[OpenSession]:
        """End the session of that number, or all of an account; return which. Raises NotFound for the number."""
        if number:
            found = self._sessions.get(number)
            if found is None:
                raise NotFound(f"session {number} at this node")
            ended = [found]
        else:
            ended = [session for session in self.all() if user and session.user == user]
        for session in ended:
            log.warning("session killed", session=session.number, user=session.user, peer=session.peer)
            session.kill(KILLED)
        return ended

    def leave(self, reason: str) -> None:
        """Have all end of which no transfer is under way; to be asked again until none is left."""
        for session in self.all():
            session.leave(reason)


def described(session: OpenSession, *, operations: bool = True) -> admin.OpenSession:
    """Return what operators are told of a session."""
    shown = admin.OpenSession(
        number=session.number,
        protocol=session.protocol,
        user=session.user,
        address=session.peer,
        began_ns=round(session.began * 10**9),
    )
    for operation in session.operations() if operations else ():
        wire = shown.operations.add(what=operation.what, path=operation.path, seconds=operation.seconds)
        if operation.moved is not None:
            wire.moved = operation.moved
    return shown


@admin_call("admin.sessions", admin.SessionsRequest, admin.Sessions, changes=False)
async def list_sessions(sessions: OpenSessions, _request: admin.SessionsRequest) -> admin.Sessions:
    """Tell who is at this node, and what was transferred here. Asks no other."""
    there, up, down = sessions.all(), sessions.ended.uploads, sessions.ended.downloads
    return admin.Sessions(
        sessions=[described(session) for session in there[:_MOST]],
        count=len(there),
        time_ns=time.time_ns(),
        uploads=up.ended.total(),
        upload_bytes=up.bytes,
        downloads=down.ended.total(),
        download_bytes=down.bytes,
        cpu_seconds=time.process_time(),
    )


@admin_call("admin.session_kill", admin.SessionKill, admin.SessionsKilled, changes=True)
async def kill_sessions(sessions: OpenSessions, request: admin.SessionKill) -> admin.SessionsKilled:
    """End one session of this node, or all of an account. Raises NotFound for a number, Invalid for neither."""
    if bool(request.number) == bool(request.user):
        raise Invalid("a number or a user")
    ended = sessions.kill(number=request.number, user=request.user)
    return admin.SessionsKilled(killed=[described(session, operations=False) for session in ended])


SESSION_CALLS = (list_sessions, kill_sessions)
