"""The rights of one state of an account, at paths of the store. Pure."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable

from raftstore import paths
from raftstore.errors import Denied
from raftstore.rights.letters import Action, permits
from raftstore.rights.reserved import APART, PEOPLE, is_reserved, places_of, trash_of
from raftstore.types import User


class Whose(enum.Enum):
    """Upon whose files at a path an account may do something."""

    ANYBODYS = enum.auto()
    OWN = enum.auto()
    NOBODYS = enum.auto()


class Rights:
    """What an account may do where. Outside of its home it has no rights at all, but a person in its other places,
    and who has trash in that."""

    __slots__ = (
        "_alike",
        "_all",
        "_outer",
        "_places",
        "_reserved",
        "_rules",
        "_special",
        "home",
        "owner",
        "user",
    )

    def __init__(self, user: User, *, owner: str | None = None, reserved: bool) -> None:
        """`owner`: the identity to which belongs what it puts, if that is not the account's ("": it owns nothing).

        `reserved`: /people is reserved, as from level 3 on.
        """
        self.user = user
        self.owner = user.owner if owner is None else owner
        self.home = user.home
        self._all = "A" in user.rights
        self._rules = {rule.path: rule.rights for rule in user.rules}
        self._outer = None if user.home == "/" else f"{user.home}/"
        self._reserved = reserved
        self._places: dict[str, str] = {}
        if reserved and (user.person or user.trash_ns):
            self._places = places_of(user.name) if user.person else trash_of(user.name)
        self._special: tuple[str, ...] = (PEOPLE,) if reserved else ()
        # Where neither rules nor reserved names count, it may do the same everywhere in its home.
        self._alike = _by_action(user.rights)

    @property
    def everywhere(self) -> bool:
        """Whether it has all its rights whatever the rules of directories say: the letter A, an admin's."""
        return self._all

    @property
    def reserved(self) -> bool:
        """Whether /people is reserved for it: the cluster is at level 3."""
        return self._reserved

    @property
    def ruled(self) -> bool:
        """Whether rules of directories count for it."""
        return bool(self._rules) and not self._all

    @property
    def sees_all(self) -> bool:
        """Whether nothing that is stored is hidden from it: it may list and read everywhere."""
        letters = [self.user.rights, *(() if self._all else self._rules.values())]
        if self._reserved:
            letters += [self.letters(PEOPLE), *(self._rules[rule] for rule in self._rules if is_reserved(rule))]
        return self._outer is None and all({"l", "r"} <= set(each) for each in letters)

    def covers(self, path: str) -> bool:
        """Whether `path` is the home, or in it, or in another place of the person."""
        if self._outer is None or path == self.home or path.startswith(self._outer):
            return True
        return bool(self._places) and self.place_at(path) is not None

    def place_at(self, path: str) -> str | None:
        """Return the place of the person, other than its home, in which `path` is."""
        if not path.startswith(APART):
            return None
        # A place is an area, or a name in one.
        area = path.find("/", len(APART))
        end = path.find("/", area + 1) if area >= 0 else -1
        place = path if end < 0 else path[:end]
        if place in self._places:
            return place
        place = path if area < 0 else path[:area]
        return place if place in self._places else None

    def anchors(self, path: str) -> bool:
        """Whether `path` is the home, or another place of the person: it does not move it, remove or replace it."""
        return path == self.home or path in self._places

    def rule_at(self, path: str) -> str | None:
        """Return the path of the rule that counts at `path`: the nearest directory on the way up that has one."""
        if not self._rules or self._all:
            return None
        while path not in self._rules:
            if path == "/":
                return None
            path = path[: path.rfind("/")] or "/"
        return path

    def letters(self, path: str) -> str:
        """Return the rights at `path`: those of the nearest rule, else the account's."""
        if path.startswith(self._special):
            letters = self._special_letters(path)
            if letters is not None:
                return letters
        if not self.covers(path):
            return ""
        rule = self.rule_at(path)
        return self.user.rights if rule is None else self._rules[rule]

    def _special_letters(self, path: str) -> str | None:
        """Return the rights in /people, and of a person in its places; None: those that hold elsewhere."""
        place = self.place_at(path)
        if place is not None:
            return self._places[place]
        if not is_reserved(path) or (self.user.person and paths.within(path, self.home)):
            return None
        if not self.covers(path):
            return ""
        rule = path
        while is_reserved(rule):
            if rule in self._rules:
                return self._rules[rule]
            rule = rule[: rule.rfind("/")]
        return ""

    def _area(self, path: str) -> str:
        """Return what of its own kind `path` is in: a place of the person, /people, or ("") neither."""
        if not path.startswith(self._special):
            return ""
        return self.place_at(path) or (PEOPLE if is_reserved(path) else "")

    def may(self, action: Action, path: str, *, own: bool = False) -> bool:
        """Return whether the account has the right to `action` at `path`; `own`: the file there is its own.

        Directories on the way to one to which a rule gives rights can be entered, and listed as far as they lead
        there: see `shows`.
        """
        if permits(self.letters(path), action, own=own):
            return True
        return action in (Action.ENTER, Action.LIST) and self._leads(path)

    def whose(self, action: Action, path: str) -> Whose:
        """Return upon whose files at `path` the account may `action`."""
        if (self._outer is None or path.startswith(self._outer)) and not (
            (self._rules and not self._all) or path.startswith(self._special)
        ):
            return self._alike[action]
        return _whose(self.letters(path), action)

    def require(self, action: Action, path: str) -> None:
        """Raise Denied unless the account may `action` at `path`."""
        if not self.may(action, path):
            raise Denied(action.value)

    def some(self, action: Action, path: str) -> Whose:
        """Return upon whose files at `path` the account may `action`; raise Denied when upon nobody's."""
        whose = self.whose(action, path)
        if whose is Whose.NOBODYS:
            raise Denied(action.value)
        return whose

    def shows(self, directory: str, name: str) -> bool:
        """Return whether a listing of `directory` shows `name`."""
        return self.shown_in(directory)(name)

    def shown_in(self, directory: str) -> Callable[[str], bool]:
        """Return what tells of each name whether a listing of `directory` shows it.

        All names have the same answer but those that a rule concerns, which are found here once: so asking costs the
        same however many rules and names there are.
        """
        if self.shows_all(directory):
            return _always
        prefix = "/" if directory == "/" else f"{directory}/"
        leading: set[str] = set()
        hidden: set[str] = set()
        if directory == "/" and self._reserved and not permits(self.letters(PEOPLE), Action.LIST):
            hidden.add(PEOPLE[1:])
        for rule, rights in self._rules.items():
            if self._all and not is_reserved(rule):
                continue
            if rule.startswith(prefix):
                name, _, beneath = rule[len(prefix) :].partition("/")
                if rights:
                    leading.add(name)
                elif not beneath:
                    hidden.add(name)
        if (self.ruled or is_reserved(directory)) and not permits(self.letters(directory), Action.LIST):
            return leading.__contains__
        hidden -= leading
        return lambda name: name not in hidden

    def shows_all(self, directory: str) -> bool:
        """Return whether a listing of `directory` shows all that is there."""
        if self._reserved and (directory == "/" or (not self.user.person and is_reserved(directory))):
            return False
        return not self.ruled

    def lists(self, path: str) -> bool:
        """Return whether the account may list `path` and is shown it where it lies."""
        if not self.may(Action.LIST, path):
            return False
        return self.anchors(path) or self.shows(*paths.parent(path))

    def same(self, one: str, other: str) -> bool:
        """Return whether the same rule, or none, counts at two paths and beneath them.

        A rule can stand for what is not there yet. Each place of a person has rights of its own.
        """
        if self._special and self._area(one) != self._area(other):
            return False
        if not self.ruled:
            return True
        if any(paths.within(rule, path) for rule in self._rules for path in (one, other)):
            return False
        return self.rule_at(one) == self.rule_at(other)

    def restricted_by(self, rule: str) -> bool:
        """Return whether the account would have a right without its rule for the path `rule` that it lacks with it."""
        if not self.ruled or rule not in self._rules:
            return False
        above = None if rule == "/" else self.rule_at(rule[: rule.rindex("/")] or "/")
        outer = self.user.rights if above is None else self._rules[above]
        return not set(outer) <= set(self._rules[rule])

    def _leads(self, path: str) -> bool:
        """Whether a rule gives rights to a directory beneath `path`."""
        if not self.covers(path) or not (self.ruled or (self._reserved and is_reserved(path))):
            return False
        return any(rights and rule != path and paths.within(rule, path) for rule, rights in self._rules.items())


@functools.lru_cache(maxsize=256)
def _by_action(letters: str) -> dict[Action, Whose]:
    return {action: _whose(letters, action) for action in Action}


def _whose(letters: str, action: Action) -> Whose:
    if permits(letters, action):
        return Whose.ANYBODYS
    return Whose.OWN if permits(letters, action, own=True) else Whose.NOBODYS


def _always(name: str) -> bool:
    return True
