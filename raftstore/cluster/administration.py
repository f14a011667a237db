"""The admin calls that the `pixraft` command makes, answered by any node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol

from raftstore.cluster.status.convert import cluster_to_wire, user_to_wire
from raftstore.errors import AlreadyExists, Changed, Invalid, NotFound
from raftstore.peers import Peer, PeerNetwork, Reply, Role
from raftstore.types import ClusterStatus, Rule, Usage, User
from raftstore.wire import admin_pb2 as admin

BOTH = frozenset({Role.NODE, Role.ADMIN})

_FIELDS = (
    *("password_hash", "home", "rights", "disabled", "replicas", "quota_bytes", "quota_files"),
    *("upload_rate", "download_rate", "max_sessions"),
)

Answering = Callable[[bytes], Awaitable[bytes]]
"""Takes the body of a request and returns that of the reply; may raise StoreError."""

MAX_SHORT = 1_000
"""Names of pictures with too few copies that a status tells: each is looked up, some ten microseconds of the loop."""

ATTEMPTS = 5
"""For a change of an account that others change at the same time."""


class Reporting(Protocol):
    """What the admin calls need of a node."""

    def report(self, peer: str, request: admin.NodeRequest) -> admin.NodeReport:
        """Return what this node says of itself, and of `peer`, which asks."""
        ...

    async def status(self, short_limit: int) -> ClusterStatus:
        """Return the cluster's status."""
        ...


class AccountStore(Protocol):
    """What the admin calls need of the accounts."""

    def users(self) -> AsyncIterator[list[User]]:
        """Yield all accounts, after a read barrier, some at a time."""
        ...

    async def user(self, name: str) -> User | None:
        """Return an account, after a read barrier."""
        ...

    def usage(self, owner: str) -> Usage:
        """Return what an account owns."""
        ...

    async def put_user(self, user: User, *, create: bool = False, update: bool = False) -> None:
        """Make or change an account."""
        ...

    async def remove_user(self, name: str) -> None:
        """Remove an account."""
        ...

    async def orphans(self) -> list[tuple[str, Usage]]:
        """Return who has something and no account any more."""
        ...

    async def adopt(self, owner: str, name: str, after: int) -> tuple[int, int, bool]:
        """Hand some of what an orphan has left over to an account."""
        ...


class NodeCalls:
    """Registers the calls that tell how a node and the cluster are, for node and admin certificates."""

    def __init__(self, node: Reporting, network: PeerNetwork) -> None:
        self._reporting = node
        network.serve("admin.node", self._node, roles=BOTH)
        network.serve("admin.status", self._status, roles=BOTH)

    async def _node(self, peer: Peer, body: bytes, _payload: memoryview) -> Reply:
        report = self._reporting.report(peer.name, admin.NodeRequest.FromString(body))
        return Reply(report.SerializeToString())

    async def _status(self, _peer: Peer, body: bytes, _payload: memoryview) -> Reply:
        request = admin.StatusRequest.FromString(body)
        status = await self._reporting.status(min(request.short_limit or 100, MAX_SHORT))
        return Reply(cluster_to_wire(status).SerializeToString())


class AccountCalls:
    """Registers the calls about accounts, for node and admin certificates."""

    def __init__(self, accounts: AccountStore, network: PeerNetwork) -> None:
        self._accounts = accounts
        for name, answer in (
            ("users", self._users),
            ("user_put", self._user_put),
            ("user_remove", self._user_remove),
            ("user_orphans", self._user_orphans),
            ("user_adopt", self._user_adopt),
        ):
            network.serve(f"admin.{name}", answer, roles=BOTH)

    async def _users(self, _peer: Peer, _body: bytes, _payload: memoryview) -> Reply:
        answer = admin.Users()
        async for users in self._accounts.users():
            answer.users.extend(user_to_wire(user, self._accounts.usage(user.owner)) for user in users)
        return Reply(answer.SerializeToString())

    async def _user_put(self, _peer: Peer, body: bytes, _payload: memoryview) -> Reply:
        put = admin.UserPut.FromString(body)
        for attempt in range(ATTEMPTS):
            earlier = await self._accounts.user(put.name)
            try:
                await self._accounts.put_user(merged(earlier, put), create=put.create, update=put.update)
                break
            except Changed:
                if attempt == ATTEMPTS - 1:
                    raise
        return Reply(admin.UserReply().SerializeToString())

    async def _user_remove(self, _peer: Peer, body: bytes, _payload: memoryview) -> Reply:
        await self._accounts.remove_user(admin.UserRemove.FromString(body).name)
        return Reply(admin.UserReply().SerializeToString())

    async def _user_orphans(self, _peer: Peer, _body: bytes, _payload: memoryview) -> Reply:
        answer = admin.Orphans()
        for owner, usage in await self._accounts.orphans():
            answer.orphans.add(owner=owner, files=usage.files, bytes=usage.bytes)
        return Reply(answer.SerializeToString())

    async def _user_adopt(self, _peer: Peer, body: bytes, _payload: memoryview) -> Reply:
        adopt = admin.UserAdopt.FromString(body)
        after, adopted, finished = await self._accounts.adopt(adopt.owner, adopt.name, adopt.after)
        return Reply(admin.UserAdopted(after=after, adopted=adopted, finished=finished).SerializeToString())


def serve_admin(network: PeerNetwork, method: str, answer: Answering, *, changes: bool) -> None:
    """Register a further admin call. `changes`: it needs an admin's certificate."""

    async def handle(_peer: Peer, body: bytes, _payload: memoryview) -> Reply:
        return Reply(await answer(body))

    network.serve(method, handle, roles=frozenset({Role.ADMIN}) if changes else BOTH)


def merged(earlier: User | None, put: admin.UserPut) -> User:
    """Return the account that `put` asks for.

    Raises AlreadyExists, NotFound (the account; a rule or key to be dropped), Invalid (no password hash).
    """
    if put.create and earlier is not None:
        raise AlreadyExists(f"user {put.name}")
    if put.update and earlier is None:
        raise NotFound(f"user {put.name}")
    if earlier is None and not put.HasField("password_hash"):
        raise Invalid("a new account needs a password")
    base = earlier if put.update and earlier is not None else User(put.name, "")
    changes: dict[str, Any] = {field: getattr(put, field) for field in _FIELDS if put.HasField(field)}
    if earlier is not None and "password_hash" not in changes:
        changes["password_hash"] = earlier.password_hash
    return replace(base, rules=_rules(base, put), authorized_keys=_keys(base, put), **changes)


def _rules(base: User, put: admin.UserPut) -> tuple[Rule, ...]:
    rules = {rule.path: rule.rights for rule in base.rules}
    rules.update((rule.path, rule.rights) for rule in put.set_rules)
    for path in put.drop_rules:
        if rules.pop(path, None) is None:
            raise NotFound(f"rule of user {put.name} for {path}")
    return tuple(Rule(path, rights) for path, rights in sorted(rules.items()))


def _keys(base: User, put: admin.UserPut) -> tuple[str, ...]:
    keys = dict.fromkeys((*base.authorized_keys, *put.add_keys))
    for key in put.drop_keys:
        if key not in keys:
            raise NotFound(f"key of user {put.name}")
        del keys[key]
    return tuple(keys)
