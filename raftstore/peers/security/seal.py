"""The cipher of connections without TLS: AES-256-GCM, as in TLS, but with one record a frame.

TLS has at most 16 KiB in a record (RFC 8446, section 5.1), and each costs calls, copies and wake-ups that are dearer by
far than the cipher. Both ends have a key of their own for each direction, and count frames: nothing can be changed,
replayed, reordered or reflected without breaking a tag. The lengths are not secret; they have a tag of their own, so
that a changed one does not make the reader wait for what never comes.

`bulk-auth` leaves out payloads whose receiver compares them with a digest from the (encrypted) header: chunks.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from raftstore.util.buffers import Buffer

LENGTHS_TAG_SIZE = 8
TAG_SIZE = 16
JOIN_BELOW = 16 * 1024
"""Payloads shorter than this are copied behind their header: one buffer is cheaper than two."""

SPACE_FROM = 256 * 1024
"""Payloads from this size on are encrypted into buffers that are used again. Each has room for a whole chunk: shorter
payloads would hold many times their size while they wait to be sent."""

REKEY_FRAMES = 1 << 16
"""Frames after which the cipher goes on with a new key, which does not tell the old one. That is 64 GiB of chunks; RFC
8446, section 5.5, allows six times as much for a key."""

_FRAMES = "pixraft 2026 sealed frames"
_LENGTHS = "pixraft 2026 sealed lengths"
_NEXT = "pixraft 2026 next key"

_NONCE = struct.Struct("!IQ")
_HEADER, _PAYLOAD = 0, 1
"""Parts of a frame in the nonce, beside the frame's number."""

Allocate = Callable[[int], memoryview]
"""Gives a writable buffer of so many bytes that nobody else has."""


class BrokenSeal(Exception):
    """A frame is not what the other end has sent."""


def derive(key: bytes, purpose: str) -> bytes:
    """Return a key that tells nothing of `key` or of those for other purposes."""
    return blake3(key, derive_key_context=purpose).digest()


class Seal:
    """Seals or opens the frames of one direction, which must come in the order in which they travel.

    `bares`: a payload may be left out, for a receiver that compares it with a digest.
    """

    def __init__(self, key: bytes, *, bares: bool = False) -> None:
        self.bares = bares
        self._key = key
        self._lengths_key = derive(key, _LENGTHS)
        self._engine = AESGCM(derive(key, _FRAMES))
        self._sequence = 0

    def check(self, lengths: Buffer, tag: Buffer) -> None:
        """Check the lengths of the next frame. Raises BrokenSeal."""
        if not hmac.compare_digest(self._lengths_tag(lengths), tag):
            raise BrokenSeal("the tag of a frame's lengths is wrong")

    def size(self, header: int, payload: int, *, bare: bool) -> int:
        """Return how many bytes follow the lengths of a frame, given the plain lengths."""
        tags = TAG_SIZE if bare or not payload else 2 * TAG_SIZE
        return LENGTHS_TAG_SIZE + header + payload + tags

    def seal(
        self, lengths: bytes, header: bytes, payload: Buffer, allocate: Allocate, *, bare: bool
    ) -> list[Buffer]:
        """Make the buffers of the next frame. A long payload is encrypted into `room`, or stays as it is (`bare`)."""
        tag = self._lengths_tag(lengths)
        number = self._next()
        head = self._engine.encrypt(_NONCE.pack(_HEADER, number), header, lengths)
        nonce = _NONCE.pack(_PAYLOAD, number)
        if len(payload) < JOIN_BELOW:
            body = payload if bare or not len(payload) else self._engine.encrypt(nonce, payload, None)
            return [b"".join((lengths, tag, head, body))]
        first = b"".join((lengths, tag, head))
        if bare:
            return [first, payload]
        if len(payload) < SPACE_FROM:
            return [first, self._engine.encrypt(nonce, payload, None)]
        space = allocate(len(payload) + TAG_SIZE)
        self._engine.encrypt_into(nonce, payload, None, space)
        return [first, space]

    def open(
        self, lengths: memoryview, sealed: memoryview, header: int, *, bare: bool
    ) -> tuple[bytes, memoryview]:
        """Return header and payload of the next frame, given what follows its lengths, and the header's plain length.

        The payload is decrypted where it is, unless `sealed` is read-only: then it is the reader's own, and copied.
        Raises BrokenSeal.
        """
        number = self._next()
        middle = LENGTHS_TAG_SIZE + header + TAG_SIZE
        body = sealed[middle:]
        nonce = _NONCE.pack(_PAYLOAD, number)
        try:
            plain = self._engine.decrypt(_NONCE.pack(_HEADER, number), sealed[LENGTHS_TAG_SIZE:middle], lengths)
            if bare or not body:
                return plain, memoryview(bytes(body)) if body.readonly else body
            if body.readonly:
                return plain, memoryview(self._engine.decrypt(nonce, body, None))
            self._engine.decrypt_into(nonce, body, None, body[:-TAG_SIZE])
        except InvalidTag:
            raise BrokenSeal("the tag of a frame is wrong") from None
        return plain, body[:-TAG_SIZE]

    def _lengths_tag(self, lengths: Buffer) -> bytes:
        """Make the tag of the next frame's lengths; the frame itself is still to come."""
        state = blake3(self._sequence.to_bytes(8, "big"), key=self._lengths_key)
        return state.update(lengths).digest(LENGTHS_TAG_SIZE)

    def _next(self) -> int:
        """Return the number of the next frame."""
        number = self._sequence
        self._sequence = number + 1
        if number and not number % REKEY_FRAMES:
            self._key = derive(self._key, _NEXT)
            self._engine = AESGCM(derive(self._key, _FRAMES))
        return number


@dataclass(frozen=True, slots=True)
class Seals:
    """Both directions of one connection, as one end sees them."""

    sending: Seal
    receiving: Seal
