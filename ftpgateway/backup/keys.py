"""The key of backups, which the operator holds, and what is made of it: names and seals of objects.

An object's name is a keyed hash of what it holds, so nobody else can tell whether a known picture is in a backup. Each
object has a key of its own, made of its name: one that is put in another's place does not open.
"""

from __future__ import annotations

import base64
import os
import secrets
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from raftstore.errors import AlreadyExists, Damaged, DiskFailed, Invalid, NotFound, TooNew

KEY_SIZE = 32
FORMAT = 1
"""Version of sealed objects, manifests and key files that this program writes, and the newest that it reads."""
_MAGIC = b"pxbk"
_NONCE = 12
_TAG = 16
OVERHEAD = len(_MAGIC) + 2 + _NONCE + _TAG
"""Bytes by which a sealed object is longer than what it holds."""
_FIRST_LINE = "pixraft backup key"


class Kind(IntEnum):
    """What an object holds."""

    CHUNK = 1
    CATALOG = 2
    """A block of a copy of the catalog, compressed."""
    MANIFEST = 3
    LOCK = 4


@dataclass(frozen=True, slots=True)
class Key:
    """The operator's secret, and what is derived of it."""

    secret: bytes

    def _derived(self, purpose: str) -> bytes:
        return blake3(self.secret, derive_key_context=f"pixraft backup 2026 {purpose}").digest()

    @property
    def identity(self) -> str:
        """Names the key, and tells nothing else of it."""
        return self._derived("identity").hex()[:32]

    def name(self, kind: Kind, digest: bytes) -> str:
        """Return the name of the object of a kind with that content, by the BLAKE3 hash of this."""
        return blake3(bytes([kind]) + digest, key=self._derived("names")).hexdigest()

    def _cipher(self, name: str) -> AESGCM:
        return AESGCM(blake3(name.encode(), key=self._derived("objects")).digest())

    def seal(self, kind: Kind, name: str, data: bytes) -> bytes:
        """Encrypt what the object `name` holds."""
        head = _MAGIC + bytes([FORMAT, kind])
        nonce = os.urandom(_NONCE)
        return head + nonce + self._cipher(name).encrypt(nonce, data, head + name.encode())

    def unseal(self, kind: Kind, name: str, sealed: bytes) -> bytes:
        """Return what the object `name` holds. Raises Damaged for other bytes than `seal` has made, TooNew."""
        head, rest = sealed[: len(_MAGIC) + 2], sealed[len(_MAGIC) + 2 :]
        if len(sealed) < OVERHEAD or head[:-2] != _MAGIC:
            raise Damaged(f"object {name}: not whole")
        if head[-2] > FORMAT:
            raise TooNew(f"object {name}: of format {head[-2]}, this program reads up to {FORMAT}")
        if head[-1] != kind:
            raise Damaged(f"object {name}: of another kind")
        try:
            return self._cipher(name).decrypt(rest[:_NONCE], rest[_NONCE:], head + name.encode())
        except InvalidTag:
            raise Damaged(f"object {name}: not the bytes that were written") from None


def make_key_file(file: Path) -> Key:
    """Write a new key, readable by its owner alone. Raises AlreadyExists rather than overwrite one, DiskFailed."""
    key = Key(secrets.token_bytes(KEY_SIZE))
    text = f"{_FIRST_LINE} {FORMAT}\n{base64.b64encode(key.secret + _check(key.secret)).decode()}\n"
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(descriptor)
    except FileExistsError:
        raise AlreadyExists(f"{file}; a key that is lost makes its backups worthless") from None
    except OSError as error:
        raise DiskFailed(f"{file}: {error.strerror}") from None
    return key


def read_key_file(file: Path) -> Key:
    """Read a key. Raises NotFound, Damaged (mistyped or cut), TooNew, Invalid for another file."""
    try:
        lines = file.read_text(encoding="ascii").split("\n")
    except FileNotFoundError:
        raise NotFound(f"{file}; `pixraft backup key FILE` makes a key") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{file}: is no key of backups: {error}") from None
    name, _, version = lines[0].rpartition(" ")
    if name != _FIRST_LINE or not version.isdecimal():
        raise Invalid(f"{file}: is no key of backups")
    if int(version) > FORMAT:
        raise TooNew(f"{file}: a key of format {version}, this program reads up to {FORMAT}")
    try:
        data = base64.b64decode(lines[1].strip(), validate=True)
    except (IndexError, ValueError):
        data = b""
    secret = data[:KEY_SIZE]
    if len(secret) != KEY_SIZE or data[KEY_SIZE:] != _check(secret):
        raise Damaged(f"{file}: the key is not whole")
    return Key(secret)


def _check(secret: bytes) -> bytes:
    return blake3(secret, derive_key_context="pixraft backup 2026 check of a key file").digest(4)
