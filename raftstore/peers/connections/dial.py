"""Dialling: from an address to a welcomed connection, or a StoreError that says why not."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import ssl
from collections.abc import Callable, Collection

from raftstore.errors import Refused, Removed, StoreError, Unavailable
from raftstore.peers.connections.attach import attach
from raftstore.peers.connections.channel import VERSION, Shared
from raftstore.peers.connections.outgoing import Outgoing
from raftstore.peers.connections.resolve import Resolver, reach
from raftstore.peers.security.pki import Identity
from raftstore.peers.security.seal import Seals
from raftstore.peers.security.tls import client_context, failure, load_identity
from raftstore.peers.versions import Greetings
from raftstore.util.addresses import Address
from raftstore.wire import peer_pb2


class Dialler:
    """Opens connections with one identity. The peer's certificate must name the member that was meant.

    `greetings`: of a node; None for an operator's command, which works with every version.
    """

    def __init__(self, identity: Identity, shared: Shared, greetings: Greetings | None = None) -> None:
        self._greetings = greetings
        self._context = client_context(identity)
        self._shared = shared
        self._resolver = Resolver()
        self._instance = secrets.token_bytes(16)
        self._sequence = itertools.count(1)

    def renew(self, identity: Identity) -> None:
        """Show another certificate from now on. Raises Invalid when it does not load."""
        load_identity(self._context, identity)

    async def dial(
        self,
        address: Address,
        lane: peer_pb2.LaneKind,
        *,
        expected: str | None,
        certificates: Collection[bytes] = (),
        session: tuple[bytes, Seals] | None = None,
        on_drop: Callable[[Outgoing], None] | None = None,
        timeout: float | None = None,
    ) -> Outgoing:
        """Connect, check who answers and say hello; `session` (preamble, seals): without TLS, sealed.

        Raises Unavailable (nobody there, not in time, a stranger), Refused (the peer's own words) or Incompatible.
        Takes `limits.dial_time` at most, or `timeout` seconds.
        """
        hello = peer_pb2.Hello(
            version=VERSION, lane=lane, instance=self._instance, sequence=next(self._sequence)
        )
        if self._greetings is not None:
            self._greetings.add_to(hello)
        opening, seals = session or (b"", None)
        channel = Outgoing(
            self._shared,
            hello,
            expected=expected,
            certificates=certificates,
            opening=opening,
            seals=seals,
            on_drop=on_drop,
            check=self._greetings.check if self._greetings is not None else None,
        )
        who = f"{expected or 'the node'} at {address[0]}:{address[1]}"
        connected = False
        seconds = self._shared.limits.dial_time if timeout is None else timeout
        try:
            async with asyncio.timeout(seconds):
                await self._connect(channel, address, seconds, secure=seals is None)
                await channel.welcomed()
            connected = True
        except (Refused, Removed):
            raise
        except TimeoutError:
            raise Unavailable(f"{who} did not answer in {seconds:g} s") from None
        except ssl.SSLError as error:
            raise Unavailable(f"{who}: {failure(error)}") from None
        except OSError as error:
            raise Unavailable(f"{who}: {_plain(error)}") from None
        except (ValueError, OverflowError) as error:
            raise Unavailable(f"{who} cannot be dialled: {error}") from None  # no such host name, or port
        except StoreError as error:
            raise Unavailable(f"{who}: {error.detail}") from None
        finally:
            if not connected:
                channel.drop("not connected")
                await channel.finished.wait()
        return channel

    async def _connect(self, channel: Outgoing, address: Address, seconds: float, *, secure: bool) -> None:
        connection = await reach(await self._resolver.find(*address))
        try:
            await attach(lambda: channel, connection, self._context if secure else None, seconds)
        except BaseException:
            if connection.fileno() < 0:
                channel.connection_lost(None)  # nobody else says so: see `attach`
            connection.close()
            raise


def _plain(error: OSError) -> str:
    """Say what failed: asyncio's own text repeats the address. A name that is not found has a number below zero."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)
