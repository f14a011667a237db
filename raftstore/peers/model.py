"""The values that pass over this package's border: lanes, roles, peers, replies, limits."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from raftstore.util.buffers import Buffer

MIB = 1024 * 1024


class Lane(enum.IntEnum):
    """The separate connections of a pair of nodes: consensus never queues behind pictures."""

    CONSENSUS = 1
    BULK = 2


class Role(enum.Enum):
    """What a certificate entitles to."""

    NODE = "node"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as its certificate says; `certificate` is the SHA-256 of that (DER).

    `address`: its IP address, where it is known.
    """

    name: str
    role: Role
    certificate: bytes = field(default=b"", compare=False, repr=False)
    address: str = field(default="", compare=False, repr=False)


@dataclass(slots=True)
class Reply:
    """Answer to a call: `body`, a serialised message of the method's own, and raw bytes beside it.

    A received payload is a buffer of its own that belongs to whoever got the reply. `by_digest`: who asked compares it
    with a digest; only for calls that say so.
    """

    body: bytes = b""
    payload: Buffer = b""
    by_digest: bool = False


Handler = Callable[[Peer, bytes, memoryview], Awaitable[Reply]]
"""Serves a call (who asks, body, payload). A StoreError that it raises reaches the caller as it is."""

OneWay = Callable[[Peer, bytes], None]
"""Takes a one-way message (who, body): synchronous, on the loop, in order of arrival."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the channel. Sizes in bytes, times in seconds; all nodes of a cluster have the same."""

    header_bytes: int = 2 * MIB
    """Of a frame's header, which holds the body of a call or message."""
    payload_bytes: int = 4 * MIB
    """Of a frame's payload."""
    calls: int = 64
    """Calls under way on one connection; further callers wait."""
    serving: int = 128
    """Calls that the listener serves on one connection; further ones get Unavailable."""
    serving_bytes: int = 256 * MIB
    """Payloads in hand on one connection above which calls get Unavailable."""
    write_buffer: int = MIB
    """Calls and replies wait while the transport buffers more."""
    message_buffer: int = 8 * MIB
    """One-way messages are dropped while the transport buffers more."""
    stuck_buffer: int = 32 * MIB
    """A connection whose transport buffers more is dropped: the peer does not read."""
    dial_time: float = 2.0
    """To connect, shake hands and be welcomed."""
    handshake_time: float = 5.0
    """For a dialler to be authenticated and say hello."""
    call_time: float = 300.0
    """The longest that a served call may take, whatever its caller allows."""
    ping_interval: float = 1.0
    """Silence after which a ping is sent."""
    ping_timeout: float = 3.0
    """Silence after which the connection is dropped."""
    backoff_min: float = 0.05
    backoff_max: float = 1.0
    """Wait between attempts to dial: doubles from min to max, less a random part."""
    pending: int = 64
    """Connections accepted and not yet authenticated (`raftstore.util.limits.admission`); as many again of networks
    that are known to have members or admins."""
    handshakes: float = 50.0
    """TLS handshakes a second with strangers, twice as many at once; a quarter of that for each network of theirs. Four
    times as many with known networks."""
    clients: int = 64
    """Connections of operators' commands at one time."""
    session_time: float = 10.0
    """How long the key for a sealed connection waits to be used."""
