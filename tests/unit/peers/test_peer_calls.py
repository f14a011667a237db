"""Calls and messages between networks on loopback."""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
from dataclasses import replace

import pytest
from peer_networks import DEADLINE, LIMITS, event_loops, identity, network, run_on, running
from peer_proxy import PeerProxy
from structlog.testing import capture_logs
from waiting import until

from raftstore import errors
from raftstore.peers import Lane, Limits, Peer, PeerClient, PeerNetwork, Reply, Role
from raftstore.peers.network import Encryption

MIB = 1024 * 1024


@pytest.fixture(params=sorted(event_loops()))
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["full", "bulk-auth"])
def encryption(request: pytest.FixtureRequest) -> Encryption:
    return "full" if request.param == "full" else "bulk-auth"


async def echo(peer: Peer, body: bytes, payload: memoryview) -> Reply:
    return Reply(body + b" from " + peer.name.encode(), payload)


def serve_echo(nets: dict[str, PeerNetwork]) -> None:
    for net in nets.values():
        net.serve("echo", echo)


@pytest.mark.slow
def test_calls_carry_body_and_payload(loop: str, encryption: Encryption) -> None:
    async def main() -> None:
        async with running(encryption=encryption, prepare=serve_echo) as nets:
            for lane in Lane:
                for size in (0, 1, 15_999, 16_384, 65_536, 65_537, MIB, 4 * MIB):
                    payload = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
                    reply = await nets["a"].call("b", "echo", b"hello", payload, lane=lane, timeout=DEADLINE)
                    assert reply.body == b"hello from a"
                    assert reply.payload == payload

    run_on(loop, main())


def test_payloads_that_nothing_covers_are_taken_only_by_who_checks_them(
    loop: str, encryption: Encryption
) -> None:
    async def unchecked(peer: Peer, body: bytes, payload: memoryview) -> Reply:
        return Reply(payload=b"payload", by_digest=True)

    def serve(nets: dict[str, PeerNetwork]) -> None:
        nets["b"].serve("covered", echo)
        nets["b"].serve("checked", echo, by_digest=True)
        nets["b"].serve("answers", unchecked, by_digest=True)

    async def main() -> None:
        async with running(encryption=encryption, prepare=serve) as nets:
            call = nets["a"].call
            for size in (1, MIB):
                reply = await call("b", "checked", b"", b"x" * size, timeout=DEADLINE, by_digest=True)
                assert reply.payload == b"x" * size
            assert (await call("b", "answers", b"", timeout=DEADLINE, by_digest=True)).payload == b"payload"
            with pytest.raises(errors.Unavailable):
                await call("b", "covered", b"", b"x", timeout=DEADLINE, by_digest=True)
            await call("b", "covered", b"", timeout=DEADLINE)
            with pytest.raises(errors.Unavailable):
                await call("b", "answers", b"", timeout=DEADLINE)

    run_on(loop, main())


@pytest.mark.slow
def test_many_calls_at_once_in_both_directions(loop: str, encryption: Encryption) -> None:
    async def main() -> None:
        async with running(encryption=encryption, prepare=serve_echo) as nets:

            async def one(source: str, target: str, number: int) -> None:
                payload = number.to_bytes(4, "big") * (25_000 if number % 3 else 5)
                body = str(number).encode()
                reply = await nets[source].call(target, "echo", body, payload, timeout=DEADLINE)
                assert reply.body == body + b" from " + source.encode()
                assert reply.payload == payload

            await asyncio.gather(
                *(one("a", "b", n) for n in range(200)), *(one("b", "a", n) for n in range(200))
            )

    run_on(loop, main())


@pytest.mark.parametrize(
    "kind",
    [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.StoreError)],
)
def test_remote_errors_arrive_as_the_same_class(kind: type[errors.StoreError]) -> None:
    async def fail(peer: Peer, body: bytes, payload: memoryview) -> Reply:
        raise kind("why")

    async def main() -> None:
        async with running(prepare=lambda nets: nets["b"].serve("fail", fail)) as nets:
            with pytest.raises(errors.StoreError) as caught:
                await nets["a"].call("b", "fail", b"", timeout=DEADLINE)
            assert type(caught.value) is kind
            assert caught.value.detail == "why"

    run_on("asyncio", main())


