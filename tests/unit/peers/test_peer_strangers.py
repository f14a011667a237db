"""Who does not belong, and what is not of this protocol, gets nowhere, and is told of in the log."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from peer_networks import DEADLINE, LIMITS, authority, event_loops, identity, network, run_on, running
from peer_proxy import PeerProxy
from structlog.testing import capture_logs
from structlog.typing import EventDict
from waiting import until

from raftstore import errors
from raftstore.peers import Identity, Lane, Peer, PeerClient, PeerNetwork, Reply, Role, create_authority
from raftstore.peers.connections.channel import VERSION
from raftstore.peers.connections.framing import SCRATCH_SIZE, FrameReader, encode
from raftstore.peers.known import MOST, KnownNetworks
from raftstore.peers.model import MIB
from raftstore.peers.network import Encryption
from raftstore.peers.security.grants import MAGIC, PREAMBLE_SIZE, Session
from raftstore.peers.security.tls import client_context, failure, server_context
from raftstore.wire import peer_pb2

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(params=sorted(event_loops()))
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def echo(peer: Peer, body: bytes, payload: memoryview) -> Reply:
    return Reply(body, payload)


@asynccontextmanager
async def node(
    *, encryption: Encryption = "full", limits: object = None
) -> AsyncIterator[tuple[PeerNetwork, list[EventDict]]]:
    """One node `b` that has a member `a`, and what it logs."""
    net = network("b", {"a": ("127.0.0.1", 1)}, encryption=encryption, limits=limits or LIMITS)
    net.serve("echo", echo)
    net.on_message("m", lambda peer, body: None)
    with capture_logs() as logs:
        await net.start()
        try:
            yield net, logs
        finally:
            await net.stop()


@asynccontextmanager
async def opened(address: tuple[str, int], context: ssl.SSLContext | None = None) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(
        *address, ssl=context, server_hostname="" if context else None
    )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        try:
            await writer.wait_closed()
        except (OSError, ssl.SSLError):
            pass


async def hung_up(reader: asyncio.StreamReader) -> bytes:
    """Wait for the end of the connection; what came before it."""
    received = b""
    async with asyncio.timeout(DEADLINE):
        try:
            while block := await reader.read(65536):
                received += block
        except OSError:
            pass
    return received


def reasons(logs: list[EventDict], event: str) -> list[str]:
    return [entry["reason"] for entry in logs if entry["event"] == event]


def frame(header: peer_pb2.Header, payload: bytes = b"") -> bytes:
    return b"".join(encode(header, payload, header_limit=1 << 30, payload_limit=1 << 30))


def hello(lane: peer_pb2.LaneKind = peer_pb2.CONSENSUS, *, version: int = VERSION, sequence: int = 1) -> bytes:
    greeting = peer_pb2.Hello(version=version, lane=lane, instance=b"i", sequence=sequence, oldest=1, newest=1)
    return frame(peer_pb2.Header(kind=peer_pb2.HELLO, hello=greeting))


def bare_context() -> ssl.SSLContext:
    """A TLS client without certificate that trusts anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def trusting(identity: Identity) -> ssl.SSLContext:
    """The TLS client of that identity, but it trusts anybody."""
    context = client_context(identity)
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.mark.parametrize(
    "opening",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 100, b"\x16" + b"\xff" * 100, b"PXB1" + b"x" * PREAMBLE_SIZE],
)
@pytest.mark.parametrize("encryption", ["full", "bulk-auth"])
def test_garbage_is_hung_up_on(loop: str, opening: bytes, encryption: Encryption) -> None:
    async def main() -> None:
        async with node(encryption=encryption) as (net, logs), opened(net.address) as (reader, writer):
            writer.write(opening)
            received = await hung_up(reader)
            # At most a TLS alert comes back.
            assert received == b"" or (opening[0] == 0x16 and len(received) == 7)
            await until(lambda: len(reasons(logs, "stranger turned away")) == 1)
            assert not net._incoming

    run_on(loop, main())


