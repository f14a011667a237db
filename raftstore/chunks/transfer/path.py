"""What all uploads and downloads of a node share: the way to the stores, and the bounds."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from raftstore.chunks.hashing import Hasher
from raftstore.chunks.placement.placement import capacity, place
from raftstore.chunks.placement.topology import ClusterView, Topology
from raftstore.chunks.transfer.budget import Budget
from raftstore.chunks.transfer.downloadbuffers import DownloadBuffers
from raftstore.chunks.transfer.replicator import Replicator, StoreClient, Suspects, Volumes
from raftstore.chunks.transfer.spread import Spreader, SpreadLimits
from raftstore.chunks.volumes.shelf import Shelf
from raftstore.errors import DiskFull
from raftstore.peers.calls import Caller
from raftstore.types import CHUNK_SIZE, DIGEST_SIZE

MIB = 1024 * 1024
SLICE = 256 * 1024
"""Bytes of a chunk that a download has on their way at a time, when they go through memory."""


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """Bounds of the chunk path. Sizes in bytes, times in seconds.

    Memory of a node: each upload fills one chunk, each download that cannot send from a file has two slices of
    SLICE bytes on their way. Beyond these there are never more than `upload_bytes` on their way to stores,
    `fetches` chunks on their way from stores, `prefetch_bytes` read ahead and `held_bytes` being sent.
    """

    upload_bytes: int = 32 * MIB
    """Chunks of all uploads on their way to stores (until the last put of a chunk has ended)."""
    window: int = 4
    """Chunks of one upload that are not durable yet."""
    held: int = 8
    """Chunks of one upload that any put still holds."""
    prefetch_bytes: int = 32 * MIB
    """Chunks of all downloads that are read ahead."""
    held_bytes: int = 64 * MIB
    """Chunks of all downloads of which a part is sent; what does not fit is fetched again for the next slice."""
    fetches: int = 32
    """Chunks that are read from stores at a time."""
    read_first: float = 2.0
    """For a read in the first round, short: other copies are there. Doubles with each round."""
    read_longest: float = 15.0
    """For a read in any round."""
    read_total: float = 30.0
    """For all rounds over a chunk's copies; then it is Unavailable."""
    suspicion: float = 5.0
    """For which a store that failed is asked last."""
    spread: SpreadLimits = field(default_factory=SpreadLimits)


class ChunkPath:
    """Shared by all transfers of a node. Make it on the running loop, `close` it at the end."""

    def __init__(
        self,
        topology: Topology,
        volumes: Volumes,
        network: Caller,
        *,
        limits: ChunkLimits = ChunkLimits(),
        client: StoreClient | None = None,
        shelf: Shelf | None = None,
    ) -> None:
        """`client` replaces the way to the stores (for tests); without it, `volumes` and `network` are used.

        Without a `shelf` all that is read goes through memory.
        """
        self.limits = limits
        self.topology = topology
        self.loop = asyncio.get_running_loop()
        self.hasher = Hasher()
        self.client = client or Replicator(volumes, network, self.hasher)
        self.shelf = shelf
        self.suspects = Suspects(self.loop.time, limits.suspicion)
        self.spreader = Spreader(topology, self.client, self.suspects, limits.spread)
        self.uploading = Budget(limits.upload_bytes)
        self.prefetching = Budget(limits.prefetch_bytes)
        self.held = DownloadBuffers(limits.held_bytes, self.loop.time)
        self.fetching = asyncio.Semaphore(limits.fetches)
        self.reading: Counter[int] = Counter()

    def view(self) -> ClusterView:
        """The cluster as it is now."""
        return self.topology.view()

    def check_space(self, expected: int | None = None, replicas: int = 0) -> None:
        """Raise NoQuorum or DiskFull when an upload of `expected` bytes could not be stored now."""
        view = self.view().with_replicas(replicas)
        size = CHUNK_SIZE if expected is None else expected
        place(view, bytes(DIGEST_SIZE), min(size, CHUNK_SIZE))
        if size > CHUNK_SIZE and size > (free_space := capacity(view)):
            raise DiskFull(f"there is room for {free_space} bytes")

    def free_space(self, replicas: int = 0) -> int:
        """Return how many bytes of pictures the cluster takes now, in all their copies. Raises NoQuorum."""
        return capacity(self.view().with_replicas(replicas))

    async def close(self) -> None:
        """Give up what is still on its way; transfers should have ended before."""
        await self.spreader.close()
        self.hasher.close()
        if self.shelf is not None:
            self.shelf.close()
