"""Nodes with real volumes and real connections between them, and nothing else: the chunk path end to end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from peer_networks import running

from raftstore.chunks.placement.topology import ClusterView, StoreState
from raftstore.chunks.transfer.path import ChunkLimits, ChunkPath
from raftstore.chunks.transfer.service import ChunkService
from raftstore.chunks.volumes.shelf import Shelf
from raftstore.chunks.volumes.volumeset import VolumeSet
from raftstore.peers import PeerNetwork
from raftstore.peers.network import Encryption


@dataclass
class ChunkNode:
    """One node; `number` is its store's."""

    name: str
    number: int
    network: PeerNetwork
    volumes: VolumeSet
    members: Sequence[str]
    path: ChunkPath
    service: ChunkService

    def view(self) -> ClusterView:
        """The cluster as this node sees it."""
        return view(self.name, self.members, self.network)


def view(own: str, members: Sequence[str], network: PeerNetwork) -> ClusterView:
    """A view in which every member has a store, numbered from 1 in order."""
    stores = tuple(
        StoreState(number, name, local=name == own, reachable=name == own or network.reachable(name))
        for number, name in enumerate(members, 1)
    )
    return ClusterView(stores, len(members))


class _Topology:
    def __init__(self, own: str, members: Sequence[str], network: PeerNetwork) -> None:
        self._what = own, members, network

    def view(self) -> ClusterView:
        return view(*self._what)


@asynccontextmanager
async def chunk_nodes(
    directory: Path,
    names: Sequence[str] = ("a", "b", "c"),
    limits: ChunkLimits | None = None,
    encryption: Encryption = "full",
) -> AsyncIterator[dict[str, ChunkNode]]:
    """Started nodes by name, all linked with each other."""
    async with AsyncExitStack() as stack:
        nets = await stack.enter_async_context(running(names, encryption=encryption))
        nodes: dict[str, ChunkNode] = {}
        for number, name in enumerate(names, 1):
            volumes = VolumeSet(directory / name, volume_bytes=64 << 20, reserve_bytes=0)
            await volumes.open()
            stack.push_async_callback(volumes.close)
            net = nets[name]
            shelf = Shelf(volumes, volumes.verified)
            topology = _Topology(name, names, net)
            path = ChunkPath(topology, volumes, net, limits=limits or ChunkLimits(), shelf=shelf)
            stack.push_async_callback(path.close)
            service = ChunkService(net, path, volumes)
            nodes[name] = ChunkNode(name, number, net, volumes, names, path, service)
        yield nodes
