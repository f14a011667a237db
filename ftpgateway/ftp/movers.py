"""Commands that move data: STOR, APPE, STOU, RETR, the listings, and what prepares them (REST, ALLO)."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import structlog

from ftpgateway.ftp.backend import Part
from ftpgateway.ftp.filesystem import Workspace
from ftpgateway.ftp.listings import GROUP, FactWriter, arrange, grouped, list_line, parse_request
from ftpgateway.ftp.names import NameCommands
from ftpgateway.ftp.receiving import Receiving
from ftpgateway.ftp.replies import Doing, one_line, refusal
from ftpgateway.ftp.sending import Sending, let_go
from raftstore import paths
from raftstore.errors import AlreadyExists, Invalid, StoreError

log = structlog.get_logger()

STOU_ATTEMPTS = 8
MAX_OFFSET = 2**63 - 1


async def _blocks(lines: Iterator[bytes]) -> AsyncIterator[bytes]:
    for block in lines:
        yield block
        # To write the next one takes some 10 ms: others, and this node's heartbeats, come first.
        await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class Opened:
    """A download that can begin: bytes to send, the first block, and where the others come from, if any."""

    size: int
    first: Part
    rest: AsyncIterator[Part] | None = None
    release: Callable[[], Coroutine[Any, Any, None]] | None = None


async def _open(files: Workspace, path: str, offset: int, *, direct: bool) -> Opened:
    """Open a download and read its first block: a picture that cannot be read is refused before any data.

    `direct`: what is sent is not encrypted, so that it can go straight from a file.
    """
    download = await files.download(path)
    done, first = True, cast(Part, b"")
    try:
        size = download.size - offset
        if size < 0:
            raise Invalid(f"REST {offset} is past the end: the file has {download.size} bytes")
        if direct and (whole := download.at_once(offset)) is not None:
            first = whole
            return Opened(size, first)
        blocks = download.parts(offset) if direct else download.blocks(offset)
        first = await anext(blocks, b"")
        done = len(first) == size
        if not done:
            return Opened(size, first, blocks, download.close)
        async for _ in blocks:
            pass
        return Opened(size, first)
    except BaseException:
        let_go(first)
        raise
    finally:
        if done:
            await download.close()


class TransferCommands(NameCommands):
    """The commands that use the data connection."""

    def ftp_REST(self, line: str) -> None:
        """REST: byte to start at; holds for the next transfer command only."""
        if not line.isascii() or not line.isdigit() or int(line) > MAX_OFFSET:
            self.respond("501 REST needs a number of bytes.")
            return
        self.marker = int(line)
        self.respond(f"350 Restarting at position {self.marker}.")

    def ftp_ALLO(self, line: str) -> None:
        """ALLO: how large the next upload will be; checked against the free room when it begins."""
        size = line.split(" ")[0]
        if not size.isascii() or not size.isdigit() or int(size) > MAX_OFFSET:
            self.respond("501 ALLO needs a number of bytes.")
            return
        self.announced = int(size)
        self.respond("200 Noted.")

    def _take_marker(self) -> int:
        marker, self.marker = self.marker, 0
        return marker

    def _no_data_connection(self) -> bool:
        if self.link.exists:
            return False
        self.respond("425 No data connection; send PASV, EPSV, PORT or EPRT first.")
        return True

    def _announce(self, text: str) -> None:
        self.respond(f"150 {text}")

    # Uploads.

    def ftp_STOR(self, line: str) -> None:
        """STOR: a new version of the file; after REST n the first n bytes are kept and the rest is replaced."""
        offset = self._take_marker()
        self._receive("STOR", self.files.resolve(line), offset=offset or None)

    def ftp_APPE(self, line: str) -> None:
        """APPE: go on with the user's interrupted upload, or append to the file."""
        if self._take_marker():
            self.respond("450 REST does not go with APPE; send APPE again without it, or REST and STOR.")
            return
        self._receive("APPE", self.files.resolve(line), append=True)

    def ftp_STOU(self, line: str) -> None:
        """STOU: store under a name that does not exist yet, made from the given one."""
        if self._take_marker():
            self.respond("450 REST does not go with STOU; send STOU again without it.")
            return
        wanted = self.files.resolve(line or "picture")
        if wanted == "/":
            wanted = "/picture"
        directory, name = paths.parent(wanted)
        stem, dot, suffix = name.rpartition(".")
        if not stem:
            stem, dot, suffix = name, "", ""
        for _ in range(STOU_ATTEMPTS):
            unique = f"{stem[:200]}.{secrets.token_hex(6)}{dot}{suffix[:30]}"
            path = paths.join(directory, unique)
            try:
                self._receive("STOU", self.files.resolve(path), exclusive=True, announce=f"FILE: {unique}")
                return
            except AlreadyExists:
                continue
        self.respond("450 No unique name found; try again.")

    def _receive(
        self,
        command: str,
        path: str,
        *,
        offset: int | None = None,
        append: bool = False,
        exclusive: bool = False,
        announce: str = "",
    ) -> None:
        if self._no_data_connection():
            return
        if path == "/":
            self.respond("550 It is a directory, not a file.")
            return
        expected, self.announced = self.announced, None
        try:
            upload = self.wait(
                self.files.upload(path, offset=offset, append=append, exclusive=exclusive, expected=expected)
            )
        except AlreadyExists:
            if exclusive:
                raise
            self.respond("550 It exists already; choose another name.")
            return
        except StoreError as error:
            self.respond(refusal(error, Doing.WRITING))
            return
        if not self.alive:
            # Not `abort`: what the upload goes on from must stay.
            self.host.spawn(upload.suspend())
            return
        done = "226 Stored safely."
        self._announce(announce or f"Ready for {one_line(path)}.")
        self.attach(Receiving(self, command, path, upload, done))

    # Downloads.

    def ftp_RETR(self, line: str) -> None:
        """RETR: one whole version of the file, from the byte that REST set."""
        offset = self._take_marker()
        if self._no_data_connection():
            return
        path = self.files.resolve(line)
        try:
            opened = self.wait(_open(self.files, path, offset, direct=not self.link.secure))
        except StoreError as error:
            self.respond(refusal(error, Doing.READING))
            return
        if not self.alive:
            let_go(opened.first)
            if opened.release is not None:
                self.host.spawn(opened.release())
            return
        with self.corked():
            self._announce(f"Opening data connection for {one_line(path)} ({opened.size} bytes).")
            self.attach(Sending(self, "RETR", path, opened.first, opened.rest, opened.release))

    # Listings.

    def ftp_LIST(self, line: str) -> None:
        """LIST [options] [path]."""
        now = time.time()
        self._list("LIST", line, lambda entry: list_line(entry, now))

    def ftp_NLST(self, line: str) -> None:
        """NLST [options] [path]."""
        self._list("NLST", line, lambda entry: entry.name)

    def _list(self, command: str, line: str, render: object) -> None:
        self._take_marker()
        if self._no_data_connection():
            return
        request = parse_request(line)
        path = self.files.resolve(request.path)
        entries = self.wait(self.files.entries(path, glob=True))
        lines = map(render, arrange(entries, request))  # type: ignore[call-overload]
        self._send_lines(command, path, lines, len(entries))

    def ftp_MLSD(self, line: str) -> None:
        """MLSD [directory]."""
        self._take_marker()
        if self._no_data_connection():
            return
        path = self.files.resolve(line)
        entries = self.wait(self.files.directory(path))
        self._send_lines("MLSD", path, map(FactWriter(self.facts, self.rights).line, entries), len(entries))

    def _send_lines(self, command: str, path: str, lines: Iterable[str], count: int) -> None:
        if not self.alive:
            return
        self._announce(f"Opening data connection for {command}.")
        blocks = grouped(lines)
        first = next(blocks, b"")
        rest = _blocks(blocks) if count > GROUP else None
        self.attach(Sending(self, command, path, first, rest))
