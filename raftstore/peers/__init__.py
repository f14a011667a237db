"""One authenticated channel between nodes: framing, TLS, calls.

Invariant: what a handler gets was sent, in this order and unchanged, by the peer that it is told, which holds a
certificate of this cluster (or a key that it got with one); nothing of anybody else is decoded beyond the TLS
handshake. Every call ends: with the peer's answer, its StoreError, or Unavailable. DESIGN.md argues it.

It is a package of its own because consensus and chunks share it and neither should know of sockets, TLS or
reconnection; a simulator replaces it as a whole.

    model       lanes, roles, peers, replies, limits
    pki         authority, certificates, identities     tls         contexts, who the peer is
    framing     bytes <-> frames, no I/O                seal        frames without TLS  grants     keys for them
    versions    who understands whom                    known       where members and admins have been
    channel     what both ends of a connection share    outgoing    dialling end     incoming   accepting end
    dial, link  one attempt; a lane that is kept up     listener    the port         network    it all together
    calls       a call declared once, with its types, for who asks and who answers
    client      an operator's connection                joining     with a token     services   what is served to whom
"""

from raftstore.peers.client import PeerClient
from raftstore.peers.model import Handler, Lane, Limits, OneWay, Peer, Reply, Role
from raftstore.peers.network import PeerNetwork
from raftstore.peers.security.pki import Authority, Identity, create_authority, self_signed_server_pem
from raftstore.peers.versions import Versions

__all__ = [
    "Authority",
    "Handler",
    "Identity",
    "Lane",
    "Limits",
    "OneWay",
    "Peer",
    "PeerClient",
    "PeerNetwork",
    "Reply",
    "Role",
    "Versions",
    "create_authority",
    "self_signed_server_pem",
]
