"""Sessions of sealed connections: a key that one end gets from the other over TLS, and how it proves that it has it.

The dialler asks for a session (id, key) on a connection with TLS and opens the sealed one with a preamble: magic,
session id and a tag that proves the key. Python's `ssl` cannot export keys of a TLS session for other uses.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from blake3 import blake3

from raftstore.peers.model import Peer
from raftstore.peers.security.seal import TAG_SIZE, Seal, Seals, derive

MAGIC = b"PXB1"
"""First bytes of a sealed connection; a TLS connection starts with 0x16."""
ID_SIZE = 16
KEY_SIZE = 32
PREAMBLE_SIZE = len(MAGIC) + ID_SIZE + TAG_SIZE

_PREAMBLE = "pixraft 2026 bulk preamble"
_TO_LISTENER = "pixraft 2026 bulk dialler to listener"
_TO_DIALLER = "pixraft 2026 bulk listener to dialler"


@dataclass(frozen=True, slots=True)
class Session:
    """What both ends of one connection know: its id, the key, and whether chunks travel as they are."""

    id: bytes
    key: bytes
    plain_chunks: bool

    def preamble(self) -> bytes:
        """Make the first bytes of the connection."""
        start = MAGIC + self.id
        return start + blake3(start, key=self._derive(_PREAMBLE)).digest(TAG_SIZE)

    def dialler_seals(self) -> Seals:
        """Seals of the end that dialled."""
        return Seals(self._seal(_TO_LISTENER), self._seal(_TO_DIALLER))

    def listener_seals(self) -> Seals:
        """Seals of the end that accepted."""
        return Seals(self._seal(_TO_DIALLER), self._seal(_TO_LISTENER))

    def _seal(self, purpose: str) -> Seal:
        return Seal(self._derive(purpose), bares=self.plain_chunks)

    def _derive(self, purpose: str) -> bytes:
        # The two kinds have no key in common: no end takes one for the other.
        return derive(self.key, f"{purpose}, chunks {'plain' if self.plain_chunks else 'encrypted'}")


class Grants:
    """Sessions given out and not yet used: each works once, for a while, and is bounded in number a peer."""

    def __init__(self, lifetime: float, clock: Callable[[], float], *, per_peer: int = 4) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._per_peer = per_peer
        self._granted: dict[bytes, _Grant] = {}

    def grant(self, peer: Peer, *, plain_chunks: bool) -> Session:
        """Make a session for `peer`. Too many of one peer: the oldest is void."""
        self._forget_expired()
        mine = [identifier for identifier, grant in self._granted.items() if grant.peer == peer]
        for identifier in mine[: max(0, len(mine) - self._per_peer + 1)]:
            del self._granted[identifier]
        session = Session(secrets.token_bytes(ID_SIZE), secrets.token_bytes(KEY_SIZE), plain_chunks)
        self._granted[session.id] = _Grant(peer, session, self._clock() + self._lifetime)
        return session

    def redeem(self, opening: bytes) -> tuple[Peer, Seals] | None:
        """Take a preamble: whose connection it opens and its seals, or None for a stranger's.

        A session is used up only by the right proof, so nobody can void another's by guessing.
        """
        self._forget_expired()
        if len(opening) != PREAMBLE_SIZE:
            return None
        grant = self._granted.get(opening[len(MAGIC) : len(MAGIC) + ID_SIZE])
        if grant is None or not hmac.compare_digest(grant.session.preamble(), opening):
            return None
        del self._granted[grant.session.id]
        return grant.peer, grant.session.listener_seals()

    def _forget_expired(self) -> None:
        now = self._clock()
        for identifier in [name for name, grant in self._granted.items() if grant.expires <= now]:
            del self._granted[identifier]


@dataclass(frozen=True, slots=True)
class _Grant:
    peer: Peer
    session: Session
    expires: float
