"""What one user sees of the store: paths under the home directory, and the calls that commands wait for.

pyftpdlib's AbstractedFS is deliberately not the base class: every method that it has and we would forget to
override would reach for the host's files. Here there is nothing to inherit, so nothing can.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from ftpgateway.ftp.backend import Backend, Download, Upload
from raftstore import paths
from raftstore.errors import AlreadyExists, NotADirectory, NotFound, StoreError
from raftstore.types import Entry, Kind, User


class Workspace:
    """A user's part of the store. FTP paths are absolute below the home directory, which is `/` to the user."""

    def __init__(self, store: Backend, user: User) -> None:
        self._store = store
        self._owner = user.name
        self._home = "" if user.home == "/" else user.home.rstrip("/")
        self.cwd = "/"

    def resolve(self, argument: str) -> str:
        """Return the FTP path that a client's argument means; it never leaves the home. Raises BadName."""
        path = paths.join(self.cwd, argument)
        paths.split(self._home + path if path != "/" else self._home or "/")
        return path

    def _at(self, path: str) -> str:
        return (self._home + path) if path != "/" else (self._home or "/")

    async def make_home(self) -> None:
        """Make the home directory where it is missing."""
        if not self._home:
            return
        try:
            await self._store.lookup(self._home)
            return
        except NotFound:
            pass
        so_far = ""
        for name in paths.split(self._home):
            so_far += "/" + name
            try:
                await self._store.make_directory(so_far, self._owner)
            except AlreadyExists:
                pass

    async def entry(self, path: str) -> Entry:
        """Return what is published at `path`; the home directory has the name `/`."""
        return await self._store.lookup(self._at(path))

    async def entries(self, path: str, *, glob: bool = False) -> Sequence[Entry]:
        """Return a directory's entries, or a file's own entry, all of one moment.

        With `glob`, a last name with wildcards that does not exist selects from its directory.
        """
        try:
            return await self._store.listing(self._at(path))
        except NotADirectory:
            return [await self.entry(path)]
        except NotFound:
            if not glob or path == "/":
                raise
        directory, pattern = paths.parent(path)
        if not any(character in pattern for character in "*?["):
            raise NotFound(path)
        found = await self._store.listing(self._at(directory))
        return [entry for entry in found if fnmatch.fnmatchcase(entry.name, pattern)]

    async def directory(self, path: str) -> Sequence[Entry]:
        """Return a directory's entries. Raises NotADirectory for a file."""
        return await self._store.listing(self._at(path))

    async def enter(self, path: str) -> None:
        """Make `path` the working directory. Raises NotFound, NotADirectory."""
        if not (await self.entry(path)).is_directory:
            raise NotADirectory(path)
        self.cwd = path

    async def size(self, path: str) -> int | None:
        """Return where an upload or download of `path` can be resumed: the owner's partial, else what is
        published.

        None for a directory.
        """
        partial = await self._store.partial(self._at(path), self._owner) if path != "/" else None
        if partial is not None:
            return partial.size
        entry = await self.entry(path)
        return entry.size if entry.kind is Kind.FILE else None

    async def make_directory(self, path: str) -> None:
        """Make a directory."""
        if path == "/":
            raise AlreadyExists(path)
        await self._store.make_directory(self._at(path), self._owner)

    async def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        await self._store.remove_directory(self._at(path))

    async def remove(self, path: str) -> None:
        """Remove a file, and what its owner could have resumed there."""
        missing: NotFound | None = None
        try:
            await self._store.remove(self._at(path))
        except NotFound as error:
            missing = error
        try:
            begun = await self._store.partial(self._at(path), self._owner) is not None
            if begun:
                await self._store.drop_partial(self._at(path), self._owner)
        except StoreError as error:
            # The file is removed; what is begun stays until it is replaced or removed again.
            if missing is not None:
                raise missing if isinstance(error, NotFound) else error from None
        else:
            if missing is not None and not begun:
                raise missing

    async def rename(self, source: str, target: str) -> None:
        """Rename a file, over an existing one too, or a directory."""
        await self._store.rename(self._at(source), self._at(target))

    async def set_modified(self, path: str, mtime_ns: int) -> None:
        """Set the time of last modification."""
        await self._store.set_modified(self._at(path), mtime_ns)

    async def upload(
        self, path: str, *, offset: int | None, append: bool, exclusive: bool, expected: int | None
    ) -> Upload:
        """Open an upload."""
        return await self._store.upload(
            self._at(path), self._owner, offset=offset, append=append, exclusive=exclusive, expected=expected
        )

    async def download(self, path: str) -> Download:
        """Open a download."""
        return await self._store.download(self._at(path))