class Gate:
    """A handler that waits until it is let go, and knows who waits and who was cancelled."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.inside = 0
        self.most = 0
        self.cancelled = 0

    async def __call__(self, peer: Peer, body: bytes, payload: memoryview) -> Reply:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.inside -= 1
        return Reply(body)


def test_a_failing_handler_is_an_error_and_no_end() -> None:
    async def broken(peer: Peer, body: bytes, payload: memoryview) -> Reply:
        raise ZeroDivisionError("secret")

    async def slow(peer: Peer, body: bytes, payload: memoryview) -> Reply:
        raise TimeoutError

    async def main() -> None:
        with capture_logs() as logs:
            async with running(prepare=serve_echo) as nets:
                nets["b"].serve("broken", broken)
                nets["b"].serve("slow", slow)
                for method, name in (("broken", "ZeroDivisionError"), ("slow", "TimeoutError")):
                    with pytest.raises(errors.StoreError) as caught:
                        await nets["a"].call("b", method, b"", timeout=DEADLINE)
                    assert type(caught.value) is errors.StoreError
                    assert name in caught.value.detail
                    assert "secret" not in caught.value.detail
                assert (await nets["a"].call("b", "echo", b"", timeout=DEADLINE)).body == b" from a"
        assert sum(entry["event"] == "call handler failed" for entry in logs) == 2

    run_on("asyncio", main())


def test_a_caller_without_answer_gets_unavailable_and_the_handler_ends(loop: str) -> None:
    async def main() -> None:
        gate = Gate()
        async with running(prepare=lambda nets: nets["b"].serve("wait", gate)) as nets:
            with pytest.raises(errors.Unavailable, match=r"b did not answer wait in 0\.05 s"):
                await nets["a"].call("b", "wait", b"", timeout=0.05)
            await until(lambda: gate.inside == 0)

    run_on(loop, main())


def test_a_cancelled_caller_frees_its_slot_and_the_handler(loop: str) -> None:
    async def main() -> None:
        gate = Gate()
        limits = replace(LIMITS, calls=4)
        async with running(limits=limits, prepare=lambda nets: nets["b"].serve("wait", gate)) as nets:
            calls = [asyncio.create_task(nets["a"].call("b", "wait", b"", timeout=60)) for _ in range(10)]
            await until(lambda: gate.inside == 4)
            for task in calls[:7]:
                task.cancel()
            await until(lambda: gate.inside == 3)  # those that waited outside
            assert gate.cancelled == 4
            gate.go.set()
            assert [(await task).body for task in calls[7:]] == [b""] * 3

    run_on(loop, main())


def test_calls_under_way_are_bounded_on_both_sides() -> None:
    async def main() -> None:
        gate = Gate()
        limits = replace(LIMITS, calls=8)
        async with running(limits=limits, prepare=lambda nets: nets["b"].serve("wait", gate)) as nets:
            calls = [asyncio.create_task(nets["a"].call("b", "wait", b"", timeout=60)) for _ in range(30)]
            await until(lambda: gate.inside == 8)
            gate.go.set()
            await asyncio.gather(*calls)
            assert gate.most == 8

    run_on("asyncio", main())


@pytest.mark.parametrize("limits", [replace(LIMITS, serving=5), replace(LIMITS, serving_bytes=400)])
def test_calls_past_what_a_node_serves_are_refused(limits: Limits) -> None:
    async def main() -> None:
        gate = Gate()
        async with running(limits=limits, prepare=lambda nets: nets["b"].serve("wait", gate)) as nets:
            calls = [
                asyncio.create_task(nets["a"].call("b", "wait", b"", bytes(100), timeout=60)) for _ in range(8)
            ]
            await until(lambda: sum(task.done() for task in calls) == 3)
            gate.go.set()
            results = await asyncio.gather(*calls, return_exceptions=True)
            refused = [result for result in results if isinstance(result, errors.Unavailable)]
            assert [error.detail for error in refused] == ["too many calls at once"] * 3
            assert sum(isinstance(result, Reply) for result in results) == 5

    run_on("asyncio", main())


def test_a_handler_that_takes_longer_than_allowed_is_ended() -> None:
    async def main() -> None:
        gate = Gate()
        limits = replace(LIMITS, call_time=0.05)
        async with running(limits=limits, prepare=lambda nets: nets["b"].serve("wait", gate)) as nets:
            with pytest.raises(errors.Unavailable, match=r"wait took longer than 0\.05 s"):
                await nets["a"].call("b", "wait", b"", timeout=DEADLINE)
            assert gate.cancelled == 1

    run_on("asyncio", main())


def test_what_is_too_large_is_refused_and_the_connection_stays() -> None:
    async def big(peer: Peer, body: bytes, payload: memoryview) -> Reply:
        return Reply(b"", bytes(4 * MIB + 1))

    async def main() -> None:
        async with running(prepare=serve_echo) as nets:
            nets["b"].serve("big", big)
            call = nets["a"].call
            for body, payload in ((b"", bytes(4 * MIB + 1)), (bytes(2 * MIB), b"")):
                with pytest.raises(errors.TooLarge):
                    await call("b", "echo", body, payload, timeout=DEADLINE)
            with pytest.raises(errors.TooLarge):
                await call("b", "big", b"", timeout=DEADLINE)
            with pytest.raises(errors.TooLarge):
                nets["a"].send("b", "m", bytes(2 * MIB))
            assert (await call("b", "echo", b"", timeout=DEADLINE)).body == b" from a"

    run_on("asyncio", main())


def test_messages_arrive_in_order_on_the_loop(loop: str) -> None:
    async def main() -> None:
        got: list[tuple[Peer, bytes]] = []

        def take(peer: Peer, body: bytes) -> None:
            got.append((peer, body))
            if body == b"3":
                raise ZeroDivisionError

        with capture_logs() as logs:
            async with running(prepare=lambda nets: nets["b"].on_message("m", take)) as nets:
                assert not nets["a"].send("nobody", "m", b"")
                await until(lambda: nets["a"].reachable("b"))
                assert nets["a"].send("b", "unknown", b"")
                for number in range(1000):
                    assert nets["a"].send("b", "m", str(number).encode(), urgent=number % 3 == 0)
                await until(lambda: len(got) == 1000)
        assert got == [(Peer("a", Role.NODE), str(number).encode()) for number in range(1000)]
        events = [entry["event"] for entry in logs]
        assert events.count("message handler failed") == 1
        assert events.count("message without taker") == 1

    run_on(loop, main())


def test_an_urgent_message_leaves_before_the_loop_goes_on(loop: str) -> None:
    """The other node has a loop of its own, and hears of it while the sender's does nothing more."""
    got = threading.Event()
    stop = asyncio.Event()
    started: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, tuple[str, int]]] = queue.SimpleQueue()

    async def other(sender: tuple[str, int]) -> None:
        net = network("b", {"a": sender})
        net.on_message("m", lambda peer, body: got.set())
        await net.start()
        started.put((asyncio.get_running_loop(), net.address))
        await stop.wait()
        await net.stop()

    async def main() -> None:
        async with running(["a"]) as nets:
            thread = threading.Thread(target=asyncio.run, args=(other(nets["a"].address),))
            thread.start()
            their_loop, address = await asyncio.to_thread(started.get, timeout=DEADLINE)
            try:
                nets["a"].set_members({"b": address})
                await until(lambda: nets["a"].reachable("b"))
                assert nets["a"].send("b", "m", b"now", urgent=True)
                assert got.wait(DEADLINE)
            finally:
                their_loop.call_soon_threadsafe(stop.set)
                await asyncio.to_thread(thread.join, DEADLINE)

    run_on(loop, main())


