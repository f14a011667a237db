"""Persons, for operators: their groups, blocks and inboxes, what they have sent, and what former ones have left."""

from __future__ import annotations

from raftstore.cluster.calls.context import NodeContext
from raftstore.errors import AlreadyExists, Changed, NotFound
from raftstore.metadata.tables.people import inboxes
from raftstore.metadata.tables.people.groups import Group
from raftstore.peers.calls import admin_call
from raftstore.rights import Actor
from raftstore.types import NEWEST_SENT, SentItem, User
from raftstore.wire import admin_pb2 as admin

ATTEMPTS = 5
"""For a change of a group that others change at the same time."""

GROUPS = 50
"""Groups that are told at a time: each may have a thousand members."""

ITEMS = 500
"""Things sent that are told at a time."""

_OPERATOR = Actor.system("an operator's command")


@admin_call("admin.groups", admin.GroupsRequest, admin.Groups, changes=False)
async def groups(node: NodeContext, request: admin.GroupsRequest) -> admin.Groups:
    """List groups, or one. Raises NotFound for one that is not there."""
    reply = admin.Groups()
    names = [request.name] if request.name else await node.people.groups(request.after, GROUPS)
    for name in names:
        found = await node.people.group(name)
        if found is not None:
            reply.groups.add(name=found.name, owner=found.owner, members=found.members)
        elif request.name:
            raise NotFound(f"group {name}")
    return reply


@admin_call("admin.group_put", admin.GroupPut, admin.GroupReply, changes=True)
async def put_group(node: NodeContext, request: admin.GroupPut) -> admin.GroupReply:
    """Make or change a group. Raises AlreadyExists, NotFound, BadName, Invalid, Changed: others do all the time."""
    for attempt in range(ATTEMPTS):
        earlier = await node.people.group(request.name)
        members = members_after(earlier, request)
        try:
            await node.people.put_group(
                _OPERATOR,
                request.name,
                members,
                create=request.create,
                update=not request.create,
                revision=earlier.revision if earlier is not None else 0,
                owner=(await _person(node, request.owner)).owner if request.owner else "",
            )
            break
        except Changed:
            if attempt == ATTEMPTS - 1:
                raise
    return admin.GroupReply()


def members_after(earlier: Group | None, put: admin.GroupPut) -> list[str]:
    """Return the members that `put` asks for, sorted. Raises AlreadyExists, NotFound (the group; who is no member)."""
    if put.create and earlier is not None:
        raise AlreadyExists(f"group {put.name}")
    if not put.create and earlier is None:
        raise NotFound(f"group {put.name}")
    members = set(earlier.members) if earlier is not None else set()
    for name in put.remove:
        if name not in members:
            raise NotFound(f"member {name} of group {put.name}")
    return sorted((members | set(put.add)) - set(put.remove))


@admin_call("admin.group_remove", admin.GroupRemove, admin.GroupReply, changes=True)
async def remove_group(node: NodeContext, request: admin.GroupRemove) -> admin.GroupReply:
    """Remove a group; what was sent to it stays. Raises NotFound."""
    await node.people.remove_group(_OPERATOR, request.name)
    return admin.GroupReply()


@admin_call("admin.block", admin.BlockPut, admin.BlockReply, changes=True)
async def block(node: NodeContext, request: admin.BlockPut) -> admin.BlockReply:
    """Have a person take nothing more from somebody, or again. Raises NotFound."""
    await _person(node, request.person)
    await node.people.block(_OPERATOR, request.person, request.name, off=request.off)
    return admin.BlockReply()


@admin_call("admin.inbox", admin.InboxRequest, admin.Inbox, changes=False)
async def inbox(node: NodeContext, request: admin.InboxRequest) -> admin.Inbox:
    """Tell how full a person's inbox is. Raises NotFound."""
    return await inbox_of(node, await _person(node, request.name))


async def inbox_of(node: NodeContext, user: User) -> admin.Inbox:
    """Tell how full the inbox of a person is, and whom the person blocks."""
    usage = node.people.inbox(user)
    return admin.Inbox(
        bytes=usage.bytes,
        files=usage.files,
        max_bytes=user.inbox_bytes or inboxes.BYTES,
        max_files=user.inbox_files or inboxes.FILES,
        sender_bytes=user.sender_bytes or inboxes.SENDER_BYTES,
        sender_files=user.sender_files or inboxes.SENDER_FILES,
        blocks=await node.people.blocks(user.name),
    )


@admin_call("admin.sent", admin.SentRequest, admin.SentPage, changes=False)
async def sent(node: NodeContext, request: admin.SentRequest) -> admin.SentPage:
    """Tell what a person has sent. Raises NotFound."""
    before = (request.before.record, request.before.delivery) if request.HasField("before") else NEWEST_SENT
    items = await node.people.sent(request.name, ITEMS, before=before, ended=request.ended)
    return admin.SentPage(sent=map(_sent_to_wire, items))


def _sent_to_wire(item: SentItem) -> admin.Sent:
    return admin.Sent(
        path=item.path,
        recipient=item.recipient,
        state=item.state.name.lower(),
        size=item.size,
        sent_ns=item.sent_ns,
        expires_ns=item.expires_ns,
        ended_ns=item.ended_ns,
        key=admin.SentKey(record=item.key[0], delivery=item.key[1]),
    )


@admin_call("admin.person_purge", admin.PersonPurge, admin.PersonPurged, changes=True)
async def purge(node: NodeContext, request: admin.PersonPurge) -> admin.PersonPurged:
    """Remove some of what a former person has left. Raises Changed: there is a person of that name."""
    await node.barrier()
    identity = node.people.former(request.name)
    if identity is None:
        return admin.PersonPurged(finished=True)
    removed, finished = await node.people.purge(identity)
    return admin.PersonPurged(removed=removed, finished=finished)


async def _person(node: NodeContext, name: str) -> User:
    user = await node.accounts.user(name)
    if user is None or not user.person:
        raise NotFound(f"person {name}")
    return user
