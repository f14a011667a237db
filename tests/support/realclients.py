"""FTP and SFTP clients as people have them, each driven through the same few operations.

An operation that a client does not have raises NotSupported with the reason; one that the client reports as failed
raises Refused with what the client printed. Remote paths are absolute.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

TIMEOUT = 120.0
"""Seconds that one invocation of a client may take."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server and an account at it."""

    host: str
    port: int
    user: str
    password: str


class NotSupported(Exception):
    """The client cannot do that; the text says why."""


class Refused(Exception):
    """The client says that it did not work."""


class NotHere(Exception):
    """The client cannot do its work on this machine, whatever the server."""


BY_ITSELF = "copies by a download and an upload"

HANDFUL = frozenset(
    {
        *("upload", "download", "names with spaces, emoji, quotes, leading dash, up", "list a directory"),
        *("rename", "make a directory", "delete a file", "delete a directory"),
        *("many small files on one connection", "over TLS, up", "over TLS, down"),
    }
)
"""Operations that are tried with clients of which there are many alike: what makes them differ is the login."""


class Client:
    """One client. `work` is an empty directory for it, also its home directory."""

    name: ClassVar[str]
    program: ClassVar[str | None] = None
    """What must be on PATH; None for a library of Python."""
    protocol: ClassVar[str] = "FTP"
    exceptions: ClassVar[Mapping[str, str]] = {}
    """Operations that this client fails at for a reason that is known, and that is not the server's fault."""

    notes: ClassVar[Mapping[str, str]] = {}
    """What to know of operations that work."""
    time_resolution: ClassVar[int] = 1
    """Seconds to which times of downloads are kept."""

    def __init__(self, target: Target, work: Path, *, secure: bool = False) -> None:
        self.target = target
        self.work = work
        self.secure = secure

    def run(self, *command: str, text: str = "", check: bool = True) -> str:
        """Run a program with `text` as its input; return what it printed. Refused when it fails."""
        fixed = {"HOME": str(self.work), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        environment = {**os.environ, **fixed, **self.environment()}
        options: dict[str, Any] = {"cwd": self.work, "env": environment, "timeout": TIMEOUT}
        done = subprocess.run(command, input=text.encode(), capture_output=True, check=False, **options)
        output: str = (done.stdout + done.stderr).decode(errors="replace")
        if check and done.returncode != 0:
            raise Refused(f"{command[0]}: exit {done.returncode}: {output}")
        return output

    def environment(self) -> Mapping[str, str]:
        """What programs find in their environment besides."""
        return {}

    @classmethod
    def installed(cls) -> bool:
        """Whether the client is on this machine."""
        return cls.program is None or shutil.which(cls.program) is not None

    def version(self) -> str:
        """Return the client's version."""
        raise NotImplementedError

    def put(self, local: Path, remote: str) -> None:
        """Upload a file."""
        raise NotImplementedError

    def get(self, remote: str, local: Path) -> None:
        """Download a file."""
        raise NotImplementedError

    def names(self, directory: str) -> list[str]:
        """List a directory's names."""
        raise NotImplementedError

    def resume_up(self, local: Path, remote: str) -> None:
        """Upload what is missing at the end of a file that was begun."""
        raise NotSupported("no resume")

    def resume_down(self, remote: str, local: Path) -> None:
        """Download what is missing at the end of a local file."""
        raise NotSupported("no resume")

    def rename(self, old: str, new: str) -> None:
        """Rename a file."""
        raise NotSupported("no rename")

    def copy(self, source: str, target: str) -> None:
        """Copy a file at the server, without moving its bytes here."""
        raise NotSupported(BY_ITSELF)

    def make_directory(self, path: str) -> None:
        """Make a directory."""
        raise NotSupported("makes no directories")

    def remove(self, path: str) -> None:
        """Delete a file."""
        raise NotSupported("deletes nothing")

    def remove_directory(self, path: str) -> None:
        """Delete an empty directory."""
        raise NotSupported("deletes nothing")

    def put_dated(self, local: Path, remote: str) -> None:
        """Upload a file with its time of last change."""
        raise NotSupported("does not send times")

    def get_dated(self, remote: str, local: Path) -> None:
        """Download a file with its time of last change."""
        raise NotSupported("does not keep times")

    def put_finished(self, local: Path, remote: str) -> None:
        """Upload to a temporary name, then rename over the target."""
        raise NotSupported("no temporary names")

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        """Upload files on one control connection, one after another."""
        raise NotSupported("one file a connection")

    def put_parallel(self, files: Sequence[Path], directory: str) -> None:
        """Upload files, several at a time."""
        raise NotSupported("one at a time")

    def mirror_up(self, local: Path, remote: str) -> None:
        """Upload a tree."""
        raise NotSupported("no trees")

    def mirror_down(self, remote: str, local: Path) -> None:
        """Download a tree; `local` does not exist."""
        raise NotSupported("no trees")