def test_messages_to_a_peer_that_does_not_read_are_dropped(loop: str, encryption: Encryption) -> None:
    async def main() -> None:
        limits = replace(LIMITS, message_buffer=MIB, stuck_buffer=2 * MIB, ping_interval=60, ping_timeout=60)
        async with running(["a"], limits=limits, encryption=encryption) as nets:
            peer = network("b", {"a": nets["a"].address}, limits=limits, encryption=encryption)
            await peer.start()
            async with PeerProxy(peer.address) as proxy:
                nets["a"].set_members({"b": proxy.address})
                await until(lambda: nets["a"].reachable("b"))
                proxy.going.clear()
                sent = 0
                while nets["a"].send("b", "m", bytes(100_000)):
                    sent += 1
                    assert sent < 1000
                    await asyncio.sleep(0)
                assert nets["a"].reachable("b")  # dropped messages are not a dropped connection
            await peer.stop()

    run_on(loop, main())


@pytest.mark.slow
def test_calls_wait_for_a_peer_that_reads_slowly(loop: str, encryption: Encryption) -> None:
    async def main() -> None:
        limits = replace(LIMITS, ping_interval=60, ping_timeout=60)
        async with running(["a"], limits=limits, encryption=encryption) as nets:
            peer = network("b", {"a": nets["a"].address}, limits=limits, encryption=encryption)
            peer.serve("echo", echo)
            await peer.start()
            async with PeerProxy(peer.address) as proxy:
                nets["a"].set_members({"b": proxy.address})
                await nets["a"].call("b", "echo", b"", timeout=DEADLINE)
                proxy.going.clear()
                payload = bytes(MIB)
                calls = [
                    asyncio.create_task(nets["a"].call("b", "echo", b"", payload, timeout=3 * DEADLINE))
                    for _ in range(40)
                ]
                outgoing = nets["a"]._links["b", Lane.BULK].channel
                assert outgoing is not None
                await until(lambda: outgoing.buffered() > MIB)
                await asyncio.sleep(0.05)  # what was to be written too much would be by now
                assert outgoing.buffered() <= 3 * MIB
                proxy.going.set()
                for task in calls:
                    assert (await task).payload == payload
            await peer.stop()

    run_on(loop, main())


