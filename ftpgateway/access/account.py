"""An account as a session uses it: which part of the store it sees as /, and what it may do where. Pure."""

from __future__ import annotations

from collections.abc import Callable

from ftpgateway.access.rights import Action, permits
from raftstore import paths
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
        paths.split(self.to_store(path))
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


def _always(name: str) -> bool:
    return True


class Account:
    """One state of a user's record. Paths are the client's."""

    __slots__ = ("_all", "_rules", "user", "view")

    def __init__(self, user: User) -> None:
        self.user = user
        self.view = View(user.home)
        self._all = "A" in user.rights
        self._rules = sorted(user.rules, key=lambda rule: -len(rule.path))

    def letters(self, path: str) -> str:
        """Return the rights at `path`: those of the longest rule whose directory it is or is in, else the user's."""
        if self._rules and not self._all:
            stored = self.view.to_store(path)
            for rule in self._rules:
                if paths.within(stored, rule.path):
                    return rule.rights
        return self.user.rights

    def may(self, action: Action, path: str, *, own: bool = False) -> bool:
        """Return whether the account has the right to `action` at `path`; `own`: the file there is its own.

        Directories on the way to one to which a rule gives rights can be entered, and listed as far as they lead
        there: see `shows`.
        """
        if permits(self.letters(path), action, own=own):
            return True
        return action in (Action.ENTER, Action.LIST) and self._leads(path)

    def shows(self, directory: str, name: str) -> bool:
        """Return whether a listing of `directory` shows `name`."""
        return self.shown_in(directory)(name)

    def shown_in(self, directory: str) -> Callable[[str], bool]:
        """Return what tells of each name whether a listing of `directory` shows it.

        All names have the same answer but those that a rule concerns, which are found here once: so asking costs the
        same however many rules and names there are.
        """
        if not self._rules or self._all:
            return _always
        stored = self.view.to_store(directory)
        prefix = "/" if stored == "/" else f"{stored}/"
        leading: set[str] = set()
        hidden: set[str] = set()
        for rule in self._rules:
            if rule.path.startswith(prefix):
                name, _, beneath = rule.path[len(prefix) :].partition("/")
                if rule.rights:
                    leading.add(name)
                elif not beneath:
                    hidden.add(name)
        if not permits(self.letters(directory), Action.LIST):
            return leading.__contains__
        hidden -= leading
        return lambda name: name not in hidden

    def same_rights(self, one: str, other: str) -> bool:
        """Return whether the same rule, or none, counts at two paths and beneath them.

        A rule can stand for what is not there yet.
        """
        if not self._rules or self._all:
            return True
        stored = (self.view.to_store(one), self.view.to_store(other))
        if any(paths.within(rule.path, path) for rule in self._rules for path in stored):
            return False
        return self._rule(stored[0]) == self._rule(stored[1])

    def _rule(self, stored: str) -> str | None:
        return next((rule.path for rule in self._rules if paths.within(stored, rule.path)), None)

    def _leads(self, path: str, *, itself: bool = False) -> bool:
        """Whether a rule gives rights to a directory beneath `path`, or to `path` `itself`."""
        if not self._rules or self._all:
            return False
        stored = self.view.to_store(path)
        return any(
            rule.rights and paths.within(rule.path, stored) and (itself or rule.path != stored)
            for rule in self._rules
        )


def why_ended(before: User, after: User | None, key: str | None = None) -> str | None:
    """Return why a session that was opened as `before` must end now that the account is `after`; None: it goes on.

    `key`: the authorized key that it was opened with, if any.
    """
    if after is None or after.disabled:
        return "Your account was disabled or removed."
    if after.password_hash != before.password_hash:
        return "Your password was changed; log in again."
    if after.home != before.home:
        return "Your home directory was changed; log in again."
    if key is not None and key not in after.authorized_keys:
        return "Your key was removed; log in with another one."
    return None
