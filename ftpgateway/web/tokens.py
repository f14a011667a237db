"""Tokens of sessions: signed with a key that all nodes have, so that a session holds at each of them. Pure.

A token says whose session it is, by the account's identity, and of which revision the account was when it began. It
also has a digest of the password hash and home of then, so that it ends with a new password at once, at every node that
has applied it. What it says is no secret from its owner; nobody else can make one.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass

from blake3 import blake3

from raftstore.types import User, owner_name

KEY_BYTES = 32
ID_BYTES = 16
_STAMP_BYTES = 12
_MAC_BYTES = 32
_FIXED = struct.Struct(f"!B{ID_BYTES}sQQ{_STAMP_BYTES}s")
_VERSION = 1
_LONGEST = 2048
"""Characters of a token; names have at most 255 bytes."""


@dataclass(frozen=True, slots=True)
class Token:
    """A session, as its cookie says it: `expires` in seconds since the epoch, `revision` the account's at its begin."""

    number: bytes
    owner: str
    revision: int
    expires: int
    stamp: bytes

    @property
    def name(self) -> str:
        """The account's name."""
        return owner_name(self.owner)


def stamp_of(key: bytes, user: User) -> bytes:
    """Return what changes with an account's password and home; nobody learns the hash from it."""
    digest = blake3(key=key)
    for part in (
        b"web session account",
        user.password_hash.encode(),
        user.home.encode("utf-8", "surrogatepass"),
    ):
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest(_STAMP_BYTES)


def token_for(key: bytes, user: User, number: bytes, expires: int) -> Token:
    """Return the token of a session that begins now."""
    return Token(number, user.owner, user.revision, expires, stamp_of(key, user))


def written(key: bytes, token: Token) -> str:
    """Return the token as the text of a cookie."""
    content = (
        _FIXED.pack(_VERSION, token.number, token.revision, token.expires, token.stamp) + token.owner.encode()
    )
    return base64.urlsafe_b64encode(content + _mac(key, content)).decode().rstrip("=")


def read(key: bytes, text: str, now: float) -> Token | None:
    """Return the token that this node's cluster has signed and that has not expired; None otherwise."""
    if not 0 < len(text) <= _LONGEST:
        return None
    try:
        signed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    content, mac = signed[:-_MAC_BYTES], signed[-_MAC_BYTES:]
    if len(content) <= _FIXED.size or not hmac.compare_digest(mac, _mac(key, content)):
        return None
    version, number, revision, expires, stamp = _FIXED.unpack_from(content)
    if version != _VERSION or expires <= now:
        return None
    return Token(number, content[_FIXED.size :].decode(), revision, expires, stamp)


def _mac(key: bytes, content: bytes) -> bytes:
    return blake3(b"web session token" + content, key=key).digest(_MAC_BYTES)
