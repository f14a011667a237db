"""What the plugins share: where the live server is, and a session of their own at it.

The environment says it: LIVE_ADDRESSES is a file with {"plain4": [host, port], "tls4": ..., "plain6": ...,
"tls6": ...}, LIVE_REMOTE is set when the server's files are not in the working directory.
"""

from __future__ import annotations

import ftplib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

ADDRESSES = {
    kind: tuple(address) for kind, address in json.loads(Path(os.environ["LIVE_ADDRESSES"]).read_text()).items()
}
REMOTE = bool(os.environ.get("LIVE_REMOTE"))

_putcmd, _getresp = ftplib.FTP.putcmd, ftplib.FTP.getresp


class Own(ftplib.FTP):
    """A session of the plugin itself, which is not watched."""

    putcmd = _putcmd
    getresp = _getresp


def session(user: str, password: str) -> Own:
    """Open a session at the live server."""
    own = Own(timeout=60)
    own.connect(*ADDRESSES["plain4"])
    own.login(user, password)
    own.voidcmd("TYPE I")
    return own


def walk(ftp: ftplib.FTP, directory: str = "") -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (path, facts) of all below a directory, directories before what is in them."""
    for name, facts in list(ftp.mlsd("/" + directory)):
        if facts["type"] in ("file", "dir"):
            path = f"{directory}/{name}" if directory else name
            yield path, facts
            if facts["type"] == "dir":
                yield from walk(ftp, path)


def empty(ftp: ftplib.FTP) -> None:
    """Remove everything."""
    for path, facts in reversed(list(walk(ftp))):
        if facts["type"] == "dir":
            ftp.rmd("/" + path)
        else:
            ftp.delete("/" + path)


def _seconds(stamp: str) -> int:
    return int(datetime.strptime(stamp[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp())


class Mirror:
    """Keeps the working directory and the account's files alike, for suites that look at the server's files.

    `push` before a command is sent, `pull` after one that may have changed files.
    """

    def __init__(self, user: str, password: str) -> None:
        self.ftp = session(user, password)
        empty(self.ftp)
        self._local: dict[str, tuple] = {}
        self._remote: dict[str, tuple] = {}

    def close(self) -> None:
        """End the session."""
        self.ftp.close()

    def _walk_local(self) -> dict[str, tuple]:
        found = {}
        for directory, directories, files in os.walk("."):
            for name in directories:
                found[os.path.normpath(os.path.join(directory, name))] = ("dir",)
            for name in files:
                path = os.path.normpath(os.path.join(directory, name))
                try:
                    status = os.stat(path)
                except FileNotFoundError:
                    continue
                found[path] = ("file", status.st_size, status.st_mtime_ns)
        return found

    def _walk_remote(self) -> dict[str, tuple]:
        found: dict[str, tuple] = {}
        for path, facts in walk(self.ftp):
            if facts["type"] == "dir":
                found[path] = ("dir",)
            else:
                parts: list[bytes] = []
                self.ftp.retrbinary(f"RETR /{path}", parts.append)
                found[path] = ("file", b"".join(parts), facts["modify"])
        return found

    def push(self) -> None:
        """Bring what changed here to the server."""
        now = self._walk_local()
        if now == self._local:
            return
        for path in sorted(self._local.keys() - now.keys(), reverse=True):
            try:
                (self.ftp.rmd if self._local[path][0] == "dir" else self.ftp.delete)("/" + path)
            except ftplib.error_perm:
                pass  # the server removed it by itself
        for path in sorted(now):
            if now[path] != self._local.get(path):
                self._push_one(path, now[path])
        self._local = now
        self._remote = self._walk_remote()

    def _push_one(self, path: str, status: tuple) -> None:
        if status[0] == "dir":
            try:
                self.ftp.mkd("/" + path)
            except ftplib.error_perm:
                pass
            return
        with open(path, "rb") as file:
            self.ftp.storbinary(f"STOR /{path}", file)
        stamp = datetime.fromtimestamp(status[2] // 10**9, UTC).strftime("%Y%m%d%H%M%S")
        self.ftp.voidcmd(f"MFMT {stamp} /{path}")

    def pull(self) -> None:
        """Bring what changed at the server here."""
        now = self._walk_remote()
        for path in sorted(self._remote.keys() - now.keys(), reverse=True):
            try:
                (os.rmdir if self._remote[path][0] == "dir" else os.unlink)(path)
            except FileNotFoundError:
                pass
        for path in sorted(now):
            if now[path] != self._remote.get(path):
                self._pull_one(path, now[path])
        self._remote = now
        self._local = self._walk_local()

    def _pull_one(self, path: str, status: tuple) -> None:
        if status[0] == "dir":
            os.makedirs(path, exist_ok=True)
            return
        with open(path, "wb") as file:
            file.write(status[1])
        when = _seconds(status[2])
        os.utime(path, (when, when))


def watch(mirror_of) -> None:
    """Have every other session of ftplib keep the mirror: `mirror_of()` returns it, or None while there is none."""
    changing = {"STOR", "STOU", "APPE", "DELE", "RMD", "XRMD", "MKD", "XMKD", "RNTO", "MFMT", "SITE", "ABOR"}

    def putcmd(self: ftplib.FTP, line: str) -> None:
        mirror = mirror_of()
        words = line.split()
        self.last_word = words[0].upper() if words else ""  # type: ignore[attr-defined]
        if mirror is not None:
            mirror.push()
        _putcmd(self, line)

    def getresp(self: ftplib.FTP) -> str:
        try:
            return _getresp(self)
        finally:
            mirror = mirror_of()
            if mirror is not None and getattr(self, "last_word", "") in changing:
                mirror.pull()

    ftplib.FTP.putcmd, ftplib.FTP.getresp = putcmd, getresp  # type: ignore[method-assign]
