"""The admin calls that the `pixraft` command makes, answered by any node."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol

from raftstore.cluster.membership.boot import Boots
from raftstore.cluster.status.convert import cluster_to_wire, node_to_wire, user_to_wire
from raftstore.errors import AlreadyExists, Changed, Invalid, NotFound
from raftstore.peers import Peer, PeerNetwork, Reply, Role
from raftstore.types import ClusterStatus, NodeStatus, Rule, Usage, User
from raftstore.util.space import Space
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


class Administered(Protocol):
    """What the admin calls need of a store."""

    def own_status(self) -> tuple[NodeStatus, str]:
        """Return this node's status and the leader it follows ("" for none)."""
        ...

    def log_empty(self) -> bool:
        """Whether this node's log holds nothing yet."""
        ...

    def add_membership(self, report: admin.NodeReport, known: int) -> None:
        """Add what this node knows of the membership beyond log entry `known`."""
        ...

    def latest_boot(self, node: str) -> int:
        """Return the number of the newest start of `node` that has proposed something; 0: of none."""
        ...

    def add_progress(self, report: admin.NodeReport) -> None:
        """Add the number of this start, and up to where the log is safe, once the node takes part."""
        ...

    def volumes_identity(self) -> bytes:
        """Identity of the volumes on this node's disk."""
        ...

    def free_space(self) -> int:
        """Bytes of this node's disk that pictures may still take."""
        ...

    def space(self) -> Space:
        """How much space this node's disk has for log and catalog."""
        ...

    def superseded(self, node: str, identity: bytes) -> bool:
        """Whether `node` has had another disk since the one whose volumes have `identity`."""
        ...

    def outdated(self, node: str, identity: bytes, boots: Boots) -> bool:
        """Whether the data with which `node` has started, on the disk with `identity`, are an older copy."""
        ...

    async def status(self, short_limit: int = 100) -> ClusterStatus:
        """Return the cluster's status."""
        ...

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


class Administration:
    """Registers the admin calls on the peers channel, for node and admin certificates."""

    def __init__(self, store: Administered, network: PeerNetwork) -> None:
        self._store = store
        for name in ("node", "status", "users", "user_put", "user_remove", "user_orphans", "user_adopt"):
            network.serve(f"admin.{name}", getattr(self, f"_{name}"), roles=BOTH)

    async def _node(self, peer: Peer, body: bytes, _payload: memoryview) -> Reply:
        request = admin.NodeRequest.FromString(body)
        node, leader = self._store.own_status()
        report = admin.NodeReport(
            node=node_to_wire(node),
            leader=leader,
            empty=self._store.log_empty(),
            store=self._store.volumes_identity(),
            free_space=self._store.free_space(),
            space=self._store.space(),
            superseded=self._store.superseded(peer.name, request.store),
            outdated=self._store.outdated(
                peer.name, request.store, Boots(request.previous_boot, request.boot, request.log_end)
            ),
            latest_boot=self._store.latest_boot(peer.name),
            time_ns=time.time_ns(),
        )
        self._store.add_progress(report)
        self._store.add_membership(report, request.known)
        return Reply(report.SerializeToString())

    async def _status(self, _peer: Peer, body: bytes, _payload: memoryview) -> Reply:
        request = admin.StatusRequest.FromString(body)
        status = await self._store.status(min(request.short_limit or 100, MAX_SHORT))
        return Reply(cluster_to_wire(status).SerializeToString())

    async def _users(self, _peer: Peer, _body: bytes, _payload: memoryview) -> Reply:
        answer = admin.Users()
        async for users in self._store.users():
            answer.users.extend(user_to_wire(user, self._store.usage(user.owner)) for user in users)
        return Reply(answer.SerializeToString())

    async def _user_put(self, _peer: Peer, body: bytes, _payload: memoryview) -> Reply:
        put = admin.UserPut.FromString(body)
        for attempt in range(ATTEMPTS):
            earlier = await self._store.user(put.name)
            try:
                await self._store.put_user(merged(earlier, put), create=put.create, update=put.update)
                break
            except Changed:
                if attempt == ATTEMPTS - 1:
                    raise
        return Reply(admin.UserReply().SerializeToString())

    async def _user_remove(self, _peer: Peer, body: bytes, _payload: memoryview) -> Reply:
        await self._store.remove_user(admin.UserRemove.FromString(body).name)
        return Reply(admin.UserReply().SerializeToString())

    async def _user_orphans(self, _peer: Peer, _body: bytes, _payload: memoryview) -> Reply:
        answer = admin.Orphans()
        for owner, usage in await self._store.orphans():
            answer.orphans.add(owner=owner, files=usage.files, bytes=usage.bytes)
        return Reply(answer.SerializeToString())

    async def _user_adopt(self, _peer: Peer, body: bytes, _payload: memoryview) -> Reply:
        adopt = admin.UserAdopt.FromString(body)
        after, adopted, finished = await self._store.adopt(adopt.owner, adopt.name, adopt.after)
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
