"""The one thing that a machine without a certificate can ask: to be let in with a token.

    joiner                                      node
    JOIN, then a TLS handshake  ------------->
                                <-------------  the authority's certificate (DER)
    id, nonce, length, body, MAC ------------>
                                <-------------  0 (nothing more), or 1, length, body, MAC

The joiner knows the authority by its hash, which the token carries, and checks that the node at the other end of
the TLS channel has a certificate of it, before it sends anything. Both MACs are keyed by a key of the token that
never travels. A node decodes nothing of a body before it has checked the MAC over it; until then it has read the
38 bytes of the head and at most MAX_REQUEST more. Where no token is out, not even the handshake takes place.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from raftstore.errors import Refused, Unavailable
from raftstore.peers.connections.attach import attach
from raftstore.peers.connections.resolve import Resolver, reach
from raftstore.peers.model import Role
from raftstore.peers.security.pki import Identity
from raftstore.peers.security.tls import SHUTDOWN_TIME, load_identity
from raftstore.util.addresses import Address

JOIN = b"JXP1"
"""The first bytes of a joiner's connection."""

MAX_REQUEST = 1024
MAX_REPLY = 65_536
MAX_CERTIFICATE = 8192
ID_SIZE = 16
MAC_SIZE = 32
_HEAD = struct.Struct(">16s16sH")
_LENGTH = struct.Struct(">I")

Key = Callable[[bytes], bytes | None]
"""Gives the MAC key of the token with that id, None for an unknown one."""
Answer = Callable[[bytes, bytes, bytes], Awaitable[bytes]]
"""Answers an authentic request: (token's id, nonce, body) to the reply's body. Raises nothing."""


class StrangeJoiner(Exception):
    """Somebody who has no token; the message says how that showed."""


@dataclass(slots=True)
class Joins:
    """What a node needs for answering joiners. `open` tells whether any token is out."""

    identity: Identity
    open: Callable[[], bool]
    key: Key
    answer: Answer


