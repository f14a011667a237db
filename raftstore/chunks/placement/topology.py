"""What chunk replication knows of the cluster. `raftstore.store.facade` implements `Topology`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from raftstore.types import Wanted


@dataclass(frozen=True, slots=True)
class StoreState:
    """A member's current chunk store, as this node sees it now.

    `number` is its name in the catalog, `node` the member whose disk it is. `reachable` means that calls to
    that member have a chance (always true for the local one). `free_bytes` is the room for chunks, what the
    disk keeps in reserve already taken off; for a remote store it may be some seconds old. `writable` is false
    for a store that takes no chunks for another reason than lack of room (failed disk, being drained). `leaving`:
    its node is to go, so what it holds can be read but counts as no copy. `zone` names what fails together with it.
    """

    number: int
    node: str
    local: bool = False
    reachable: bool = True
    free_bytes: int = 1 << 62
    writable: bool = True
    leaving: bool = False
    zone: str = ""

    @property
    def failure_zone(self) -> str:
        """The zone, or a name of its own for a store without one."""
        return self.zone or f"\0{self.node}"


@dataclass(frozen=True)
class ClusterView:
    """The cluster at one moment. At most one store a member: copies on one disk are one copy.

    `stores` holds the current store of each member that has registered one, `nodes` counts all members that stay
    (also those without a store), `replicas` is the number of copies the operator wants. `members` counts those that
    are to leave too (0: none are).
    """

    stores: tuple[StoreState, ...]
    nodes: int
    replicas: int = 3
    members: int = 0

    @cached_property
    def copies(self) -> int:
        """R: copies to make of each chunk."""
        return max(1, min(self.replicas, self.nodes))

    @cached_property
    def wanted(self) -> Wanted:
        """Copies that chunks should have."""
        return Wanted(self.copies, self.nodes)

    def with_replicas(self, replicas: int) -> ClusterView:
        """Return the view of somebody who wants so many copies; 0: as many as the operator."""
        return replace(self, replicas=replicas) if replicas else self

    @cached_property
    def majority(self) -> int:
        """More than any minority of the nodes that stay, and of all that are members as yet."""
        return max(self.nodes // 2 + 1, (self.members - 1) // 2 + 1)

    @cached_property
    def quorum(self) -> int:
        """W: copies that must be durable before an upload is acknowledged.

        More than any minority of nodes, so that its permanent loss keeps a copy; but never more than R. With
        few replicas on many nodes R is the limit: three copies survive the loss of any two nodes, not three.
        Counted over all members, not over registered stores: a cluster that is still forming must not
        acknowledge one copy as a quorum.
        """
        return min(self.copies, self.majority)

    @cached_property
    def takers(self) -> tuple[StoreState, ...] | None:
        """The stores of every chunk, the local one first, where there is no choice; None where there is one."""
        stores = sorted(
            (s for s in self.stores if s.writable and s.reachable), key=lambda store: not store.local
        )
        return tuple(stores) if self.quorum <= len(stores) <= self.copies else None

    @cached_property
    def least_space(self) -> int:
        """Bytes that fit on each of the takers."""
        return min((store.free_bytes for store in self.takers or ()), default=0)

    @cached_property
    def by_number(self) -> dict[int, StoreState]:
        """The stores by their number."""
        return {store.number: store for store in self.stores}

    @cached_property
    def staying(self) -> frozenset[int]:
        """Numbers of the stores whose copies count."""
        return frozenset(store.number for store in self.stores if not store.leaving)

    @cached_property
    def local(self) -> StoreState | None:
        """This node's own store; None until it has registered."""
        return next((store for store in self.stores if store.local), None)


class Topology(Protocol):
    """Where replication asks for the cluster, once a chunk: `view` must be cheap (cache it)."""

    def view(self) -> ClusterView:
        """The cluster as it is now. Runs on the loop."""
        ...
