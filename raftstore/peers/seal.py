"""What protects the frames of a connection without TLS: a cipher (`full`), or tags alone (`bulk-auth`).

Both ends have a key of their own for each direction, and count frames: nothing can be changed, replayed, reordered or
reflected without breaking a tag. The lengths have a tag of their own, so that a changed one does not make the reader
wait for what never comes.

The cipher is AES-256-GCM, as in TLS, with one record a frame: TLS has at most 16 KiB in a record (RFC 8446, section
5.1), and each costs calls, copies and wake-ups that are dearer by far than the cipher.
"""

from __future__ import annotations

import hmac
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from raftstore.peers.model import Buffer

LENGTHS_TAG_SIZE = 8
TAG_SIZE = 16
JOIN_BELOW = 16 * 1024
"""Payloads shorter than this are copied behind their header: one buffer is cheaper than two."""

REKEY_FRAMES = 1 << 16
"""Frames after which the cipher goes on with a new key, which does not tell the old one. That is 64 GiB of chunks; RFC
8446, section 5.5, allows six times as much for a key."""

_FRAMES = "pixraft 2026 sealed frames"
_LENGTHS = "pixraft 2026 sealed lengths"
_NEXT = "pixraft 2026 next key"

_NONCE = struct.Struct("!IQ")
_HEADER, _PAYLOAD = 0, 1
"""Parts of a frame in the nonce, beside the frame's number."""

Room = Callable[[int], memoryview]
"""Gives a writable buffer of so many bytes that nobody else has."""


class BrokenSeal(Exception):
    """A frame is not what the other end has sent."""


def derive(key: bytes, purpose: str) -> bytes:
    """Return a key that tells nothing of `key` or of those for other purposes."""
    return blake3(key, derive_key_context=purpose).digest()


class Seal(ABC):
    """Seals or opens the frames of one direction, which must come in the order in which they travel."""

    bares = False
    """Whether the payload may be left out, for a receiver that compares it with a digest."""
    extra = 0
    """Bytes that a header gets longer, and a payload unless it is empty."""
    prefix = LENGTHS_TAG_SIZE
    """Bytes between the lengths and the header."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._lengths_key = derive(key, _LENGTHS)
        self._sequence = 0

    def _lengths_tag(self, lengths: Buffer) -> bytes:
        """Make the tag of the next frame's lengths; the frame itself is still to come."""
        state = blake3(self._sequence.to_bytes(8, "big"), key=self._lengths_key)
        return state.update(lengths).digest(LENGTHS_TAG_SIZE)

    def check(self, lengths: Buffer, tag: Buffer) -> None:
        """Check the lengths of the next frame. Raises BrokenSeal."""
        if not hmac.compare_digest(self._lengths_tag(lengths), tag):
            raise BrokenSeal("the tag of a frame's lengths is wrong")

    @abstractmethod
    def seal(self, lengths: bytes, header: bytes, payload: Buffer, room: Room, *, bare: bool) -> list[Buffer]:
        """Make the buffers of the next frame."""

    @abstractmethod
    def open(
        self, lengths: memoryview, sealed: memoryview, header: int, *, bare: bool
    ) -> tuple[Buffer, memoryview]:
        """Return header and payload of the next frame, given what follows its lengths, and the header's plain length.

        Both last: a `sealed` that is read-only is the reader's own, and used again. Raises BrokenSeal.
        """


class Cipher(Seal):
    """Contents are secret, and authentic."""

    extra = TAG_SIZE

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self._engine = AESGCM(derive(key, _FRAMES))

    def _next(self) -> int:
        """Return the number of the next frame."""
        number = self._sequence
        self._sequence = number + 1
        if number and not number % REKEY_FRAMES:
            self._key = derive(self._key, _NEXT)
            self._engine = AESGCM(derive(self._key, _FRAMES))
        return number

    def seal(self, lengths: bytes, header: bytes, payload: Buffer, room: Room, *, bare: bool) -> list[Buffer]:
        """See `Seal`."""
        tag = self._lengths_tag(lengths)
        number = self._next()
        head = self._engine.encrypt(_NONCE.pack(_HEADER, number), header, lengths)
        if not len(payload):
            return [b"".join((lengths, tag, head))]
        nonce = _NONCE.pack(_PAYLOAD, number)
        if len(payload) < JOIN_BELOW:
            return [b"".join((lengths, tag, head, self._engine.encrypt(nonce, payload, None)))]
        body = room(len(payload) + TAG_SIZE)
        self._engine.encrypt_into(nonce, payload, None, body)
        return [b"".join((lengths, tag, head)), body]

    def open(
        self, lengths: memoryview, sealed: memoryview, header: int, *, bare: bool
    ) -> tuple[Buffer, memoryview]:
        """See `Seal`. A payload is decrypted where it is."""
        number = self._next()
        head = sealed[LENGTHS_TAG_SIZE : LENGTHS_TAG_SIZE + header + TAG_SIZE]
        body = sealed[LENGTHS_TAG_SIZE + header + TAG_SIZE :]
        try:
            plain = self._engine.decrypt(_NONCE.pack(_HEADER, number), head, lengths)
            if not body:
                return plain, body
            nonce = _NONCE.pack(_PAYLOAD, number)
            if body.readonly:
                return plain, memoryview(self._engine.decrypt(nonce, body, None))
            payload = body[:-TAG_SIZE]
            self._engine.decrypt_into(nonce, body, None, payload)
        except InvalidTag:
            raise BrokenSeal("the tag of a frame is wrong") from None
        return plain, payload


class Tags(Seal):
    """Contents are authentic, but everybody can read them."""

    bares = True
    prefix = LENGTHS_TAG_SIZE + TAG_SIZE

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self._frames_key = derive(key, _FRAMES)

    def _tag(self, *parts: Buffer) -> bytes:
        state = blake3(self._sequence.to_bytes(8, "big"), key=self._frames_key)
        self._sequence += 1
        for part in parts:
            state.update(part)
        return state.digest(TAG_SIZE)

    def seal(self, lengths: bytes, header: bytes, payload: Buffer, room: Room, *, bare: bool) -> list[Buffer]:
        """See `Seal`."""
        tags = self._lengths_tag(lengths) + self._tag(lengths, header, b"" if bare else payload)
        if len(payload) < JOIN_BELOW:
            return [b"".join((lengths, tags, header, payload))]
        return [b"".join((lengths, tags, header)), payload]

    def open(
        self, lengths: memoryview, sealed: memoryview, header: int, *, bare: bool
    ) -> tuple[Buffer, memoryview]:
        """See `Seal`."""
        if sealed.readonly:
            sealed = memoryview(bytes(sealed))
        content = sealed[self.prefix :]
        covered = content[:header] if bare else content
        if not hmac.compare_digest(self._tag(lengths, covered), sealed[LENGTHS_TAG_SIZE : self.prefix]):
            raise BrokenSeal("the tag of a frame is wrong")
        return content[:header], content[header:]


@dataclass(frozen=True, slots=True)
class Seals:
    """Both directions of one connection, as one end sees them."""

    sending: Seal
    receiving: Seal
