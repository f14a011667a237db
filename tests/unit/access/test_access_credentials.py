"""Who may log in, and what is remembered of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import argon2
import pytest
from fakestore import FakeStore
from ftpserver import HASH, PASSWORD

from ftpgateway.access.login.credentials import Credentials
from ftpgateway.access.settings import AccessSettings
from raftstore.errors import NoQuorum, Unavailable
from raftstore.types import User

Test = Callable[[Credentials, FakeStore, "Checks"], Coroutine[Any, Any, None]]


class Checks:
    """Counts argon2 runs; `now` is the clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.hashes: list[str] = []

    def clock(self) -> float:
        return self.now


def run(test: Test, **settings: Any) -> None:
    async def main() -> None:
        store, checks = FakeStore(), Checks()
        store.accounts["alice"] = User("alice", HASH)
        credentials = Credentials(store, AccessSettings(**settings), clock=checks.clock)
        real = credentials._check

        def check(hashed: str, password: str) -> bool:
            checks.hashes.append(hashed)
            return real(hashed, password)

        credentials._check = check  # type: ignore[method-assign]
        credentials.prepare()
        try:
            async with asyncio.timeout(30):
                await test(credentials, store, checks)
        finally:
            credentials.close()

    asyncio.run(main())


@pytest.mark.slow
def test_a_verified_password_is_remembered_for_a_while() -> None:
    async def test(credentials: Credentials, store: FakeStore, checks: Checks) -> None:
        for _ in range(5):
            assert await credentials.login("alice", PASSWORD) == store.accounts["alice"]
        assert len(checks.hashes) == 1
        checks.now += 299
        assert await credentials.login("alice", PASSWORD)
        assert len(checks.hashes) == 1
        checks.now += 2
        assert await credentials.login("alice", PASSWORD)
        assert len(checks.hashes) == 2
        assert credentials.failures == 0

    run(test)


@pytest.mark.slow
def test_wrong_is_never_remembered() -> None:
    async def test(credentials: Credentials, store: FakeStore, checks: Checks) -> None:
        for _ in range(3):
            assert await credentials.login("alice", "wrong") is None
        assert len(checks.hashes) == 3
        assert credentials.failures == 3

    run(test)


@pytest.mark.slow
def test_any_change_of_the_account_counts_at_once() -> None:
    async def test(credentials: Credentials, store: FakeStore, checks: Checks) -> None:
        assert await credentials.login("alice", PASSWORD)
        other = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("another")
        store.accounts["alice"] = User("alice", other, revision=1)
        assert await credentials.login("alice", PASSWORD) is None
        assert await credentials.login("alice", "another")
        store.accounts["alice"] = replace(store.accounts["alice"], disabled=True, revision=2)
        assert await credentials.login("alice", "another") is None
        store.accounts["alice"] = User("alice", HASH, revision=3)
        before = len(checks.hashes)
        assert await credentials.login("alice", PASSWORD)
        assert len(checks.hashes) == before + 1
        del store.accounts["alice"]
        assert await credentials.login("alice", PASSWORD) is None

    run(test)


@pytest.mark.slow
def test_unknown_and_disabled_users_cost_as_much() -> None:
    async def test(credentials: Credentials, store: FakeStore, checks: Checks) -> None:
        store.accounts["off"] = User("off", HASH, disabled=True)
        store.accounts["empty"] = User("empty", "")
        store.accounts["odd"] = User("odd", "not a hash")
        for name in ("nobody", "off", "empty"):
            assert await credentials.login(name, PASSWORD) is None
            assert checks.hashes.pop().startswith("$argon2id$")
        assert await credentials.login("odd", PASSWORD) is None

    run(test)


@pytest.mark.slow
def test_the_same_login_at_once_is_verified_once() -> None:
    async def test(credentials: Credentials, store: FakeStore, checks: Checks) -> None:
        users = await asyncio.gather(*(credentials.login("alice", PASSWORD) for _ in range(50)))
        assert all(users)
        assert len(checks.hashes) == 1

    run(test)


@pytest.mark.slow
def test_bounds() -> None:
    async def test(credentials: Credentials, store: FakeStore, checks: Checks) -> None:
        for number in range(10):
            store.accounts[f"u{number}"] = User(f"u{number}", HASH)
            assert await credentials.login(f"u{number}", PASSWORD)
        assert len(credentials._verified) == 4
        results = await asyncio.gather(
            *(credentials.login("alice", f"wrong {number}") for number in range(20)), return_exceptions=True
        )
        assert sum(isinstance(result, Unavailable) for result in results) == 18
        assert not credentials._running

    run(test, credential_entries=4, password_queue=2)


@pytest.mark.slow
def test_no_quorum() -> None:
    async def test(credentials: Credentials, store: FakeStore, checks: Checks) -> None:
        assert await credentials.login("alice", PASSWORD)

        def fail(name: str) -> None:
            raise NoQuorum

        store.hooks["user"] = fail
        with pytest.raises(NoQuorum):
            await credentials.login("alice", PASSWORD)

    run(test)


@pytest.mark.slow
def test_a_login_that_is_given_up_does_not_break_others() -> None:
    async def test(credentials: Credentials, store: FakeStore, checks: Checks) -> None:
        first = asyncio.create_task(credentials.login("alice", PASSWORD))
        second = asyncio.create_task(credentials.login("alice", PASSWORD))
        await asyncio.sleep(0)
        first.cancel()
        assert await second

    run(test)
