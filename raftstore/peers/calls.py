"""Calls and one-way messages, each declared once: name and types, for who asks and for who answers.

    CONFIRM = Call("chunks.confirm", chunks_pb2.Confirm, chunks_pb2.HasReply)

    CONFIRM.serve(network, answer)                                      # answer(peer, request) -> reply
    reply = await CONFIRM.ask(network, "n2", request, timeout=5.0)

So a name that is misspelt, or a message of another type, is found by the type checker. Where the answer is a plain
function over what a node offers, `node_call` and `admin_call` declare the call and what answers it together; what finds
these is told in `raftstore.cluster.calls`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from google.protobuf.message import DecodeError, Message

from raftstore.errors import Invalid
from raftstore.peers.model import Handler, Lane, OneWay, Peer, Reply, Role
from raftstore.util.buffers import Buffer
from raftstore.util.limits.ratelimitedlog import RateLimitedLog

unreadable = RateLimitedLog.per_peer()

NODES = frozenset({Role.NODE})
ADMINS = frozenset({Role.ADMIN})
BOTH = NODES | ADMINS

_Request = TypeVar("_Request", bound=Message)
_Reply = TypeVar("_Reply", bound=Message)
_Message = TypeVar("_Message", bound=Message)
_AnyReply = TypeVar("_AnyReply", bound=Message)
_Context = TypeVar("_Context")


class Server(Protocol):
    """Answers calls: `PeerNetwork`, or what takes its place in a test."""

    def serve(
        self, method: str, handler: Handler, *, roles: frozenset[Role] = NODES, by_digest: bool = False
    ) -> None:
        """See `PeerNetwork.serve`."""
        ...


class Caller(Protocol):
    """Asks members: `PeerNetwork`, or what takes its place in a test."""

    async def call(
        self,
        peer: str,
        method: str,
        body: bytes,
        payload: Buffer = b"",
        *,
        lane: Lane = Lane.BULK,
        timeout: float,
        by_digest: bool = False,
    ) -> Reply:
        """See `PeerNetwork.call`."""
        ...


class Taker(Protocol):
    """Takes one-way messages."""

    def on_message(self, method: str, handler: OneWay) -> None:
        """See `PeerNetwork.on_message`."""
        ...


class Sender(Protocol):
    """Sends one-way messages."""

    def send(self, peer: str, method: str, body: bytes, *, urgent: bool = False) -> bool:
        """See `PeerNetwork.send`."""
        ...


class Recorder(Protocol):
    """Records what is asked, and what becomes of it."""

    async def recorded(
        self,
        call: Answered[Any, Any, Any],
        peer: Peer,
        request: Any,
        answer: Callable[[], Awaitable[_AnyReply]],
    ) -> _AnyReply:
        """Have it answered, and record that."""
        ...

    def takes(self, method: str) -> None:
        """Record from now on who is refused the method for its role, too."""
        ...


@dataclass(frozen=True, slots=True)
class Call(Generic[_Request, _Reply]):
    """A method of the channel with the types of its request and reply.

    `request_by_digest`, `reply_by_digest`: who gets the payload of it compares that with a digest (`PeerNetwork.call`).
    """

    method: str
    request: type[_Request]
    reply: type[_Reply]
    request_by_digest: bool = False
    reply_by_digest: bool = False

    def serve(
        self,
        server: Server,
        answer: Callable[[Peer, _Request], Awaitable[_Reply]],
        *,
        roles: frozenset[Role] = NODES,
    ) -> None:
        """Have `answer` make the replies to peers of these roles. What is no such request, the channel refuses."""
        parse = self.request.FromString

        async def handle(peer: Peer, body: bytes, _payload: memoryview) -> Reply:
            return Reply((await answer(peer, parse(body))).SerializeToString())

        server.serve(self.method, handle, roles=roles)

    def serve_payload(
        self,
        server: Server,
        answer: Callable[[Peer, _Request, memoryview], Awaitable[tuple[_Reply, Buffer]]],
    ) -> None:
        """Have `answer` make the replies to nodes, from the raw bytes beside a request, with those beside the reply."""
        parse = self.request.FromString

        async def handle(peer: Peer, body: bytes, payload: memoryview) -> Reply:
            reply, beside = await answer(peer, parse(body), payload)
            return Reply(reply.SerializeToString(), beside, by_digest=self.reply_by_digest and len(beside) > 0)

        server.serve(self.method, handle, by_digest=self.request_by_digest)

    async def ask(
        self, caller: Caller, peer: str, request: _Request, *, lane: Lane = Lane.BULK, timeout: float
    ) -> _Reply:
        """Ask a member, and wait at most `timeout` seconds. Raises as `PeerNetwork.call`; Invalid for no such reply."""
        reply = await caller.call(peer, self.method, request.SerializeToString(), lane=lane, timeout=timeout)
        return self.read(reply.body, peer)

    async def ask_payload(
        self, caller: Caller, peer: str, request: _Request, payload: Buffer = b"", *, timeout: float
    ) -> tuple[_Reply, Buffer]:
        """Ask with raw bytes beside the request; return the reply and those beside it. Raises as `ask`."""
        reply = await caller.call(
            peer,
            self.method,
            request.SerializeToString(),
            payload,
            timeout=timeout,
            by_digest=self.request_by_digest or self.reply_by_digest,
        )
        return self.read(reply.body, peer), reply.payload

    def read(self, body: bytes, peer: str) -> _Reply:
        """Decode what `peer` has answered. Raises Invalid."""
        try:
            return self.reply.FromString(body)
        except DecodeError:
            raise Invalid(f"{peer} answered {self.method} with something else; another version?") from None


@dataclass(frozen=True, slots=True)
class OneWayMessage(Generic[_Message]):
    """A one-way message of the channel, by name, with its type."""

    method: str
    message: type[_Message]

    def take(self, taker: Taker, handler: Callable[[Peer, _Message], None]) -> None:
        """Give messages to `handler`, in order of arrival. What is none is dropped, and logged now and then."""
        parse = self.message.FromString

        def received(peer: Peer, body: bytes) -> None:
            try:
                message = parse(body)
            except DecodeError:
                unreadable.warning("message dropped", peer=peer.name, error=f"not what {self.method} takes")
                return
            handler(peer, message)

        taker.on_message(self.method, received)

    def send(self, sender: Sender, peer: str, message: _Message, *, urgent: bool = False) -> bool:
        """Send it; False when it was dropped for certain (`PeerNetwork.send`)."""
        return sender.send(peer, self.method, message.SerializeToString(), urgent=urgent)

    def broadcast(self, sender: Sender, peers: Iterable[str], message: _Message) -> None:
        """Send the same to several."""
        body = message.SerializeToString()
        for peer in peers:
            sender.send(peer, self.method, body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(Call[_Request, _Reply], Generic[_Context, _Request, _Reply]):
    """A call together with what answers it, over a context: what a node offers to such answers.

    `changes`: it changes something, so that who got no answer does not simply ask again. `audited`: it goes into the
    audit log, with the fields of what `shown` makes of the request.
    """

    answer: Callable[[_Context, _Request, Peer], Awaitable[_Reply]]
    roles: frozenset[Role]
    changes: bool
    audited: bool = False
    shown: Callable[[_Request], Message] | None = None

    def serve_with(self, server: Server, context: _Context, recorder: Recorder) -> None:
        """Answer at this node, with what it offers."""

        async def answer(peer: Peer, request: _Request) -> _Reply:
            return await self.answer(context, request, peer)

        async def recorded(peer: Peer, request: _Request) -> _Reply:
            return await recorder.recorded(self, peer, request, lambda: answer(peer, request))

        if self.audited:
            recorder.takes(self.method)
        self.serve(server, recorded if self.audited else answer, roles=self.roles)


def node_call(
    method: str, request: type[_Request], reply: type[_Reply], *, admins: bool = False
) -> Callable[[Callable[[_Context, _Request, Peer], Awaitable[_Reply]]], Answered[_Context, _Request, _Reply]]:
    """Make a function what answers a call between nodes: it gets the context, the request, and who asks.

    `admins`: operators may ask, too.
    """

    def declare(
        answer: Callable[[_Context, _Request, Peer], Awaitable[_Reply]],
    ) -> Answered[_Context, _Request, _Reply]:
        roles = BOTH if admins else NODES
        return Answered(method, request, reply, answer=answer, roles=roles, changes=False)

    return declare


def admin_call(
    method: str,
    request: type[_Request],
    reply: type[_Reply],
    *,
    changes: bool,
    nodes: bool | None = None,
    audited: bool | None = None,
    shown: Callable[[_Request], Message] | None = None,
) -> Callable[[Callable[[_Context, _Request], Awaitable[_Reply]]], Answered[_Context, _Request, _Reply]]:
    """Make a function what answers a call of operators, at any node: it gets the context and the request.

    `changes`: it changes something. Then it takes an admin's certificate, otherwise a node's does as well; `nodes` says
    it where it is otherwise. It goes into the audit log, too; `audited` says it where it is otherwise. Bytes of the
    request, and what its proto file marks with `debug_redact`, do not; `shown` makes another message of it for that.
    """
    roles = BOTH if (not changes if nodes is None else nodes) else ADMINS

    def declare(
        answer: Callable[[_Context, _Request], Awaitable[_Reply]],
    ) -> Answered[_Context, _Request, _Reply]:
        async def answered(context: _Context, request: _Request, _peer: Peer) -> _Reply:
            return await answer(context, request)

        return Answered(
            method,
            request,
            reply,
            answer=answered,
            roles=roles,
            changes=changes,
            audited=changes if audited is None else audited,
            shown=shown,
        )

    return declare
