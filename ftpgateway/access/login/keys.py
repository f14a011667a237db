"""Public keys as OpenSSH writes them: `type base64 comment`, as in authorized_keys. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib

TYPES = frozenset(
    {
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "ssh-rsa",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    }
)
"""Types of keys that may log in."""


def parse(line: str) -> tuple[str, bytes, str]:
    """Return type, key in the SSH wire format and comment of a public key line. Raises ValueError.

    Options before the type (`command=` and the like) are refused: nothing here would obey them.
    """
    kind, _, rest = line.strip().partition(" ")
    if kind not in TYPES:
        raise ValueError(f"a public key line begins with its type, one of {', '.join(sorted(TYPES))}")
    encoded, _, comment = rest.strip().partition(" ")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the key is not whole: its second word is not base64") from None
    name = kind.encode()
    if not blob.startswith(len(name).to_bytes(4, "big") + name):
        raise ValueError("the key is not whole, or not of the type that it names")
    return kind, blob, comment.strip()


def normalised(line: str) -> str:
    """Return a public key line with single spaces. Raises ValueError."""
    kind, blob, comment = parse(line)
    return f"{kind} {base64.b64encode(blob).decode()} {comment}".rstrip()


def fingerprint(blob: bytes) -> str:
    """Return what `ssh-keygen -l` shows of a key: SHA256 and base64 without padding."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def matching(lines: tuple[str, ...], blob: bytes) -> str | None:
    """Return the line whose key is `blob`, None if it is none of them."""
    for line in lines:
        try:
            if parse(line)[1] == blob:
                return line
        except ValueError:
            continue
    return None
