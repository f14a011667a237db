"""A single connection to one node, for operators' commands."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from raftstore.errors import Unavailable
from raftstore.peers.connections.channel import Shared
from raftstore.peers.connections.dial import Dialler
from raftstore.peers.connections.outgoing import Outgoing
from raftstore.peers.model import Limits, Peer, Reply
from raftstore.peers.security.pki import Identity
from raftstore.util.addresses import Address
from raftstore.util.buffers import Buffer
from raftstore.wire import peer_pb2


class PeerClient:
    """Connects to the node at `address` within `timeout` seconds: `async with PeerClient(...) as client`.

    Takes any node of the cluster there, or only the one named `expected`. Entering raises Unavailable (nobody
    there, not of this cluster) or Refused (the node's own words); Invalid when the identity does not load.
    """

    def __init__(
        self,
        identity: Identity,
        address: Address,
        *,
        timeout: float = 5.0,
        expected: str | None = None,
        limits: Limits = Limits(),  # noqa: B008  # immutable
    ) -> None:
        self._dialler = Dialler(identity, Shared(limits))
        self._address = address
        self._timeout = timeout
        self._expected = expected
        self._channel: Outgoing | None = None

    @property
    def peer(self) -> Peer:
        """The node that answered."""
        if self._channel is None or self._channel.peer is None:
            raise Unavailable("not connected")
        return self._channel.peer

    async def __aenter__(self) -> Self:
        self._channel = await self._dialler.dial(
            self._address, peer_pb2.CLIENT, expected=self._expected, timeout=self._timeout
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._channel is not None:
            self._channel.drop("done")
            await self._channel.finished.wait()

    async def call(self, method: str, body: bytes, payload: Buffer = b"", *, timeout: float = 30.0) -> Reply:
        """Ask the node and wait at most `timeout` seconds; raises as PeerNetwork.call."""
        if self._channel is None:
            raise Unavailable("not connected")
        try:
            async with asyncio.timeout(timeout):
                return await self._channel.call(method, body, payload, timeout)
        except TimeoutError:
            raise Unavailable(f"{self.peer.name} did not answer {method} in {timeout:g} s") from None
