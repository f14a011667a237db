"""TLS contexts and who a TLS peer is. TLS 1.3 only; both sides show a certificate of the authority."""

from __future__ import annotations

import datetime
import hashlib
import os
import ssl
from typing import cast

from raftstore.errors import Invalid, Refused
from raftstore.peers.model import Peer, Role
from raftstore.peers.security.pki import Identity

SHUTDOWN_TIME = 2.0
"""Seconds that a closing connection waits for the peer's farewell."""


def server_context(identity: Identity) -> ssl.SSLContext:
    """Context for accepted connections; raises Invalid when the identity does not load."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, identity)
    context.num_tickets = 0  # sessions are never resumed: every connection proves its certificate
    return context


def client_context(identity: Identity) -> ssl.SSLContext:
    """Context for dialling. Members are known by name, not by host: `peer_of` has the name to check."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, identity)


def peer_of(connection: object) -> Peer:
    """Say who is at the other end of a transport's `ssl_object`, from its verified certificate.

    Raises Refused when the certificate does not name exactly one name and one role.
    """
    if not isinstance(connection, ssl.SSLObject):
        raise Refused("not a TLS connection")
    certificate = connection.getpeercert() or {}
    subject = cast("tuple[tuple[tuple[str, str], ...], ...]", certificate.get("subject", ()))
    pairs = [pair for attributes in subject for pair in attributes]
    names = [value for key, value in pairs if key == "commonName"]
    units = [value for key, value in pairs if key == "organizationalUnitName"]
    if len(names) != 1 or len(units) != 1:
        raise Refused("the certificate does not have one name and one role")
    fingerprint = hashlib.sha256(connection.getpeercert(binary_form=True) or b"").digest()
    try:
        return Peer(names[0], Role(units[0]), fingerprint)
    except ValueError:
        raise Refused("the certificate has an unknown role") from None


_FOREIGN = (7, 18, 19, 20, 21)
"""What OpenSSL calls a certificate that another authority has signed, even one with the name of ours."""

_OUTDATED = (9, 10)
"""Not yet valid, or no more."""

_OWN_REFUSED = {
    "UNKNOWN_CA": "another authority than that of its cluster has issued it",
    "DECRYPT_ERROR": "another authority than that of its cluster has issued it",
    "CERTIFICATE_EXPIRED": "by its clock it has expired",
    "BAD_CERTIFICATE": "by its clock it is not valid yet, or it is damaged",
}
"""Alerts (RFC 8446, 6.2) by which a peer refuses the certificate of this side, and what they mean here."""


def failure(error: ssl.SSLError) -> str:
    """Say why a handshake with a peer failed, and whose certificate was at fault."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        reason = error.reason or str(error)
        for alert, meaning in _OWN_REFUSED.items():
            if reason.endswith(f"ALERT_{alert}"):
                return (
                    f"it refuses the certificate of this side: {meaning}; is the time right on both machines?"
                )
        return f"what answers is no node, or of another version ({reason})"
    if error.verify_code in _FOREIGN:
        return "is of another cluster: the authority of this one has not issued its certificate"
    if error.verify_code in _OUTDATED:
        now = datetime.datetime.now(datetime.UTC)
        return (
            f"its certificate is not valid by the clock of this machine, {now:%Y-%m-%d %H:%M} UTC "
            f"({error.verify_message}); is the time right on both machines?"
        )
    return f"its certificate is refused ({error.verify_message})"


def _context(protocol: int, identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    load_identity(context, identity)
    return context


def load_identity(context: ssl.SSLContext, identity: Identity) -> None:
    """Have `context` show the identity and trust its authority. Raises Invalid when it does not load."""
    # Python loads a key only from a file: this one exists in memory alone.
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(identity.key + identity.certificate)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        context.load_verify_locations(cadata=identity.ca.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise Invalid(f"the identity of {identity.name} does not load: {error}") from None
    finally:
        os.close(descriptor)
