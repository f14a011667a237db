"""Envelopes out: every message carries its sender's term."""

from __future__ import annotations

from collections.abc import Collection

from raftstore.consensus.links import Links
from raftstore.consensus.pysyncobj.raft import Raft
from raftstore.peers.calls import OneWayMessage
from raftstore.wire import raft_pb2

ENVELOPE = OneWayMessage("raft", raft_pb2.Envelope)


class EnvelopeSender:
    """Sends envelopes to the members whose link is up, and knows which are."""

    def __init__(self, links: Links, raft: Raft) -> None:
        self._links = links
        self._raft = raft
        self.linked: set[str] = set()

    def send(self, peer: str, envelope: raft_pb2.Envelope, *, urgent: bool = False) -> bool:
        """Stamp and send; False when it was dropped for certain. `urgent`: see Links."""
        if peer not in self.linked:
            return False
        envelope.term = self._raft.term
        return ENVELOPE.send(self._links, peer, envelope, urgent=urgent)

    def broadcast(self, targets: Collection[str], envelope: raft_pb2.Envelope) -> None:
        """Send to those of `targets` that are linked."""
        envelope.term = self._raft.term
        ENVELOPE.broadcast(self._links, sorted(self.linked.intersection(targets)), envelope)
