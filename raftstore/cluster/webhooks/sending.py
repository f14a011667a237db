"""The leader's work for webhooks: one sender for each, so that a slow endpoint holds up nobody else.

A sender begins a message in the log, sends it, and ends it in the log; whoever leads next goes on with what is begun.
So an endpoint gets each message at least once, always under the same name, one after the other; it accepts each exactly
once by dropping names that it knows.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from raftstore.cluster.events import EventFeed
from raftstore.cluster.proposals import Propose
from raftstore.cluster.settings import WebhooksSettings
from raftstore.cluster.webhooks.backoff import pause
from raftstore.cluster.webhooks.message import events_body, headers, shape
from raftstore.cluster.webhooks.request import NotAccepted
from raftstore.errors import EventsLost, StoreError
from raftstore.metadata import Catalog
from raftstore.metadata.tables.cluster.clock import Clock
from raftstore.metadata.tables.events.webhooks import DeadLetter, Webhook, Webhooks
from raftstore.rights.reserved import LEVEL
from raftstore.types import Event
from raftstore.util.metrics import counter, gauge
from raftstore.util.tasks import Periodic, cancel_and_wait
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

LOOK = 1.0
"""Seconds between two looks whether this node leads, and which webhooks there are."""
BATCH = 100
"""Events of a message."""
PASSED = 1_000
"""Events that are not for a webhook after which its position moves."""
FAULT = 5.0
"""Seconds after which a sender goes on that met a fault of the program."""
TROUBLE = 1.0
"""Seconds until the log is asked again when it took nothing."""

_End = commands.EndMessage


class Requests(Protocol):
    """Sends one request: `Requester`, or what takes its place in a test."""

    async def send(self, url: str, headers: dict[str, str], body: bytes, *, private: bool) -> int:
        """See `Requester.post`."""
        ...


@dataclass(slots=True)
class Attempts:
    """How it goes with what a webhook waits for. `error`: of the last attempt; `at`: when the next is, by the loop."""

    failures: int = 0
    error: str = ""
    at: float = 0.0

    def over(self) -> None:
        """The last attempt was good, or another is wanted at once."""
        self.failures, self.error, self.at = 0, "", 0.0


@dataclass(slots=True)
class Counts:
    """Of all senders of a node since its start."""

    accepted: int = 0
    failed: int = 0
    given_up: int = 0


@dataclass(slots=True)
class Sender:
    """Sends to one webhook."""

    name: str
    revision: int
    settings: WebhooksSettings
    catalog: Catalog
    events: EventFeed
    propose: Propose
    requester: Requests
    counts: Counts
    attempts: Attempts = field(default_factory=Attempts)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _chance: random.Random = field(default_factory=random.Random)
    _retried: int = 0
    _seen: int = 0
    """Up to there nothing is left for it, if the position is not further."""

    async def run(self) -> None:
        """Send until the webhook is gone."""
        while (webhook := self._webhook()) is not None:
            self.changed.clear()
            try:
                wait = await self._step(webhook)
            except StoreError as error:
                log.info("a webhook waits", webhook=self.name, error=str(error))
                wait = TROUBLE
            except Exception:  # a fault of one message must not be the end of all
                log.exception("a webhook failed, trying again", webhook=self.name)
                wait = FAULT
            await self._wait(wait)

    def _webhook(self) -> Webhook | None:
        found = self.catalog.ask(Webhooks, lambda webhooks: webhooks.find(self.name))
        return found if found is not None and found.revision == self.revision else None

    async def _step(self, webhook: Webhook) -> float | None:
        """Do what is next; return for how many seconds there is nothing to do. None: until there are events."""
        if webhook.retried != self._retried:
            self._retried = webhook.retried
            self.attempts.over()
        asked = self.catalog.ask(Webhooks, lambda webhooks: webhooks.letters(self.name, 1, asked=True))
        if asked:
            await self._send_letter(webhook, asked[0])
            return 0
        wait = self.attempts.at - asyncio.get_running_loop().time()
        if wait > 0:
            return wait
        try:
            if not webhook.begun:
                return await self._begin(webhook)
            await self._send(webhook)
        except EventsLost as error:
            await self._end(webhook, error.first - 1, _End.LOST, str(error))
        return 0

    async def _wait(self, seconds: float | None) -> None:
        """Wait so long, or (None) for an event; less if something is changed."""
        if seconds == 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        waiting = {loop.create_task(self._changes(), name="webhook changed")}
        if seconds is None:
            waiting.add(loop.create_task(self._more(), name="webhook events"))
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_and_wait(*waiting)

    async def _changes(self) -> None:
        await self.changed.wait()

    async def _more(self) -> None:
        try:
            await self.events.more(self._seen)
        except StoreError:
            await asyncio.sleep(TROUBLE)

    # Messages.

    async def _ahead(self, webhook: Webhook, behind: int) -> tuple[list[Event], int]:
        """Return the next events for a webhook behind a number, up to BATCH, and up to where was looked."""
        found: list[Event] = []
        while len(found) < BATCH:
            page = await self.events.page(behind)
            if not page:
                break
            behind = page[-1].number
            found += [event for event in page if webhook.takes(event.kind)]
        return found[:BATCH], behind

    async def _within(self, webhook: Webhook, first: int, last: int) -> list[Event]:
        """Return the events for a webhook from one number to another: those of a message."""
        found: list[Event] = []
        behind = first - 1
        while behind < last:
            page = await self.events.page(behind)
            if not page:
                break
            behind = page[-1].number
            found += [event for event in page if event.number <= last and webhook.takes(event.kind)]
        return found

    async def _begin(self, webhook: Webhook) -> float | None:
        found, seen = await self._ahead(webhook, max(webhook.position, min(self._seen, self.events.newest())))
        if found:
            begin = commands.BeginMessage(
                name=self.name, revision=self.revision, position=webhook.position, last=found[-1].number
            )
            await self.propose(commands.Command(begin_message=begin))
            return 0
        self._seen = seen
        if seen - webhook.position >= PASSED:
            await self._end(webhook, seen, _End.PASSED)
        return None

    async def _send(self, webhook: Webhook) -> None:
        events = await self._within(webhook, webhook.position + 1, webhook.begun)
        error = await self._attempt(webhook, webhook.position + 1, webhook.begun, events)
        if error is None:
            self.counts.accepted += 1
            self.attempts.over()
            await self._end(webhook, webhook.begun, _End.ACCEPTED, following=await self._following(webhook))
            return
        self.counts.failed += 1
        self.attempts.failures += 1
        self.attempts.error = str(error)
        if not events or self._age_ns(events[0]) > int(self.settings.give_up * 1e9):
            self.counts.given_up += 1
            log.warning(
                "a message to a webhook is given up",
                webhook=self.name,
                events=f"{webhook.position + 1} to {webhook.begun}",
                error=str(error),
                remedy=f"`pixraft webhook retry {self.name}` sends it again",
            )
            await self._end(webhook, webhook.begun, _End.GIVEN_UP, str(error))
            return
        wait = pause(self.attempts.failures, self.settings.pause, error.after, self._chance)
        self.attempts.at = asyncio.get_running_loop().time() + wait

    def _age_ns(self, event: Event) -> int:
        """Return how old an event is by cluster time, which stands still at times; then it does not age."""
        return self.catalog.ask(Clock, lambda clock: clock.now_ns - clock.counted_from(event.time_ns))

    async def _following(self, webhook: Webhook) -> int:
        """Return the last event of the message after this one; 0: there is none yet."""
        try:
            ahead, _ = await self._ahead(webhook, webhook.begun)
        except EventsLost:
            return 0
        return ahead[-1].number if ahead else 0

    async def _attempt(
        self, webhook: Webhook, first: int, last: int, events: list[Event]
    ) -> NotAccepted | None:
        """Send once; return why it was not accepted, if it was not."""
        body = events_body(
            (shape(event, self.events.path(event)) for event in events), events[-1].time_ns if events else 0
        )
        signed = headers(webhook.secret, webhook.message(first, last), int(time.time()), body)
        try:
            await self.requester.send(webhook.url, signed, body, private=webhook.private)
        except NotAccepted as error:
            return error
        return None

    async def _end(
        self,
        webhook: Webhook,
        last: int,
        outcome: commands.EndMessage.Outcome,
        detail: str = "",
        following: int = 0,
    ) -> None:
        end = commands.EndMessage(
            name=self.name,
            revision=self.revision,
            position=webhook.position,
            last=last,
            outcome=outcome,
            detail=detail,
            next=following,
        )
        await self.propose(commands.Command(end_message=end))

    async def _send_letter(self, webhook: Webhook, letter: DeadLetter) -> None:
        try:
            events = await self._within(webhook, letter.first, letter.last)
            error: Exception | None = await self._attempt(webhook, letter.first, letter.last, events)
        except EventsLost as lost:
            error = lost
        end = commands.EndLetter(
            name=self.name,
            revision=self.revision,
            letter=letter.number,
            accepted=error is None,
            detail=str(error or ""),
        )
        await self.propose(commands.Command(end_letter=end))
        if error is None:
            self.counts.accepted += 1
        else:
            self.counts.failed += 1


class WebhookWork(Periodic):
    """Has a sender for each webhook while this node leads."""

    def __init__(
        self,
        settings: WebhooksSettings,
        *,
        catalog: Catalog,
        events: EventFeed,
        leads: Callable[[], bool],
        propose: Propose,
        requester: Requests,
    ) -> None:
        """Its signal is the only one that the catalog tells of webhooks."""
        super().__init__("webhooks", LOOK, waits="webhooks wait")
        self._settings = settings
        self._catalog = catalog
        self._events = events
        self._leads = leads
        self._propose = propose
        self.requester = requester
        self._counts = Counts()
        self._senders: dict[tuple[str, int], tuple[Sender, asyncio.Task[None]]] = {}
        catalog.watch_webhooks(self._changed)

    def _changed(self) -> None:
        for sender, _ in self._senders.values():
            sender.changed.set()

    def attempts(self, name: str, revision: int) -> Attempts | None:
        """Return how it goes with a webhook, if this node sends to it."""
        found = self._senders.get((name, revision))
        return found[0].attempts if found is not None else None

    async def look(self) -> None:
        """Begin and end senders."""
        wanted = set()
        if self._catalog.level >= LEVEL and self._leads():
            webhooks = self._catalog.ask(Webhooks, lambda table: table.all())
            wanted = {(each.name, each.revision) for each in webhooks}
        for key in [key for key, (_, task) in self._senders.items() if key not in wanted or task.done()]:
            await cancel_and_wait(self._senders.pop(key)[1])
        for name, revision in wanted - self._senders.keys():
            sender = Sender(
                name,
                revision,
                self._settings,
                self._catalog,
                self._events,
                self._propose,
                self.requester,
                self._counts,
            )
            task = asyncio.get_running_loop().create_task(sender.run(), name=f"webhook {name}")
            self._senders[name, revision] = (sender, task)

    async def stop(self) -> None:
        """Send nothing more."""
        await super().stop()
        tasks = [task for _, task in self._senders.values()]
        self._senders.clear()
        await cancel_and_wait(*tasks)

    @counter(
        "pixraft_webhook_messages_total",
        "Attempts of this node, while it led, to send a message to a webhook, and messages that it gave up.",
        label="result",
        values=("accepted", "failed", "given_up"),
    )
    def messages(self) -> dict[str, int]:
        """Those that were tried by `webhook test` do not count."""
        counts = self._counts
        return {"accepted": counts.accepted, "failed": counts.failed, "given_up": counts.given_up}

    @gauge("pixraft_webhooks_failing", "Webhooks whose last message was not accepted, at the node that leads.")
    def failing(self) -> int:
        """They are tried again."""
        return sum(1 for sender, _ in self._senders.values() if sender.attempts.failures)
