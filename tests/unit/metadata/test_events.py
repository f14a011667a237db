"""What becomes of what is sent is an event, once, in the order of the log: the same after a replay and a snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import Feeder, by, command, put
from people import DAY, HOUR, advance, person, persons, retire, send, sent, session

from raftstore.cluster.events import EventFeed
from raftstore.errors import EventsLost, Invalid
from raftstore.metadata.tables.events import events
from raftstore.metadata.tables.events.events import Events
from raftstore.rights import Actor
from raftstore.types import DeliveryState, Event, EventKind, owner_name
from raftstore.wire import commands_pb2 as commands


@pytest.fixture
def feeder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Feeder]:
    """What was done is done again in the end, by the same bounds: those that a test sets."""
    with Feeder(tmp_path / "catalog.db") as made:
        advance(made, 10 * DAY)
        yield made
        made.check_replay(tmp_path / "replayed" / "catalog.db")


@pytest.fixture
def anna(feeder: Feeder) -> Actor:
    return person(feeder, "anna", trash_ns=30 * DAY)


@pytest.fixture
def bob(feeder: Feeder) -> Actor:
    return person(feeder, "bob")


def status(feeder: Feeder, actor: Actor, built: commands.Command) -> str:
    return feeder.status(by(built, actor))


def remove(path: str) -> commands.Command:
    return command("remove_file", path=path)


def rename(source: str, target: str) -> commands.Command:
    return command("rename", source=source, target=target)


async def nothing() -> None:
    """A barrier of a catalog that is alone."""


def feed(feeder: Feeder) -> EventFeed:
    return EventFeed(feeder.catalog, nothing)


def all_events(feeder: Feeder, after: int = 0) -> list[Event]:
    return asyncio.run(feed(feeder).page(after, 100_000))


def listed(feeder: Feeder) -> list[tuple[str, str, str, str]]:
    """Return kind, actor, subject and path of all events."""
    reader = feed(feeder)
    return [
        (event.kind.name, owner_name(event.actor), owner_name(event.subject), reader.path(event))
        for event in all_events(feeder)
    ]


def entry(feeder: Feeder, name: str, way: str) -> int:
    return feeder.catalog.lookup(f"/people/@inbox/{name}/{way}").inode


def opens(feeder: Feeder, name: str, way: str) -> None:
    feeder.one(command("mark_opened", inodes=[entry(feeder, name, way)]))


def test_the_life_of_a_picture_in_events(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        send(feeder, anna, f"bob/{name}", 1)
    send(feeder, anna, "bob/a.jpg", 1)  # again, by who lost the reply
    opens(feeder, "bob", "anna/a.jpg")
    opens(feeder, "bob", "anna/a.jpg")
    assert status(feeder, bob, rename("/people/@inbox/bob/anna/a.jpg", "/people/bob/a.jpg")) == "OK"
    assert status(feeder, anna, remove(sent(anna, "bob/b.jpg"))) == "OK"
    assert status(feeder, bob, remove("/people/@inbox/bob/anna/c.jpg")) == "OK"  # nobody is to know
    assert listed(feeder) == [
        ("DELIVERED", "anna", "bob", "bob/a.jpg"),
        ("DELIVERED", "anna", "bob", "bob/b.jpg"),
        ("DELIVERED", "anna", "bob", "bob/c.jpg"),
        ("OPENED", "bob", "anna", "bob/a.jpg"),
        ("KEPT", "bob", "anna", "bob/a.jpg"),
        ("RECALLED", "anna", "bob", "bob/b.jpg"),
    ]
    found = all_events(feeder)
    assert [event.number for event in found] == list(range(1, 7))
    indices = [event.index for event in found]
    assert indices == sorted(set(indices))
    assert found[-1].index < feeder.index


def test_one_event_for_a_group_and_its_record_has_the_recipients(
    feeder: Feeder, anna: Actor, bob: Actor
) -> None:
    persons(feeder, "carl", "dora")
    group = commands.Group(name="group", members=["anna", "bob", "carl", "dora"])
    assert feeder.status(command("put_group", group=group)) == "OK"
    retire(feeder, "dora")
    send(feeder, anna, "group/a.jpg", 1)
    (event,) = all_events(feeder)  # of dora, who had nothing, there is none
    assert (event.kind, event.files, event.subject) == (EventKind.DELIVERED, 2, "")
    reader = feed(feeder)
    first = reader.recipients(event.record, limit=2)
    rest = reader.recipients(event.record, after=first[-1].inode)
    assert [(owner_name(each.identity), each.state) for each in first + rest] == [
        ("bob", DeliveryState.DELIVERED),
        ("carl", DeliveryState.DELIVERED),
        ("dora", DeliveryState.REFUSED),
    ]
    opens(feeder, "carl", "anna/a.jpg")
    assert status(feeder, anna, remove(sent(anna, "group/a.jpg"))) == "OK"
    assert listed(feeder)[1:] == [
        ("OPENED", "carl", "anna", "group/a.jpg"),
        ("RECALLED", "anna", "bob", "group/a.jpg"),
    ]


def test_what_expires_and_bounces(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    send(feeder, anna, "bob/a.jpg", 1, expires_ns=HOUR)
    send(feeder, anna, "bob/b.jpg", 2)
    advance(feeder, 2 * HOUR)
    assert feeder.status(command("remove_user", name="bob")) == "OK"
    assert [each[:3] for each in listed(feeder)[2:]] == [("EXPIRED", "anna", "bob"), ("BOUNCED", "", "bob")]


def test_nothing_bounces_where_all_was_opened_or_nothing_came(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    person(feeder, "carl")
    assert feeder.status(command("remove_user", name="carl")) == "OK"
    send(feeder, anna, "bob/a.jpg", 1)
    assert status(feeder, anna, command("make_directory", path=sent(anna, "bob/b"))) == "OK"
    for way in ("bob/b/c.jpg", "bob/d.jpg"):
        assert send(feeder, anna, way, 1).status == commands.OK
    for way in ("anna/a.jpg", "anna/d.jpg"):
        opens(feeder, "bob", way)
    before = len(all_events(feeder))
    gone = command("put_user", user=commands.User(name="bob", rights="elr", home="/bob"))
    back = command("put_user", user=commands.User(name="bob", rights="elr", home="/people/bob", person=True))
    for _ in range(2):
        assert feeder.status(gone) == feeder.status(back) == "OK"
    assert [each[:3] for each in listed(feeder)[before:]] == [("BOUNCED", "", "bob")] * 2
    opens(feeder, "bob", "anna/b/c.jpg")
    before = len(all_events(feeder))
    assert feeder.status(command("remove_user", name="bob")) == "OK"
    assert listed(feeder)[before:] == []


def test_before_the_first_event_none_is_known(feeder: Feeder) -> None:
    assert all_events(feeder) == []
    with pytest.raises(EventsLost, match="7 is yet to come: there were none so far"):
        all_events(feeder, 7)


def test_restored_from_the_trash_and_gone_with_it(feeder: Feeder, anna: Actor) -> None:
    for name in "abc":
        assert status(feeder, anna, put(f"/people/anna/{name}.jpg", ord(name))) == "OK"
        assert status(feeder, anna, remove(f"/people/anna/{name}.jpg")) == "OK"
    assert status(feeder, anna, rename("/people/@trash/anna/a.jpg", "/people/anna/d.jpg")) == "OK"
    inode = feeder.catalog.lookup("/people/@trash/anna/b.jpg").inode
    assert status(feeder, anna, command("restore_trash", inode=inode, to="/people/anna/b.jpg")) == "OK"
    advance(feeder, 31 * DAY)
    assert listed(feeder) == [
        ("RESTORED", "", "anna", "/people/anna/d.jpg"),
        ("RESTORED", "", "anna", "/people/anna/b.jpg"),
        ("TRASH_ENDED", "", "anna", ""),
    ]
    assert all_events(feeder)[-1].files == 1


def test_refused_is_no_event(feeder: Feeder, anna: Actor) -> None:
    assert send(feeder, anna, "nobody/a.jpg", 1).status != commands.OK
    assert all_events(feeder) == []


def test_the_oldest_go_and_a_reader_behind_hears_it(
    feeder: Feeder, anna: Actor, bob: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_KEPT", 8)
    monkeypatch.setattr(events, "LOT", 4)
    for number in range(1, 30):
        send(feeder, anna, f"bob/{number}.jpg", number)
        first, last = asyncio.run(feed(feeder).bounds())
        assert last == number
        assert min(number, 4) <= last - first + 1 <= 8
        assert [event.number for event in all_events(feeder, first - 1)] == list(range(first, last + 1))
    assert first > 20
    for after, why in (
        (0, f"what follows 0 is not kept any more: there are {first} to {last}"),
        (first - 2, "not kept any more"),
        (last + 1, f"{last + 1} is yet to come: the last one is {last}"),
    ):
        with pytest.raises(EventsLost, match=why) as caught:
            all_events(feeder, after)
        assert caught.value.first == first
    assert all_events(feeder, last) == []


def test_numbers_go_on_after_a_restart_and_a_snapshot(
    feeder: Feeder, anna: Actor, bob: Actor, tmp_path: Path
) -> None:
    send(feeder, anna, "bob/a.jpg", 1)
    before = all_events(feeder)
    feeder.reopen()
    assert all_events(feeder) == before
    feeder.catalog.write_snapshot(tmp_path / "snapshot")
    feeder.catalog.close()
    feeder.path = tmp_path / "copy" / "catalog.db"
    feeder.reopen()

    feeder.catalog.install_snapshot(tmp_path / "snapshot")
    assert all_events(feeder) == before
    send(feeder, session(feeder, "anna"), "bob/b.jpg", 2)
    assert [event.number for event in all_events(feeder)] == [1, 2]


def test_readers_are_woken_by_what_is_applied(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    async def two_readers() -> None:
        reader = feed(feeder)
        ways = [reader.after(0), reader.after(0), reader.after(0)]
        waiting = [asyncio.ensure_future(anext(way)) for way in ways]
        for _ in range(20):
            await asyncio.sleep(0)
        assert not any(each.done() for each in waiting)
        waiting[2].cancel()
        send(feeder, anna, "bob/a.jpg", 1)
        first, second = await asyncio.wait_for(asyncio.gather(*waiting[:2]), 60)
        assert first == second and first.kind is EventKind.DELIVERED
        # Who comes later, or is slow, gets all of them.
        send(feeder, anna, "bob/b.jpg", 2)
        send(feeder, anna, "bob/c.jpg", 3)
        assert [(await anext(ways[0])).number for _ in range(2)] == [2, 3]
        assert reader._more is None

    asyncio.run(two_readers())


def test_before_level_3_there_are_none(tmp_path: Path) -> None:
    with Feeder(tmp_path / "old.db", level=2) as old, pytest.raises(Invalid):
        asyncio.run(feed(old).bounds())


def test_the_table_keeps_what_was_noted_last(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    send(feeder, anna, "bob/a.jpg", 1)
    (row,) = feeder.catalog.ask(Events, lambda table: table.after(0, 10))
    assert (row.number, row.entry, row.files, row.owner) == (1, feeder.index, 1, "")
