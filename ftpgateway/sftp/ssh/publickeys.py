"""Signatures by which clients prove that they have a key: RFC 4253, 8332 and 8709, OpenSSH's PROTOCOL.u2f. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from ftpgateway.sftp.ssh.sshfields import Fields, Malformed, string

SHA1 = "ssh-rsa"
"""RSA with SHA-1: the name of an algorithm, and of RSA keys whatever signs with them."""

_CURVES: Mapping[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    "nistp256": (ec.SECP256R1(), hashes.SHA256()),
    "nistp384": (ec.SECP384R1(), hashes.SHA384()),
    "nistp521": (ec.SECP521R1(), hashes.SHA512()),
}
_RSA: Mapping[str, hashes.HashAlgorithm] = {
    "rsa-sha2-512": hashes.SHA512(),
    "rsa-sha2-256": hashes.SHA256(),
    SHA1: hashes.SHA1(),
}
_SK_ED25519, _SK_ECDSA = "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"
_LEAST_RSA_BITS = 1024
_TOUCHED = 0x01

MODERN = (
    "ssh-ed25519",
    _SK_ED25519,
    *(f"ecdsa-sha2-{curve}" for curve in _CURVES),
    _SK_ECDSA,
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""Algorithms that sign for a login, best first; `SHA1` is for those who ask for it."""


def kind_of_key(algorithm: str) -> str:
    """Return the kind of key that signs by an algorithm."""
    return SHA1 if algorithm in _RSA else algorithm


def kind_of_blob(blob: bytes) -> str:
    """Return the kind that a public key says it is of, "" if it says none."""
    try:
        return Fields(blob).string().decode("ascii")
    except (Malformed, UnicodeDecodeError):
        return ""


def signed(blob: bytes, algorithm: str, signature: bytes, data: bytes) -> bool:
    """Whether `signature` (SSH wire format) is by the key `blob`, by this very algorithm, and of `data`."""
    try:
        fields, key = Fields(signature), Fields(blob)
        if fields.string() != algorithm.encode() or key.string() != kind_of_key(algorithm).encode():
            return False
        _VERIFIERS[algorithm](key, fields, data, algorithm)
    except (Malformed, ValueError, KeyError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _ed25519(key: Fields, signature: Fields, data: bytes, algorithm: str) -> None:
    ed25519.Ed25519PublicKey.from_public_bytes(key.string()).verify(signature.string(), data)


def _ecdsa(key: Fields, signature: Fields, data: bytes, algorithm: str) -> None:
    name = key.string().decode("ascii")
    if name not in algorithm:
        raise Malformed("a key of another curve")
    curve, digest = _CURVES[name]
    public = ec.EllipticCurvePublicKey.from_encoded_point(curve, key.string())
    numbers = Fields(signature.string())
    public.verify(utils.encode_dss_signature(numbers.integer(), numbers.integer()), data, ec.ECDSA(digest))


def _rsa(key: Fields, signature: Fields, data: bytes, algorithm: str) -> None:
    exponent, modulus = key.integer(), key.integer()
    if modulus.bit_length() < _LEAST_RSA_BITS:
        raise Malformed("an RSA key that is too short")
    public = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    # PuTTY leaves out zeroes in front.
    proof = signature.string().rjust((modulus.bit_length() + 7) // 8, b"\0")
    public.verify(proof, data, padding.PKCS1v15(), _RSA[algorithm])


def _with_token(
    verify: Callable[[Fields, Fields, bytes, str], None],
) -> Callable[[Fields, Fields, bytes, str], None]:
    """Make the check for a key in a FIDO token out of that for a plain one: the token signs more than `data`."""

    def check(key: Fields, signature: Fields, data: bytes, algorithm: str) -> None:
        plain = Fields(b"".join(string(part) for part in _parts(key, algorithm)))
        application = key.string()
        proof = signature.string()
        more = signature.taken(1 + 4)  # flags and a counter
        if not more[0] & _TOUCHED:
            raise InvalidSignature("nobody touched the token")
        covered = hashlib.sha256(application).digest() + more + hashlib.sha256(data).digest()
        verify(plain, Fields(string(proof)), covered, algorithm)

    return check


def _parts(key: Fields, algorithm: str) -> list[bytes]:
    return [key.string() for _ in range(1 if algorithm == _SK_ED25519 else 2)]


_VERIFIERS: Mapping[str, Callable[[Fields, Fields, bytes, str], None]] = {
    "ssh-ed25519": _ed25519,
    _SK_ED25519: _with_token(_ed25519),
    **{f"ecdsa-sha2-{curve}": _ecdsa for curve in _CURVES},
    _SK_ECDSA: _with_token(_ecdsa),
    **dict.fromkeys(_RSA, _rsa),
}
