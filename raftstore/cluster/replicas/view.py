"""The cluster as the chunk path sees it: which stores there are, and which can be used now."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from raftstore.chunks.placement.topology import ClusterView, StoreState
from raftstore.types import StoreInfo

MAX_AGE = 0.25
"""Seconds for which a view is kept in which all nodes take pictures; a link that goes up or down renews it at once."""

FREE_UNKNOWN = 1 << 40


class LiveTopology:
    """Topology from the catalog's stores, the links that are up, and what nodes last said of their disks.

    `members` are the nodes that vote, `leaving` those among them that are to go.
    """

    def __init__(
        self,
        *,
        node: str,
        identity: bytes,
        members: Callable[[], Collection[str]],
        leaving: Callable[[], Collection[str]],
        replicas: int,
        stores: Callable[[], list[StoreInfo]],
        reachable: Callable[[str], bool],
        free_bytes: Callable[[str], int | None],
        local_writable: Callable[[], bool],
    ) -> None:
        self._node = node
        self._identity = identity
        self._members = members
        self._leaving = leaving
        self._replicas = replicas
        self._stores = stores
        self._reachable = reachable
        self._free_bytes = free_bytes
        self._local_writable = local_writable
        self._view: ClusterView | None = None
        self._until = 0.0

    def invalidate(self, *_: object) -> None:
        """Make the next `view` look again."""
        self._view = None

    def view(self) -> ClusterView:
        """Return the cluster as it is now."""
        now = time.monotonic()
        if self._view is None or now >= self._until:
            self._view = self._look()
            # Nobody is refused, or gets a copy less, for what was true a moment ago: stores register just after a
            # cluster's first start.
            takers = sum(store.writable and store.reachable for store in self._view.stores)
            self._until = now + (MAX_AGE if takers >= self._view.nodes else 0.0)
        return self._view

    def _look(self) -> ClusterView:
        members, leaving = self._members(), self._leaving()
        states = [
            self._state(store, leaving=store.node in leaving)
            for store in self._stores()
            if store.current and store.node in members and not self._replaced(store)
        ]
        # Whoever is to go counts no more: what is acknowledged from now on must be safe without it.
        staying = sum(name not in leaving for name in members)
        return ClusterView(tuple(states), max(1, staying), self._replicas, len(members))

    def _replaced(self, store: StoreInfo) -> bool:
        """Whether it was this node's, on another disk: what is here must not be taken for it until it is announced."""
        return store.node == self._node and store.identity != self._identity

    def _state(self, store: StoreInfo, *, leaving: bool) -> StoreState:
        local = store.node == self._node
        free = self._free_bytes(store.node)
        return StoreState(
            number=store.number,
            node=store.node,
            local=local,
            reachable=local or self._reachable(store.node),
            free_bytes=FREE_UNKNOWN if free is None else free,
            writable=not leaving and (self._local_writable() if local else True),
            leaving=leaving,
            zone=store.zone,
        )