def join_context(identity: Identity) -> ssl.SSLContext:
    """Context for joiners: the node shows its certificate, the joiner has none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_NONE
    context.num_tickets = 0
    load_identity(context, identity)
    return context


async def serve_join(
    accepted: socket.socket, joins: Joins, timeout: float, authentic: Callable[[], None]
) -> None:
    """Answer one joiner, whose JOIN was read. `authentic` is called when it has shown that it has a token.

    Raises StrangeJoiner, ssl.SSLError, OSError. The socket is closed in any case.
    """
    identity = joins.identity
    reader, writer = await _streams(accepted, join_context(identity), timeout)
    try:
        authority = x509.load_pem_x509_certificate(identity.ca).public_bytes(Encoding.DER)
        own = x509.load_pem_x509_certificate(identity.certificate).public_bytes(Encoding.DER)
        writer.write(_LENGTH.pack(len(authority)) + authority)
        await writer.drain()
        head = await reader.readexactly(_HEAD.size)
        token, nonce, length = _HEAD.unpack(head)
        if length > MAX_REQUEST:
            raise StrangeJoiner("a join request that is too large")
        body = await reader.readexactly(length)
        mac = await reader.readexactly(MAC_SIZE)
        key = joins.key(token)
        expected = _mac(key or os.urandom(32), b"request", own, head + body)
        if not hmac.compare_digest(mac, expected) or key is None:
            writer.write(b"\0")
            await writer.drain()
            raise StrangeJoiner("an unknown or wrong token")
        authentic()
        reply = await joins.answer(token, nonce, body)
        writer.write(b"\1" + _LENGTH.pack(len(reply)) + reply + _mac(key, b"reply", nonce, reply))
        await writer.drain()
    except asyncio.IncompleteReadError:
        raise StrangeJoiner("hung up while it asked to join") from None
    finally:
        await _close(writer)


async def ask_to_join(
    address: Address,
    *,
    authority: bytes,
    token: bytes,
    key: bytes,
    nonce: bytes,
    body: bytes,
    timeout: float,
) -> bytes:
    """Ask the node at `address` to be let in; return the body of its authentic answer.

    `authority` is the SHA-256 of the cluster's authority. Raises Refused (the token means nothing there, or it hung
    up), or Unavailable (nobody there, not in time, or not a node of that cluster).
    """
    who = f"{address[0]}:{address[1]}"
    try:
        async with asyncio.timeout(timeout):
            loop = asyncio.get_running_loop()
            connection = await reach(await Resolver().find(*address))
            try:
                await loop.sock_sendall(connection, JOIN)
            except BaseException:
                connection.close()
                raise
            return await _ask(connection, who, authority, token, key, nonce, body, timeout)
    except TimeoutError:
        raise Unavailable(f"{who} did not answer in {timeout:g} s") from None
    except (
        asyncio.IncompleteReadError,
        ConnectionResetError,
        ConnectionAbortedError,
        BrokenPipeError,
        ssl.SSLError,
    ):
        # What a node does that knows of no token at all.
        raise Refused(f"{who} lets nobody join now: the token was cancelled, or expired long ago") from None
    except (OSError, ValueError, OverflowError) as error:
        raise Unavailable(f"{who}: {error}") from None


async def _ask(
    connection: socket.socket,
    who: str,
    authority: bytes,
    token: bytes,
    key: bytes,
    nonce: bytes,
    body: bytes,
    timeout: float,
) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # checked below, against the hash that the token carries
    reader, writer = await _streams(connection, context, timeout, client=True)
    try:
        size = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))[0]
        if size > MAX_CERTIFICATE:
            raise Unavailable(f"{who} is not a node of the cluster that the token is for")
        issuer = await reader.readexactly(size)
        own = _checked(who, issuer, authority, writer.get_extra_info("ssl_object"))
        head = _HEAD.pack(token, nonce, len(body))
        writer.write(head + body + _mac(key, b"request", own, head + body))
        await writer.drain()
        if await reader.readexactly(1) != b"\1":
            raise Refused(f"{who} does not know this token: it is wrong, was cancelled, or expired long ago")
        size = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))[0]
        if size > MAX_REPLY:
            raise Unavailable(f"{who} answered with something else")
        reply = await reader.readexactly(size)
        if not hmac.compare_digest(await reader.readexactly(MAC_SIZE), _mac(key, b"reply", nonce, reply)):
            raise Unavailable(f"{who} answered with something else")
        return reply
    finally:
        await _close(writer)


def _checked(who: str, issuer: bytes, authority: bytes, connection: object) -> bytes:
    """Return the node's certificate (DER), which the token's authority must have issued for a node."""
    stranger = Unavailable(f"{who} is not a node of the cluster that the token is for")
    own = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLObject) else None
    if own is None or not hmac.compare_digest(hashlib.sha256(issuer).digest(), authority):
        raise stranger
    try:
        certificate = x509.load_der_x509_certificate(own)
        certificate.verify_directly_issued_by(x509.load_der_x509_certificate(issuer))
    except (ValueError, TypeError, InvalidSignature):
        raise stranger from None
    units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    if [unit.value for unit in units] != [Role.NODE.value]:
        raise stranger
    return own


def _mac(key: bytes, what: bytes, binding: bytes, data: bytes) -> bytes:
    """MAC `data`, bound to one purpose and to the connection's node or to the request."""
    bound = hashlib.sha256(binding).digest()
    return hmac.digest(key, b"pixraft join " + what + bound + data, "sha256")


async def _streams(
    connection: socket.socket, context: ssl.SSLContext, timeout: float, *, client: bool = False
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MAX_REPLY, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    try:
        if client:
            transport = await attach(lambda: protocol, connection, context, timeout)
        else:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=context,
                ssl_handshake_timeout=timeout,
                ssl_shutdown_timeout=SHUTDOWN_TIME,
            )
    except BaseException:
        connection.close()
        raise
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except (OSError, ssl.SSLError):
        pass
