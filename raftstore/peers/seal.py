"""`bulk-auth`: keys and tags that authenticate plain connections, frame by frame.

The dialler gets a session (id, key) over TLS and opens the plain connection with a preamble: magic, session id
and a tag that proves the key. From then on every frame carries a keyed BLAKE3 tag over its number, its
lengths, its header and its payload, with a key of its own for each direction: nothing can be changed,
replayed, reordered or reflected without breaking a tag. Contents are not secret. The lengths have a tag of
their own, so that a changed one does not make the reader wait for what never comes.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from blake3 import blake3

from raftstore.peers.model import Buffer, Peer

MAGIC = b"PXB1"
"""First bytes of a plain connection; a TLS connection starts with 0x16."""
ID_SIZE = 16
KEY_SIZE = 32
TAG_SIZE = 16
LENGTHS_TAG_SIZE = 8
PREAMBLE_SIZE = len(MAGIC) + ID_SIZE + TAG_SIZE

_PREAMBLE = "pixraft 2025 bulk-auth preamble"
_TO_LISTENER = "pixraft 2025 bulk-auth dialler to listener"
_TO_DIALLER = "pixraft 2025 bulk-auth listener to dialler"


class Seal:
    """Makes or checks the tags of one direction. Frames must come in the order in which they travel."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._sequence = 0

    def lengths_tag(self, lengths: Buffer) -> bytes:
        """Make the tag of the next frame's lengths; the frame itself is still to come."""
        state = blake3(b"L" + self._sequence.to_bytes(8, "big"), key=self._key)
        return state.update(lengths).digest(LENGTHS_TAG_SIZE)

    def tag(self, *parts: Buffer) -> bytes:
        """Make the tag of the next frame."""
        state = blake3(b"F" + self._sequence.to_bytes(8, "big"), key=self._key)
        self._sequence += 1
        for part in parts:
            state.update(part)
        return state.digest(TAG_SIZE)

    def matches(self, tag: Buffer, *parts: Buffer) -> bool:
        """Whether `tag` is the tag of the next frame, made of `parts`."""
        return hmac.compare_digest(self.tag(*parts), tag)


@dataclass(frozen=True, slots=True)
class Seals:
    """Both directions of one connection, as one end sees them."""

    sending: Seal
    receiving: Seal


def dialler_seals(key: bytes) -> Seals:
    """Seals of the end that dialled."""
    return Seals(Seal(_derive(key, _TO_LISTENER)), Seal(_derive(key, _TO_DIALLER)))


def listener_seals(key: bytes) -> Seals:
    """Seals of the end that accepted."""
    return Seals(Seal(_derive(key, _TO_DIALLER)), Seal(_derive(key, _TO_LISTENER)))


def preamble(identifier: bytes, key: bytes) -> bytes:
    """Make the first bytes of a plain connection."""
    start = MAGIC + identifier
    return start + blake3(start, key=_derive(key, _PREAMBLE)).digest(TAG_SIZE)


class Grants:
    """Sessions given out and not yet used: each works once, for a while, and is bounded in number a peer."""

    def __init__(self, lifetime: float, clock: Callable[[], float], *, per_peer: int = 4) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._per_peer = per_peer
        self._granted: dict[bytes, _Grant] = {}

    def grant(self, peer: Peer) -> tuple[bytes, bytes]:
        """Make a session for `peer`: (id, key). Too many of one peer: the oldest is void."""
        self._forget_expired()
        mine = [identifier for identifier, grant in self._granted.items() if grant.peer == peer]
        for identifier in mine[: max(0, len(mine) - self._per_peer + 1)]:
            del self._granted[identifier]
        identifier, key = secrets.token_bytes(ID_SIZE), secrets.token_bytes(KEY_SIZE)
        self._granted[identifier] = _Grant(peer, key, self._clock() + self._lifetime)
        return identifier, key

    def redeem(self, opening: bytes) -> tuple[Peer, Seals] | None:
        """Take a preamble: whose connection it opens and its seals, or None for a stranger's.

        A session is used up only by the right proof, so nobody can void another's by guessing.
        """
        self._forget_expired()
        if len(opening) != PREAMBLE_SIZE:
            return None
        identifier = opening[len(MAGIC) : len(MAGIC) + ID_SIZE]
        grant = self._granted.get(identifier)
        if grant is None or not hmac.compare_digest(preamble(identifier, grant.key), opening):
            return None
        del self._granted[identifier]
        return grant.peer, listener_seals(grant.key)

    def _forget_expired(self) -> None:
        now = self._clock()
        for identifier in [name for name, grant in self._granted.items() if grant.expires <= now]:
            del self._granted[identifier]


@dataclass(frozen=True, slots=True)
class _Grant:
    peer: Peer
    key: bytes
    expires: float


def _derive(key: bytes, purpose: str) -> bytes:
    return blake3(key, derive_key_context=purpose).digest()
