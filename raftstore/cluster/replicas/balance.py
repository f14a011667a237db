"""What each store should hold, and which copies are too many. Pure.

A store's share goes by its size: what it holds together with its free room. So moving pictures changes nobody's share,
and what is decided here does not flutter. Which chunks make up a share is rendezvous hashing over the sizes that the
leader saw when it made the job: all nodes decide by the same numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from raftstore.chunks.placement.placement import by_zones
from raftstore.chunks.placement.topology import ClusterView, StoreState
from raftstore.cluster.replicas.copier import Copy
from raftstore.types import ChunkRef

BEHIND = 0.75
"""Share of its share below which a store gets more. Where clients prefer a node, the others may lack a fifth for ever;
and once it is begun, it goes on to the whole share."""

LEAST_BYTES = 1024**2
"""That a store lacks at least, before anything is moved."""

Shares = Mapping[int, int]


def sizes(view: ClusterView, held: Shares) -> dict[int, int]:
    """Return the sizes of the stores that take pictures, given what each holds."""
    return {
        store.number: held.get(store.number, 0) + store.free_bytes
        for store in view.stores
        if store.reachable and store.writable and not store.leaving
    }


def lacking(view: ClusterView, held: Shares, shares: Shares) -> dict[str, int]:
    """Return by node the bytes that it lacks to its share; only nodes that are far behind.

    Where every store has to hold everything there is nothing to choose.
    """
    if len(shares) <= view.copies:
        return {}
    total, size = sum(held.get(number, 0) for number in shares), sum(shares.values())
    lacks = {}
    for store in view.stores:
        if store.number in shares and size:
            # No store holds a chunk twice.
            fair = min(total / view.copies, total * shares[store.number] / size)
            own = held.get(store.number, 0)
            if own < BEHIND * fair and fair - own >= LEAST_BYTES:
                lacks[store.node] = int(fair - own)
    return lacks


def counting(view: ClusterView, chunk: ChunkRef, without: Collection[int]) -> list[StoreState]:
    """Return the stores with a copy that counts: they are there and stay."""
    return [
        store
        for number in chunk.stores
        if (store := view.by_number.get(number))
        and store.reachable
        and not store.leaving
        and number not in without
    ]


def too_many(
    view: ClusterView, chunk: ChunkRef, shares: Shares, without: Collection[int] = ()
) -> list[StoreState]:
    """Return the stores that should give up their copies."""
    holders = counting(view, chunk, without)
    if len(holders) <= max(1, chunk.copies):
        return []
    return by_zones(holders, chunk.digest, weights=shares)[max(1, chunk.copies) :]


def moves(
    view: ClusterView, chunks: Sequence[ChunkRef], shares: Shares, without: Collection[int] = ()
) -> list[Copy]:
    """Return the copies that the local store should have instead of another one."""
    own = view.local
    if own is None or not own.writable or own.number not in shares:
        return []
    takers = [store for store in view.stores if store.number in shares]
    found = []
    for chunk in chunks:
        holders = counting(view, chunk, without)
        if own.number in chunk.stores or len(holders) < chunk.copies or own.free_bytes < chunk.length:
            continue  # too few copies are repair's to make
        chosen = by_zones(takers, chunk.digest, weights=shares)[: chunk.copies]
        # It must not be the one that is too many then.
        kept = by_zones([*holders, own], chunk.digest, weights=shares)[: chunk.copies]
        if own in chosen and own in kept:
            found.append(Copy(chunk, own, tuple(holders)))
    return found
