"""What a node says of persons: what they have sent, one by one and in pages, and who can be seen by whom."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from catalogs import Feeder, by, command
from people import DAY, advance, person, persons, retire, send, sent, session

from raftstore.cluster.people import People
from raftstore.rights import Actor
from raftstore.types import NEWEST_SENT, DeliveryState, SentItem
from raftstore.wire import commands_pb2 as commands


async def applied() -> None:
    """The barrier of a node that has applied all there is."""


def nothing(*arguments: object) -> NoReturn:
    raise AssertionError("nothing is changed here")


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog.db") as made:
        advance(made, DAY)
        persons(made, "anna", "bob", "carl", "nobody")
        group = commands.Group(name="team", members=["anna", "bob", "nobody"])
        assert made.status(command("put_group", group=group)) == "OK"
        retire(made, "nobody")
        yield made


def people(feeder: Feeder) -> People:
    return People(feeder.catalog, applied, nothing, nothing)


def all_sent(feeder: Feeder, name: str, *, ended: bool = False) -> list[SentItem]:
    """Return what a person has sent, a page of one at a time."""
    found: list[SentItem] = []
    while page := asyncio.run(
        people(feeder).sent(name, 1, before=found[-1].key if found else NEWEST_SENT, ended=ended)
    ):
        found += page
    return found


def number(item: SentItem) -> int:
    return item.key[0] if item.ended_ns else item.key[1]


def test_each_that_was_sent_is_found_by_its_number_and_by_nobody_else(feeder: Feeder) -> None:
    anna = session(feeder, "anna")
    send(feeder, anna, "team/a", 1, 2)
    send(feeder, anna, "carl/b", 3)
    feeder.one(by(command("remove_file", path=sent(anna, "carl/b")), anna))
    live, ended = all_sent(feeder, "anna"), all_sent(feeder, "anna", ended=True)
    assert [(item.path, item.recipient, item.state.name, item.size) for item in live] == [
        ("team/a", "nobody", "REFUSED", 20),
        ("team/a", "bob", "DELIVERED", 20),
    ]
    assert [(item.path, item.recipient, item.state.name, item.size) for item in ended] == [
        ("carl/b", "carl", "RECALLED", 10)
    ]
    for item in (*live, *ended):
        assert asyncio.run(people(feeder).sent_one("anna", number(item))) == item
        if item.recipient != "nobody":
            assert asyncio.run(people(feeder).sent_one("bob", number(item))) is None
    assert asyncio.run(people(feeder).sent_one("anna", 10**15)) is None


def test_what_was_not_opened_has_bounced_while_its_recipient_is_no_person(feeder: Feeder) -> None:
    send(feeder, session(feeder, "anna"), "bob/a", 1)
    bob = commands.User(name="bob", home="/b", rights="elr")
    feeder.one(command("put_user", user=bob))
    assert [item.state for item in all_sent(feeder, "anna")] == [DeliveryState.BOUNCED]
    person(feeder, "bob")
    assert [item.state for item in all_sent(feeder, "anna")] == [DeliveryState.DELIVERED]
    feeder.one(command("remove_user", name="bob"))
    person(feeder, "dora")
    assert [item.state for item in all_sent(feeder, "anna")] == [DeliveryState.BOUNCED]


def seen(feeder: Feeder, actor: Actor, *, everybody: bool) -> list[str]:
    """Return whom an account sees, having asked of each name by itself, too."""
    found = asyncio.run(people(feeder).visible(actor, all_persons=everybody))
    for name in ("anna", "bob", "carl", "dora", "team", "nobody"):
        assert asyncio.run(people(feeder).sees(actor, name, all_persons=everybody)) == (name in found)
    return found


def test_who_is_seen_is_who_is_a_person_disabled_or_not(feeder: Feeder) -> None:
    anna, carl = session(feeder, "anna"), session(feeder, "carl")
    assert seen(feeder, anna, everybody=True) == ["bob", "carl", "team"]
    assert seen(feeder, anna, everybody=False) == ["bob", "team"]
    assert seen(feeder, carl, everybody=False) == []
    person(feeder, "bob", disabled=True)
    assert seen(feeder, anna, everybody=True) == ["bob", "carl", "team"]
    assert seen(feeder, anna, everybody=False) == ["bob", "team"]
    person(feeder, "bob")
    feeder.one(command("put_user", user=commands.User(name="carl", home="/c", rights="elr")))
    assert seen(feeder, anna, everybody=True) == ["bob", "team"]
    feeder.one(command("remove_user", name="bob"))
    feeder.reopen()
    assert seen(feeder, session(feeder, "anna"), everybody=True) == ["team"]
