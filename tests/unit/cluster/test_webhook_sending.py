"""What a leader does for webhooks: each event once under one name, in order, through failures and other leaders."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from catalogs import NOW, Feeder, command, put
from people import DAY, advance, person, send
from waiting import until

from raftstore.cluster.events import EventFeed
from raftstore.cluster.settings import WebhooksSettings
from raftstore.cluster.status import watching
from raftstore.cluster.status.watching import NodeWatch
from raftstore.cluster.webhooks import sending
from raftstore.cluster.webhooks.request import NotAccepted
from raftstore.cluster.webhooks.sending import WebhookWork
from raftstore.consensus.membership.configuration import Configuration
from raftstore.errors import OutcomeUnknown
from raftstore.metadata.results import accepted
from raftstore.metadata.tables.cluster.clock import Clock
from raftstore.metadata.tables.events import events as events_table
from raftstore.metadata.tables.events import webhooks as webhooks_table
from raftstore.metadata.tables.events.events import Events
from raftstore.metadata.tables.events.watched import WatchedNodes
from raftstore.metadata.tables.events.webhooks import DeadLetter, Webhook, Webhooks
from raftstore.rights import Actor
from raftstore.types import EventKind
from raftstore.wire import commands_pb2 as commands

QUICK = WebhooksSettings(pause=1, give_up=3600)


@pytest.fixture
def feeder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Feeder]:
    """What was done is done again in the end, by the same bounds: those that a test sets."""
    monkeypatch.setattr(sending, "LOOK", 0.02)
    monkeypatch.setattr(sending, "TROUBLE", 0.02)
    with Feeder(tmp_path / "catalog.db") as made:
        advance(made, 10 * DAY)
        yield made
        made.check_replay(tmp_path / "replayed" / "catalog.db")


@pytest.fixture
def anna(feeder: Feeder) -> Actor:
    person(feeder, "bob")
    return person(feeder, "anna")


class Endpoint:
    """In the place of what sends requests. Refuses while `error` is set, and waits while `gate` is."""

    def __init__(self) -> None:
        self.got: list[tuple[str, list[int]]] = []
        self.asked = 0
        self.error: NotAccepted | None = None
        self.gate: asyncio.Event | None = None

    async def send(self, url: str, headers: dict[str, str], body: bytes, *, private: bool) -> int:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        events = json.loads(body)["data"]["events"]
        self.got.append((headers["webhook-id"], [event["number"] for event in events]))
        return 204

    def numbers(self) -> list[int]:
        """Events in the order in which they came, without repeats of a message."""
        return [number for _, numbers in dict(self.got).items() for number in numbers]


class Leader:
    """A node that leads. `unheard`: so many ends of messages are applied, and it does not hear of it."""

    def __init__(self, feeder: Feeder, endpoint: Endpoint, settings: WebhooksSettings = QUICK) -> None:
        self.leads = True
        self.unheard = 0
        self.feeder = feeder
        self.work = WebhookWork(
            settings,
            catalog=feeder.catalog,
            events=EventFeed(feeder.catalog, self.barrier),
            leads=lambda: self.leads,
            propose=self.propose,
            requester=endpoint,
        )

    async def barrier(self) -> None:
        """It is alone."""

    async def propose(self, built: commands.Command) -> commands.Result:
        await asyncio.sleep(0)
        if built.WhichOneof("kind") == "end_message" and self.unheard:
            self.unheard -= 1
            raise OutcomeUnknown("killed")
        return accepted(self.feeder.one(built).SerializeToString())


@asynccontextmanager
async def leading(feeder: Feeder, endpoint: Endpoint, **options: Any) -> AsyncIterator[Leader]:
    leader = Leader(feeder, endpoint, **options)
    leader.work.start()
    try:
        yield leader
    finally:
        await leader.work.stop()


def add(feeder: Feeder, name: str = "shop", **fields: Any) -> None:
    webhook = commands.Webhook(
        name=name, url="https://shop.example/", secret=b"s" * 32, key=name.encode().ljust(16), **fields
    )
    assert feeder.status(command("add_webhook", webhook=webhook)) == "OK"


def happen(feeder: Feeder, anna: Actor, count: int = 1) -> int:
    """Have so many events; return the number of the last."""
    for _ in range(count):
        number = newest(feeder) + 1
        assert send(feeder, anna, f"bob/{number}.jpg", number).status == commands.OK
    return newest(feeder)


def newest(feeder: Feeder) -> int:
    return feeder.catalog.ask(Events, lambda events: events.last)


def webhook(feeder: Feeder, name: str = "shop") -> Webhook:
    found = feeder.catalog.ask(Webhooks, lambda table: table.find(name))
    assert found is not None
    return found


def letters(feeder: Feeder, name: str = "shop") -> list[DeadLetter]:
    return feeder.catalog.ask(Webhooks, lambda table: table.letters(name))


def run(main: Callable[[], Any]) -> None:
    asyncio.run(main())


def test_what_happens_after_it_was_added_is_sent_once_in_order(feeder: Feeder, anna: Actor) -> None:
    before = happen(feeder, anna, 3)
    add(feeder)

    async def main() -> None:
        endpoint = Endpoint()
        async with leading(feeder, endpoint):
            last = happen(feeder, anna, 250)
            await until(lambda: webhook(feeder).position == last)
            again = happen(feeder, anna)
            await until(lambda: webhook(feeder).position == again)
        assert endpoint.numbers() == list(range(before + 1, again + 1))
        assert len(endpoint.got) == len(dict(endpoint.got)), "nothing was sent twice"
        assert max(len(numbers) for _, numbers in endpoint.got) <= sending.BATCH
        assert webhook(feeder).accepted == len(endpoint.got)

    run(main)


def test_a_leader_that_does_not_hear_the_end_and_the_next_one_send_the_same_message(
    feeder: Feeder, anna: Actor
) -> None:
    add(feeder)

    async def main() -> None:
        endpoint = Endpoint()
        async with leading(feeder, endpoint) as first:
            first.unheard = 1_000
            happen(feeder, anna, 3)
            await until(lambda: len(endpoint.got) >= 2)
            happen(feeder, anna, 3)
        async with leading(feeder, endpoint):
            await until(lambda: webhook(feeder).position == newest(feeder))
        assert len({name for name, numbers in endpoint.got if 1 in numbers}) == 1
        assert endpoint.numbers() == list(range(1, newest(feeder) + 1))
        assert all(numbers == dict(endpoint.got)[name] for name, numbers in endpoint.got)

    run(main)


def test_who_does_not_lead_sends_nothing(feeder: Feeder, anna: Actor) -> None:
    add(feeder)

    async def main() -> None:
        endpoint = Endpoint()
        endpoint.gate = asyncio.Event()
        async with leading(feeder, endpoint) as leader:
            happen(feeder, anna)
            await until(lambda: endpoint.asked == 1)
            leader.leads = False
            await until(lambda: leader.work.attempts("shop", webhook(feeder).revision) is None)
            endpoint.gate.set()
            leader.leads = True
            await until(lambda: len(endpoint.got) == 1)
        assert endpoint.asked == 2

    run(main)


def test_an_endpoint_that_is_down_for_a_while_gets_all(feeder: Feeder, anna: Actor) -> None:
    add(feeder)

    async def main() -> None:
        endpoint = Endpoint()
        endpoint.error = NotAccepted("connection refused")
        async with leading(feeder, endpoint) as leader:
            happen(feeder, anna, 5)
            await until(lambda: endpoint.asked >= 2)
            attempts = leader.work.attempts("shop", webhook(feeder).revision)
            assert attempts is not None
            assert (attempts.failures >= 1, attempts.error) == (True, "connection refused")
            assert leader.work.failing() == 1
            endpoint.error = None
            await until(lambda: webhook(feeder).position == newest(feeder))
            await until(lambda: attempts.failures == 0)
            assert leader.work.messages()["failed"] >= 2
        assert endpoint.numbers() == [1, 2, 3, 4, 5]
        assert letters(feeder) == []

    run(main)


def test_retry_asks_at_once_what_waits(feeder: Feeder, anna: Actor) -> None:
    add(feeder)

    async def main() -> None:
        endpoint = Endpoint()
        endpoint.error = NotAccepted("wait", after=3600)
        async with leading(feeder, endpoint, settings=WebhooksSettings(pause=3600, give_up=3600)):
            happen(feeder, anna)
            await until(lambda: endpoint.asked == 1)
            endpoint.error = None
            assert feeder.status(command("retry_webhook", name="shop")) == "OK"
            await until(lambda: endpoint.numbers() == [1])

    run(main)


def test_what_is_too_old_becomes_a_dead_letter_and_holds_up_nothing(feeder: Feeder, anna: Actor) -> None:
    add(feeder)

    async def main() -> None:
        endpoint = Endpoint()
        async with leading(feeder, endpoint, settings=WebhooksSettings(pause=3600, give_up=3600)) as leader:
            endpoint.error = NotAccepted("it answers with 500")
            happen(feeder, anna, 2)
            await until(lambda: endpoint.asked >= 1)
            advance(feeder, 11 * DAY)
            feeder.one(command("retry_webhook", name="shop"))
            await until(lambda: bool(letters(feeder)))
            await until(lambda: webhook(feeder).position == 2)
            found = letters(feeder)
            assert (found[0].first, found[-1].last, found[0].detail) == (1, 2, "it answers with 500")
            assert leader.work.messages()["given_up"] == len(found)
            endpoint.error = None
            feeder.one(command("retry_webhook", name="shop"))
            last = happen(feeder, anna)
            await until(lambda: webhook(feeder).position == last and not letters(feeder))
        assert sorted(endpoint.numbers()) == [1, 2, 3]
        hook = webhook(feeder)
        for letter in found:
            assert hook.message(letter.first, letter.last) in dict(endpoint.got), "the name is that of before"

    run(main)


def test_a_dead_letter_that_fails_again_stays_with_the_new_reason(feeder: Feeder, anna: Actor) -> None:
    add(feeder)
    happen(feeder, anna)
    revision = webhook(feeder).revision
    feeder.one(command("begin_message", name="shop", revision=revision, position=0, last=1))
    end = {"outcome": commands.EndMessage.GIVEN_UP, "detail": "500"}
    feeder.one(command("end_message", name="shop", revision=revision, position=0, last=1, **end))
    feeder.one(command("retry_webhook", name="shop", letter=1))

    async def main() -> None:
        endpoint = Endpoint()
        endpoint.error = NotAccepted("it answers with 404")
        async with leading(feeder, endpoint):
            await until(lambda: not letters(feeder)[0].asked)
        assert letters(feeder)[0].detail == "it answers with 404"
        assert endpoint.asked == 1

    run(main)


def test_one_slow_endpoint_does_not_slow_others(feeder: Feeder, anna: Actor) -> None:
    class Both(Endpoint):
        async def send(self, url: str, headers: dict[str, str], body: bytes, *, private: bool) -> int:
            if "slow" in url:
                await asyncio.Event().wait()
            return await super().send(url, headers, body, private=private)

    add(feeder)
    slow = commands.Webhook(name="slow", url="https://slow.example/", secret=b"s" * 32, key=b"k" * 16)
    assert feeder.status(command("add_webhook", webhook=slow)) == "OK"

    async def main() -> None:
        endpoint = Both()
        async with leading(feeder, endpoint):
            for _ in range(3):
                last = happen(feeder, anna)
                await until(lambda last=last: webhook(feeder).position == last)  # type: ignore[misc]
        assert webhook(feeder, "slow").position == 0

    run(main)


def test_only_the_kinds_that_are_asked_for(
    feeder: Feeder, anna: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "PASSED", 5)
    add(feeder, kinds=["bounced"])

    async def main() -> None:
        endpoint = Endpoint()
        async with leading(feeder, endpoint):
            last = happen(feeder, anna, 6)
            await until(lambda: webhook(feeder).position == last)
            assert endpoint.got == []
            user = commands.User(name="bob", password_hash="$argon2id$", home="/bob", rights="r")
            assert feeder.status(command("put_user", user=user, update=True)) == "OK"
            await until(lambda: len(endpoint.got) == 1)
        assert endpoint.numbers() == [last + 1]

    run(main)


def test_events_that_are_not_kept_any_more_are_a_letter_that_cannot_be_sent(
    feeder: Feeder, anna: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_table, "MAX_KEPT", 8)
    monkeypatch.setattr(events_table, "LOT", 4)
    add(feeder)
    happen(feeder, anna, 20)
    kept = feeder.catalog.ask(Events, lambda events: events.first())

    async def main() -> None:
        endpoint = Endpoint()
        async with leading(feeder, endpoint):
            await until(lambda: webhook(feeder).position == 20)
        assert endpoint.numbers() == list(range(kept, 21))

    run(main)
    (letter,) = letters(feeder)
    assert (letter.first, letter.last, letter.lost) == (1, kept - 1, True)
    assert feeder.status(command("retry_webhook", name="shop", letter=1)) == "INVALID"


def test_a_webhook_that_is_removed_and_made_again_is_another(feeder: Feeder, anna: Actor) -> None:
    add(feeder)
    old = webhook(feeder)
    happen(feeder, anna)

    async def main() -> None:
        endpoint = Endpoint()
        endpoint.gate = asyncio.Event()
        async with leading(feeder, endpoint):
            await until(lambda: endpoint.asked == 1)
            assert feeder.status(command("remove_webhook", name="shop")) == "OK"
            add(feeder)
            endpoint.gate.set()
            last = happen(feeder, anna)
            await until(lambda: webhook(feeder).position == last)
        assert [numbers for _, numbers in endpoint.got][-1] == [last]

    run(main)
    assert webhook(feeder).revision != old.revision


def test_uploads_are_events_while_a_webhook_asks_for_them(feeder: Feeder) -> None:
    feeder.make("/cams")
    add(feeder)
    feeder.one(put("/cams/0.jpg", 1))
    assert newest(feeder) == 0
    add(feeder, "eye", kinds=["uploaded"])
    feeder.reopen()
    done = feeder.one(put("/cams/1.jpg", 2))
    feeder.one(put("/cams/1.jpg", 3, exclusive=True))  # refused
    (event,) = feeder.catalog.ask(Events, lambda events: events.after(0, 10))
    assert (event.kind, event.inode, event.owner) == (EventKind.UPLOADED, done.inode, "ada")

    async def main() -> None:
        endpoint = Endpoint()
        async with leading(feeder, endpoint):
            await until(lambda: webhook(feeder, "eye").position == 1)
        assert endpoint.numbers() == [1]
        assert webhook(feeder).accepted == 0, "who names no kinds gets no uploads"

    run(main)
    assert feeder.status(command("remove_webhook", name="eye")) == "OK"
    feeder.one(put("/cams/2.jpg", 4))
    assert newest(feeder) == 1


def test_the_leader_notes_once_who_cannot_be_reached_and_who_can_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feeder = Feeder(tmp_path / "catalog.db")
    feeder.index += 1
    feeder.catalog.configure(feeder.index, Configuration.of(["n1", "n2", "n3"]).encode())
    proposed: list[tuple[str, bool]] = []
    leads, silent = True, {"n3"}

    async def propose(built: commands.Command) -> commands.Result:
        proposed.append((built.note_node.node, built.note_node.down))
        return accepted(feeder.one(built).SerializeToString())

    watch = NodeWatch(
        catalog=feeder.catalog,
        leads=lambda: leads,
        others=lambda: ["n2", "n3", "n9"],
        answers=lambda name: name not in silent,
        propose=propose,
    )
    asyncio.run(watch.look())
    assert proposed == [], "not at once"
    monkeypatch.setattr(watching, "DOWN_AFTER", 0.0)
    silent.add("n9")
    for _ in range(2):
        asyncio.run(watch.look())
    assert proposed == [("n3", True), ("n9", True), ("n9", True)], "n9 is no member by now"
    silent.clear()
    leads = False
    asyncio.run(watch.look())
    leads = True
    for _ in range(2):
        asyncio.run(watch.look())
    noted = feeder.catalog.ask(Events, lambda events: events.after(0, 10))
    assert [(each.kind.name, each.owner) for each in noted] == [("NODE_DOWN", "n3"), ("NODE_UP", "n3")]
    assert feeder.status(command("note_node", node="n3", down=False)) == "CHANGED"
    feeder.one(command("note_node", node="n3", down=True))
    feeder.index += 1
    feeder.catalog.configure(feeder.index, Configuration.of(["n1", "n2"]).encode())
    assert feeder.catalog.ask(WatchedNodes, lambda watched: watched.down()) == set()
    feeder.catalog.close()


# The table.


def test_what_is_no_webhook_is_refused(feeder: Feeder) -> None:
    good = {"name": "shop", "url": "https://shop.example/", "secret": b"s" * 32, "key": b"k" * 16}
    for wrong in (
        *({"name": name} for name in ("", "a b", "x" * 65, ".x", "a/b")),
        *({"url": url} for url in ("", "https://a b", "https://" + "x" * 2_048, "https://a\n")),
        *({"secret": secret} for secret in (b"", b"s" * 23, b"s" * 65)),
        *({"key": b"k"}, {"kinds": ["No"]}, {"kinds": ["x"] * 51}),
    ):
        asked = commands.Webhook(**(good | wrong))
        assert feeder.status(command("add_webhook", webhook=asked)) == "INVALID", wrong
    assert feeder.status(command("add_webhook", webhook=commands.Webhook(**good))) == "OK"
    assert feeder.status(command("add_webhook", webhook=commands.Webhook(**good))) == "EXISTS"
    for kind in ("remove_webhook", "retry_webhook"):
        assert feeder.status(command(kind, name="other")) == "NOT_FOUND"
    assert feeder.status(command("retry_webhook", name="shop", letter=2**64 - 1)) == "NOT_FOUND"


def test_there_are_so_many_and_so_many_letters(feeder: Feeder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks_table, "MAX_WEBHOOKS", 2)
    for name in ("a", "b"):
        add(feeder, name)
    third = commands.Webhook(name="c", url="https://c.example/", secret=b"s" * 32, key=b"k" * 16)
    assert feeder.status(command("add_webhook", webhook=third)) == "INVALID"


def test_letters_are_bounded(feeder: Feeder, anna: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks_table, "MAX_LETTERS", 3)
    add(feeder)
    revision = webhook(feeder).revision
    happen(feeder, anna, 6)
    feeder.one(command("begin_message", name="shop", revision=revision, position=0, last=1))
    for last in range(1, 7):
        end = {"outcome": commands.EndMessage.GIVEN_UP, "next": last + 1 if last < 6 else 0}
        status = feeder.status(
            command("end_message", name="shop", revision=revision, position=last - 1, last=last, **end)
        )
        assert status == "OK"
    assert [letter.number for letter in letters(feeder)] == [4, 5, 6]
    assert feeder.status(command("remove_webhook", name="shop")) == "OK"
    assert letters(feeder) == []


def test_another_leaders_message_is_not_ended(feeder: Feeder, anna: Actor) -> None:
    add(feeder)
    revision = webhook(feeder).revision
    happen(feeder, anna, 3)
    at = {"name": "shop", "revision": revision, "position": 0}
    ended = {**at, "outcome": commands.EndMessage.ACCEPTED}
    assert feeder.status(command("begin_message", **at, last=4)) == "INVALID"
    assert feeder.status(command("begin_message", **at, last=0)) == "INVALID"
    assert feeder.status(command("end_message", **ended, last=2)) == "CHANGED"
    assert feeder.status(command("begin_message", **at, last=2)) == "OK"
    assert feeder.status(command("begin_message", **at, last=3)) == "CHANGED"
    assert feeder.status(command("end_message", **ended, last=3)) == "CHANGED"
    passed = {**at, "outcome": commands.EndMessage.PASSED}
    assert feeder.status(command("end_message", **passed, last=2)) == "CHANGED"
    assert feeder.status(command("end_message", **ended, last=2, next=3)) == "OK"
    assert feeder.status(command("end_message", **ended, last=2)) == "CHANGED"
    assert (webhook(feeder).position, webhook(feeder).begun) == (2, 3)
    assert feeder.status(command("end_letter", name="shop", revision=revision, letter=1)) == "CHANGED"


def test_names_of_messages_are_those_of_their_events_alone(feeder: Feeder) -> None:
    add(feeder, "a")
    add(feeder, "b")
    a, b = webhook(feeder, "a"), webhook(feeder, "b")
    names = {hook.message(first, last) for hook in (a, b) for first, last in ((1, 2), (1, 3), (12, 3), (2, 3))}
    assert len(names) == 8
    assert a.message(1, 2) == webhook(feeder, "a").message(1, 2)
    assert feeder.catalog.ask(Clock, lambda clock: clock.now_ns) < NOW * 2