def test_small_frames_are_not_held_back(loop: str, encryption: Encryption) -> None:
    async def main() -> None:
        async with running(encryption=encryption, prepare=serve_echo) as nets:
            await until(lambda: len(nets["a"]._incoming) == 2)
            for lane in Lane:
                await nets["a"].call("b", "echo", b"", lane=lane, timeout=DEADLINE)
            links = [link.channel for link in nets["a"]._links.values()]
            for channel in [*links, *nets["a"]._incoming]:
                assert channel is not None
                assert channel._transport is not None
                sock = channel._transport.get_extra_info("socket")
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    run_on(loop, main())


def test_a_peer_that_never_reads_is_dropped_in_the_end() -> None:
    async def main() -> None:
        limits = replace(LIMITS, stuck_buffer=MIB, ping_interval=60, ping_timeout=60)
        peer = network("b", {"a": ("127.0.0.1", 1)}, limits=limits)
        await peer.start()
        async with PeerProxy(peer.address) as proxy, running(["a"], limits=limits) as nets:
            nets["a"].set_members({"b": proxy.address})
            await until(lambda: nets["a"].reachable("b"))
            proxy.going.clear()
            await until(lambda: not nets["a"].send("b", "m", bytes(100_000)))
            assert not nets["a"].reachable("b")
            proxy.going.set()
        await peer.stop()

    run_on("asyncio", main())


def test_roles() -> None:
    async def main() -> None:
        def prepare(nets: dict[str, PeerNetwork]) -> None:
            nets["a"].serve("status", echo, roles=frozenset({Role.NODE, Role.ADMIN}))
            nets["a"].serve("users", echo, roles=frozenset({Role.ADMIN}))
            nets["a"].serve("put", echo)

        async with running(prepare=prepare) as nets:
            address = nets["a"].address
            async with PeerClient(identity("root", Role.ADMIN), address) as client:
                assert client.peer == Peer("a", Role.NODE)
                assert (await client.call("status", b"x", b"y" * MIB)).payload == b"y" * MIB
                assert (await client.call("users", b"x")).body == b"x from root"
                for method in ("put", "peers.bulk-session"):
                    with pytest.raises(errors.Refused, match="not for the role admin"):
                        await client.call(method, b"")
                with pytest.raises(errors.Refused, match="unknown method"):
                    await client.call("nothing", b"")
            with pytest.raises(errors.Refused, match="administrator's directory"):
                await nets["b"].call("a", "users", b"", timeout=DEADLINE)
            # a node's own certificate serves its operator, and disturbs no lane
            for name in ("a", "b"):
                async with PeerClient(identity(name), address, expected="a") as client:
                    assert (await client.call("put", b"")).body == b" from " + name.encode()
            assert nets["b"].reachable("a")
            await client_fails(PeerClient(identity("a"), address, expected="b"), "certificate says a")
            await client_fails(PeerClient(identity("c"), address), "c is not a member")

    run_on("asyncio", main())


def test_clients_are_bounded() -> None:
    async def main() -> None:
        async with running(["a"], limits=replace(LIMITS, clients=2)) as nets:
            admin = identity("root", Role.ADMIN)
            async with PeerClient(admin, nets["a"].address), PeerClient(admin, nets["a"].address):
                await client_fails(PeerClient(admin, nets["a"].address), "too many clients")

    run_on("asyncio", main())


async def client_fails(client: PeerClient, reason: str) -> None:
    with pytest.raises((errors.Refused, errors.Unavailable), match=reason):
        async with client:
            pass


def test_nobody_there() -> None:
    async def main() -> None:
        async with running(["a"]) as nets:
            free = nets["a"].address
        await client_fails(PeerClient(identity("root", Role.ADMIN), free), f"127.0.0.1:{free[1]}: Connect")
        async with running(["a"]) as nets:
            nets["a"].set_members({"b": free})
            for name in ("b", "c", "a"):
                with pytest.raises(errors.Unavailable, match=name):
                    await nets["a"].call(name, "echo", b"", timeout=DEADLINE)
            with pytest.raises(errors.Invalid, match="cannot listen on"):
                await network("c", listen=nets["a"].address).start()

    run_on("asyncio", main())


def test_mistakes_in_use_are_told() -> None:
    async def main() -> None:
        net = network("a")
        net.serve("m", echo)
        with pytest.raises(ValueError, match="already"):
            net.serve("m", echo)
        with pytest.raises(errors.Invalid, match="of an admin"):
            PeerNetwork(identity("root", Role.ADMIN), ("127.0.0.1", 0), {})
        with pytest.raises(errors.Invalid, match="encryption"):
            PeerNetwork(identity("a"), ("127.0.0.1", 0), {}, encryption="none")  # type: ignore[arg-type]

    run_on("asyncio", main())
