"""The accepting end of a connection: serves the calls and takes the one-way messages of one peer."""

from __future__ import annotations

import asyncio
import functools
from typing import Protocol

import structlog
from google.protobuf.message import DecodeError

from raftstore.errors import Invalid, Refused, Removed, StoreError, Unavailable
from raftstore.peers.connections.channel import VERSION, Channel, Shared, error_header
from raftstore.peers.connections.framing import BadFrame
from raftstore.peers.model import Handler, Peer, Role
from raftstore.peers.security.seal import Seals
from raftstore.peers.services import Services
from raftstore.wire import peer_pb2

log = structlog.get_logger()


class Admitter(Protocol):
    """Decides who comes in."""

    def admit(self, channel: Incoming, peer: Peer, hello: peer_pb2.Hello) -> None:
        """Take the connection into use, in place of an older one of the same lane; raises Refused, Removed."""
        ...

    def greeting(self) -> peer_pb2.Hello:
        """Say what this node says of itself."""
        ...

    def left(self, channel: Incoming) -> None:
        """The connection was dropped."""
        ...


class Incoming(Channel):
    """A connection that was accepted. Its handlers end with it: nobody would hear them."""

    def __init__(
        self,
        shared: Shared,
        services: Services,
        admitter: Admitter,
        *,
        seals: Seals | None = None,
        peer: Peer | None = None,
    ) -> None:
        super().__init__(shared, seals=seals, peer=peer)
        self.lane = peer_pb2.CLIENT
        self.tasks: dict[int, asyncio.Task[None]] = {}
        """Calls being served."""
        self.settled = asyncio.Event()
        """Set when the peer was admitted, or dropped."""
        self._services = services
        self._admitter = admitter
        self._admitted = False
        self._in_hand = 0

    def identified(self) -> None:
        """Nothing to say before the peer's hello."""

    def deliver(self, header: peer_pb2.Header, payload: memoryview) -> None:
        """Take a hello first, then requests and messages."""
        if not self._admitted:
            if header.kind != peer_pb2.HELLO:
                raise BadFrame(f"a frame of kind {header.kind} before the hello")
            self._greet(header.hello)
        elif header.kind == peer_pb2.REQUEST:
            self._request(header, payload)
        elif header.kind == peer_pb2.MESSAGE:
            self._message(header)
        elif header.kind == peer_pb2.CANCEL:
            task = self.tasks.get(header.call)
            if task is not None:
                task.cancel()
        else:
            raise BadFrame(f"a frame of kind {header.kind} out of place")

    def dropped(self) -> None:
        """Cancel the handlers."""
        for task in self.tasks.values():
            task.cancel()
        self.settled.set()
        self._admitter.left(self)

    def _greet(self, hello: peer_pb2.Hello) -> None:
        assert self.peer is not None
        try:
            if hello.version != VERSION:
                raise Refused(f"speaks version {hello.version} of the peer protocol, this node {VERSION}")
            if self.sealed and hello.lane != peer_pb2.BULK:
                raise Refused("only bulk data travels without TLS")
            if hello.lane != peer_pb2.CLIENT and self.peer.role is not Role.NODE:
                raise Refused(f"the role {self.peer.role.value} has no lane between nodes")
            self._admitter.admit(self, self.peer, hello)
        except (Refused, Removed) as error:
            self.refuse(error)
            return
        self.lane, self.theirs = hello.lane, hello
        self._admitted = True
        self.write(peer_pb2.Header(kind=peer_pb2.WELCOME, hello=self._admitter.greeting()))
        self.settled.set()

    def _message(self, header: peer_pb2.Header) -> None:
        if self.lane != peer_pb2.CONSENSUS or self.peer is None:
            raise BadFrame("a one-way message outside the consensus lane")
        taker = self._services.taker(header.method)
        if taker is None:
            self._quiet.warning("message without taker", peer=self.name, method=header.method[:100])
            return
        try:
            taker(self.peer, header.body)
        except Exception:
            log.exception("message handler failed", peer=self.name, method=header.method)

    def _request(self, header: peer_pb2.Header, payload: memoryview) -> None:
        assert self.peer is not None
        if header.call in self.tasks:
            raise BadFrame(f"call {header.call} is under way already")
        try:
            if len(self.tasks) >= self.limits.serving or self._in_hand > self.limits.serving_bytes:
                raise Unavailable("too many calls at once")
            service = self._services.find(self.peer, header.method)
        except StoreError as error:
            self.write(error_header(header.call, error))
            return
        if header.by_digest and not service.by_digest:
            raise BadFrame(f"a payload of {header.method} that nothing covers")
        # The frame's buffers live as long as the task: it holds only what the handler needs.
        seconds = min(header.deadline_ms / 1000 or self.limits.call_time, self.limits.call_time)
        work = self._serve(header.call, header.method, service.handler, header.body, payload, seconds)
        task = self._loop.create_task(work, name=f"{header.method} for {self.name}")
        self.tasks[header.call] = task
        self._in_hand += len(payload)
        task.add_done_callback(functools.partial(self._served, header.call, len(payload)))

    def _served(self, call: int, size: int, task: asyncio.Task[None]) -> None:
        del self.tasks[call]
        self._in_hand -= size

    async def _serve(
        self, call: int, method: str, handler: Handler, body: bytes, payload: memoryview, seconds: float
    ) -> None:
        """Run a handler and send its reply, all within the time that the caller waits."""
        assert self.peer is not None
        try:
            async with asyncio.timeout(seconds) as timer:
                try:
                    reply = await handler(self.peer, body, payload)
                    header = peer_pb2.Header(
                        kind=peer_pb2.REPLY, call=call, body=reply.body, by_digest=reply.by_digest
                    )
                    await self.transmit(header, reply.payload)
                except StoreError as error:
                    await self.transmit(error_header(call, error))
        except StoreError:
            pass  # the connection is down
        except DecodeError:
            self._quiet.warning("garbage from peer", peer=self.name, method=method)
            self._fail(call, Invalid(f"the body is not what {method} takes"))
        except Exception as error:
            if timer.expired():
                self._fail(call, Unavailable(f"{method} took longer than {seconds:g} s"))
                return
            log.exception("call handler failed", peer=self.name, method=method)
            self._fail(call, StoreError(f"{method} failed at the peer: {type(error).__name__}"))

    def _fail(self, call: int, error: StoreError) -> None:
        try:
            self.write(error_header(call, error))
        except StoreError:
            pass  # the connection is down
