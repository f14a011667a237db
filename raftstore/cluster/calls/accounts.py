"""The accounts of users: list, make, change and remove them, and hand over what removed ones have left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from raftstore.cluster.calls.context import NodeContext
from raftstore.cluster.calls.people import inbox_of
from raftstore.cluster.status.convert import user_to_wire
from raftstore.errors import AlreadyExists, Changed, Invalid, NotFound
from raftstore.peers.calls import admin_call
from raftstore.rights import Actor
from raftstore.rights.reserved import home_of
from raftstore.types import Rule, User
from raftstore.wire import admin_pb2 as admin

_FIELDS = (
    *("password_hash", "home", "rights", "disabled", "replicas", "quota_bytes", "quota_files"),
    *("upload_rate", "download_rate", "max_sessions"),
    *("person", "expires_ns", "inbox_bytes", "inbox_files", "sender_bytes", "sender_files"),
    "trash_ns",
)

PERSONS_TRASH_NS = 30 * 86_400 * 10**9
"""What a new person has, if nothing else is asked for."""

_OPERATOR = Actor.system("an operator's command")

ATTEMPTS = 5
"""For a change of an account that others change at the same time."""


@admin_call("admin.users", admin.UsersRequest, admin.Users, changes=False)
async def users(node: NodeContext, _request: admin.UsersRequest) -> admin.Users:
    """List all accounts, after a read barrier."""
    reply = admin.Users()
    async for portion in node.accounts.users():
        reply.users.extend(user_to_wire(user, node.accounts.usage(user.owner)) for user in portion)
    return reply


@admin_call("admin.account", admin.AccountRequest, admin.Account, changes=False)
async def account(node: NodeContext, request: admin.AccountRequest) -> admin.Account:
    """Tell all about one account, after a read barrier. Raises NotFound."""
    user = await node.accounts.user(request.name)
    if user is None:
        raise NotFound(f"user {request.name}")
    trashed = await node.trash.usage(_OPERATOR, of=user.name)
    return admin.Account(
        user=user_to_wire(user, node.accounts.usage(user.owner)),
        inbox=await inbox_of(node, user) if user.person else None,
        trash_files=trashed.files,
        trash_bytes=trashed.bytes,
        groups=node.people.groups_of(user),
    )


@admin_call("admin.user_put", admin.UserPut, admin.UserReply, changes=True, nodes=True)
async def put_user(node: NodeContext, request: admin.UserPut) -> admin.UserReply:
    """Make or change an account. Raises as `merged`; Changed when others change it all the time."""
    for attempt in range(ATTEMPTS):
        earlier = await node.accounts.user(request.name)
        try:
            await node.accounts.put_user(merged(earlier, request), create=request.create, update=request.update)
            break
        except Changed:
            if attempt == ATTEMPTS - 1:
                raise
    return admin.UserReply()


@admin_call("admin.user_remove", admin.UserRemove, admin.UserReply, changes=True, nodes=True)
async def remove_user(node: NodeContext, request: admin.UserRemove) -> admin.UserReply:
    """Remove an account."""
    await node.accounts.remove_user(request.name)
    return admin.UserReply()


@admin_call("admin.user_orphans", admin.OrphansRequest, admin.Orphans, changes=False)
async def orphans(node: NodeContext, _request: admin.OrphansRequest) -> admin.Orphans:
    """List who has something and no account any more."""
    reply = admin.Orphans()
    for owner, usage in await node.accounts.orphans():
        reply.orphans.add(owner=owner, files=usage.files, bytes=usage.bytes)
    return reply


@admin_call("admin.user_adopt", admin.UserAdopt, admin.UserAdopted, changes=True, nodes=True)
async def adopt(node: NodeContext, request: admin.UserAdopt) -> admin.UserAdopted:
    """Hand some of what an orphan has left over to an account."""
    after, adopted, finished = await node.accounts.adopt(request.owner, request.name, request.after)
    return admin.UserAdopted(after=after, adopted=adopted, finished=finished)


def merged(earlier: User | None, put: admin.UserPut) -> User:
    """Return the account that `put` asks for.

    Raises AlreadyExists, NotFound (the account; a rule or key to be dropped), Invalid (no password hash, no home).
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
    if put.HasField("person") and not put.HasField("home"):
        _move_home(base, put, changes)
    if put.person and not base.person and not base.trash_ns:
        changes.setdefault("trash_ns", PERSONS_TRASH_NS)
    return replace(base, rules=_rules(base, put), authorized_keys=_keys(base, put), **changes)


def _move_home(base: User, put: admin.UserPut, changes: dict[str, Any]) -> None:
    """A person lives in /people; who is none any more has to live elsewhere."""
    if put.person:
        changes["home"] = home_of(put.name)
    elif base.person:
        raise Invalid("who is no person any more needs another home: say which directory it sees as /")


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
