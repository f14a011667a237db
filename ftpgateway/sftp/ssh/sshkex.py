"""The algorithms that are offered, and key exchanges as cheap as they can be for who has not logged in.

It adds to paramiko's tables and classes; `sshd` uses what is here (a test fails when paramiko changes).
"""

from __future__ import annotations

import hashlib
import io
import secrets
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import paramiko
from cryptography.hazmat.primitives import hashes
from paramiko.kex_curve25519 import KexCurve25519
from paramiko.kex_group14 import KexGroup14SHA256

from ftpgateway.sftp.ssh import publickeys

GCM = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
UNUSED_MAC = "hmac-sha2-256"
"""Stands where paramiko looks up a MAC although the cipher brings its own; it is not used then."""

_SECRET_BITS = 320
"""Bits of our part in Diffie-Hellman: all that a group of 2,048 bits is worth (RFC 3526, 8), at a third of the work."""


class Algorithms(NamedTuple):
    """What is offered, best first. `logins` sign for a user."""

    kex: tuple[str, ...]
    host_keys: tuple[str, ...]
    ciphers: tuple[str, ...]
    macs: tuple[str, ...]
    logins: tuple[str, ...]


# Group exchange is not offered, nor are groups above 2,048 bits: what they cost is paid for every stranger that asks.
MODERN = Algorithms(
    kex=(
        *(("mlkem768x25519-sha256",) if "mlkem768x25519-sha256" in paramiko.Transport._kex_info else ()),
        "curve25519-sha256",
        "curve25519-sha256@libssh.org",
        *(f"ecdh-sha2-nistp{bits}" for bits in (256, 384, 521)),
        "diffie-hellman-group14-sha256",
    ),
    host_keys=(
        "ssh-ed25519",
        *(f"ecdsa-sha2-nistp{bits}" for bits in (256, 384, 521)),
        *("rsa-sha2-512", "rsa-sha2-256"),
    ),
    ciphers=(*GCM, "aes128-ctr", "aes192-ctr", "aes256-ctr"),
    macs=(
        *("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"),
        *("hmac-sha2-256", "hmac-sha2-512"),
    ),
    logins=publickeys.MODERN,
)

_OLD = Algorithms(
    kex=("diffie-hellman-group14-sha1",),
    host_keys=(publickeys.SHA1,),
    ciphers=("aes128-cbc", "aes256-cbc", "3des-cbc"),
    macs=("hmac-sha1",),
    logins=(publickeys.SHA1,),
)


def algorithms(*, legacy: bool) -> Algorithms:
    """Return what is offered; `legacy`: also, behind everything else, what devices before some 2015 need."""
    if not legacy:
        return MODERN
    return Algorithms(*(new + old for new, old in zip(MODERN, _OLD, strict=True)))


class RsaHostKey(paramiko.RSAKey):  # type: ignore[misc]
    """An RSA host key that can also sign with SHA-1, if that is agreed on."""

    HASHES = {**paramiko.RSAKey.HASHES, publickeys.SHA1: hashes.SHA1}


def host_key(text: bytes) -> paramiko.PKey:
    """Read a private key in OpenSSH's format. Raises ValueError."""
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, RsaHostKey):
        try:
            return kind.from_private_key(io.StringIO(text.decode()))
        except (paramiko.SSHException, ValueError):
            continue
    raise ValueError("not a host key of a kind that is known here")


_TURN = threading.BoundedSemaphore(1)
"""One key exchange at a time, of clients that have not logged in: those who have keep half of the process at least."""


class _Group14(KexGroup14SHA256):  # type: ignore[misc]
    """Diffie-Hellman that costs nothing before the client has sent its part, and little then."""

    def start_kex(self) -> None:
        """Wait for the client's part."""
        self.transport._expect_packet(30)

    def _parse_kexdh_init(self, message: paramiko.Message) -> None:
        value = message.get_remainder()
        # Longer ones are no numbers of the group, and would take paramiko seconds to read.
        if len(value) > 4 + 1 + 2048 // 8:
            raise paramiko.SSHException("a number that is not of the group")
        theirs = message.get_mpint()
        message.rewind()
        if not 1 < theirs < self.P - 1:
            raise paramiko.SSHException("a number that is not of the group")
        self.x = secrets.randbits(_SECRET_BITS) | 1 << _SECRET_BITS - 1
        self.f = pow(self.G, self.x, self.P)
        super()._parse_kexdh_init(message)


class _Group14Sha1(_Group14):
    name = "diffie-hellman-group14-sha1"
    hash_algo = hashlib.sha1


KEX: Mapping[str, Any] = {
    **paramiko.Transport._kex_info,
    "curve25519-sha256": KexCurve25519,  # the same by its name in RFC 8731
    _Group14.name: _Group14,
    _Group14Sha1.name: _Group14Sha1,
}
"""Takes the place of paramiko's table of key exchanges."""


def engine(name: str, transport: paramiko.Transport) -> Any:
    """Begin an exchange. Who has not logged in has to wait for its turn."""
    made = KEX[name](transport)
    if not transport.is_authenticated():
        take = made.parse_next

        def in_turn(kind: int, message: paramiko.Message) -> None:
            with _TURN:
                take(kind, message)

        made.parse_next = in_turn
    return made
