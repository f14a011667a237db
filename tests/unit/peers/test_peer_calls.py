"""Calls and messages between networks on loopback."""

from __future__ import annotations

import asyncio

import pytest
from peer_networks import DEADLINE, event_loops, run_on, running

from raftstore import errors
from raftstore.peers import Lane, Peer, PeerNetwork, Reply
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
