"""Listings: LIST, NLST, MLSD on a data connection, MLST and STAT on the control connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator

from ftpgateway.ftp.listings import GROUP, FactWriter, arrange, grouped, list_line, parse_request
from ftpgateway.ftp.replies import one_line, quoted
from ftpgateway.ftp.sending import Sending
from ftpgateway.ftp.session import BaseSession
from ftpgateway.ftp.table import command


async def _blocks(lines: Iterator[bytes]) -> AsyncIterator[bytes]:
    for block in lines:
        yield block
        # To write the next one takes some 10 ms: others, and this node's heartbeats, come first.
        await asyncio.sleep(0)


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

    def _list(self, command: str, line: str, render: object) -> None:
        self.take_marker()
        if self.no_data_connection():
            return
        request = parse_request(line)
        path = self.files.resolve(request.path)
        entries = self.wait(self.files.entries(path, glob=True))
        lines = map(render, arrange(entries, request))  # type: ignore[call-overload]
        self._send_lines(command, path, lines, len(entries))

    @command(
        "MLSD",
        "a directory with the facts that OPTS MLST chose",
        source="RFC 3659",
        syntax="[<path>]",
        right="l",
    )
    def ftp_MLSD(self, line: str) -> None:
        """MLSD [directory]."""
        self.take_marker()
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

    @command("MLST", "the facts of one name", source="RFC 3659", syntax="[<path>]", right="l")
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
        entries = arrange(self.wait(self.files.entries(path, glob=True)), request)
        self.push(f"213-Status of {quoted(path)}:\r\n")
        now = time.time()
        for block in grouped(list_line(entry, now) for entry in entries):
            self.push(block.decode())
            self.wait(asyncio.sleep(0))
            if not self.alive:
                return
        self.respond("213 End of status.")
