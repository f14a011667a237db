"""The cluster's SSH host keys: one set for all nodes, so that clients do not warn when they change nodes.

They are replicated like the accounts: whichever node needs them first makes them, and every node, present or joining
later, has the same from then on, until an operator has new ones made (`rotate_host_keys`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection, Mapping

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from ftpgateway.serving.frontends import Secrets
from raftstore.errors import Invalid, NotFound
from raftstore.peers.calls import admin_call
from raftstore.wire import admin_pb2 as admin

SECRET = "ssh-host-keys"
"""Name under which the cluster keeps them."""
_RSA_BITS = 3072

_Key = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

KINDS: Mapping[str, Callable[[], _Key]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS),
}
"""Each kind of key there is, and how one is made. RSA is slow."""


def make(kinds: Collection[str] = KINDS.keys(), present: bytes = b"") -> bytes:
    """Return a key of each kind as private keys in OpenSSH format, one after another. Slow.

    Those of `kinds` are new, the others those of `present`.
    """
    old = {kind_of(text): text for text in split(present)}
    return b"".join(
        _new(generate) if kind in kinds or kind not in old else old[kind] for kind, generate in KINDS.items()
    )


def _new(generate: Callable[[], _Key]) -> bytes:
    return generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def split(keys: bytes) -> list[bytes]:
    """Return each of the keys that `make` wrote."""
    end = b"-----END OPENSSH PRIVATE KEY-----\n"
    return [part + end for part in keys.split(end)[:-1]]


def kind_of(text: bytes) -> str:
    """Return which of `KINDS` a key is of."""
    key = load_ssh_private_key(text, None)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    return "ecdsa" if isinstance(key, ec.EllipticCurvePrivateKey) else "rsa"


def described(keys: bytes) -> admin.HostKeys:
    """Return what everybody may know of the keys."""
    found = admin.HostKeys()
    for text in split(keys):
        key = load_ssh_private_key(text, None)
        line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        bits = 256 if isinstance(key, ed25519.Ed25519PrivateKey) else key.key_size
        found.keys.add(kind=kind_of(text), bits=bits, line=line)
    return found


# Calls of operators, answered at every node: also at one that serves no SFTP itself.


@admin_call("admin.hostkeys", admin.HostKeysRequest, admin.HostKeys, changes=False)
async def host_keys(secrets: Secrets, _request: admin.HostKeysRequest) -> admin.HostKeys:
    """Tell the keys without their private parts, after a read barrier."""
    return described(await secrets.secret(SECRET, newest=True) or b"")


@admin_call("admin.hostkeys_rotate", admin.RotateHostKeys, admin.HostKeys, changes=True)
async def rotate_host_keys(secrets: Secrets, request: admin.RotateHostKeys) -> admin.HostKeys:
    """Make new keys of some kinds in place of the present ones. Raises Invalid, NotFound."""
    kinds = tuple(request.kinds)
    unknown = set(kinds) - set(KINDS)
    if unknown or not kinds:
        raise Invalid(f"kinds of host keys are {', '.join(KINDS)}")
    present = await secrets.secret(SECRET, newest=True)
    if present is None:
        raise NotFound("host keys: no node has served SFTP yet")
    made = await asyncio.get_running_loop().run_in_executor(None, make, kinds, present)
    return described(await secrets.agree_on_secret(SECRET, made, replaces=hashlib.sha256(present).digest()))
