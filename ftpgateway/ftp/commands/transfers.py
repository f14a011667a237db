"""Commands that move data: STOR, APPE, STOU, RETR, the listings, and what prepares them (REST, ALLO)."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

import structlog

from ftpgateway.access import Workspace
from ftpgateway.access.backend import Part
from ftpgateway.access.ledger import UploadMemory
from ftpgateway.access.throttle import Throttle, paced
from ftpgateway.ftp.data.receiving import Receiving
from ftpgateway.ftp.data.sending import Sending, let_go
from ftpgateway.ftp.replies import Doing, one_line, refusal
from ftpgateway.ftp.session import BaseSession
from ftpgateway.ftp.table import command
from raftstore import paths
from raftstore.errors import AlreadyExists, Invalid, StoreError

log = structlog.get_logger()

STOU_ATTEMPTS = 8
MAX_OFFSET = 2**63 - 1
NO_RANGE = (0, None)


@dataclass(frozen=True, slots=True)
class Opened:
    """A download that can begin: bytes to send, the first block, and where the others come from, if any.

    `whole`: the size of the file.
    """

    size: int
    whole: int
    first: Part
    rest: AsyncIterator[Part] | None = None
    release: Callable[[], Coroutine[Any, Any, None]] | None = None


async def _open(
    files: Workspace, path: str, offset: int, until: int | None, throttle: Throttle, *, direct: bool
) -> Opened:
    """Open a download and read its first block: a picture that cannot be read is refused before any data.

    `until`: the byte after the last one (None: all). `direct`: what is sent is not encrypted, so that it can go
    straight from a file (unless it must not go fast).
    """
    direct = direct and not throttle.rate
    download = await files.download(path)
    done, first = True, cast(Part, b"")
    try:
        size = download.size - offset
        if size < 0:
            raise Invalid(f"REST {offset} is past the end: the file has {download.size} bytes")
        if until is not None:
            size, direct = min(size, until - offset), False
        if direct and (whole := download.at_once(offset)) is not None:
            first = whole
            return Opened(size, download.size, first)
        blocks: AsyncIterator[Part]
        if direct:
            blocks = download.parts(offset)
        elif throttle.rate:
            blocks = paced(download.blocks(offset, size), throttle)
        else:
            blocks = download.blocks(offset, size)
        first = await anext(blocks, b"")
        done = len(first) == size
        if not done:
            return Opened(size, download.size, first, blocks, download.close)
        async for _ in blocks:
            pass
        return Opened(size, download.size, first)
    except BaseException:
        let_go(first)
        raise
    finally:
        if done:
            await download.close()


class TransferCommands(BaseSession):
    """The commands that use the data connection."""

    @command("REST", "the byte at which the next RETR or STOR begins", source="RFC 3659", syntax="<bytes>")
    def ftp_REST(self, line: str) -> None:
        """REST: byte to start at; holds for the next transfer command only."""
        if not _is_offset(line):
            self.respond("501 REST needs a number of bytes.")
            return
        self.marker, self.until = int(line), None
        self.respond(f"350 Restarting at position {self.marker}.")

    @command(
        "RANG",
        "the first and the last byte of the next RETR or HASH; 1 0 takes that back",
        source="draft-bryan-ftp-range",
        syntax="<first> <last>",
    )
    def ftp_RANG(self, line: str) -> None:
        """RANG: both bytes belong to the range."""
        numbers = line.split(" ")
        if len(numbers) != 2 or not all(_is_offset(number) for number in numbers):
            self.respond("501 Syntax: RANG first last, numbers of bytes.")
            return
        first, last = int(numbers[0]), int(numbers[1])
        if (first, last) == (1, 0):
            self.take_range()
            self.respond("350 No range is set.")
        elif last < first:
            self.respond("501 The last byte is before the first one.")
        else:
            self.marker, self.until = first, last + 1
            self.respond(f"350 The next RETR or HASH takes bytes {first} to {last}.")

    @command(
        "ALLO",
        "tell the size of the next upload: 452 when the cluster has no room for its copies or the quota is smaller",
        syntax="<bytes>",
    )
    def ftp_ALLO(self, line: str) -> None:
        """ALLO: what cannot fit is refused here; the upload itself is checked once more when it begins."""
        size = line.split(" ")[0]
        self.announced = None
        if not _is_offset(size):
            self.respond("501 ALLO needs a number of bytes.")
            return
        try:
            free_space = self.wait(self.files.free_space(self.files.cwd))
            free_space.check(int(size))
        except StoreError as error:
            self.respond(refusal(error, Doing.WRITING))
            return
        self.announced = int(size)
        self.respond(f"200 There is room; {free_space.free} bytes are free.")

    @command(
        "AVBL",
        "how many bytes can be stored: the cluster's free room for all copies, or what is left of the quota",
        source="draft-peterson-streamlined-ftp-command-extensions",
        syntax="[<directory>]",
        right="w",
    )
    def ftp_AVBL(self, line: str) -> None:
        """AVBL [directory]."""
        path = self.files.resolve(line)
        if line and not self.wait(self.files.entry(path)).is_directory:
            self.respond("550 Not a directory.")
            return
        self.respond(f"213 {self.wait(self.files.free_space(path)).free}")

    # Uploads.

    @command("STOR", "upload a new version of a file", syntax="<path>", right="w")
    def ftp_STOR(self, line: str) -> None:
        """STOR: a new version of the file; after REST n the first n bytes are kept and the rest is replaced."""
        offset, until = self.take_range()
        if until is not None:
            self.respond("450 RANG does not go with STOR; send STOR again without it, or REST and STOR.")
            return
        self._receive("STOR", self.files.resolve(line), offset=offset or None)

    @command("APPE", "continue an interrupted upload, or append to a file", syntax="<path>", right="a")
    def ftp_APPE(self, line: str) -> None:
        """APPE: go on with the user's interrupted upload, or append to the file."""
        if self.take_range() != NO_RANGE:
            self.respond("450 REST does not go with APPE; send APPE again without it, or REST and STOR.")
            return
        self._receive("APPE", self.files.resolve(line), append=True)

    @command("STOU", "upload under a name that is not there yet", syntax="[<path>]", right="w")
    def ftp_STOU(self, line: str) -> None:
        """STOU: store under a name that does not exist yet, made from the given one."""
        if self.take_range() != NO_RANGE:
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
        if self.no_data_connection():
            return
        if path == "/":
            self.respond("550 It is a directory, not a file.")
            return
        expected, self.announced = self.announced, None
        try:
            with contextlib.ExitStack() as unless_it_opens:
                memory = UploadMemory(self.session.charge)
                unless_it_opens.callback(memory.release)
                upload = self.wait(
                    self.files.upload(
                        path, offset=offset, append=append, exclusive=exclusive, expected=expected
                    )
                )
                unless_it_opens.pop_all()
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
            memory.release()
            self.host.spawn(upload.suspend())
            return
        done = "226 Stored safely."
        self.announce(announce or f"Ready for {one_line(path)}.")
        self.attach(Receiving(self, command, path, upload, done, self.session.up, memory))

    # Downloads.

    @command("RETR", "download one whole version of a file", syntax="<path>", right="r")
    def ftp_RETR(self, line: str) -> None:
        """RETR: one whole version of the file, from the byte that REST set."""
        offset, until = self.take_range()
        if self.no_data_connection():
            return
        path = self.files.resolve(line)
        try:
            direct = not self.link.secure
            begun = self._begun_as_reported(path)
            opened = self.wait(_open(self.files, path, offset, until, self.session.down, direct=direct))
        except StoreError as error:
            self.respond(refusal(error, Doing.READING))
            return
        # Clients like curl stop at the size that SIZE told, and take it for the whole.
        misled = begun is not None and begun != opened.whole
        if misled or not self.alive:
            let_go(opened.first)
            if opened.release is not None:
                self.host.spawn(opened.release())
            if misled:
                self.respond(
                    f"550 SIZE told of your interrupted upload, the file has {opened.whole} bytes. Finish that upload, "
                    "or store the file anew."
                )
            return
        with self.corked():
            self.announce(f"Opening data connection for {one_line(path)} ({opened.size} bytes).")
            self.attach(Sending(self, "RETR", path, opened.first, opened.rest, opened.release))

    def _begun_as_reported(self, path: str) -> int | None:
        """Return what the last SIZE told of an interrupted upload of `path`, if it is still true. Raises StoreError."""
        reported = self.reported_begun
        if reported is None or reported[0] != path or self.wait(self.files.begun(path)) != reported[1]:
            return None
        return reported[1]


def _is_offset(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text[:20]) <= MAX_OFFSET
