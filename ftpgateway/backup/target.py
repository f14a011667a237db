"""Where backups are kept: a flat set of named objects, each whole or not there. Today a directory, local or mounted.

`Target` is all that the rest needs of it, so that others (SFTP, S3) can follow.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from raftstore.errors import DiskFailed, DiskFull, Invalid, NotFound, StoreError
from raftstore.util.disk import is_full

FOREIGN_SCHEMES = ("s3:", "sftp:", "ssh:", "gs:", "http:", "https:", "ftp:", "smb:", "nfs:")


class Target(Protocol):
    """Objects by name: letters, digits, - and /. Every method blocks, and any thread may call it."""

    def put(self, name: str, data: bytes) -> None:
        """Store an object, in place of what has the name; durable on return. Raises DiskFull, DiskFailed."""
        ...

    def get(self, name: str) -> bytes:
        """Return an object. Raises NotFound, DiskFailed."""
        ...

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield name and size in bytes of the objects below `prefix/`, in any order. Raises DiskFailed."""
        ...

    def remove(self, name: str) -> None:
        """Remove an object, if it is there. Raises DiskFailed."""
        ...

    def tidy(self) -> None:
        """Remove what writers that were killed have left. Nobody writes meanwhile. Raises DiskFailed."""
        ...


class DirectoryTarget:
    """A directory. An object is a file that is written beside, synced, and renamed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._scratch = directory / "tmp"

    def _file(self, name: str) -> Path:
        parts = PurePosixPath(name).parts
        if not parts or any(part in ("..", ".", "/", "tmp") for part in parts):
            raise Invalid(f"{name!r} is no name of an object")
        return self._directory.joinpath(*parts)

    def put(self, name: str, data: bytes) -> None:
        """See `Target`."""
        file = self._file(name)
        try:
            self._scratch.mkdir(parents=True, exist_ok=True)
            file.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._scratch / secrets.token_hex(16)
            try:
                descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with open(descriptor, "wb") as opened:
                    opened.write(data)
                    opened.flush()
                    os.fsync(descriptor)
                fresh.rename(file)
            except BaseException:
                fresh.unlink(missing_ok=True)
                raise
            _sync(file.parent)
        except OSError as error:
            raise _failed(file, error) from error

    def get(self, name: str) -> bytes:
        """See `Target`."""
        file = self._file(name)
        try:
            return file.read_bytes()
        except FileNotFoundError:
            raise NotFound(str(file)) from None
        except OSError as error:
            raise _failed(file, error) from error

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Target`."""
        waiting = [self._file(prefix)]
        while waiting:
            directory = waiting.pop()
            try:
                with os.scandir(directory) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(Path(entry.path))
                        else:
                            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                                yield self._name(entry.path), entry.stat().st_size
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _failed(directory, error) from error

    def _name(self, path: str) -> str:
        return PurePosixPath(Path(path).relative_to(self._directory)).as_posix()

    def remove(self, name: str) -> None:
        """See `Target`."""
        file = self._file(name)
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise _failed(file, error) from error

    def tidy(self) -> None:
        """See `Target`."""
        try:
            if self._scratch.is_dir():
                for file in self._scratch.iterdir():
                    file.unlink(missing_ok=True)
        except OSError as error:
            raise _failed(self._scratch, error) from error

    def is_empty(self) -> bool:
        """Whether there is nothing there at all. Raises DiskFailed."""
        try:
            return not self._directory.exists() or not any(self._directory.iterdir())
        except OSError as error:
            raise _failed(self._directory, error) from error


def open_target(text: str) -> DirectoryTarget:
    """Return the target that an operator has named. Raises Invalid for a kind that there is not."""
    if text.lower().startswith(FOREIGN_SCHEMES) or "://" in text:
        raise Invalid(f"{text}: a target is a directory, local or mounted; others are not there yet")
    return DirectoryTarget(Path(os.path.abspath(text)))


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(path: Path, error: OSError) -> StoreError:
    return (DiskFull if is_full(error) else DiskFailed)(f"{path}: {error.strerror or error}")
