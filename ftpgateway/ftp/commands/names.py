"""Commands about names: directories, renaming, deleting, times, sizes. They wait for the store in greenlets."""

from __future__ import annotations

from ftpgateway.ftp.listings import parse_timestamp, parse_utime, timestamp
from ftpgateway.ftp.removal import Removal
from ftpgateway.ftp.replies import one_line, quoted, refusal
from ftpgateway.ftp.session import BaseSession
from ftpgateway.ftp.table import command
from raftstore.errors import NotFound, StoreError
from raftstore.rights import Action


class NameCommands(BaseSession):
    """The commands that look at names or change them."""

    @command("PWD", "the current directory", also=("XPWD",))
    def ftp_PWD(self, line: str) -> None:
        """PWD."""
        self.respond(f"257 {quoted(self.files.cwd)} is the current directory.")

    @command(
        "CWD",
        "change the current directory; without argument to the home",
        syntax="[<path>]",
        right="e",
        also=("XCWD",),
    )
    def ftp_CWD(self, line: str) -> None:
        """CWD; without argument to the home directory."""
        files = self.files
        self.wait(files.enter(files.resolve(line or "/")))
        self.respond(f"250 {quoted(files.cwd)} is the current directory.")

    @command("CDUP", "change to the parent directory", right="e", also=("XCUP",))
    def ftp_CDUP(self, line: str) -> None:
        """CDUP."""
        self.ftp_CWD("..")

    @command("MKD", "make a directory", syntax="<path>", right="m", also=("XMKD",))
    def ftp_MKD(self, line: str) -> None:
        """MKD."""
        path = self.files.resolve(line)
        self.wait(self.files.make_directory(path))
        self.respond(f"257 {quoted(path)} directory created.")

    @command("RMD", "remove an empty directory", syntax="<path>", right="d", also=("XRMD",))
    def ftp_RMD(self, line: str) -> None:
        """RMD."""
        path = self.files.resolve(line)
        if path == "/":
            self.respond("550 The home directory cannot be removed.")
            return
        self.wait(self.files.remove_directory(path))
        self.respond("250 Directory removed.")

    @command(
        "RMDA",
        "remove a directory with all that is in it; each name by itself, so after a failure some may be gone",
        source="usage",
        syntax="<path>",
        right="d",
    )
    def ftp_RMDA(self, line: str) -> None:
        """RMDA."""
        path = self.files.resolve(line)
        if path == "/":
            self.respond("550 The home directory cannot be removed.")
            return
        removal = Removal(self.files, path)
        try:
            while not self.wait(removal.some()):
                self.events.info("removing", path=path, removed=removal.removed)
        except StoreError as error:
            code, _, text = refusal(error).partition(" ")
            self.respond(f"{code} {removal.removed} names were removed, the next was not: {text}")
        else:
            self.respond(f"250 {removal.removed} names removed.")

    @command("DELE", "remove a file, and what its owner could have resumed", syntax="<path>", right="d")
    def ftp_DELE(self, line: str) -> None:
        """DELE."""
        path = self.files.resolve(line)
        if path == "/":
            self.respond("550 It is a directory, not a file.")
            return
        self.wait(self.files.remove(path))
        self.respond("250 File removed.")

    @command("RNFR", "what is to be renamed", syntax="<path>", right="f")
    def ftp_RNFR(self, line: str) -> None:
        """RNFR: what is to be renamed."""
        self.rename_from = None
        path = self.files.resolve(line)
        if path == "/":
            self.respond("550 The home directory cannot be renamed.")
            return
        self.wait(self.files.entry(path, to=Action.RENAME))
        self.rename_from = path
        self.respond("350 Ready for the new name.")

    @command("RNTO", "rename, over an existing file too", syntax="<path>", right="f")
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

    @command(
        "SIZE",
        "size in bytes, in every TYPE; to the owner of an interrupted upload what is kept of it",
        source="RFC 3659",
        syntax="<path>",
        right="lr",
    )
    def ftp_SIZE(self, line: str) -> None:
        """SIZE: where a transfer can be resumed, in every TYPE, as nothing is converted."""
        path = self.files.resolve(line)
        size, begun = self.wait(self.files.size(path))
        self.reported_begun = (path, size) if begun else None
        if size is None:
            self.respond(f"550 {one_line(path)} is a directory.")
        else:
            self.respond(f"213 {size}")

    @command(
        "MDTM",
        "time of last modification, UTC; with a time before the path, set it",
        source="RFC 3659",
        syntax="<path>",
        right="lr",
    )
    def ftp_MDTM(self, line: str) -> None:
        """MDTM of a file, UTC; or, as older clients write it, of which file to set it."""
        path = self.files.resolve(line)
        try:
            entry = self.wait(self.files.entry(path))
        except NotFound:
            when, _, name = line.partition(" ")
            mtime_ns = parse_timestamp(when)
            if mtime_ns is None or not name:
                raise
            self.wait(self.files.set_modified(self.files.resolve(name), mtime_ns))
            self.respond(f"213 {when}")
            return
        if entry.is_directory:
            self.respond(f"550 {one_line(path)} is a directory.")
        else:
            self.respond(f"213 {timestamp(entry.mtime_ns)}")

    @command(
        "MFMT",
        "set the time of last modification",
        source="draft-somers-ftp-mfxx",
        syntax="YYYYMMDDHHMMSS <path>",
        right="T",
    )
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

    @command(
        "MFF",
        "set facts; Modify is the one that can be",
        source="draft-somers-ftp-mfxx",
        syntax="Modify=YYYYMMDDHHMMSS; <path>",
        right="T",
    )
    def ftp_MFF(self, line: str) -> None:
        """MFF: all facts or none."""
        facts, _, name = line.partition(" ")
        fact, _, when = facts.rstrip(";").partition("=")
        mtime_ns = parse_timestamp(when)
        if fact.lower() != "modify" or not name or not facts.endswith(";"):
            self.respond("504 Syntax: MFF Modify=YYYYMMDDHHMMSS; path.")
        elif mtime_ns is None:
            self.respond("501 That is no time: YYYYMMDDHHMMSS, UTC.")
        else:
            path = self.files.resolve(name)
            self.wait(self.files.set_modified(path, mtime_ns))
            self.respond(f"213 Modify={when}; {one_line(path)}")

    @command(
        "SITE UTIME",
        "set the time of last modification, UTC; also with the path first and three times: access, change, status",
        source="usage",
        syntax="YYYYMMDDhhmm[ss] <path>",
        right="T",
    )
    def ftp_SITE_UTIME(self, line: str) -> None:
        """SITE UTIME, as ProFTPD and as Pure-FTPd have it."""
        for name, mtime_ns in parse_utime(line):
            try:
                self.wait(self.files.set_modified(self.files.resolve(name), mtime_ns))
            except NotFound:
                continue
            self.respond("200 Time set.")
            return
        self.respond("550 No such file or directory, or no time: SITE UTIME YYYYMMDDhhmm[ss] path.")

    @command("SITE CHMOD", "accepted; modes are not kept", source="usage", syntax="<mode> <path>", right="lr")
    def ftp_SITE_CHMOD(self, line: str) -> None:
        """SITE CHMOD mode path: accepted, so that clients that always send it go on; modes are not kept."""
        mode, _, name = line.partition(" ")
        if not name or not 3 <= len(mode) <= 4 or not set(mode) <= set("01234567"):
            self.respond("501 Syntax: SITE CHMOD mode path.")
            return
        self.wait(self.files.entry(self.files.resolve(name)))
        self.respond("200 Accepted; this server keeps no modes.")
