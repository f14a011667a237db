"""Tokens to join with: what is in one, the keys that follow from it, and the identity sealed with it. No I/O."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding
from google.protobuf.message import DecodeError

from raftstore.errors import Invalid
from raftstore.peers.model import Role
from raftstore.peers.security.pki import Authority, Identity
from raftstore.wire import commands_pb2 as commands
from raftstore.wire import join_pb2

PREFIX = "pixraft1."
_ID_SIZE = 16
_SECRET_SIZE = 32
_NONCE_SIZE = 12


@dataclass(frozen=True, slots=True)
class Token:
    """Lets one machine join once, as `node`, until `expires_ns` (ns since the epoch).

    `authority` is the SHA-256 of the cluster's authority (DER), `addresses` are those of members (host:port).
    """

    id: bytes
    secret: bytes
    authority: bytes
    node: str
    expires_ns: int
    addresses: tuple[str, ...]
    cluster: str

    def encode(self) -> str:
        """Return it as text without blanks."""
        message = join_pb2.Token(
            id=self.id,
            secret=self.secret,
            authority=self.authority,
            node=self.node,
            expires_ns=self.expires_ns,
            addresses=self.addresses,
            cluster=self.cluster,
        )
        data = message.SerializeToString()
        data += zlib.crc32(data).to_bytes(4, "big")
        return PREFIX + base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")

    @staticmethod
    def decode(text: str) -> Token:
        """Read what `encode` has made. Raises Invalid for what is not a whole token."""
        text = "".join(text.split())
        problem = Invalid("this is not a whole token; copy again all that `pixraft node add` printed")
        if not text.startswith(PREFIX) or len(text) > 16_384:
            raise problem
        try:
            body = text[len(PREFIX) :]
            data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
            if len(data) < 4 or zlib.crc32(data[:-4]).to_bytes(4, "big") != data[-4:]:
                raise problem
            m = join_pb2.Token.FromString(data[:-4])
        except (binascii.Error, ValueError, DecodeError):
            raise problem from None
        if (len(m.id), len(m.secret), len(m.authority)) != (_ID_SIZE, _SECRET_SIZE, 32) or not m.node:
            raise problem
        return Token(m.id, m.secret, m.authority, m.node, m.expires_ns, tuple(m.addresses), m.cluster)

    @property
    def key(self) -> bytes:
        """Authenticates the join request. The cluster keeps it; it tells nothing of the secret."""
        return _derived(self.secret, b"join request")

    def check_expiry(self) -> None:
        """Raise Invalid when its time is over, by this machine's clock."""
        if time.time_ns() >= self.expires_ns:
            raise Invalid("the token has expired; ask for a new one (`pixraft node add`)")

    def open(self, sealed: bytes) -> Identity:
        """Return the identity that `seal` has sealed. Raises Invalid when it is not the token's, or not whole."""
        problem = Invalid("the cluster's answer does not fit the token")
        try:
            nonce, box = sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:]
            data = AESGCM(_derived(self.secret, b"identity")).decrypt(nonce, box, self.id)
            bundle = join_pb2.Bundle.FromString(data)
            authority = x509.load_pem_x509_certificate(bundle.authority)
        except (InvalidTag, ValueError, DecodeError):
            raise problem from None
        if hashlib.sha256(authority.public_bytes(Encoding.DER)).digest() != self.authority:
            raise problem
        return Identity(self.node, Role.NODE, bundle.authority, bundle.certificate, bundle.key)


def make(
    authority: Authority, node: str, valid: float, addresses: Sequence[str], cluster: str, replaces: str = ""
) -> tuple[Token, commands.Intent]:
    """Make a token for `node`, good for `valid` seconds, and what the cluster must know of it.

    The node's key is made here and leaves only sealed with a key of the token. Raises Invalid for an unusable name.
    """
    identity = authority.issue(node)
    token = Token(
        id=secrets.token_bytes(_ID_SIZE),
        secret=secrets.token_bytes(_SECRET_SIZE),
        authority=hashlib.sha256(authority.certificate.public_bytes(Encoding.DER)).digest(),
        node=node,
        expires_ns=time.time_ns() + int(valid * 1e9),
        addresses=tuple(addresses),
        cluster=cluster,
    )
    bundle = join_pb2.Bundle(authority=identity.ca, certificate=identity.certificate, key=identity.key)
    nonce = secrets.token_bytes(_NONCE_SIZE)
    box = AESGCM(_derived(token.secret, b"identity")).encrypt(nonce, bundle.SerializeToString(), token.id)
    certificate = x509.load_pem_x509_certificate(identity.certificate)
    intent = commands.Intent(
        id=token.id,
        kind=commands.Intent.JOIN,
        node=node,
        replaces=replaces,
        token_key=token.key,
        sealed=nonce + box,
        certificate=certificate.fingerprint(hashes.SHA256()),
        expires_ns=token.expires_ns,
    )
    return token, intent


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"pixraft token: " + purpose).derive(secret)
