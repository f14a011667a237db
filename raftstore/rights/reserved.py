"""The reserved directory /people: whose is what in it. Pure.

    /people/NAME                        home of a person
    /people/@inbox/NAME/SENDER/...      what came
    /people/@sent/NAME/TO/...           what NAME has put to a person or group
    /people/@trash/NAME/...             what was deleted
    /people/@shared/...                 one for all persons, which they see as /shared

No name of an account has an @, so these never meet. From level 3 on nobody passes /people but a person in its own
places, an account that has trash in that, and who has a rule there; the letter A alone does not do.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from raftstore.paths import within

LEVEL = 3
"""From which on there are persons and cluster time, and /people is reserved."""

PEOPLE = "/people"
PREFIX = f"{PEOPLE}/"
SHARED = f"{PREFIX}@shared"
APART = f"{PREFIX}@"
"""Before all places of persons but their homes; no name of an account begins so."""


class Area(enum.Enum):
    """A directory of /people with one place in it for each person; the value is its path."""

    INBOX = f"{APART}inbox"
    SENT = f"{APART}sent"
    TRASH = f"{APART}trash"

    def of(self, name: str) -> str:
        """Return the path of a person's place."""
        return f"{self.value}/{name}"

    def has(self, path: str) -> bool:
        """Whether a path is this directory, or in it."""
        return path.startswith(APART) and within(path, self.value)


_AREAS = {area.value.removeprefix(APART): area for area in Area}

LETTERS = {Area.INBOX: "elrdf", Area.SENT: "elrwadmfT", Area.TRASH: "elrdf"}
"""A person's rights in its places. What came is not changed, and what was deleted is only restored. Many clients set
the time of what they have uploaded, and take it for failed where that is refused."""

SHARED_LETTERS = "elrmwo"


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a path is: in whose place of which area, and what follows."""

    area: Area
    name: str
    rest: tuple[str, ...]

    @property
    def to(self) -> str:
        """Of the area SENT: to whom; of INBOX: from whom. "": neither, it is the place itself."""
        return self.rest[0] if self.rest else ""


def home_of(name: str) -> str:
    """Return the home of a person."""
    return f"{PREFIX}{name}"


def places_of(name: str) -> dict[str, str]:
    """Return a person's rights by place; its home has those of the account."""
    return {area.of(name): letters for area, letters in LETTERS.items()} | {SHARED: SHARED_LETTERS}


def roots_of(name: str) -> tuple[str, ...]:
    """Return the directories that are a person's alone, its home first."""
    return (home_of(name), *(area.of(name) for area in Area))


def trash_of(name: str) -> dict[str, str]:
    """Return what an account that is no person, but has trash, may do there."""
    return {Area.TRASH.of(name): LETTERS[Area.TRASH]}


def is_reserved(path: str) -> bool:
    """Whether a path is /people, or in it."""
    return path.startswith(PREFIX) or path == PEOPLE


def is_apart(path: str) -> bool:
    """Whether a name there means more than a file: entries for it are decided in other tables, too."""
    return path.startswith(APART) and not within(path, SHARED)


def stays(path: str) -> bool:
    """Whether a path is that of a place, or of what places are in: nobody makes, moves, removes or replaces one."""
    if not path.startswith(PREFIX):
        return path == PEOPLE
    rest = path[len(PREFIX) :]
    return rest.count("/") <= (1 if is_apart(path) else 0)


def spot(path: str) -> Spot | None:
    """Return where a path is in the areas; None: in none of them, or in nobody's place."""
    if not path.startswith(APART):
        return None
    found, *names = path[len(APART) :].split("/")
    area = _AREAS.get(found)
    return Spot(area, names[0], tuple(names[1:])) if area is not None and names else None


def takes_nothing(name: str) -> str:
    """Return the one refusal, whatever the reason: nobody is to learn who is there, and who blocks whom."""
    return f"{name}{_TAKES_NOTHING}"


def says_takes_nothing(detail: str) -> bool:
    """Whether the detail of a refusal is that one."""
    return detail.endswith(_TAKES_NOTHING)


_TAKES_NOTHING = " takes no pictures from you"
