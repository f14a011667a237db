"""An account as a session uses it: which part of the store it sees as /, and what it may do there. Pure."""

from __future__ import annotations

from raftstore import paths
from raftstore.rights import Action, Rights
from raftstore.rights.reserved import LEVEL
from raftstore.types import User


class View:
    """Client paths, absolute below the home directory which is `/` to the client, to the store's paths and back."""

    __slots__ = ("_prefix", "home")

    def __init__(self, home: str) -> None:
        self.home = home
        self._prefix = "" if home == "/" else home

    def resolve(self, cwd: str, argument: str) -> str:
        """Return the client path that `argument` means in `cwd`; it never leaves the home. Raises BadName."""
        path = paths.join(cwd, argument)
        paths.split(self.to_store(path), existing=True)
        return path

    def to_store(self, path: str) -> str:
        """Return the store's path of a normalised client path."""
        return self._prefix + path if path != "/" else self.home

    def to_client(self, path: str) -> str | None:
        """Return the client's path of a path of the store; None for what the client does not see."""
        if path == self.home:
            return "/"
        if path.startswith(f"{self._prefix}/"):
            return path[len(self._prefix) :]
        return None


class Account:
    """One state of a user's record, to show a client what it may do. Paths are the client's."""

    __slots__ = ("rights", "user", "view")

    def __init__(self, user: User, level: int) -> None:
        """`level`: that in force, by whose rules it is judged."""
        self.user = user
        self.view = View(user.home)
        self.rights = Rights(user, reserved=level >= LEVEL)

    def letters(self, path: str) -> str:
        """Return the rights at `path`."""
        return self.rights.letters(self.view.to_store(path))

    def may(self, action: Action, path: str, *, own: bool = False) -> bool:
        """Return whether the account has the right to `action` at `path`; `own`: the file there is its own."""
        return self.rights.may(action, self.view.to_store(path), own=own)
