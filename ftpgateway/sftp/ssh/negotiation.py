"""What client and server agree on before a key exchange (RFC 4253, 7.1). Pure.

paramiko wants a MAC in common also where the cipher brings its own, and does not know of guesses; so this is done here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ftpgateway.sftp.ssh.sshfields import Fields, Malformed

STRICT = "kex-strict-c-v00@openssh.com"
"""A client that knows the strict key exchange (OpenSSH's PROTOCOL, 1.10) names it among its key exchanges, once."""
EXTENSIONS = "ext-info-c"
"""A client that takes EXT_INFO (RFC 8308) names it among its key exchanges."""
_MARKERS = frozenset({STRICT, EXTENSIONS, "kex-strict-s-v00@openssh.com", "ext-info-s"})
_KEXINIT = 20
_COOKIE = 16
_MOST_SHOWN = 12


class Disagreement(Exception):
    """Nothing in common; the text says of what, and what the client has."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What one side can do, best first: its KEXINIT. `to_server` and `to_client` name directions."""

    kex: tuple[str, ...]
    host_keys: tuple[str, ...]
    ciphers_to_server: tuple[str, ...]
    ciphers_to_client: tuple[str, ...]
    macs_to_server: tuple[str, ...]
    macs_to_client: tuple[str, ...]
    compression_to_server: tuple[str, ...]
    compression_to_client: tuple[str, ...]
    guesses: bool
    """Whether the first packet of the exchange that the side would like best follows already."""

    @classmethod
    def parse(cls, content: bytes) -> tuple[Offer, int]:
        """Read a KEXINIT without its first byte; return it and its length. Raises Malformed."""
        fields = Fields(content)
        fields.taken(_COOKIE)
        kex, keys, in_, out, macs_in, macs_out, packed_in, packed_out = (fields.names() for _ in range(8))
        for _ in range(2):
            fields.names()  # of languages
        guesses = fields.flag()
        fields.number()  # reserved
        offer = cls(kex, keys, in_, out, macs_in, macs_out, packed_in, packed_out, guesses)
        return offer, len(content) - len(fields.rest)


@dataclass(frozen=True, slots=True)
class Agreed:
    """What holds from the next keys on. A MAC is "" where the cipher brings its own."""

    kex: str
    host_key: str
    cipher_in: str
    cipher_out: str
    mac_in: str
    mac_out: str
    wrong_guess: bool
    """The packet that comes next has to be ignored (RFC 4253, 7)."""


def agree(theirs: Offer, ours: Offer, aead: Collection[str]) -> Agreed:
    """Return the client's first choices that the server has, too. `aead`: ciphers that need no MAC.

    Raises Disagreement.
    """
    kex = _first("key exchange", theirs.kex, ours.kex)
    host_key = _first("host key algorithm", theirs.host_keys, ours.host_keys)
    cipher_in = _first("cipher", theirs.ciphers_to_server, ours.ciphers_to_server)
    cipher_out = _first("cipher", theirs.ciphers_to_client, ours.ciphers_to_client)
    mac_in = "" if cipher_in in aead else _first("MAC", theirs.macs_to_server, ours.macs_to_server)
    mac_out = "" if cipher_out in aead else _first("MAC", theirs.macs_to_client, ours.macs_to_client)
    _first("compression", theirs.compression_to_server, ours.compression_to_server)
    _first("compression", theirs.compression_to_client, ours.compression_to_client)
    right = theirs.kex[:1] == ours.kex[:1] and theirs.host_keys[:1] == ours.host_keys[:1]
    return Agreed(
        kex, host_key, cipher_in, cipher_out, mac_in, mac_out, wrong_guess=theirs.guesses and not right
    )


def _first(what: str, theirs: tuple[str, ...], ours: tuple[str, ...]) -> str:
    for name in theirs:
        if name in ours and name not in _MARKERS:
            return name
    shown = ", ".join(name[:64] for name in theirs[:_MOST_SHOWN]) or "none"
    raise Disagreement(f"no {what} in common; the client has {shown}{', ...' if theirs[_MOST_SHOWN:] else ''}")


def knows(packet: bytes, ciphers: Collection[str]) -> bool:
    """Whether a packet, as it is on the line, is a KEXINIT with one of `ciphers` for each direction."""
    if packet[5:6] != bytes([_KEXINIT]):  # behind the lengths of packet and padding
        return False
    try:
        offer, _ = Offer.parse(packet[6:])
    except Malformed:
        return False
    return all(
        not set(ciphers).isdisjoint(offered) for offered in (offer.ciphers_to_server, offer.ciphers_to_client)
    )
