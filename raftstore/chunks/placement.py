"""Which stores get a chunk, and which are asked for it. Pure functions.

Weighted rendezvous hashing: every store draws a score from (digest, its number) and its weight, and the highest
scores win. A store that comes or goes moves only the chunks that it gains or loses, and all nodes agree without
a table. Free room is the weight, rounded to powers of two so that placement does not flutter.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from blake3 import blake3

from raftstore.chunks.topology import ClusterView, StoreState
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

    The local store comes first (one copy costs no network), then the others by score. Numbers in `suspects`
    have failed a moment ago: they come last, and are used at once only when there is no quorum without them.
    Raises NoQuorum when fewer than W stores can be asked at all, DiskFull when fewer than W of those have room.
    """
    candidates = [store for store in view.stores if store.writable and store.reachable]
    quorum, copies = view.quorum, view.copies
    if len(candidates) < quorum:
        raise NoQuorum(f"{len(candidates)} of {view.nodes} nodes take pictures now, {quorum} are needed")
    roomy = [store for store in candidates if store.free_bytes >= length]
    if len(roomy) < quorum:
        raise DiskFull(f"{len(roomy)} of {view.nodes} nodes have room, {quorum} are needed")

    choice = len(roomy) > copies

    def rank(store: StoreState) -> tuple[bool, bool, float]:
        luck = score(digest, store.number, weight(store.free_bytes)) if choice else 0.0
        return store.number in suspects, not store.local, -luck

    roomy.sort(key=rank)
    trusted = sum(store.number not in suspects for store in roomy)
    return Placement(tuple(roomy), max(quorum, min(copies, trusted)), quorum)


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
