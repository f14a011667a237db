"""Who guesses passwords is slowed down, here and at the other nodes; who does not is not. And how fast bytes go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from fakestore import FakeStore
from ftpserver import HASH, PASSWORD
from waiting import until

from ftpgateway.access.access import Access
from ftpgateway.access.login.guard import SITE, Guard, Slowness
from ftpgateway.access.login.throttle import BURST, LEAST, Throttle, paced
from ftpgateway.access.refusal import LoginRefused
from ftpgateway.access.settings import AccessSettings
from raftstore.errors import Denied
from raftstore.types import User
from raftstore.util.networks import network_of


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("what is this", "what is this"),
    ],
)
def test_networks(address: str, network: str) -> None:
    assert network_of(address) == network


def test_the_waits_grow_and_end_and_are_forgotten() -> None:
    clock = Clock()
    guard = Guard(Slowness(free=2, first=1, most=10, forget=1000), clock)
    waits = []
    for _ in range(8):
        waits.append(guard.failed("a", "u"))
        clock.now += waits[-1]
    assert waits == [0, 0, 1, 2, 4, 8, 10, 10]
    assert guard.wait("a", "u") == 0
    assert guard.wait("b", "u") == 0
    clock.now += 1000 * 8
    assert [guard.failed("a", "u") for _ in range(3)] == [0, 0, 1]


def test_one_customers_ipv6_networks_count_together() -> None:
    guard = Guard(Slowness(free=2, first=1, most=10, forget=1000), Clock())
    guard.succeeded("2001:db8:0:ffff::/64", "camera")
    tried = next(number for number in range(1000) if guard.failed(f"2001:db8:0:{number:x}::/64", "u"))
    assert tried == 2 * SITE
    # All of them wait now, but for who has logged in from there; the neighbour does not, and IPv4 has no such sites.
    assert guard.wait("2001:db8:0:fffe::/64", "u") == 1
    assert guard.wait("2001:db8:0:ffff::/64", "camera") == 0
    assert guard.wait("2001:db8:1::/64", "u") == 0
    assert not any(guard.failed(f"192.0.2.{number}", "u") for number in range(200))
    there = Guard(Slowness(free=2, first=1, most=10, forget=1000), Clock())
    for network, count in guard.news().items():
        there.heard(network, count)
    assert there.wait("2001:db8:0:fffe::/64", "u") == 1


def test_what_other_nodes_tell_counts_as_much() -> None:
    clock = Clock()
    here, there = (Guard(Slowness(free=2, first=1, most=10, forget=30), clock) for _ in range(2))
    for _ in range(4):
        here.failed("a", "u")
    for network, count in here.news().items():
        there.heard(network, count)
    assert there.wait("a", "anybody") == here.wait("a", "anybody") == 2
    assert not here.news()
    assert not there.news(), "what was heard is not told on"
    there.heard("b", 2**32 - 1)
    assert there.wait("b", "u") == 10


def test_who_has_logged_in_before_is_judged_by_itself() -> None:
    clock = Clock()
    guard = Guard(Slowness(free=2, first=1, most=10, forget=30), clock)
    guard.succeeded("a", "camera")
    for _ in range(9):
        guard.failed("a", "script")
    assert guard.wait("a", "script") > 0
    assert guard.wait("a", "camera") == 0
    for _ in range(3):
        guard.failed("a", "camera")
    assert guard.wait("a", "camera") == 1


def test_what_is_remembered_is_bounded() -> None:
    guard = Guard(Slowness(free=0), Clock(), entries=10)
    for number in range(100):
        guard.failed(f"n{number}", "u")
        guard.succeeded("n", f"u{number}")
    assert guard.wait("n99", "u") > 0
    assert guard.wait("n0", "u") == 0
    assert len(guard._networks) == len(guard._friends) == 10
    assert len(guard.news(limit=7)) == 7


Test = Callable[[Access, FakeStore, Clock], Coroutine[Any, Any, None]]


def access(test: Test, **settings: Any) -> None:
    async def main() -> None:
        store, clock = FakeStore(), Clock()
        store.accounts["alice"] = User("alice", HASH)
        settings.setdefault("slowness", Slowness(free=3, first=1, most=10, forget=30))
        settings.setdefault("failed_delay", 0)
        made = Access(store, AccessSettings(**settings), clock=clock)
        made.start()
        try:
            async with asyncio.timeout(30):
                await test(made, store, clock)
        finally:
            made.stop()

    asyncio.run(main())


@pytest.mark.slow
def test_guesses_are_refused_without_argon2_and_a_right_password_works_afterwards() -> None:
    async def test(access: Access, store: FakeStore, clock: Clock) -> None:
        guesses = (access.password("alice", f"wrong {number}", "192.0.2.1") for number in range(60))
        assert await asyncio.gather(*guesses) == [None] * 60
        assert access.failures == 4
        assert access.refused == 56
        assert await access.password("alice", PASSWORD, "192.0.2.1") is None
        assert await access.password("alice", PASSWORD, "192.0.2.2")
        clock.now += 1
        assert await access.password("alice", PASSWORD, "192.0.2.1")

    access(test)


@pytest.mark.slow
def test_who_may_not_log_in_does_not_learn_why() -> None:
    """Else an address that has to wait would tell who has logged in from it: only these are still looked at."""

    async def test(access: Access, store: FakeStore, clock: Clock) -> None:
        store.accounts["off"] = User("off", HASH, disabled=True)
        here = "192.0.2.1"
        assert await access.password("alice", PASSWORD, here)
        for number in range(9):
            await access.password(f"nobody{number}", "x", here)
        assert access.refused == 5
        took = {}
        for name in ("alice", "off", "nobody", "stranger"):
            begun = time.monotonic()
            assert await access.password(name, "wrong", here) is None
            took[name] = time.monotonic() - begun
        assert access.refused == 8, "alice alone, who has logged in from there, was looked at"
        assert all(seconds >= 0.3 for seconds in took.values()), took
        assert await access.password("alice", PASSWORD, here)

    access(test, failed_delay=0.3)


def test_too_many_at_once_from_one_address_are_only_its_own_trouble() -> None:
    async def test(access: Access, store: FakeStore, clock: Clock) -> None:
        many = [access.password("alice", f"wrong {number}", "192.0.2.1") for number in range(20)]
        answers = asyncio.gather(*many, return_exceptions=True)
        await asyncio.sleep(0)
        assert await access.password("alice", PASSWORD, "192.0.2.2")
        refused = [answer for answer in await answers if isinstance(answer, LoginRefused)]
        assert len(refused) == 16
        assert "at once" in str(refused[0])

    access(test, password_queue_per_network=4, slowness=Slowness(free=100))


@pytest.mark.slow
def test_other_nodes_are_told() -> None:
    async def test(access: Access, store: FakeStore, clock: Clock) -> None:
        for number in range(4):
            await access.password("alice", f"wrong {number}", "2001:db8::1")
        await until(lambda: store.reported)
        other = FakeStore()
        other.accounts.update(store.accounts)
        there = Access(other, AccessSettings(slowness=Slowness(free=3)), clock=clock)
        there.start()
        try:
            for topic, body in store.reported:
                other.listeners[topic]("n1", body)
            assert await there.password("alice", PASSWORD, "2001:db8::ffff") is None
        finally:
            there.stop()

    access(test)


@pytest.mark.slow
def test_anonymous_reads_and_nothing_else() -> None:
    async def test(access: Access, store: FakeStore, clock: Clock) -> None:
        store.put("/public", None)
        store.put("/public/f", b"1", "alice")
        for name in ("anonymous", "ftp"):
            user = await access.password(name, "me@example.org", "192.0.2.1")
            assert user is not None
        ended: list[str] = []
        session = await access.open(user, "ftp", ended.append)
        assert [entry.name for entry in (await session.files.directory("/")).entries] == ["f"]
        for denied in (
            session.files.remove("/f"),
            session.files.upload("/g", offset=None, append=False, exclusive=False, expected=None),
        ):
            with pytest.raises(Denied):
                await denied
        access._sessions.account_changed(None)
        assert not ended
        session.close()

    access(test, anonymous_root="/public")

    async def missing(access: Access, store: FakeStore, clock: Clock) -> None:
        user = await access.password("ftp", "", "192.0.2.1")
        assert user is not None
        with pytest.raises(LoginRefused, match="no directory"):
            await access.open(user, "ftp", lambda _reason: None)
        assert not store.calls["make_directory"]
        assert access.sessions_of("anonymous") == 0

    access(missing, anonymous_root="/public")

    async def off(access: Access, store: FakeStore, clock: Clock) -> None:
        assert await access.password("anonymous", "x", "192.0.2.1") is None

    access(off)


def test_sessions_are_counted_and_end_with_their_account() -> None:
    async def test(access: Access, store: FakeStore, clock: Clock) -> None:
        alice = store.accounts["alice"] = replace(store.accounts["alice"], max_sessions=2, upload_rate=5)
        ended: list[str] = []
        one, two = [await access.open(alice, "ftp", ended.append) for _ in range(2)]
        with pytest.raises(LoginRefused, match="as many sessions"):
            await access.open(alice, "sftp", ended.append)
        assert one.up is two.up
        one.close()
        one.close()
        three = await access.open(alice, "sftp", ended.append)
        store.change_account("alice", replace(alice, revision=2, upload_rate=7))
        assert (three.up.rate, ended, access.sessions_of("alice")) == (7, [], 2)
        store.change_account("alice", None)
        assert ended == ["Your account was disabled or removed."] * 2
        assert two.ended
        two.close()
        three.close()
        with pytest.raises(LoginRefused, match="removed"):
            await access.open(alice, "ftp", ended.append)
        assert access.sessions_of("alice") == 0

    access(test)


def test_a_rate_is_kept_to_and_shared() -> None:
    clock = Clock()
    throttle = Throttle(1000, clock)
    assert throttle.portion(10**6) == LEAST
    moved = 0
    while clock.now < 1010:
        moved += 100
        clock.now += throttle.take(100)
    assert moved == pytest.approx(10_000 + BURST * 1000, abs=200)
    throttle.rate = 0
    assert throttle.take(10**9) == 0
    assert throttle.portion(10**6) == 10**6


def test_paced_blocks_arrive_whole() -> None:
    async def blocks() -> AsyncIterator[bytes]:
        yield bytes(70_000)
        yield b"end"

    async def collect() -> list[int]:
        return [len(part) async for part in paced(blocks(), Throttle(10**9))]

    assert sum(asyncio.run(collect())) == 70_003

    async def slow() -> list[int]:
        return [len(part) async for part in paced(blocks(), Throttle(10**5))]

    assert asyncio.run(slow()) == [LEAST, 70_000 - LEAST, 3]
