"""Checksums of files: HASH and RANG (drafts of the FTPEXT working group), and the older X commands."""

from __future__ import annotations

import re

from ftpgateway.access.backend import Download
from ftpgateway.access.ledger import Resource
from ftpgateway.ftp.hashing import Hashing, checked_range
from ftpgateway.ftp.session import BaseSession
from ftpgateway.ftp.table import command
from ftpgateway.serving.refusals import one_line
from raftstore.errors import NotFound
from raftstore.types import CHUNK_SIZE

_QUOTED = re.compile(r'"((?:[^"]|"")*)"(?: +(\d{1,19}))?(?: +(\d{1,19}))? *', re.ASCII)
_NUMBERS = re.compile(r"(.+?) (\d{1,19})(?: (\d{1,19}))?", re.ASCII)


def requests(argument: str) -> list[tuple[str, int, int | None]]:
    """Return what the argument of XCRC can mean, in the order to try: name, first byte, byte after the last.

    `"name" [start [stop]]` is clear. Without quotes the whole is a name, or a name with one or two numbers.
    """
    quoted = _QUOTED.fullmatch(argument)
    if quoted is not None:
        name = quoted[1].replace('""', '"')
        return [(name, int(quoted[2] or 0), int(quoted[3]) if quoted[3] else None), (argument, 0, None)]
    found: list[tuple[str, int, int | None]] = [(argument, 0, None)]
    numbers = _NUMBERS.fullmatch(argument)
    if numbers is not None:
        found.append((numbers[1], int(numbers[2]), int(numbers[3]) if numbers[3] else None))
    return found


class ChecksumCommands(BaseSession):
    """The commands that compute checksums. They hold up nobody else, and end with the session."""

    @command(
        "HASH",
        "the checksum of a file, or of the part that RANG or REST set, by the algorithm that OPTS HASH chose",
        source="draft-bryan-ftpext-hash",
        syntax="<path>",
        right="r",
    )
    def ftp_HASH(self, line: str) -> None:
        """HASH: `213 <algorithm> <first>-<last> <checksum> <path>`."""
        start, stop = self.take_range()
        path = self.files.resolve(line)
        first, end, checksum = self._checksum(path, self.algorithm, start, stop)
        self.respond(f"213 {self.algorithm} {first}-{max(first, end - 1)} {checksum} {one_line(path)}")

    def _older(self, algorithm: str, line: str) -> None:
        """Answer an X command: `250 <checksum>`."""
        self.take_range()
        missing: NotFound | None = None
        for name, start, stop in requests(line):
            try:
                checksum = self._checksum(self.files.resolve(name), algorithm, start, stop)[2]
            except NotFound as error:
                missing = missing or error
                continue
            self.respond(f"250 {checksum.upper()}")
            return
        assert missing is not None
        raise missing

    @command(
        "XCRC",
        "CRC-32 of a file, or of its bytes from start to before end",
        source="usage",
        syntax='"<path>" [<start> [<end>]]',
        right="r",
    )
    def ftp_XCRC(self, line: str) -> None:
        """XCRC."""
        self._older("CRC32", line)

    @command("XMD5", "MD5, as XCRC", source="usage", syntax='"<path>" [<start> [<end>]]', right="r")
    def ftp_XMD5(self, line: str) -> None:
        """XMD5."""
        self._older("MD5", line)

    @command(
        "XSHA1",
        "SHA-1, as XCRC",
        source="usage",
        syntax='"<path>" [<start> [<end>]]',
        right="r",
        also=("XSHA",),
    )
    def ftp_XSHA1(self, line: str) -> None:
        """XSHA1."""
        self._older("SHA-1", line)

    @command("XSHA256", "SHA-256, as XCRC", source="usage", syntax='"<path>" [<start> [<end>]]', right="r")
    def ftp_XSHA256(self, line: str) -> None:
        """XSHA256."""
        self._older("SHA-256", line)

    @command("XSHA512", "SHA-512, as XCRC", source="usage", syntax='"<path>" [<start> [<end>]]', right="r")
    def ftp_XSHA512(self, line: str) -> None:
        """XSHA512."""
        self._older("SHA-512", line)

    def _checksum(self, path: str, algorithm: str, start: int, stop: int | None) -> tuple[int, int, str]:
        """Return first byte, byte after the last, and the checksum between. Raises StoreError."""
        with self.session.charge(Resource.MEMORY, CHUNK_SIZE):
            return self._computed(path, algorithm, start, stop)

    def _computed(self, path: str, algorithm: str, start: int, stop: int | None) -> tuple[int, int, str]:
        download: Download = self.wait(self.files.download(path))
        close = download.close
        try:
            first, end = checked_range(download.size, start, stop)
            hashing = Hashing(download, algorithm, first, end, self.host.hashers)
            close = hashing.close
            while (checksum := self.wait(hashing.some())) is None:
                pass
            return first, end, checksum
        finally:
            # Not waited for: the session may have ended.
            self.host.spawn(close())
