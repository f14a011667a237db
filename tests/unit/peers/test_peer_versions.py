"""Nodes whose versions do not fit refuse each other, and say so at both ends; commands and calls go on."""

from __future__ import annotations

import asyncio

import pytest
from peer_networks import DEADLINE, LIMITS, VERSIONS, dialler, identity, network, run_on
from structlog.testing import capture_logs
from waiting import until

from raftstore import errors
from raftstore.peers import PeerClient, Role, Versions
from raftstore.peers.versions import incompatible
from raftstore.wire import peer_pb2

OLD = Versions("1.1.0", 1, 1)
NEXT = Versions("1.3.0", 2, 3)


@pytest.mark.parametrize(
    ("own", "peer", "level", "who"),
    [
        (VERSIONS, VERSIONS, 0, None),
        (VERSIONS, VERSIONS, 1, None),
        (VERSIONS, OLD, 1, None),
        (VERSIONS, NEXT, 2, None),
        (VERSIONS, OLD, 2, "them"),
        (OLD, VERSIONS, 2, "we"),
        (VERSIONS, NEXT, 1, "them"),
        (NEXT, VERSIONS, 3, "them"),
        (
            OLD,
            NEXT,
            0,
            None,
        ),  # nobody knows yet what is in force: nothing can be applied by either until one does
    ],
)
def test_two_nodes_fit_if_both_know_the_level_in_force(
    own: Versions, peer: Versions, level: int, who: str | None
) -> None:
    reason = incompatible("we", own, "them", peer, level)
    if who is None:
        assert reason is None
        return
    assert reason is not None
    assert reason.startswith(f"{who} runs pixraft {(own if who == 'we' else peer).program} (levels ")
    assert f"but level {level} is in force: install another version of pixraft on {who}" in reason


def test_a_node_that_says_nothing_of_levels_is_of_0_1() -> None:
    for level in (0, 1, 2):
        reason = incompatible("we", VERSIONS, "them", Versions("", 0, 0), level)
        assert reason is not None
        assert reason.startswith("them runs pixraft 0.1, which cannot be in one cluster with pixraft 1.2.3")
        assert "stop the whole cluster and upgrade all nodes" in reason


def test_both_ends_refuse_and_say_why() -> None:
    async def main() -> None:
        a = network("a", versions=VERSIONS, in_force=lambda: 2)
        b = network("b", versions=OLD, in_force=lambda: 1)
        with capture_logs() as logs:
            for net in (a, b):
                await net.start()
            addresses = {"a": a.address, "b": b.address}
            for net in (a, b):
                net.set_members(addresses)
            await until(lambda: bool(a.misfit("b")) and bool(b.misfit("a")))
            reason = "b runs pixraft 1.1.0 (levels 1 to 1), but level 2 is in force: install another version"
            assert a.misfit("b").startswith(reason)
            assert b.misfit("a").startswith(reason)
            await until(lambda: len([line for line in logs if line["event"] == "peer cannot be reached"]) >= 2)
        reported = {(line["peer"], line["event"]) for line in logs if reason in line.get("reason", "")}
        assert ("b", "peer cannot be reached") in reported
        assert ("a", "peer cannot be reached") in reported
        assert not a.reachable("b")
        assert not b.reachable("a")
        with pytest.raises(errors.Unavailable, match="level 2 is in force"):
            await b.call("a", "m", b"", timeout=DEADLINE)
        for net in (a, b):
            await net.stop()

    run_on("asyncio", main())


def test_a_node_of_0_1_that_dials_is_told_to_upgrade() -> None:
    async def main() -> None:
        net = network("a", {"b": ("127.0.0.1", 1)})
        await net.start()
        with pytest.raises(errors.Incompatible, match=r"b runs pixraft 0\.1, .*upgrade all nodes"):
            await dialler("b", None).dial(net.address, peer_pb2.CONSENSUS, expected="a")
        assert "0.1" in net.misfit("b")
        again = await dialler("b").dial(net.address, peer_pb2.CONSENSUS, expected="a")
        assert net.misfit("b") == ""  # upgraded
        again.drop("done")
        await again.finished.wait()
        await net.stop()

    run_on("asyncio", main())


def test_a_welcome_of_0_1_is_refused_before_anything_is_sent() -> None:
    """It welcomes whoever has the certificate, and says nothing of itself."""

    async def main() -> None:
        net = network("a", {"b": ("127.0.0.1", 1)})
        net.greeting = lambda: peer_pb2.Hello()  # type: ignore[method-assign]
        await net.start()
        with pytest.raises(errors.Incompatible, match=r"a runs pixraft 0\.1"):
            await dialler("b").dial(net.address, peer_pb2.CONSENSUS, expected="a")
        await net.stop()

    run_on("asyncio", main())


def test_when_the_level_is_raised_who_does_not_know_it_is_hung_up_on() -> None:
    async def main() -> None:
        level = {"a": 1, "b": 1, "c": 1}
        versions = {"a": VERSIONS, "b": OLD, "c": VERSIONS}
        nets = {
            name: network(name, versions=versions[name], in_force=lambda name=name: level[name])
            for name in "abc"
        }
        for net in nets.values():
            await net.start()
        addresses = {name: net.address for name, net in nets.items()}
        for net in nets.values():
            net.set_members(addresses)
        a = nets["a"]
        await until(
            lambda: all(net.reachable(peer) for name, net in nets.items() for peer in "abc" if peer != name)
        )
        level["a"] = 2
        a.level_changed()
        await until(lambda: not a.reachable("b") and not nets["b"].reachable("a"))
        assert a.reachable("c")
        assert nets["c"].reachable("a")
        assert "level 2 is in force" in a.misfit("b")
        await until(lambda: "level 2 is in force" in nets["b"].misfit("a"))
        for net in nets.values():
            await net.stop()

    run_on("asyncio", main())


def test_commands_of_operators_work_with_every_version() -> None:
    async def main() -> None:
        net = network("a", versions=NEXT, in_force=lambda: 3)
        await net.start()
        async with PeerClient(identity("root", Role.ADMIN), net.address, limits=LIMITS) as client:
            assert client.peer.name == "a"
        await net.stop()

    run_on("asyncio", main())


def test_what_later_versions_add_to_a_greeting_is_ignored() -> None:
    async def main() -> None:
        net = network("a", {"b": ("127.0.0.1", 1)})
        await net.start()
        node = dialler("b")
        add_to = node._greetings.add_to  # type: ignore[union-attr]

        def with_more(hello: peer_pb2.Hello) -> peer_pb2.Hello:
            hello.MergeFromString(b"\xfa\x3f\x01x")  # field 1023
            return add_to(hello)

        node._greetings.add_to = with_more  # type: ignore[union-attr, method-assign]
        channel = await node.dial(net.address, peer_pb2.CONSENSUS, expected="a")
        channel.drop("done")
        await asyncio.wait_for(channel.finished.wait(), DEADLINE)
        await net.stop()

    run_on("asyncio", main())
