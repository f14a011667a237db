"""What an account sees: judged in the same step in which it is looked up. Pure, over what `find` returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from raftstore.errors import Denied, IsADirectory, NotADirectory, NotFound
from raftstore.rights.account import Rights, Whose
from raftstore.rights.letters import Action
from raftstore.types import Entry, FileVersion, Page, Partial


def entry(rights: Rights, path: str, find: Callable[[str], Entry]) -> Entry:
    """Return what is published at `path`, as far as the account sees it.

    Who may not list there sees directories that it may enter, files that it may read, and its own ones if it may
    change them. What else is there is as if it were not: NotFound. Raises Denied where nothing could be seen.
    """
    require_seen(rights, path)
    try:
        found = find(path)
    except NotADirectory:
        if rights.lists(path):
            raise
        # There is a file on the way, which is not to be seen.
        raise NotFound(path) from None
    if not sees(rights, path, directory=found.is_directory, owner=found.owner):
        raise NotFound(path)
    return found


def require_seen(rights: Rights, path: str) -> None:
    """Raise Denied when nothing that could be at `path` is to be seen."""
    if not (
        rights.lists(path)
        or rights.may(Action.ENTER, path)
        or rights.may(Action.READ, path)
        or rights.may(Action.SET_TIMES, path, own=True)
    ):
        raise Denied(Action.LIST.value)


def sees(rights: Rights, path: str, *, directory: bool, owner: str) -> bool:
    """Return whether the account sees what is at `path`: a directory, or a file of `owner`."""
    if rights.lists(path):
        return True
    if directory:
        return rights.may(Action.ENTER, path)
    own = owner == rights.owner and bool(owner) and rights.may(Action.SET_TIMES, path, own=True)
    return own or rights.may(Action.READ, path)


def version(rights: Rights, path: str, find: Callable[[str], FileVersion]) -> FileVersion:
    """Return the published version of a file to read. Raises Denied, IsADirectory, NotFound."""
    rights.require(Action.READ, path)
    try:
        return find(path)
    except (NotADirectory, IsADirectory) as error:
        directory = isinstance(error, IsADirectory)
        if rights.lists(path) or (directory and rights.may(Action.ENTER, path)):
            raise
        raise NotFound(path) from None


def partial(rights: Rights, path: str, find: Callable[[str, str], Partial | None]) -> Partial | None:
    """Return what the account can go on from at `path`, None when there is nothing, or it may not go on there."""
    if not rights.owner or not goes_on(rights, path):
        return None
    return find(rights.owner, path)


def goes_on(rights: Rights, path: str) -> bool:
    """Return whether the account may go on with an upload to `path`."""
    return rights.may(Action.WRITE, path) or rights.whose(Action.APPEND, path) is not Whose.NOBODYS


def page(rights: Rights, found: Page) -> Page:
    """Return what the account is shown of a page. Raises Denied, NotFound (it was moved out of the home)."""
    if not rights.covers(found.path):
        raise NotFound(found.path.rpartition("/")[2])
    rights.require(Action.LIST, found.path)
    return replace(found, entries=list(shown(rights, found.path, found.entries)))


def shown(rights: Rights, path: str, entries: Iterable[Entry]) -> Iterable[Entry]:
    """Return those of a directory's entries that the account is shown."""
    if rights.shows_all(path):
        return entries
    shows = rights.shown_in(path)
    return [each for each in entries if shows(each.name)]
