"""The dialling end of a connection: calls and one-way messages go out, replies come in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from raftstore.errors import Incompatible, Refused, StoreError, Unavailable, error_of
from raftstore.peers.connections.channel import Channel, Shared
from raftstore.peers.connections.framing import BadFrame
from raftstore.peers.model import Peer, Reply, Role
from raftstore.peers.security.seal import Seals
from raftstore.util.buffers import Buffer
from raftstore.wire import peer_pb2


class Outgoing(Channel):
    """A connection that this process dialled. It is in use once `welcomed()` returns.

    `expected` is the member dialled: a certificate with another name is refused, before anything of the peer is
    decoded; None takes any node of the cluster. `certificates`, if they are known, are the hashes of the only ones
    that this member may show. `check` raises Incompatible for a member whose version does not fit.
    """

    def __init__(
        self,
        shared: Shared,
        hello: peer_pb2.Hello,
        *,
        expected: str | None,
        certificates: Collection[bytes] = (),
        opening: bytes = b"",
        seals: Seals | None = None,
        on_drop: Callable[[Outgoing], None] | None = None,
        check: Callable[[str, peer_pb2.Hello], None] | None = None,
    ) -> None:
        peer = Peer(expected, Role.NODE) if seals and expected else None
        super().__init__(shared, seals=seals, peer=peer)
        self._hello = hello
        self._expected = expected
        self._certificates = certificates
        self._opening = opening
        self._on_drop = on_drop
        self._check = check
        self._settled = asyncio.Event()
        self._welcome = False
        self._refusal: StoreError | None = None
        self._last_call = 0
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._by_digest: set[int] = set()  # calls whose callers compare what they get with a digest
        self._slots = asyncio.Semaphore(shared.limits.calls)

    @property
    def usable(self) -> bool:
        """Whether the peer has welcomed this connection and it is still there."""
        return self._welcome and self._open

    async def welcomed(self) -> None:
        """Wait until the peer has taken the connection. Raises Refused (it said why) or Unavailable."""
        await self._settled.wait()
        if self._refusal is not None:
            raise self._refusal
        if not self.usable:
            raise Unavailable(self.reason)

    async def call(
        self, method: str, body: bytes, payload: Buffer, timeout: float, *, by_digest: bool = False
    ) -> Reply:
        """Ask and wait for the answer; at most `limits.calls` at a time go out, further callers wait.

        `by_digest`: see `PeerNetwork.call`.

        Raises what the remote handler raised, TooLarge, Unavailable when the connection is lost. The caller
        bounds the time; `timeout` only tells the peer. When the caller is cancelled, so is the handler.
        """
        async with self._slots:
            self._last_call += 1
            number = self._last_call
            future: asyncio.Future[Reply] = self._loop.create_future()
            self._waiting[number] = future
            if by_digest:
                self._by_digest.add(number)
            try:
                await self.transmit(
                    peer_pb2.Header(
                        kind=peer_pb2.REQUEST,
                        call=number,
                        method=method,
                        body=body,
                        deadline_ms=min(int(timeout * 1000) + 1, 0xFFFFFFFF),
                        by_digest=by_digest and len(payload) > 0,
                    ),
                    payload,
                )
                return await future
            except asyncio.CancelledError:
                self._cancel(number)
                raise
            finally:
                del self._waiting[number]
                self._by_digest.discard(number)
                if future.done() and not future.cancelled():
                    future.exception()  # it may have failed while the request still waited to be sent

    def message(self, method: str, body: bytes, *, urgent: bool = False) -> bool:
        """Send a one-way message, or drop it: False when the connection is down or too much waits already."""
        if not self.usable or self.buffered() > self.limits.message_buffer:
            return False
        try:
            self.write(peer_pb2.Header(kind=peer_pb2.MESSAGE, method=method, body=body), urgent=urgent)
        except Unavailable:
            return False
        return True

    def identified(self) -> None:
        """Refuse whoever is not the member dialled; otherwise say hello."""
        assert self.peer is not None
        if self.peer.role is not Role.NODE:
            raise Refused(f"{self.peer.name} is not a node")
        if self._expected is not None and self.peer.name != self._expected:
            raise Refused(f"dialled {self._expected}, the certificate says {self.peer.name}")
        if self._certificates and not self.sealed and self.peer.certificate not in self._certificates:
            raise Refused(f"{self.peer.name} shows an earlier certificate: it was replaced")
        if self._opening and self._transport is not None:
            self._transport.write(self._opening)
        self.write(peer_pb2.Header(kind=peer_pb2.HELLO, hello=self._hello))

    def deliver(self, header: peer_pb2.Header, payload: memoryview) -> None:
        """Take a reply."""
        if header.kind == peer_pb2.ERROR and header.call == 0:
            self._refusal = error_of(header.error, f"{self.name}: {header.detail}")
            self.drop(f"refused by the peer: {header.detail}")
        elif header.kind == peer_pb2.WELCOME and not self._welcome:
            self._welcomed(header.hello)
        elif header.kind in (peer_pb2.REPLY, peer_pb2.ERROR) and self._welcome:
            self._answer(header, payload)
        else:
            raise BadFrame(f"a frame of kind {header.kind} out of place")

    def _welcomed(self, hello: peer_pb2.Hello) -> None:
        """Take the connection into use, unless the peer's version does not fit."""
        self.theirs = hello
        try:
            if self._check is not None:
                self._check(self.name, hello)
        except Incompatible as error:
            self._refusal = error
            self.drop(error.detail, warn="peer refused")
            return
        self._welcome = True
        self._settled.set()

    def dropped(self) -> None:
        """Fail everybody who waits."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Unavailable(f"the connection to {self.name} is down: {self.reason}"))
        self._settled.set()
        if self._on_drop is not None:
            self._on_drop(self)

    def _answer(self, header: peer_pb2.Header, payload: memoryview) -> None:
        future = self._waiting.get(header.call)
        if future is None or future.done():
            return  # nobody waits any more
        if header.by_digest and header.call not in self._by_digest:
            raise BadFrame("a payload that nothing covers")
        if header.kind == peer_pb2.REPLY:
            future.set_result(Reply(header.body, payload))
        else:
            future.set_exception(error_of(header.error, header.detail))

    def _cancel(self, number: int) -> None:
        if self._open:
            try:
                self.write(peer_pb2.Header(kind=peer_pb2.CANCEL, call=number))
            except StoreError:
                pass
