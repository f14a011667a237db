"""Asking a store which chunks it has: what it says yes to, it does not remove as unreferenced for now."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from raftstore.chunks.placement.topology import Topology
from raftstore.chunks.transfer.replicator import CONFIRM, Volumes
from raftstore.errors import Unavailable
from raftstore.peers.calls import Caller
from raftstore.wire import chunks_pb2

PORTION = 2000
"""Chunks asked for at a time."""

TIMEOUT = 5.0


class Confirmer:
    """`confirm` for any store of the cluster."""

    def __init__(self, topology: Topology, volumes: Volumes, network: Caller) -> None:
        self._topology = topology
        self._volumes = volumes
        self._network = network

    async def __call__(self, number: int, digests: Sequence[bytes]) -> set[bytes]:
        """Return those of `digests` that the store has durably and does not remove. Raises Unavailable, ..."""
        held: set[bytes] = set()
        for at in range(0, len(digests), PORTION):
            portion = digests[at : at + PORTION]
            store = self._topology.view().by_number.get(number)
            if store is None or not store.reachable:
                raise Unavailable(f"store {number} cannot be reached")
            if store.local:
                held.update(digest for digest in portion if self._volumes.confirm(digest))
                await asyncio.sleep(0)
                continue
            request = chunks_pb2.Confirm(store=number, digests=portion)
            reply = await CONFIRM.ask(self._network, store.node, request, timeout=TIMEOUT)
            held.update(digest for digest, here in zip(portion, reply.held, strict=False) if here)
        return held
