"""What consensus asks of the channel between nodes: the part of PeerNetwork that a simulator has to replace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from raftstore.peers.calls import Caller, Sender, Server, Taker


class Links(Caller, Sender, Server, Taker, Protocol):
    """Authenticated links to the other members, named by node. PeerNetwork is one.

    An `urgent` message leaves before `send` returns, others when what is under way on the loop is done.
    """

    def on_link(self, up: Callable[[str], None], down: Callable[[str], None]) -> None:
        """Be told when messages can be sent to a member, and when they can no more."""
        ...

    def reachable(self, peer: str) -> bool:
        """Whether messages can be sent to that member."""
        ...
