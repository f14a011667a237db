"""Webhooks, for operators: add, list, test, remove them, and have dead letters sent again."""

from __future__ import annotations

import asyncio
import secrets
import time

from raftstore.cluster.calls.context import NodeContext
from raftstore.cluster.webhooks.message import headers, shown_secret, trial_body
from raftstore.cluster.webhooks.request import NotAccepted, target_of
from raftstore.errors import Invalid, NotFound, StoreError
from raftstore.metadata.tables.events.events import Events
from raftstore.metadata.tables.events.webhooks import Webhook, Webhooks
from raftstore.peers import Peer
from raftstore.peers.calls import admin_call, node_call
from raftstore.rights.reserved import LEVEL
from raftstore.types import EventKind
from raftstore.wire import admin_pb2 as admin
from raftstore.wire import commands_pb2 as commands

KINDS = tuple(kind.name.lower() for kind in EventKind)
"""Kinds of events by their names."""

TIMEOUT = 2.0
"""Seconds that the leader has to say how it goes."""

SECRET = 32


@node_call("webhooks.attempts", admin.WebhookQuestion, admin.WebhookKnown)
async def attempts_here(node: NodeContext, request: admin.WebhookQuestion, _peer: Peer) -> admin.WebhookKnown:
    """Say how it goes with a webhook that this node sends to: for another node, which has checked the certificate."""
    found = node.webhooks.attempts(request.name, request.revision)
    if found is None:
        return admin.WebhookKnown()
    wait = max(0.0, found.at - asyncio.get_running_loop().time()) if found.failures else 0.0
    known = admin.WebhookAttempts(failures=found.failures, error=found.error, wait_ms=int(wait * 1000))
    return admin.WebhookKnown(attempts=known)


@admin_call("admin.webhooks", admin.WebhooksRequest, admin.Webhooks, changes=False, nodes=False)
async def webhooks(node: NodeContext, request: admin.WebhooksRequest) -> admin.Webhooks:
    """List them, or one with its dead letters. Raises NotFound, Invalid (of this level)."""
    await _there(node)
    reply = admin.Webhooks()
    for webhook in node.catalog.ask(Webhooks, lambda table: table.all()):
        if request.name in ("", webhook.name):
            reply.webhooks.append(await _state(node, webhook, letters=bool(request.name)))
    if request.name and not reply.webhooks:
        raise NotFound(f"webhook {request.name}")
    return reply


async def _state(node: NodeContext, webhook: Webhook, *, letters: bool) -> admin.WebhookState:
    state = admin.WebhookState(
        name=webhook.name,
        url=webhook.url,
        kinds=webhook.kinds.split(),
        private=webhook.private,
        position=webhook.position,
        newest=node.catalog.ask(Events, lambda events: events.last),
        accepted=webhook.accepted,
        dead=node.catalog.ask(Webhooks, lambda table: table.count_letters(webhook.name)),
    )
    if letters:
        for letter in node.catalog.ask(Webhooks, lambda table: table.letters(webhook.name)):
            state.letters.add(
                number=letter.number,
                first=letter.first,
                last=letter.last,
                time_ns=letter.time_ns,
                detail=letter.detail,
                asked=letter.asked,
                lost=letter.lost,
            )
    known = await _attempts(node, admin.WebhookQuestion(name=webhook.name, revision=webhook.revision))
    if known.HasField("attempts"):
        state.attempts.CopyFrom(known.attempts)
    return state


async def _attempts(node: NodeContext, question: admin.WebhookQuestion) -> admin.WebhookKnown:
    leader = node.leader()
    if leader is None:
        return admin.WebhookKnown()
    if leader == node.settings.name:
        return await attempts_here.answer(node, question, Peer(leader, node.settings.identity.role))
    try:
        return await attempts_here.ask(node.network, leader, question, timeout=TIMEOUT)
    except StoreError:
        return admin.WebhookKnown()


async def _there(node: NodeContext) -> None:
    await node.barrier()
    if node.catalog.level < LEVEL:
        raise Invalid("there are no webhooks before the cluster is upgraded: see `pixraft upgrade`")


async def _named(node: NodeContext, name: str) -> Webhook:
    await _there(node)
    found = node.catalog.ask(Webhooks, lambda table: table.find(name))
    if found is None:
        raise NotFound(f"webhook {name}")
    return found


def _without_secrets(request: admin.WebhookAdd) -> admin.WebhookAdd:
    """The path of a URL may be one."""
    shown = admin.WebhookAdd()
    shown.CopyFrom(request)
    try:
        shown.url = target_of(request.url, private=True).origin
    except Invalid:
        shown.url = "(not a URL)"
    return shown


@admin_call("admin.webhook_add", admin.WebhookAdd, admin.WebhookAdded, changes=True, shown=_without_secrets)
async def add(node: NodeContext, request: admin.WebhookAdd) -> admin.WebhookAdded:
    """Send what happens from now on to a URL, and tell the secret. Raises AlreadyExists, Invalid."""
    await _there(node)
    target_of(request.url, private=request.private)
    unknown = sorted(set(request.kinds) - set(KINDS))
    if unknown:
        raise Invalid(f"there is no event {unknown[0]!r}; there are {', '.join(KINDS)}")
    webhook = commands.Webhook(
        name=request.name,
        url=request.url,
        kinds=request.kinds,
        private=request.private,
        secret=secrets.token_bytes(SECRET),
        key=secrets.token_bytes(16),
    )
    await node.propose(commands.Command(add_webhook=commands.AddWebhook(webhook=webhook)))
    return admin.WebhookAdded(secret=shown_secret(webhook.secret))


@admin_call("admin.webhook_remove", admin.WebhookRemove, admin.WebhookReply, changes=True)
async def remove(node: NodeContext, request: admin.WebhookRemove) -> admin.WebhookReply:
    """Send nothing more there. Raises NotFound."""
    await _there(node)
    await node.propose(commands.Command(remove_webhook=commands.RemoveWebhook(name=request.name)))
    return admin.WebhookReply()


@admin_call("admin.webhook_retry", admin.WebhookRetry, admin.WebhookReply, changes=True)
async def retry(node: NodeContext, request: admin.WebhookRetry) -> admin.WebhookReply:
    """Have dead letters sent once more, and what waits for another attempt now. Raises NotFound, Invalid."""
    await _there(node)
    again = commands.RetryWebhook(name=request.name, letter=request.letter)
    await node.propose(commands.Command(retry_webhook=again))
    return admin.WebhookReply()


@admin_call("admin.webhook_test", admin.WebhookTest, admin.WebhookTested, changes=True)
async def try_once(node: NodeContext, request: admin.WebhookTest) -> admin.WebhookTested:
    """Send a message without events from this node, once, and tell how that went. Raises NotFound."""
    webhook = await _named(node, request.name)
    now = time.time()
    body = trial_body(webhook.name, node.settings.name, int(now * 1e9))
    signed = headers(webhook.secret, f"test_{secrets.token_hex(16)}", int(now), body)
    begun = time.monotonic()
    reply = admin.WebhookTested()
    try:
        reply.status = await node.webhooks.requester.send(webhook.url, signed, body, private=webhook.private)
    except NotAccepted as error:
        reply.error = str(error)
    reply.took_ms = int((time.monotonic() - begun) * 1000)
    return reply
