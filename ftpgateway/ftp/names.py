"""Commands about names: directories, renaming, deleting, times, sizes. They wait for the store in greenlets."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

from ftpgateway.ftp.filesystem import Workspace
from ftpgateway.ftp.listings import (
    DEFAULT_FACTS,
    FactWriter,
    arrange,
    grouped,
    list_line,
    parse_request,
    parse_timestamp,
    timestamp,
)
from ftpgateway.ftp.replies import one_line, quoted
from ftpgateway.ftp.session import BaseSession

if TYPE_CHECKING:
    from ftpgateway.ftp.server import FtpFrontend


class NameCommands(BaseSession):
    """The commands that look at names or change them."""

    def __init__(self, sock: socket.socket, host: FtpFrontend) -> None:
        self.facts: list[str] = list(DEFAULT_FACTS)
        super().__init__(sock, host)

    @property
    def files(self) -> Workspace:
        """What the user sees of the store."""
        assert self.place is not None
        return self.place

    @property
    def rights(self) -> str:
        """The user's rights letters."""
        return self.user.rights if self.user is not None else ""

    def ftp_PWD(self, line: str) -> None:
        """PWD."""
        self.respond(f"257 {quoted(self.files.cwd)} is the current directory.")

    def ftp_CWD(self, line: str) -> None:
        """CWD; without argument to the home directory."""
        files = self.files
        self.wait(files.enter(files.resolve(line or "/")))
        self.respond(f"250 {quoted(files.cwd)} is the current directory.")

    def ftp_CDUP(self, line: str) -> None:
        """CDUP."""
        self.ftp_CWD("..")

    def ftp_MKD(self, line: str) -> None:
        """MKD."""
        path = self.files.resolve(line)
        self.wait(self.files.make_directory(path))
        self.respond(f"257 {quoted(path)} directory created.")

    def ftp_RMD(self, line: str) -> None:
        """RMD."""
        path = self.files.resolve(line)
        if path == "/":
            self.respond("550 The home directory cannot be removed.")
            return
        self.wait(self.files.remove_directory(path))
        self.respond("250 Directory removed.")

    def ftp_DELE(self, line: str) -> None:
        """DELE."""
        path = self.files.resolve(line)
        if path == "/":
            self.respond("550 It is a directory, not a file.")
            return
        self.wait(self.files.remove(path))
        self.respond("250 File removed.")

    def ftp_RNFR(self, line: str) -> None:
        """RNFR: what is to be renamed."""
        self.rename_from = None
        path = self.files.resolve(line)
        if path == "/":
            self.respond("550 The home directory cannot be renamed.")
            return
        self.wait(self.files.entry(path))
        self.rename_from = path
        self.respond("350 Ready for the new name.")

    def ftp_RNTO(self, line: str) -> None:
        """RNTO: rename, over an existing file too."""
        source, self.rename_from = self.rename_from, None
        if source is None:
            self.respond("503 Send RNFR first.")
            return
        target = self.files.resolve(line)
        if target == "/":
            self.respond("553 The home directory cannot be replaced.")
            return
        self.wait(self.files.rename(source, target))
        self.respond("250 Renamed.")

    def ftp_SIZE(self, line: str) -> None:
        """SIZE: where a transfer can be resumed, in every TYPE, as nothing is converted."""
        path = self.files.resolve(line)
        size = self.wait(self.files.size(path))
        if size is None:
            self.respond(f"550 {one_line(path)} is a directory.")
        else:
            self.respond(f"213 {size}")

    def ftp_MDTM(self, line: str) -> None:
        """MDTM of a file, UTC."""
        path = self.files.resolve(line)
        entry = self.wait(self.files.entry(path))
        if entry.is_directory:
            self.respond(f"550 {one_line(path)} is a directory.")
        else:
            self.respond(f"213 {timestamp(entry.mtime_ns)}")

    def ftp_MFMT(self, line: str) -> None:
        """MFMT time path: set the time of last modification."""
        when, _, name = line.partition(" ")
        mtime_ns = parse_timestamp(when)
        if mtime_ns is None or not name:
            self.respond("501 Syntax: MFMT YYYYMMDDHHMMSS path.")
            return
        path = self.files.resolve(name)
        self.wait(self.files.set_modified(path, mtime_ns))
        self.respond(f"213 Modify={when}; {one_line(path)}")

    def ftp_SITE_CHMOD(self, line: str) -> None:
        """SITE CHMOD mode path: accepted, so that clients that always send it go on; modes are not kept."""
        mode, _, name = line.partition(" ")
        if not name or not 3 <= len(mode) <= 4 or not set(mode) <= set("01234567"):
            self.respond("501 Syntax: SITE CHMOD mode path.")
            return
        self.wait(self.files.entry(self.files.resolve(name)))
        self.respond("200 Accepted; this server keeps no modes.")

    def ftp_MLST(self, line: str) -> None:
        """MLST: the facts of one name, on the control connection."""
        path = self.files.resolve(line)
        entry = self.wait(self.files.entry(path))
        facts = FactWriter(self.facts, self.rights).facts(entry)
        self.push(f"250-Listing {one_line(path)}\r\n {facts} {path}\r\n")
        self.respond("250 End MLST.")

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

    def status_lines(self) -> list[str]:
        """Return what STAT without argument tells."""
        raise NotImplementedError
