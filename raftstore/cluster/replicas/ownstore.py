"""This node's store as the catalog has it: what is listed there, and which sweep of it has begun last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from raftstore.chunks.format.needle import KEY_SIZE
from raftstore.chunks.placement.topology import ClusterView, StoreState
from raftstore.cluster.proposals import Propose
from raftstore.errors import Invalid, Unavailable
from raftstore.metadata import Catalog
from raftstore.util.limits.slices import Slice
from raftstore.wire import commands_pb2 as commands


class OwnStore:
    """What `Collector` and those who do jobs ask about this node's store."""

    def __init__(self, catalog: Catalog, view: Callable[[], ClusterView], propose: Propose) -> None:
        self._catalog = catalog
        self._view = view
        self._propose = propose

    def number(self) -> int | None:
        """Return its number; None while the catalog does not know this node's volumes."""
        local = self._view().local
        return None if local is None else local.number

    def swept(self) -> int:
        """Return the log index of the sweep of it that has begun last, as applied here; 0: none."""
        return self._catalog.swept().get(self.number() or 0, 0)

    async def begin_sweep(self) -> int:
        """Have a sweep of it begin, applied here; return its log index. Raises Invalid while the store is not known."""
        store = self.number()
        if store is None:
            raise Invalid("this node's volumes are not announced yet")
        result = await self._propose(commands.Command(begin_sweep=commands.BeginSweep(store=store)))
        return result.index

    def unlisted(self, names: Iterable[bytes]) -> list[bytes]:
        """Return what the catalog does not list here; nothing as long as it does not know this node's volumes.

        Copies of what has too few are left for repair to list: were they removed, or a sweep begun because of them,
        repair would not get on.
        """
        view = self._view()
        if view.local is None:
            return []
        unlisted = self._catalog.unlisted(names, view.local.number)
        short = {
            digest[:KEY_SIZE]
            for digest, _ in self._catalog.held_by(unlisted)
            if self._catalog.is_short(digest, view.wanted, view.staying)
        }
        return [name for name in unlisted if name[:KEY_SIZE] not in short] if short else unlisted

    async def find_unlisted(self, names: Sequence[bytes]) -> list[bytes]:
        """Do what `unlisted` does without holding up the loop."""
        local = self._view().local
        if local is None:
            return []
        unlisted, elsewhere = await self._catalog.find_unlisted(names, local.number)
        kept: set[bytes] = set()
        part = Slice()
        for name in elsewhere:
            if not self.unlisted((name,)):
                kept.add(name)
            await part.rest()
        return [name for name in unlisted if name not in kept]


def announced(view: ClusterView) -> StoreState:
    """Return this node's store. Raises Unavailable while the catalog does not know it."""
    if view.local is None:
        raise Unavailable("this node's volumes are not announced yet")
    return view.local
