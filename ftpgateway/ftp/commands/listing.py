"""Listings: LIST, NLST, MLSD on a data connection, MLST and STAT on the control connection."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from ftpgateway.access import Workspace
from ftpgateway.ftp.listings import GROUP, FactWriter, Request, arrange, grouped, list_line, parse_request
from ftpgateway.ftp.replies import TooMany, one_line, quoted
from ftpgateway.ftp.sending import Sending
from ftpgateway.ftp.session import BaseSession
from ftpgateway.ftp.table import command
from raftstore import paths
from raftstore.errors import BadName, Denied, NotADirectory, NotFound
from raftstore.types import Entry


async def _blocks(lines: Iterator[bytes]) -> AsyncIterator[bytes]:
    for block in lines:
        yield block
        # To write the next one takes some 10 ms: others, and this node's heartbeats, come first.
        await asyncio.sleep(0)


TREE_LIMIT = 100_000
"""Names that LIST -R shows at most."""

REPLY_AHEAD = 256 * 1024
"""Bytes of STAT's reply that are made before the client takes them."""

LARGE = 4096
"""Entries from which on they are sorted by a thread."""

_LOOK = 0.02


async def _ordered(entries: Sequence[Entry], request: Request) -> Iterable[Entry]:
    """Return the entries in the order asked for; to sort many of them takes long."""
    if len(entries) >= LARGE and (request.by_time or request.by_size):
        return await asyncio.to_thread(arrange, entries, request)
    return arrange(entries, request)


async def _below(
    files: Workspace, top: str, request: Request, entries: Sequence[Entry], render: Callable[[Entry], str]
) -> AsyncIterator[bytes]:
    """Yield the listing of a directory, whose `entries` are known, and of all below it, as `ls -R` writes them."""
    way: list[tuple[str, str, Sequence[Entry] | None]] = [(top, request.path or ".", entries)]
    left = TREE_LIMIT
    while way:
        path, label, found = way.pop()
        try:
            found = await files.directory(path) if found is None else found
        except (BadName, Denied, NotFound, NotADirectory):
            continue  # not to be seen, gone meanwhile, or too far down to be named
        left -= len(found)
        if left < 0:
            raise TooMany
        ordered = list(await _ordered(found, request))
        head = f"{label}:" if path == top else f"\r\n{label}:"
        async for block in _blocks(grouped(itertools.chain([head], map(render, ordered)))):
            yield block
        way += [
            (paths.join(path, entry.name), f"{label.rstrip('/')}/{entry.name}", None)
            for entry in reversed(ordered)
            if entry.is_directory
        ]


class ListingCommands(BaseSession):
    """The commands that list."""

    @command("LIST", "a directory as `ls -l` shows it", syntax="[<options>] [<path>]", right="l")
    def ftp_LIST(self, line: str) -> None:
        """LIST [options] [path]."""
        now = time.time()
        self._list("LIST", line, lambda entry: list_line(entry, now))

    @command("NLST", "the names in a directory", syntax="[<options>] [<path>]", right="l")
    def ftp_NLST(self, line: str) -> None:
        """NLST [options] [path]."""
        self._list("NLST", line, lambda entry: entry.name)

    def _list(self, command: str, line: str, render: Callable[[Entry], str]) -> None:
        self.take_range()
        if self.no_data_connection():
            return
        request = parse_request(line)
        path = self.files.resolve(request.path)
        entries = self._asked(path, request)
        if request.below and not request.itself and self._is_directory(path):
            if self.alive:
                self.announce(f"Opening data connection for {command}.")
                below = _below(self.files, path, request, entries, render)
                self.attach(Sending(self, command, path, b"", below))
            return
        self._send_lines(command, path, map(render, self.wait(_ordered(entries, request))), len(entries))

    def _is_directory(self, path: str) -> bool:
        try:
            return self.wait(self.files.entry(path)).is_directory
        except NotFound:  # a pattern
            return False

    def _asked(self, path: str, request: Request) -> Sequence[Entry]:
        if request.itself:
            with contextlib.suppress(NotFound):
                return [replace(self.wait(self.files.entry(path)), name=request.path or ".")]
        return self.wait(self.files.entries(path, glob=True))

    @command(
        "MLSD",
        "a directory with the facts that OPTS MLST chose",
        source="RFC 3659",
        syntax="[<path>]",
        right="l",
    )
    def ftp_MLSD(self, line: str) -> None:
        """MLSD [directory]."""
        self.take_range()
        if self.no_data_connection():
            return
        path = self.files.resolve(line)
        entries = self.wait(self.files.directory(path))
        writer = FactWriter(self.facts, self.files.account.letters(path))
        self._send_lines("MLSD", path, map(writer.line, entries), len(entries))

    def _send_lines(self, command: str, path: str, lines: Iterable[str], count: int) -> None:
        if not self.alive:
            return
        self.announce(f"Opening data connection for {command}.")
        blocks = grouped(lines)
        first = next(blocks, b"")
        rest = _blocks(blocks) if count > GROUP else None
        self.attach(Sending(self, command, path, first, rest))

    @command("MLST", "the facts of one name", source="RFC 3659", syntax="[<path>]", right="lr")
    def ftp_MLST(self, line: str) -> None:
        """MLST: the facts of one name, on the control connection."""
        path = self.files.resolve(line)
        entry = self.wait(self.files.entry(path))
        facts = FactWriter(self.facts, self.files.account.letters(path)).facts(entry)
        self.push(f"250-Listing {one_line(path)}\r\n {facts} {path}\r\n")
        self.respond("250 End MLST.")

    @command(
        "STAT",
        "the session and its transfer; with a path, a listing on the control connection",
        syntax="[<path>]",
        right="l",
        login=False,
    )
    def ftp_STAT(self, line: str) -> None:
        """STAT: of the session, or a listing on the control connection."""
        if not line:
            self.push("211-Status:\r\n" + "".join(f" {text}\r\n" for text in self.status_lines()))
            self.respond("211 End of status.")
            return
        request = parse_request(line)
        path = self.files.resolve(request.path)
        entries = self.wait(_ordered(self._asked(path, request), request))
        self.push(f"213-Status of {quoted(path)}:\r\n")
        now = time.time()
        for block in grouped(list_line(entry, now) for entry in entries):
            self.push(block.decode())
            if not self._taken():
                return
        self.respond("213 End of status.")

    def _taken(self) -> bool:
        """Wait until the client has taken most of what was said; False when it does not, or is gone."""
        self.wait(asyncio.sleep(0))
        seen, until = self.unsent, time.monotonic() + self.host.settings.stall_timeout
        while self.alive and self.unsent > REPLY_AHEAD:
            self.wait(asyncio.sleep(_LOOK))
            if self.unsent < seen:
                seen, until = self.unsent, time.monotonic() + self.host.settings.stall_timeout
            elif time.monotonic() > until:
                self.events.warning("session closed: the client takes no replies")
                self.close()
        return self.alive
