"""Lanes that are kept up: reconnection, half-open connections, replacement, changing members."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from typing import Any

import pytest
from peer_networks import DEADLINE, LIMITS, dialler, event_loops, network, run_on, running
from peer_proxy import PeerProxy
from structlog.testing import capture_logs
from waiting import until

from raftstore import errors
from raftstore.peers import Lane, Limits, Peer, PeerNetwork, Reply, Role
from raftstore.peers.connections.link import Backoff
from raftstore.peers.network import Encryption
from raftstore.wire import peer_pb2


@pytest.fixture(params=sorted(event_loops()))
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["full", "bulk-auth"])
def encryption(request: pytest.FixtureRequest) -> Encryption:
    return "full" if request.param == "full" else "bulk-auth"


async def echo(peer: Peer, body: bytes, payload: memoryview) -> Reply:
    return Reply(body, payload)


class Events:
    """What on_link told."""

    def __init__(self, net: PeerNetwork) -> None:
        self.seen: list[str] = []
        net.on_link(lambda name: self.seen.append(f"up {name}"), lambda name: self.seen.append(f"down {name}"))


async def call_until_it_works(net: PeerNetwork, lane: Lane) -> None:
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                await net.call("b", "echo", b"", lane=lane, timeout=DEADLINE)
                return
            except errors.Unavailable:
                await asyncio.sleep(0.01)


@pytest.mark.slow
def test_a_restarted_peer_is_found_again(loop: str, encryption: Encryption) -> None:
    async def main() -> None:
        async with running(["a"], encryption=encryption) as nets:
            events = Events(nets["a"])
            listen = ("127.0.0.1", 0)
            for _ in range(3):
                peer = network("b", {"a": nets["a"].address}, listen=listen, encryption=encryption)
                peer.serve("echo", echo)
                await peer.start()
                listen = peer.address
                nets["a"].set_members({"b": listen})
                for lane in Lane:
                    await call_until_it_works(nets["a"], lane)
                await peer.stop()
                await until(lambda: not nets["a"].reachable("b"))
                with pytest.raises(errors.Unavailable):
                    await nets["a"].call("b", "echo", b"", timeout=DEADLINE)
                assert not nets["a"].send("b", "m", b"")
            assert events.seen == ["up b", "down b"] * 3

    run_on(loop, main())


def test_a_lost_connection_fails_calls_and_ends_handlers(loop: str) -> None:
    ended = asyncio.Event()
    inside = asyncio.Event()

    async def wait(peer: Peer, body: bytes, payload: memoryview) -> Reply:
        inside.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async def main() -> None:
        peer = network("b", {"a": ("127.0.0.1", 1)})
        peer.serve("wait", wait)
        await peer.start()
        async with running(["a"]) as nets, PeerProxy(peer.address) as proxy:
            nets["a"].set_members({"b": proxy.address})
            call = asyncio.create_task(nets["a"].call("b", "wait", b"", timeout=3 * DEADLINE))
            await inside.wait()
            proxy.cut()
            with pytest.raises(errors.Unavailable, match="is down"):
                await call
            await ended.wait()
        await peer.stop()

    run_on(loop, main())


@pytest.mark.slow
def test_a_half_open_connection_is_noticed_by_both_ends(loop: str, encryption: Encryption) -> None:
    async def main() -> None:
        limits = replace(LIMITS, ping_interval=0.05, ping_timeout=0.6, dial_time=1)
        with capture_logs() as logs:
            async with running(["a"], limits=limits, encryption=encryption) as nets:
                events = Events(nets["a"])
                peer = network("b", {"a": ("127.0.0.1", 1)}, limits=limits, encryption=encryption)
                peer.serve("echo", echo)
                await peer.start()
                async with PeerProxy(peer.address) as proxy:
                    nets["a"].set_members({"b": proxy.address})
                    for lane in Lane:
                        await nets["a"].call("b", "echo", b"", lane=lane, timeout=DEADLINE)
                    # several times the timeout, with nothing but pings
                    await asyncio.sleep(1.5)
                    assert events.seen == ["up b"]
                    proxy.swallow = True
                    with pytest.raises(errors.Unavailable, match=r"is down: silent for 0\.6 s"):
                        await nets["a"].call("b", "echo", b"", timeout=DEADLINE)
                    await until(lambda: events.seen == ["up b", "down b"])
                    await until(lambda: not peer._lanes)
                    proxy.swallow = False
                    proxy.cut()
                    for lane in Lane:
                        await call_until_it_works(nets["a"], lane)
                    nets["a"].set_members({})
                await peer.stop()
        dropped = [entry for entry in logs if entry["event"] == "half-open connection dropped"]
        assert {entry["peer"] for entry in dropped} == {"a", "b"}

    run_on(loop, main())


def test_a_newer_connection_replaces_the_older_which_delivers_nothing_more(loop: str) -> None:
    cancelled = asyncio.Event()

    async def wait(peer: Peer, body: bytes, payload: memoryview) -> Reply:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    async def main() -> None:
        got: list[bytes] = []
        peer = network("b", {"a": ("127.0.0.1", 1)})
        peer.on_message("m", lambda who, body: got.append(body))
        peer.serve("wait", wait)
        await peer.start()
        node = dialler("a")
        older = await node.dial(peer.address, peer_pb2.CONSENSUS, expected="b")
        bulk = await node.dial(peer.address, peer_pb2.BULK, expected="b")
        call = asyncio.create_task(older.call("wait", b"", b"", 60))
        assert older.message("m", b"1")
        await until(lambda: got == [b"1"])
        newer = await node.dial(peer.address, peer_pb2.CONSENSUS, expected="b")
        older.message("m", b"too late")
        newer.message("m", b"2")
        await cancelled.wait()
        with pytest.raises(errors.Unavailable):
            await call
        await until(lambda: not older.usable)
        await until(lambda: len(got) == 2)
        assert got == [b"1", b"2"]
        assert bulk.usable  # the other lane has nothing to do with it
        for channel in (older, newer, bulk):
            channel.drop("done")
            await channel.finished.wait()
        await peer.stop()

    run_on(loop, main())


def test_what_a_replaced_connection_has_sent_already_is_not_delivered() -> None:
    """The listener reads the newer hello before messages of the older connection that came earlier."""

    async def main() -> None:
        got: list[bytes] = []
        peer = network("b", {"a": ("127.0.0.1", 1)})
        peer.on_message("m", lambda who, body: got.append(body))
        await peer.start()
        node = dialler("a")
        async with PeerProxy(peer.address) as proxy:
            older = await node.dial(proxy.address, peer_pb2.CONSENSUS, expected="b")
            proxy.going.clear()
            assert older.message("m", b"delayed")
            newer = await node.dial(peer.address, peer_pb2.CONSENSUS, expected="b")
            proxy.going.set()
            await until(lambda: not older.usable)
            newer.message("m", b"new")
            await until(lambda: got == [b"new"])
            for channel in (older, newer):
                channel.drop("done")
                await channel.finished.wait()
        await peer.stop()

    run_on("asyncio", main())


def test_a_delayed_hello_does_not_replace_a_newer_connection() -> None:
    async def main() -> None:
        peer = network("b", {"a": ("127.0.0.1", 1)})
        await peer.start()
        node = dialler("a")
        async with PeerProxy(peer.address) as proxy:
            proxy.going.clear()
            delayed = asyncio.create_task(node.dial(proxy.address, peer_pb2.CONSENSUS, expected="b"))
            await until(lambda: proxy.accepted == 1)
            newer = await node.dial(peer.address, peer_pb2.CONSENSUS, expected="b")
            proxy.going.set()
            with pytest.raises(errors.Refused, match="a newer connection is in use"):
                await delayed
            assert newer.usable
            # another process of that node is another matter: it is the one that lives
            restarted = await dialler("a").dial(peer.address, peer_pb2.CONSENSUS, expected="b")
            await until(lambda: not newer.usable)
            restarted.drop("done")
            await restarted.finished.wait()
        await peer.stop()

    run_on("asyncio", main())


def test_members_come_and_go(loop: str) -> None:
    async def main() -> None:
        def prepare(nets: dict[str, PeerNetwork]) -> None:
            for net in nets.values():
                net.serve("echo", echo)

        async with running("abc", prepare=prepare) as nets:
            events = Events(nets["a"])
            addresses = {name: net.address for name, net in nets.items()}
            await until(lambda: sorted(events.seen) == ["up b", "up c"])
            nets["a"].set_members({name: addresses[name] for name in "ab"})
            await until(lambda: events.seen[2:] == ["down c"])
            with pytest.raises(errors.Unavailable, match="c is not a member"):
                await nets["a"].call("c", "echo", b"", timeout=DEADLINE)
            await until(lambda: not nets["c"].reachable("a"))  # hung up, and refused since
            assert nets["a"].reachable("b")
            nets["a"].set_members(addresses)
            await until(lambda: nets["a"].reachable("c") and nets["c"].reachable("a"))
            async with PeerProxy(nets["b"].address) as proxy:  # b moves
                nets["a"].set_members(addresses | {"b": proxy.address})
                await until(lambda: proxy.accepted >= 2 and nets["a"].reachable("b"))
                await nets["a"].call("b", "echo", b"", timeout=DEADLINE)
                assert events.seen[3:] == ["up c", "down b", "up b"]
                nets["a"].set_members({})

    run_on(loop, main())


@pytest.mark.slow
def test_whoever_dials_is_dialled_at_once() -> None:
    async def main() -> None:
        limits = replace(LIMITS, backoff_max=600)
        async with running(["a"], limits=limits) as nets:
            async with running(["b"]) as others:
                listen = others["b"].address
            nets["a"].set_members({"b": listen})
            link = nets["a"]._links["b", Lane.CONSENSUS]
            await until(lambda: bool(link._failure))
            await asyncio.sleep(1)  # by now the waits between attempts are long
            peer = network("b", {"a": nets["a"].address}, listen=listen)
            await peer.start()
            await until(lambda: nets["a"].reachable("b"))
            await peer.stop()

    run_on("asyncio", main())


def test_waits_between_attempts_grow_and_differ() -> None:
    backoff = Backoff(0.05, 1.0, chance=lambda: 0.0)
    assert [backoff.wait() for _ in range(7)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    backoff.reset()
    assert backoff.wait() == 0.05
    assert Backoff(0.05, 1.0, chance=lambda: 1.0).wait() == 0.025


@pytest.mark.parametrize("address", [("127.0.0.1", 99999), ("x" * 70 + ".invalid", 1), ("a..b", 1)])
def test_an_address_that_cannot_be_dialled_is_an_outage_like_another(
    loop: str, address: tuple[str, int]
) -> None:
    async def main() -> None:
        with capture_logs() as logs:
            async with running(["a"]) as nets:
                nets["a"].set_members({"b": address})
                with pytest.raises(errors.Unavailable):
                    await nets["a"].call("b", "echo", b"", timeout=DEADLINE)
                nets["a"].set_members({})
        assert not [entry for entry in logs if entry["log_level"] == "error"]

    run_on(loop, main())


def test_a_watcher_that_fails_harms_nobody() -> None:
    def broken(name: str) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        def prepare(nets: dict[str, PeerNetwork]) -> None:
            nets["a"].on_link(broken, broken)
            reported.append(Events(nets["a"]))

        reported: list[Events] = []
        with capture_logs() as logs:
            async with running(["a", "b"], prepare=prepare) as nets:
                await until(lambda: reported[0].seen == ["up b"])
                nets["a"].set_members({})
                await until(lambda: reported[0].seen == ["up b", "down b"])
        assert sum(entry["event"] == "link watcher failed" for entry in logs) == 2

    run_on("asyncio", main())


def test_stop_ends_whatever_is_under_way(loop: str, encryption: Encryption) -> None:
    """Also attempts that hang, handshakes, handlers; nothing is left on the loop."""

    async def main() -> None:
        before = asyncio.all_tasks()
        peer = network("b", {"a": ("127.0.0.1", 1)}, encryption=encryption)
        await peer.start()
        async with PeerProxy(peer.address) as proxy:
            proxy.swallow = True
            net = network("a", {"b": proxy.address}, encryption=encryption)
            await net.start()
            call = asyncio.create_task(net.call("b", "echo", b"", timeout=3 * DEADLINE))
            await until(lambda: proxy.accepted > 0)
            silent = await asyncio.open_connection(*peer.address)
            await until(lambda: peer._listener is not None and len(peer._listener._pending) > 0)
            await net.stop()
            with pytest.raises(errors.Unavailable):
                await call
            await peer.stop()
            assert await silent[0].read() == b""
            silent[1].close()
        await until(lambda: asyncio.all_tasks() == before)

    run_on(loop, main())


@pytest.mark.parametrize("turns", range(8))
def test_stop_ends_a_connection_that_is_just_being_taken(
    loop: str, turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealed ones are in use a turn of the loop before their handshake is over."""

    async def main() -> None:
        peer = network("b", {"a": ("127.0.0.1", 1)})
        await peer.start()
        assert peer._grants is not None and peer._listener is not None
        begun, begin = asyncio.Event(), peer._listener._begin

        def begins(waiting: Any, first: bytes) -> None:
            begin(waiting, first)
            begun.set()

        monkeypatch.setattr(peer._listener, "_begin", begins)
        session = peer._grants.grant(Peer("a", Role.NODE), plain_chunks=False)
        arrived = socket.create_connection(peer.address)
        try:
            arrived.sendall(session.preamble())
            async with asyncio.timeout(DEADLINE):
                await begun.wait()
                for _ in range(turns):
                    await asyncio.sleep(0)
                await peer.stop()
        finally:
            arrived.close()

    run_on(loop, main())


def test_default_limits_fail_over_in_time() -> None:
    limits = Limits()
    assert limits.backoff_max <= 1
    assert limits.dial_time <= 2
    assert limits.ping_timeout <= 3
