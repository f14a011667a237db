"""Which stores get a chunk, and which are asked for it. Pure functions.

Weighted rendezvous hashing: every store draws a score from (digest, its number) and its weight, and the highest
scores win. A store that comes or goes moves only the chunks that it gains or loses, and all nodes agree without
a table. Free room is the weight, rounded to powers of two so that placement does not flutter.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from blake3 import blake3

from raftstore.chunks.placement.topology import ClusterView, StoreState
from raftstore.errors import DiskFull, NoQuorum

_DRAW_BITS = 52
"""So many that draw + 0.5 is still exact in a float, and never rounds up to 1."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a chunk goes: the first `first` of `order` at once, the others in turn when one of those fails.

    It is durable when `quorum` stores have confirmed.
    """

    order: tuple[StoreState, ...]
    first: int
    quorum: int


def score(digest: bytes, number: int, weight: float = 1.0) -> float:
    """The draw of store `number` for a chunk: higher is preferred. Chances are proportional to `weight`."""
    draw = int.from_bytes(blake3(digest + number.to_bytes(8, "big")).digest(8), "big") >> (64 - _DRAW_BITS)
    return -weight / math.log(math.ldexp(draw + 0.5, -_DRAW_BITS))


def weight(free_bytes: int) -> float:
    """Weight of a store with that room: a power of two."""
    return math.ldexp(1.0, free_bytes.bit_length())


def place(view: ClusterView, digest: bytes, length: int, suspects: Collection[int] = ()) -> Placement:
    """Choose the stores for a chunk of `length` bytes.

    The local store comes first (one copy costs no network) unless it has far less room than the others, then those
    by score; a failure zone gets a second copy only when every zone that can has one. Numbers in `suspects` have
    failed a moment ago: they come last, and are used at once only when there is no quorum without them.
    Raises NoQuorum when fewer than W stores can be asked at all, DiskFull when fewer than W of those have room.
    """
    if not suspects and view.takers is not None and view.least_space >= length:
        return Placement(view.takers, len(view.takers), view.quorum)
    candidates = [store for store in view.stores if store.writable and store.reachable]
    quorum, copies = view.quorum, view.copies
    if len(candidates) < quorum:
        raise NoQuorum(f"{len(candidates)} of {view.nodes} nodes take pictures now, {quorum} are needed")
    roomy = [store for store in candidates if store.free_bytes >= length]
    if len(roomy) < quorum:
        raise DiskFull(f"{len(roomy)} of {view.nodes} nodes have room, {quorum} are needed")

    trusted = [store for store in roomy if store.number not in suspects]
    late = [store for store in roomy if store.number in suspects]
    order = (*_at_hand(trusted, digest, copies), *_at_hand(late, digest, copies))
    return Placement(order, max(quorum, min(copies, len(trusted))), quorum)


def capacity(view: ClusterView) -> int:
    """Return how many bytes of pictures fit, with the copies that `place` makes of them.

    While R stores have room R copies are made, later fewer, down to W. Raises NoQuorum as `place` does.
    """
    candidates = [store for store in view.stores if store.writable and store.reachable]
    if len(candidates) < view.quorum:
        raise NoQuorum(f"{len(candidates)} of {view.nodes} nodes take pictures now, {view.quorum} are needed")
    free_spaces = sorted((max(0, store.free_bytes) for store in candidates), reverse=True)
    return max(
        _in_copies(free_spaces[:count], min(view.copies, count))
        for count in range(view.quorum, len(free_spaces) + 1)
    )


def _in_copies(free_spaces: Sequence[int], copies: int) -> int:
    """Return how much fits into `rooms` (the largest first) with each byte in so many different ones."""
    total = sum(free_spaces)
    for free_space in free_spaces:
        if copies == 1 or free_space * copies <= total:
            break
        # It is so large that it can have a copy of everything.
        total -= free_space
        copies -= 1
    return total // copies


def by_zones(
    stores: Iterable[StoreState],
    digest: bytes,
    present: Iterable[StoreState] = (),
    weights: Mapping[int, float] | None = None,
) -> list[StoreState]:
    """Order candidates for a chunk's copies, of which those on `present` are made already: by score, but each in turn
    from the zones with the fewest copies. `weights` by number; by the room of now where there is none.
    """
    known = weights or {}
    ranked = sorted(
        stores,
        key=lambda store: -score(digest, store.number, known.get(store.number) or weight(store.free_bytes)),
    )
    return _zone_by_zone(ranked, present)


def _at_hand(stores: Sequence[StoreState], digest: bytes, copies: int) -> list[StoreState]:
    """Order stores as `place` tells."""
    if len(stores) <= copies:  # all get one: no need to hash
        ranked = sorted(stores, key=lambda store: not store.local)
    else:
        near = _near(stores)
        ranked = sorted(
            stores,
            key=lambda store: (store is not near, -score(digest, store.number, weight(store.free_bytes))),
        )
    return _zone_by_zone(ranked)


def _near(stores: Sequence[StoreState]) -> StoreState | None:
    """Return the local store, unless it would be filled up long before the others."""
    local = next((store for store in stores if store.local), None)
    if local is None:
        return None
    mean = sum(store.free_bytes for store in stores) / len(stores)
    return local if local.free_bytes >= mean / 2 else None


def _zone_by_zone(ranked: list[StoreState], present: Iterable[StoreState] = ()) -> list[StoreState]:
    """Order stores so that, whatever number of them is taken, zones have as equal numbers as can be."""
    if not any(store.zone for store in ranked):
        return ranked
    copies = Counter(store.failure_zone for store in present)
    levels = {}
    for store in ranked:
        levels[store.number] = copies[store.failure_zone]
        copies[store.failure_zone] += 1
    return sorted(ranked, key=lambda store: levels[store.number])


def read_order(
    stores: Iterable[StoreState], digest: bytes, load: dict[int, int], suspects: Collection[int] = ()
) -> list[StoreState]:
    """Order replicas for reading: healthy before suspect, local first, least loaded, then by score.

    `load` counts the reads that this node has under way at each store. Equal loads are spread by the score, so
    that a picture's chunks, and many readers of different pictures, come from different stores.
    """

    def rank(store: StoreState) -> tuple[bool, bool, int, float]:
        number = store.number
        return number in suspects, not store.local, load.get(number, 0), -score(digest, number)

    return sorted(stores, key=rank)