@pytest.mark.parametrize("who", ["nobody", "another cluster"])
def test_a_certificate_of_the_cluster_is_required(loop: str, who: str) -> None:
    async def main() -> None:
        context = bare_context() if who == "nobody" else trusting(create_authority("tests").issue("a"))
        async with node() as (net, logs), opened(net.address, context) as (reader, writer):
            writer.write(hello())
            assert await hung_up(reader) == b""
            await until(lambda: len(reasons(logs, "stranger turned away")) == 1)
            why = {"nobody": "PEER_DID_NOT_RETURN_A_CERTIFICATE", "another cluster": "is of another cluster: "}
            assert reasons(logs, "stranger turned away")[0].startswith(f"TLS handshake failed: {why[who]}")
            assert not net._incoming

    run_on(loop, main())


def test_old_tls_is_refused(loop: str) -> None:
    async def main() -> None:
        context = client_context(identity("a"))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        async with node() as (net, logs):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                async with opened(net.address, context):
                    pass
            await until(lambda: len(reasons(logs, "stranger turned away")) == 1)

    run_on(loop, main())


def test_tls_1_3_is_spoken() -> None:
    async def main() -> None:
        context = client_context(identity("a"))
        async with node() as (net, _), opened(net.address, context) as (reader, writer):
            assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
            writer.write(hello())
            lengths = struct.unpack("!II", await reader.readexactly(8))
            answer = peer_pb2.Header.FromString(await reader.readexactly(lengths[0]))
            assert answer.kind == peer_pb2.WELCOME

    run_on("asyncio", main())


@pytest.mark.parametrize("impostor", ["c", "admin"])
def test_a_member_with_the_wrong_name_is_not_dialled(loop: str, impostor: str) -> None:
    """Whoever answers at b's address with another certificate of the cluster is not b."""

    async def main() -> None:
        if impostor == "admin":
            # An admin's certificate cannot serve at all: it is not made for it.
            answering = identity("b", Role.ADMIN)
        else:
            answering = identity("c")
        context = server_context(answering)
        context.verify_mode = ssl.CERT_NONE
        received = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(frame(peer_pb2.Header(kind=peer_pb2.WELCOME)))
            received.append(await hung_up(reader))
            writer.transport.abort()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        address = server.sockets[0].getsockname()
        with capture_logs() as logs:
            async with running(["a"]) as nets:
                nets["a"].set_members({"b": address})
                with pytest.raises(errors.Unavailable):
                    await nets["a"].call("b", "echo", b"", timeout=DEADLINE)
                assert not nets["a"].reachable("b")
        server.close()
        await server.wait_closed()
        assert not any(received)  # not even a hello
        reported = [entry for entry in logs if entry["event"] == "peer cannot be reached"]
        expected = "the certificate says c" if impostor == "c" else "its certificate is refused"
        assert expected in reported[0]["reason"]

    run_on(loop, main())


@pytest.mark.parametrize(
    ("what", "reported"),
    [
        ("another cluster", "is of another cluster: the authority of this one has not issued its certificate"),
        (
            "too old",
            "its certificate is not valid by the clock of this machine, ",
        ),
        ("admin", "its certificate is refused (un"),
        ("no TLS", "what answers is no node, or of another version (WRONG_VERSION_NUMBER)"),
    ],
)
def test_why_a_handshake_failed_is_told_in_words(what: str, reported: str) -> None:
    issuer = create_authority("tests") if what == "another cluster" else authority()
    answering = issuer.issue(
        "b", Role.ADMIN if what == "admin" else Role.NODE, days=-1 if what == "too old" else 1
    )
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(identity("a")).wrap_bio(to_client, to_server)
    server = server_context(answering).wrap_bio(to_server, to_client, server_side=True)
    if what == "no TLS":
        to_client.write(b"220 an FTP server\r\n")
    with pytest.raises(ssl.SSLError) as caught:
        for _ in range(3):
            for side in (client, server):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
    assert failure(caught.value).startswith(reported)


BAD_FRAMES = {
    "oversize header": (struct.pack("!II", 1 << 31, 0), "header of"),
    "oversize payload": (struct.pack("!II", 10, 4 * MIB + 1), "payload of"),
    "garbage": (struct.pack("!II", 4, 0) + b"\xff" * 4, "does not decode"),
    "second hello": (hello(sequence=2), "out of place"),
    "reply": (frame(peer_pb2.Header(kind=peer_pb2.REPLY, call=1)), "out of place"),
    "unknown kind": (frame(peer_pb2.Header(kind=99)), "out of place"),  # type: ignore[arg-type]
    "one call twice": (frame(peer_pb2.Header(kind=peer_pb2.REQUEST, call=1, method="echo")) * 2, "under way"),
}


