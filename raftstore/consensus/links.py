"""What consensus asks of the channel between nodes: the part of PeerNetwork that a simulator has to replace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from raftstore.peers.model import Handler, Lane, OneWay, Reply
from raftstore.util.buffers import Buffer


class Links(Protocol):
    """Authenticated links to the other members, named by node. PeerNetwork is one."""

    def on_message(self, method: str, handler: OneWay) -> None:
        """Take one-way messages of `method`, in order of arrival."""
        ...

    def on_link(self, up: Callable[[str], None], down: Callable[[str], None]) -> None:
        """Be told when messages can be sent to a member, and when they can no more."""
        ...

    def reachable(self, peer: str) -> bool:
        """Whether messages can be sent to that member."""
        ...

    def send(self, peer: str, method: str, body: bytes, *, urgent: bool = False) -> bool:
        """Send a one-way message; False when it was dropped. True promises nothing.

        An `urgent` one leaves before this returns, others when what is under way on the loop is done.
        """
        ...

    def serve(self, method: str, handler: Handler) -> None:
        """Answer calls of `method` from nodes."""
        ...

    async def call(
        self,
        peer: str,
        method: str,
        body: bytes,
        payload: Buffer = b"",
        *,
        lane: Lane = Lane.BULK,
        timeout: float,
    ) -> Reply:
        """Ask a member. Raises the remote StoreError, or Unavailable."""
        ...
