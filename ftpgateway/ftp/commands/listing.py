"""Listings: LIST, NLST, MLSD on a data connection, MLST and STAT on the control connection."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ftpgateway.access.cursor import DirectoryCursor
from ftpgateway.access.workspace import Workspace
from ftpgateway.ftp.commands.ranges import take_range
from ftpgateway.ftp.data.sending import Sending
from ftpgateway.ftp.gate import Beside, Phase
from ftpgateway.ftp.interface import Session, command
from ftpgateway.ftp.listings import (
    DEFAULT_FACTS,
    FACTS,
    FactWriter,
    Request,
    before_matches,
    before_names,
    block,
    list_line,
    parse_request,
)
from ftpgateway.ftp.replies import quoted
from ftpgateway.ftp.waiting import SessionEnded
from ftpgateway.serving.refusals import TooManyNames, one_line
from raftstore import paths
from raftstore.errors import BadName, Denied, NotADirectory, NotFound
from raftstore.types import Entry

TREE_LIMIT = 100_000
"""Names that LIST -R shows at most."""

REPLY_AHEAD = 256 * 1024
"""Bytes of STAT's reply that are made before the client takes them."""

SUBDIRECTORIES = 1_000
"""Directories in one directory that LIST -R keeps in mind; it looks for further ones when these are done."""

_LOOK = 0.02

Render = Callable[[Entry], str]


async def _rest(cursor: DirectoryCursor, render: Render) -> AsyncIterator[bytes]:
    """Yield what follows the page at hand, a page at a time: others have their turn before each."""
    while cursor.more:
        await cursor.advance()
        if cursor.entries:
            yield block(map(render, cursor.entries))


class _Asked(NamedTuple):
    """What LIST, NLST or STAT asked for: a cursor over it, and what NLST writes before and instead of its names."""

    cursor: DirectoryCursor
    before: str
    instead: str | None = None

    def name(self, entry: Entry) -> str:
        """Return the entry as a path that the client can use as it is (RFC 1123, 4.1.2.7)."""
        return self.before + entry.name if self.instead is None else self.instead


class _Level:
    """A directory on the way of LIST -R, and those of its directories that were not listed yet."""

    def __init__(self, path: str, label: str) -> None:
        self.path = path
        self.label = label
        self.names: deque[str] = deque()
        self.last = ""
        """The last of the directories that are kept in mind, when there may be more."""


