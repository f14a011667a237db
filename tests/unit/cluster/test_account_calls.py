"""Two operators who change an account at the same time both have their change."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from raftstore.cluster.calls.accounts import ATTEMPTS, put_user
from raftstore.errors import Changed
from raftstore.peers import Peer, Role
from raftstore.types import User
from raftstore.wire import admin_pb2 as admin

OPERATOR = Peer("olga", Role.ADMIN)


class Accounts:
    """A store with one account; `meanwhile` happens between a look at it and a change."""

    def __init__(self, meanwhile: int) -> None:
        self.account = User("ada", "$argon2id$", revision=1)
        self.meanwhile = meanwhile

    async def user(self, name: str) -> User:
        seen = self.account
        if self.meanwhile:
            self.meanwhile -= 1
            self.account = replace(self.account, disabled=True, revision=self.account.revision + 1)
        return seen

    async def put_user(self, user: User, *, create: bool = False, update: bool = False) -> None:
        if user.revision != self.account.revision:
            raise Changed(user.name)
        self.account = replace(user, revision=user.revision + 1)


def set_quota(store: Accounts) -> None:
    node: Any = SimpleNamespace(accounts=store)
    request = admin.UserPut(name="ada", quota_bytes=5, update=True)
    asyncio.run(put_user.answer(node, request, OPERATOR))


@pytest.mark.parametrize("meanwhile", [0, 1, ATTEMPTS - 1])
def test_a_quota_does_not_enable_whom_another_has_just_disabled(meanwhile: int) -> None:
    store = Accounts(meanwhile)
    set_quota(store)
    assert (store.account.quota_bytes, store.account.disabled) == (5, meanwhile > 0)


def test_it_does_not_try_for_ever() -> None:
    store = Accounts(ATTEMPTS)
    with pytest.raises(Changed):
        set_quota(store)
    assert (store.account.quota_bytes, store.account.disabled) == (0, True)
