"""Going through listings that come page by page."""

from __future__ import annotations

from ftpgateway.access.cursor import DirectoryCursor
from raftstore.metadata import Catalog
from raftstore.metadata.listing import PAGE
from raftstore.types import Entry


async def all_of(cursor: DirectoryCursor) -> list[Entry]:
    """Return all entries that a cursor shows."""
    entries = list(cursor.entries)
    while cursor.more:
        await cursor.advance()
        entries += cursor.entries
    return entries


def paged(catalog: Catalog, path: str, *, limit: int = PAGE, backwards: bool = False) -> list[Entry]:
    """Return all entries of a directory, page by page."""
    page = catalog.page(path, limit, backwards=backwards)
    entries = list(page.entries)
    while page.more:
        following = catalog.next_page(page.directory, entries[-1].name, limit, backwards=backwards)
        assert following is not None
        page = following
        entries += page.entries
    return entries
