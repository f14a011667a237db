"""Envelopes out: every message carries its sender's term."""

from __future__ import annotations

from collections.abc import Callable

from raftstore.consensus.links import Links
from raftstore.wire import raft_pb2

METHOD = "raft"


class Post:
    """Sends envelopes to the members whose link is up, and knows which are."""

    def __init__(self, links: Links, term: Callable[[], int]) -> None:
        self._links = links
        self._term = term
        self.linked: set[str] = set()

    def send(self, peer: str, envelope: raft_pb2.Envelope) -> bool:
        """Stamp and send; False when it was dropped for certain."""
        if peer not in self.linked:
            return False
        envelope.term = self._term()
        return self._links.send(peer, METHOD, envelope.SerializeToString())

    def broadcast(self, envelope: raft_pb2.Envelope) -> None:
        """Send to every member that is linked."""
        envelope.term = self._term()
        body = envelope.SerializeToString()
        for peer in sorted(self.linked):
            self._links.send(peer, METHOD, body)