@pytest.mark.parametrize("name", sorted(BAD_FRAMES))
def test_a_member_that_breaks_the_protocol_is_dropped(loop: str, name: str) -> None:
    bad, reason = BAD_FRAMES[name]

    async def main() -> None:
        context = client_context(identity("a"))
        async with node() as (net, logs), opened(net.address, context) as (reader, writer):
            writer.write(hello())
            await until(lambda: len(net._incoming) == 1)
            writer.write(bad)
            await hung_up(reader)
            assert len(reasons(logs, "garbage from peer")) == 1
            assert reason in reasons(logs, "garbage from peer")[0]
            assert not net._incoming

    run_on(loop, main())


BAD_HELLOS = {
    "no hello": (
        "a",
        Role.NODE,
        frame(peer_pb2.Header(kind=peer_pb2.REQUEST, method="echo")),
        "before the hello",
    ),
    "message": ("a", Role.NODE, frame(peer_pb2.Header(kind=peer_pb2.MESSAGE, method="m")), "before the hello"),
    "other version": ("a", Role.NODE, hello(version=VERSION + 1), "speaks version"),
    "unknown lane": ("a", Role.NODE, hello(lane=9), "no lane 9"),  # type: ignore[arg-type]
    "admin in a lane": ("root", Role.ADMIN, hello(), "the role admin has no lane"),
    "no member": ("c", Role.NODE, hello(), "c is not a member"),
    "itself": ("b", Role.NODE, hello(), "no lane 1 for b"),
}


@pytest.mark.parametrize("name", sorted(BAD_HELLOS))
def test_who_may_not_come_in_is_told_why(loop: str, name: str) -> None:
    who, role, opening, reason = BAD_HELLOS[name]

    async def main() -> None:
        context = client_context(identity(who, role))
        async with node() as (net, logs), opened(net.address, context) as (reader, writer):
            writer.write(opening)
            received = await hung_up(reader)
            assert (reason.encode() in received) or (received == b"" and "before" in reason)
            reported = reasons(logs, "peer refused") + reasons(logs, "garbage from peer")
            assert len(reported) == 1
            assert reason in reported[0]
            assert not net._incoming

    run_on(loop, main())


def test_messages_belong_to_the_consensus_lane() -> None:
    async def main() -> None:
        for lane in (peer_pb2.BULK, peer_pb2.CLIENT):
            context = client_context(identity("a"))
            async with node() as (net, logs), opened(net.address, context) as (reader, writer):
                writer.write(hello(lane) + frame(peer_pb2.Header(kind=peer_pb2.MESSAGE, method="m")))
                await hung_up(reader)
                assert "outside the consensus lane" in reasons(logs, "garbage from peer")[0]

    run_on("asyncio", main())


def test_whoever_says_nothing_is_hung_up_on(loop: str) -> None:
    async def main() -> None:
        limits = replace(LIMITS, handshake_time=0.2)
        for context in (None, client_context(identity("a"))):
            async with node(limits=limits) as (net, logs), opened(net.address, context) as (reader, _):
                await hung_up(reader)
                await until(lambda logs=logs: len(reasons(logs, "stranger turned away")) == 1)
                assert reasons(logs, "stranger turned away") == ["not authenticated in 0.2 s"]
                assert not net._incoming

    run_on(loop, main())


@pytest.mark.slow
def test_nothing_is_said_of_one_that_has_come_in(loop: str) -> None:
    """With uvloop the timer of the silence before the first byte went on, and said so of everybody."""

    async def main() -> None:
        limits = replace(LIMITS, handshake_time=2.0)
        async with node(limits=limits) as (net, logs), PeerClient(identity("root", Role.ADMIN), net.address):
            # One that comes later, and says nothing, is turned away after the time of the first was up.
            async with opened(net.address) as (reader, _):
                await hung_up(reader)
            await until(lambda: bool(reasons(logs, "stranger turned away")))
            assert len(reasons(logs, "stranger turned away")) == 1

    run_on(loop, main())