class _Tree:
    """The listing of a directory and of all below it; `cursor` is at the top's beginning.

    With `render`, which writes an entry, as `ls -R` has it; without it the paths alone, for programs.
    """

    def __init__(
        self, files: Workspace, top: str, request: Request, cursor: DirectoryCursor, render: Render | None
    ) -> None:
        self._files = files
        self._request = request
        self._render = render
        self._cursor = cursor
        label = request.path or "."
        self._way = [_Level(top, "" if render is None and label == "." else label)]
        self._left = TREE_LIMIT

    async def blocks(self) -> AsyncIterator[bytes]:
        """Yield the listing. Raises StoreError, TooManyNames."""
        level = self._way[-1]
        async for part in self._directory(level, self._cursor, ""):
            yield part
        while self._way:
            level = self._way[-1]
            if not level.names and level.last:
                await self._look_further(level)
            if not level.names:
                self._way.pop()
                continue
            name = level.names.popleft()
            below = _Level(paths.join(level.path, name), _label(level, name))
            cursor = await self._open(below.path)
            if cursor is not None:
                self._way.append(below)
                async for part in self._directory(below, cursor, "\r\n"):
                    yield part

    def close(self) -> None:
        """Let go of the directory that was being listed."""
        self._cursor.close()

    async def _open(self, path: str) -> DirectoryCursor | None:
        order, reverse = self._request.order, self._request.reverse
        try:
            self._cursor = await self._files.directory(path, order=order, backwards=reverse)
        except (BadName, Denied, NotFound, NotADirectory):
            return None  # not to be seen, gone meanwhile, or too far down to be named
        return self._cursor

    async def _directory(self, level: _Level, cursor: DirectoryCursor, gap: str) -> AsyncIterator[bytes]:
        render, lines = self._render, [f"{gap}{level.label}:"]
        if render is None:
            before, lines = before_names(level.label), []

            def render(entry: Entry) -> str:
                return before + entry.name

        while True:
            self._left -= len(cursor.entries)
            if self._left < 0:
                raise TooManyNames
            self._keep_in_mind(level, cursor.entries)
            yield block([*lines, *map(render, cursor.entries)])
            lines = []
            if not cursor.more:
                break
            await cursor.advance()

    def _keep_in_mind(self, level: _Level, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.is_directory and not level.last:
                if len(level.names) >= SUBDIRECTORIES:
                    level.last = level.names[-1]
                else:
                    level.names.append(entry.name)

    async def _look_further(self, level: _Level) -> None:
        """Find the directories behind the last one that was listed."""
        last, level.last = level.last, ""
        cursor = await self._open(level.path)
        found = False
        while cursor is not None:
            for entry in cursor.entries:
                if found:
                    self._keep_in_mind(level, [entry])
                found = found or entry.name == last
            if not cursor.more or level.last:
                cursor.close()
                break
            await cursor.advance()


def _label(level: _Level, name: str) -> str:
    return f"{level.label.rstrip('/')}/{name}" if level.label else name


@command("LIST", "a directory as `ls -l` shows it", syntax="[<options>] [<path>]", right="l", data=True)
def list_(session: Session, argument: str) -> None:
    """LIST [options] [path]."""
    now = time.time()
    _list(session, "LIST", argument, lambda entry: list_line(entry, now))


@command(
    "NLST",
    "the names in a directory, with the directory before them that was asked for: `NLST d` tells `d/name`",
    syntax="[<options>] [<path>]",
    right="l",
    data=True,
)
def nlst(session: Session, argument: str) -> None:
    """NLST [options] [path]: what it tells can be sent back as it is (RFC 1123, 4.1.2.7)."""
    _list(session, "NLST", argument, None)


def _list(session: Session, command: str, argument: str, render: Render | None) -> None:
    take_range(session)
    if session.no_data_connection():
        return
    request = parse_request(argument)
    path = session.files.resolve(request.path)
    asked = _asked(session, path, request)
    cursor = asked.cursor
    try:
        if request.below and not request.itself and _is_directory(session, path):
            tree = _Tree(session.files, path, request, cursor, render)
            _send(session, command, path, b"", tree.blocks(), tree.close)
        else:
            _send_all(session, command, path, cursor, render or asked.name)
    except BaseException:
        cursor.close()
        raise


def _is_directory(session: Session, path: str) -> bool:
    try:
        return session.wait(session.files.entry(path)).is_directory
    except NotFound:  # a pattern
        return False


def _asked(session: Session, path: str, request: Request) -> _Asked:
    argument, order, reverse = request.path, request.order, request.reverse
    try:
        if request.itself:
            found = replace(session.wait(session.files.entry(path)), name=argument or ".")
            return _Asked(DirectoryCursor.of([found]), "")
        cursor = session.wait(session.files.directory(path, order=order, backwards=reverse))
        return _Asked(cursor, before_names(argument))
    except NotADirectory:
        return _Asked(DirectoryCursor.of([session.wait(session.files.entry(path))]), "", argument)
    except NotFound:
        cursor = session.wait(session.files.matching(path, order=order, backwards=reverse))
        return _Asked(cursor, before_matches(argument, path))


@dataclass(slots=True)
class _Facts:
    """What OPTS MLST chose."""

    chosen: list[str] = field(default_factory=lambda: list(DEFAULT_FACTS))


def _facts(session: Session) -> str:
    chosen = session.state(_Facts).chosen
    return "MLST " + "".join(f"{fact}{'*' if fact in chosen else ''};" for fact in FACTS)


def _choose_facts(session: Session, argument: str) -> None:
    """OPTS MLST facts."""
    wanted = {fact.lower() for fact in argument.split(";")}
    facts = session.state(_Facts)
    facts.chosen = [fact for fact in FACTS if fact.lower() in wanted]
    session.respond("200 MLST OPTS " + "".join(f"{fact};" for fact in facts.chosen))


@command(
    "MLSD",
    "a directory with the facts that OPTS MLST chose",
    source="RFC 3659",
    syntax="[<path>]",
    right="l",
    data=True,
)
def mlsd(session: Session, argument: str) -> None:
    """MLSD [directory]."""
    take_range(session)
    if session.no_data_connection():
        return
    path = session.files.resolve(argument)
    cursor = session.wait(session.files.directory(path))
    writer = FactWriter(session.state(_Facts).chosen, session.files.letters(path))
    _send_all(session, "MLSD", path, cursor, writer.line)


def _send_all(session: Session, command: str, path: str, cursor: DirectoryCursor, render: Render) -> None:
    first = block(map(render, cursor.entries))
    if cursor.more:
        _send(session, command, path, first, _rest(cursor, render), cursor.close)
    else:
        _send(session, command, path, first)


def _send(
    session: Session,
    command: str,
    path: str,
    first: bytes,
    rest: AsyncIterator[bytes] | None = None,
    close: Callable[[], None] | None = None,
) -> None:
    if not session.alive:
        raise SessionEnded

    async def release() -> None:
        assert close is not None
        close()

    session.announce(f"Opening data connection for {command}.")
    session.attach(Sending(session, command, path, first, rest, None if close is None else release))


@command(
    "MLST",
    "the facts of one name",
    source="RFC 3659",
    syntax="[<path>]",
    right="lr",
    feature=_facts,
    options=_choose_facts,
    probe=True,
)
def mlst(session: Session, argument: str) -> None:
    """MLST: the facts of one name, on the control connection."""
    path = session.files.resolve(argument)
    entry = session.wait(session.files.entry(path))
    facts = FactWriter(session.state(_Facts).chosen, session.files.letters(path)).facts(entry)
    session.push(f"250-Listing {one_line(path)}\r\n {facts} {path}\r\n")
    session.respond("250 End MLST.")


@command("STAT", "the session and its transfer", login=False, inline=True, beside=Beside.ALWAYS)
def session_stat(session: Session, argument: str) -> None:
    """STAT of the session."""
    lines = [f"Logged in as: {session.login.name}" if session.login is not None else "Not logged in."]
    lines.append(f"Control connection: {'encrypted' if session.secured else 'not encrypted'}.")
    transfer = session.transfer
    if transfer is None:
        lines.append("No transfer under way.")
    elif transfer.phase is Phase.SETTLING:
        lines.append(f"{transfer.command}: {transfer.moved} bytes moved, waiting for the cluster to confirm.")
    else:
        lines.append(f"{transfer.command}: {transfer.moved} bytes moved so far.")
    session.push("211-Status:\r\n" + "".join(f" {text}\r\n" for text in lines))
    session.respond("211 End of status.")


@command(
    "STAT",
    "the session and its transfer; with a path, a listing on the control connection",
    syntax="[<path>]",
    right="l",
    bare=session_stat,
)
def stat(session: Session, argument: str) -> None:
    """STAT: a listing on the control connection."""
    request = parse_request(argument)
    path = session.files.resolve(request.path)
    cursor = _asked(session, path, request).cursor
    try:
        session.push(f"213-Status of {quoted(path)}:\r\n")
        now = time.time()
        while True:
            session.push(block(list_line(entry, now) for entry in cursor.entries).decode())
            if not _taken(session):
                return
            if not cursor.more:
                break
            session.wait(cursor.advance())
        session.respond("213 End of status.")
    finally:
        cursor.close()


def _taken(session: Session) -> bool:
    """Wait until the client has taken most of what was said; False when it does not, or is gone."""
    session.wait(asyncio.sleep(0))
    seen, until = session.unsent, time.monotonic() + session.settings.stall_timeout
    while session.alive and session.unsent > REPLY_AHEAD:
        session.wait(asyncio.sleep(_LOOK))
        if session.unsent < seen:
            seen, until = session.unsent, time.monotonic() + session.settings.stall_timeout
        elif time.monotonic() > until:
            session.events.warning("session closed: the client takes no replies")
            session.close()
    return session.alive
