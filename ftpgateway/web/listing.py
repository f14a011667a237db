"""Directories as pages and API show them: a page of a listing at a time, and what lies beside a picture in it.

A page is one of the store's listings. By name, the next one begins behind the last name of the one before, whatever
has changed meanwhile; sorted otherwise, it has a number, and the directory is sorted once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ftpgateway.access.cursor import DirectoryCursor
from ftpgateway.access.workspace import Workspace
from ftpgateway.web.http.content import looks_like_picture
from ftpgateway.web.refusals import BadRequest
from raftstore import paths
from raftstore.types import Entry, Order


class Sort(NamedTuple):
    """An order, and how people call it."""

    order: Order
    backwards: bool
    label: str


SORTS = {
    "name": Sort(Order.NAME, False, "Name, A to Z"),
    "name-down": Sort(Order.NAME, True, "Name, Z to A"),
    "new": Sort(Order.TIME, False, "Newest first"),
    "old": Sort(Order.TIME, True, "Oldest first"),
    "large": Sort(Order.SIZE, False, "Largest first"),
    "small": Sort(Order.SIZE, True, "Smallest first"),
}

MOST_PAGES = 1000
LOOKED_THROUGH = 40
"""Pages of a listing that are looked through for what lies beside a picture."""


class Listed(NamedTuple):
    """Some entries; `after` asks for those behind them, "" at the end."""

    entries: Sequence[Entry]
    after: str


def sort_of(name: str, otherwise: str = "name") -> Sort:
    """Return an order by its name in a URL. Raises BadRequest."""
    try:
        return SORTS[name or otherwise]
    except KeyError:
        raise BadRequest(f"A listing is sorted by one of {', '.join(SORTS)}.") from None


async def listed(files: Workspace, path: str, sort: Sort, after: str = "") -> Listed:
    """Return a page of a directory. Raises StoreError, BadRequest."""
    number = 0
    if after and sort.order is not Order.NAME:
        if not (after.isascii() and after.isdigit() and len(after) < 5 and int(after) < MOST_PAGES):
            raise BadRequest("There is no such page.")
        number = int(after)
    cursor = await files.directory(path, order=sort.order, backwards=sort.backwards)
    try:
        if sort.order is Order.NAME:
            return await _by_name(cursor, sort, after)
        for _ in range(number):
            if not cursor.more:
                return Listed([], "")
            await cursor.advance()
        return Listed(cursor.entries, str(number + 1) if cursor.more else "")
    finally:
        cursor.close()


async def _by_name(cursor: DirectoryCursor, sort: Sort, after: str) -> Listed:
    if after:
        await cursor.skip(after, backwards=sort.backwards)
    while not cursor.entries and cursor.more:
        await cursor.advance()
    entries = cursor.entries
    return Listed(entries, entries[-1].name if cursor.more and entries else "")


class Beside(NamedTuple):
    """The names of the pictures before and behind one, "" where there is none."""

    before: str
    behind: str


async def beside(files: Workspace, path: str, sort: Sort) -> Beside:
    """Return which pictures are next to the one at `path`, in the order of the listing. Raises StoreError."""
    directory, name = paths.parent(path)
    if sort.order is Order.NAME:
        return Beside(
            await _next(files, directory, name, backwards=not sort.backwards),
            await _next(files, directory, name, backwards=sort.backwards),
        )
    cursor = await files.directory(directory, order=sort.order, backwards=sort.backwards)
    try:
        return await _around(cursor, name)
    finally:
        cursor.close()


async def _next(files: Workspace, directory: str, name: str, *, backwards: bool) -> str:
    cursor = await files.directory(directory, backwards=backwards)
    try:
        await cursor.skip(name, backwards=backwards)
        for _ in range(LOOKED_THROUGH):
            found = next(filter(is_picture, cursor.entries), None)
            if found is not None or not cursor.more:
                return found.name if found is not None else ""
            await cursor.advance()
        return ""
    finally:
        cursor.close()


async def _around(cursor: DirectoryCursor, name: str) -> Beside:
    before, seen = "", False
    for _ in range(LOOKED_THROUGH):
        for entry in cursor.entries:
            if entry.name == name:
                seen = True
            elif is_picture(entry):
                if seen:
                    return Beside(before, entry.name)
                before = entry.name
        if not cursor.more:
            break
        await cursor.advance()
    return Beside(before if seen else "", "")


def is_picture(entry: Entry) -> bool:
    """Whether an entry is a file whose name is that of a picture."""
    return not entry.is_directory and looks_like_picture(entry.name)
