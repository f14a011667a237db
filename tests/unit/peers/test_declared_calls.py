"""Calls and one-way messages that are declared once: what is no such message is refused at either end."""

from __future__ import annotations

import asyncio
import types

import pytest
from google.protobuf.message import DecodeError
from structlog.testing import capture_logs

from raftstore.errors import Invalid
from raftstore.peers import Peer, Reply, Role
from raftstore.peers.calls import NODES, Answered, Call, OneWayMessage, admin_call, node_call
from raftstore.util.modules import declared_in
from raftstore.wire import chunks_pb2

PEER = Peer("n2", Role.NODE)
GARBAGE = b"\xff\xff"
HAS = Call("test.has", chunks_pb2.Has, chunks_pb2.HasReply)
GET = Call("test.get", chunks_pb2.Get, chunks_pb2.HasReply, reply_by_digest=True)
NEWS = OneWayMessage("test.news", chunks_pb2.Has)


class Channel:
    """A node that asks itself."""

    def __init__(self) -> None:
        self.handlers: dict[str, object] = {}
        self.served: dict[str, dict[str, object]] = {}
        self.asked: dict[str, object] = {}

    def serve(self, method: str, handler: object, **options: object) -> None:
        self.handlers[method], self.served[method] = handler, options

    on_message = serve

    async def call(self, peer, method, body, payload=b"", **options) -> Reply:
        self.asked = options
        return await self.handlers[method](PEER, body, memoryview(payload))

    def send(self, peer, method, body, *, urgent=False) -> bool:
        self.handlers[method](PEER, body)
        return urgent


class Recorder:
    """Remembers what goes through it."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.calls: list[tuple[str, str, bytes]] = []

    def takes(self, method: str) -> None:
        self.taken.append(method)

    async def recorded(self, call, peer, request, answer):
        reply = await answer()
        self.calls.append((call.method, peer.name, reply.SerializeToString()))
        return reply


def test_both_ends_speak_of_messages() -> None:
    async def has(peer: Peer, request: chunks_pb2.Has) -> chunks_pb2.HasReply:
        return chunks_pb2.HasReply(held=[digest == b"a" for digest in request.digests])

    async def main() -> None:
        channel = Channel()
        HAS.serve(channel, has)
        reply = await HAS.ask(channel, "n1", chunks_pb2.Has(digests=[b"a", b"b"]), timeout=3)
        assert list(reply.held) == [True, False]
        assert channel.served["test.has"] == {"roles": NODES}
        assert channel.asked["timeout"] == 3
        with pytest.raises(DecodeError):  # the channel makes Invalid of it, and logs
            await channel.call("n1", "test.has", GARBAGE)

    asyncio.run(main())


def test_payloads_say_whether_a_digest_covers_them() -> None:
    async def get(
        peer: Peer, request: chunks_pb2.Get, payload: memoryview
    ) -> tuple[chunks_pb2.HasReply, bytes]:
        return chunks_pb2.HasReply(), bytes(payload) + request.digest

    async def main() -> None:
        channel = Channel()
        GET.serve_payload(channel, get)
        _, payload = await GET.ask_payload(channel, "n1", chunks_pb2.Get(digest=b"d"), b"x", timeout=1)
        assert payload == b"xd"
        assert channel.served["test.get"] == {"by_digest": False}
        assert channel.asked["by_digest"] is True
        assert (await channel.call("n1", "test.get", b"", b"x")).by_digest
        assert not (await channel.call("n1", "test.get", b"")).by_digest, "there is nothing to cover"

    asyncio.run(main())


def test_a_reply_that_is_none_is_invalid() -> None:
    async def other(peer: Peer, body: bytes, payload: memoryview) -> Reply:
        return Reply(GARBAGE)

    channel = Channel()
    channel.serve("test.has", other)
    with pytest.raises(Invalid, match=r"n1 answered test\.has with something else"):
        asyncio.run(HAS.ask(channel, "n1", chunks_pb2.Has(), timeout=1))


def test_a_message_that_is_none_is_dropped_and_logged() -> None:
    channel, taken = Channel(), []
    NEWS.take(channel, lambda peer, message: taken.append((peer.name, list(message.digests))))
    assert NEWS.send(channel, "n1", chunks_pb2.Has(digests=[b"a"]), urgent=True)
    NEWS.broadcast(channel, ["n1", "n3"], chunks_pb2.Has(digests=[b"b"]))
    with capture_logs() as logs:
        channel.send("n1", "test.news", GARBAGE)
    assert taken == [("n2", [b"a"]), ("n2", [b"b"]), ("n2", [b"b"])]
    assert [(line["peer"], line["error"]) for line in logs] == [("n2", "not what test.news takes")]


def test_what_is_declared_is_found_once_and_answers() -> None:
    @node_call("test.who", chunks_pb2.Has, chunks_pb2.HasReply)
    async def who(context: list[str], request: chunks_pb2.Has, peer: Peer) -> chunks_pb2.HasReply:
        return chunks_pb2.HasReply(held=[peer.name in context])

    @admin_call("test.change", chunks_pb2.Has, chunks_pb2.HasReply, changes=True)
    async def change(context: list[str], request: chunks_pb2.Has) -> chunks_pb2.HasReply:
        context.append("n9")
        return chunks_pb2.HasReply()

    module = types.ModuleType("module")
    module.who, module.same, module.change = who, who, change
    found = declared_in([module, module], Answered)
    assert found == [who, change]
    channel, context, recorder = Channel(), ["n2"], Recorder()
    for call in found:
        call.serve_with(channel, context, recorder)
    assert list(asyncio.run(who.ask(channel, "n1", chunks_pb2.Has(), timeout=1)).held) == [True]
    asyncio.run(change.ask(channel, "n1", chunks_pb2.Has(), timeout=1))
    assert context == ["n2", "n9"]
    assert channel.served["test.change"] == {"roles": frozenset({Role.ADMIN})}
    assert recorder.taken == ["test.change"]
    assert recorder.calls == [("test.change", "n2", b"")], "what changes nothing is not recorded"