def test_half_a_handshake_is_hung_up_on(loop: str) -> None:
    async def main() -> None:
        limits = replace(LIMITS, handshake_time=0.2)
        for start in (b"\x16\x03\x01\x02\x00\x01", MAGIC + b"123"):
            async with (
                node(limits=limits, encryption="bulk-auth") as (net, logs),
                opened(net.address) as (reader, writer),
            ):
                writer.write(start)
                await hung_up(reader)
                await until(lambda logs=logs: len(reasons(logs, "stranger turned away")) == 1)

    run_on(loop, main())


def test_idle_strangers_do_not_keep_members_out(loop: str) -> None:
    async def main() -> None:
        limits = replace(LIMITS, pending=4)
        async with node(limits=limits) as (net, logs):
            strangers = [socket.create_connection(net.address) for _ in range(20)]
            async with PeerClient(identity("root", Role.ADMIN), net.address) as client:
                assert client.peer.name == "b"
            assert net._listener is not None
            assert len(net._listener._pending) <= 4
            for stranger in strangers:
                stranger.close()
            assert any(entry["event"] == "too many unauthenticated connections" for entry in logs)

    run_on(loop, main())


def test_a_port_probe_is_no_news() -> None:
    async def main() -> None:
        async with node() as (net, logs):
            async with opened(net.address) as (reader, writer):
                writer.write_eof()
                await hung_up(reader)
            assert not reasons(logs, "stranger turned away")

    run_on("asyncio", main())


# Sealed connections

MODES: list[Encryption] = ["full", "bulk-auth"]


async def bulk_session(net: PeerNetwork, encryption: Encryption) -> Session:
    """Ask for a session as `a`, as a node would."""
    plain = encryption == "bulk-auth"
    async with PeerClient(identity("a"), net.address) as client:
        request = peer_pb2.BulkSessionRequest(plain_chunks=plain)
        reply = await client.call("peers.bulk-session", request.SerializeToString())
    session = peer_pb2.BulkSession.FromString(reply.body)
    return Session(session.id, session.key, plain)


@pytest.mark.parametrize("encryption", MODES)
def test_what_can_be_seen_between_nodes(loop: str, encryption: Encryption) -> None:
    async def main() -> None:
        seen = bytearray()

        def look(block: bytes) -> bytes:
            seen.extend(block)
            return block

        marker = b"a picture, or a whole catalog"
        async with (
            node(encryption=encryption) as (net, _),
            PeerProxy(net.address) as proxy,
            running(["a"], encryption=encryption) as nets,
        ):
            proxy.mangle = look
            nets["a"].set_members({"b": proxy.address})
            await nets["a"].call("b", "echo", b"", marker, lane=Lane.CONSENSUS, timeout=DEADLINE)
            assert marker not in seen
            for payload in (marker, marker * 20_000):
                await nets["a"].call("b", "echo", marker, payload, timeout=DEADLINE)
                assert marker not in seen
            # A chunk, which its receiver compares with a digest.
            net.serve("keep", echo, by_digest=True)
            await nets["a"].call("b", "keep", b"", marker, timeout=DEADLINE, by_digest=True)
            assert (marker in seen) == (encryption == "bulk-auth")

    run_on(loop, main())


def test_modes_that_differ_meet_encrypted(loop: str) -> None:
    async def main() -> None:
        modes: list[tuple[Encryption, Encryption]] = [("full", "bulk-auth"), ("bulk-auth", "full")]
        for ours, theirs in modes:
            async with running(["a"], encryption=ours) as nets, node(encryption=theirs) as (net, logs):
                nets["a"].set_members({"b": net.address})
                reply = await nets["a"].call("b", "echo", b"", b"x", timeout=DEADLINE)
                assert reply.payload == b"x"
                reported = [
                    entry for entry in logs if entry["event"] == "peer takes only encrypted bulk connections"
                ]
                assert len(reported) == (ours == "bulk-auth")

    run_on(loop, main())


