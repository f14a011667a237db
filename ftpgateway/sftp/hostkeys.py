"""The cluster's SSH host keys: one set for all nodes, so that clients do not warn when they change nodes.

They are replicated like the accounts: whichever node needs them first makes them, and every node, present or joining
later, has the same from then on.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

SECRET = "ssh-host-keys"
"""Name under which the cluster keeps them."""
_RSA_BITS = 3072


def make() -> bytes:
    """Make Ed25519, ECDSA (P-256) and RSA keys, as private keys in OpenSSH format, one after another. Slow."""
    keys = (
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS),
    )
    return b"".join(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()) for key in keys)


def split(keys: bytes) -> list[bytes]:
    """Return each of the keys that `make` wrote."""
    end = b"-----END OPENSSH PRIVATE KEY-----\n"
    return [part + end for part in keys.split(end)[:-1]]