@pytest.mark.parametrize("encryption", MODES)
@pytest.mark.parametrize("where", [0, 5, 30, 100, 60_000, 999_999])
def test_a_flipped_byte_is_never_delivered(loop: str, where: int, encryption: Encryption) -> None:
    """`where`: position in what goes over the wire after the call has begun."""

    async def main() -> None:
        delivered: list[bytes] = []
        flipped = asyncio.Event()
        position = -1

        def flip(block: bytes) -> bytes:
            nonlocal position
            if position < 0 or flipped.is_set():
                return block
            if position + len(block) <= where:
                position += len(block)
                return block
            flipped.set()
            at = where - position
            return block[:at] + bytes([block[at] ^ 0x10]) + block[at + 1 :]

        async def keep(peer: Peer, body: bytes, payload: memoryview) -> Reply:
            delivered.append(bytes(payload))
            return Reply()

        limits = replace(LIMITS, ping_interval=60, ping_timeout=60)
        async with (
            node(encryption=encryption, limits=limits) as (net, logs),
            PeerProxy(net.address) as proxy,
            running(["a"], encryption=encryption, limits=limits) as nets,
        ):
            net.serve("keep", keep)
            proxy.mangle = flip
            nets["a"].set_members({"b": proxy.address})
            await nets["a"].call("b", "echo", b"", timeout=DEADLINE)
            position = 0
            payload = bytes(1_000_000)
            with pytest.raises(errors.Unavailable):
                await nets["a"].call("b", "keep", b"", payload, timeout=DEADLINE)
            assert flipped.is_set()
            assert delivered == []
            assert len(reasons(logs, "garbage from peer")) == 1
            # and the lane comes back
            await nets["a"].call("b", "keep", b"", payload, timeout=DEADLINE)
            assert delivered == [payload]

    run_on(loop, main())


@pytest.mark.parametrize("encryption", MODES)
def test_a_sealed_connection_needs_the_key_of_an_unused_session(loop: str, encryption: Encryption) -> None:
    async def main() -> None:
        async with node(encryption=encryption) as (net, logs):
            session = await bulk_session(net, encryption)
            guesses = [
                MAGIC + session.id + bytes(16),
                replace(session, key=bytes(32)).preamble(),
                replace(session, id=bytes(16)).preamble(),
            ]
            for guess in guesses:
                async with opened(net.address) as (reader, writer):
                    writer.write(guess)
                    assert await hung_up(reader) == b""
            right = session.preamble()
            seals = session.dialler_seals()
            greeting = peer_pb2.Header(
                kind=peer_pb2.HELLO,
                hello=peer_pb2.Hello(
                    version=VERSION, lane=peer_pb2.BULK, instance=b"i", sequence=1, oldest=1, newest=1
                ),
            )
            start = encode(greeting, b"", header_limit=MIB, payload_limit=MIB, seal=seals.sending)
            async with opened(net.address) as (reader, writer):
                writer.writelines([right, *start])
                await until(lambda: len(net._incoming) == 1)
                recorded = right + b"".join(bytes(part) for part in start)
                async with opened(net.address) as (again, thief):
                    thief.write(recorded)
                    assert await hung_up(again) == b""
                assert len(net._incoming) == 1
            assert reasons(logs, "stranger turned away") == ["no such bulk session"] * 4

    run_on(loop, main())


@pytest.mark.parametrize("encryption", MODES)
def test_a_sealed_connection_carries_only_bulk(encryption: Encryption) -> None:
    async def main() -> None:
        async with node(encryption=encryption) as (net, _):
            session = await bulk_session(net, encryption)
            seals = session.dialler_seals()
            greeting = peer_pb2.Header(
                kind=peer_pb2.HELLO,
                hello=peer_pb2.Hello(
                    version=VERSION, lane=peer_pb2.CONSENSUS, instance=b"i", sequence=1, oldest=1, newest=1
                ),
            )
            async with opened(net.address) as (reader, writer):
                writer.write(session.preamble())
                writer.writelines(
                    encode(greeting, b"", header_limit=MIB, payload_limit=MIB, seal=seals.sending)
                )
                answer = await reader.read(SCRATCH_SIZE)
            answers = FrameReader(header_limit=MIB, payload_limit=MIB, seal=seals.receiving)
            answers.buffer()[: len(answer)] = answer
            ((refusal, _),) = answers.received(len(answer))
            assert refusal.detail == "only bulk data travels without TLS"

    run_on("asyncio", main())


def test_only_nodes_get_bulk_sessions() -> None:
    async def main() -> None:
        async with (
            node(encryption="bulk-auth") as (net, _),
            PeerClient(identity("root", Role.ADMIN), net.address) as client,
        ):
            with pytest.raises(errors.Refused, match="not for the role admin"):
                await client.call("peers.bulk-session", b"")

    run_on("asyncio", main())


@pytest.mark.parametrize("gone", ["removed", "replaced"])
def test_a_bulk_session_ends_with_the_membership(gone: str) -> None:
    """Neither a key that is not used yet nor an open sealed connection outlives a removal or a new certificate."""

    async def main() -> None:
        async with node() as (net, logs):
            unused, used = [await bulk_session(net, "full") for _ in range(2)]
            greeting = peer_pb2.Header(
                kind=peer_pb2.HELLO,
                hello=peer_pb2.Hello(
                    version=VERSION, lane=peer_pb2.BULK, instance=b"i", sequence=1, oldest=1, newest=1
                ),
            )

            def say_hello(session: Session, writer: asyncio.StreamWriter) -> None:
                seal = session.dialler_seals().sending
                start = encode(greeting, b"", header_limit=MIB, payload_limit=MIB, seal=seal)
                writer.writelines([session.preamble(), *start])

            async with opened(net.address) as (reader, writer):
                say_hello(used, writer)
                await until(lambda: any(channel.sealed for channel in net._incoming))
                members = {} if gone == "removed" else {"a": ("127.0.0.1", 1)}
                net.set_members(members, {"a": {bytes(32)}}, {"a": 7})
                await hung_up(reader)
            async with opened(net.address) as (reader, writer):
                say_hello(unused, writer)
                await hung_up(reader)
            assert reasons(logs, "peer refused")
            assert not net._incoming

    run_on("asyncio", main())


# Floods


def strange(address: tuple[str, int], first: bytes = b"", source: str = "127.0.0.2") -> socket.socket:
    """Connect as a stranger from another address than all members."""
    sock = socket.create_connection(address, DEADLINE, (source, 0))
    sock.sendall(first)
    return sock


async def admin_gets_through(net: PeerNetwork) -> None:
    async with PeerClient(identity("root", Role.ADMIN), net.address) as client:
        assert client.peer.name == "b"


def test_who_connects_and_leaves_costs_no_task_and_no_line(loop: str) -> None:
    async def main() -> None:
        async with node() as (net, logs):
            for _ in range(300):
                strange(net.address).close()
            await admin_gets_through(net)
            assert net._listener is not None and not net._listener._pending
            assert not [line for line in logs if line["event"] != "peer cannot be reached"]

    run_on(loop, main())


def test_members_have_places_that_strangers_cannot_take(loop: str) -> None:
    async def main() -> None:
        async with node(limits=replace(LIMITS, pending=4)) as (net, _):
            # Each begins a handshake that it never ends: nobody of them is silent.
            strangers = [
                strange(net.address, b"\x16\x03\x01\x02\x00", f"127.0.0.{number % 9 + 2}")
                for number in range(40)
            ]
            await until(lambda: net._listener is not None and len(net._listener._strangers) == 4)
            await admin_gets_through(net)
            for stranger in strangers:
                stranger.close()

    run_on(loop, main())


def test_an_admin_from_a_new_address_gets_through_between_strangers(loop: str) -> None:
    async def main() -> None:
        # No member is at 127.0.0.1: whoever comes from there is a stranger, too.
        net = network("b", {"a": ("192.0.2.1", 1)}, limits=replace(LIMITS, pending=8))
        await net.start()
        try:
            strangers = [strange(net.address) for _ in range(30)]
            strangers += [strange(net.address, b"\x16\x03\x01\x02\x00") for _ in range(30)]
            await admin_gets_through(net)
            for stranger in strangers:
                stranger.close()
        finally:
            await net.stop()

    run_on(loop, main())


def test_handshakes_of_strangers_are_bounded_by_the_second(loop: str) -> None:
    async def main() -> None:
        async with node(limits=replace(LIMITS, handshakes=8.0)) as (net, logs):
            for _ in range(60):
                with strange(net.address, b"\x16\x03\x01\x02\x00\x01") as sock:
                    await asyncio.sleep(0)
                    sock.setblocking(False)
            await until(lambda: any(line["event"] == "too many handshakes at the peer port" for line in logs))
            await admin_gets_through(net)

    run_on(loop, main())


def test_networks_that_are_known_are_the_latest() -> None:
    known = KnownNetworks()
    for number in range(3 * MOST):
        known.add("192.0.2.1")
        known.add(f"2001:db8:0:{number:x}::1")
    assert "192.0.2.1" in known and "2001:db8:0:2ff::/64" in known
    assert "2001:db8::/64" not in known
