"""Whatever the fields of a command hold, apply answers with a status: an exception there would stop every node."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from catalogs import Feeder, by, command, put
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from people import person, send, session

from raftstore.rights import ROLES, Actor
from raftstore.wire import commands_pb2 as commands

COMMANDS = 120
"""Of each seed, on a catalog of its own."""

KINDS = [
    field.name
    for field in commands.Command.DESCRIPTOR.oneofs_by_name["kind"].fields
    if field.name != "set_level"  # raises on purpose what it does not know
]
PATHS = [
    *(
        "/",
        "/people",
        "/people/anna",
        "/people/anna/a",
        "/people/anna/b",
        "/people/bob/c",
        "/x",
        "/x/y",
        "",
        "a",
        "//",
    ),
    *(
        "/people/@inbox/bob/anna/a",
        "/people/@inbox/bob/anna",
        "/people/@inbox/bob",
        "/people/@inbox/bob/anna/" + 255 * "f",
    ),
    *(
        "/people/@sent/anna/bob/a",
        "/people/@sent/anna/bob",
        "/people/@sent/anna/g/x",
        "/people/@sent/anna/bob/d/e",
    ),
    *(
        "/people/@sent/anna/bob/.part",
        "/people/@sent/anna/bob\n",
        "/people/@sent/anna/bob" + 18 * ("/" + 200 * "d"),
    ),
    *("/people/@trash/anna/b", "/people/@trash/anna", "/people/@shared/s", "/people/@shared", "/people/@zoe"),
    *("/cams", "/cams/1"),
]
NAMES = [
    "anna",
    "bob",
    "carl",
    "g",
    "",
    "requests",
    "a@b",
    255 * "x",
    256 * "x",
    ".x",
    "../x",
    "nobody",
    "a/b",
    "@inbox",
]
INTEGERS = [
    0,
    1,
    2,
    7,
    64,
    256,
    1_000,
    10**9,
    2**31,
    2**32,
    2**53,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
    -1,
    -(2**63),
]


def value(chance: random.Random, kind: int, identities: list[str]) -> Any:
    """Return a value for a field: one that means something, or one at an edge."""
    if kind == FieldDescriptor.TYPE_STRING:
        return chance.choice(chance.choice((PATHS, PATHS, NAMES, identities)))
    if kind == FieldDescriptor.TYPE_BYTES:
        return bytes([chance.randrange(256)]) * chance.choice((0, 1, 16, 32, 32, 33))
    if kind == FieldDescriptor.TYPE_BOOL:
        return chance.random() < 0.5
    if kind == FieldDescriptor.TYPE_ENUM:
        return chance.choice((0, 1, 2))
    return chance.choice(INTEGERS) if chance.random() < 0.7 else chance.randrange(1, 60)


def fill(chance: random.Random, message: Message, identities: list[str]) -> None:
    """Fill some of the fields of a message."""
    for field in message.DESCRIPTOR.fields:
        for _ in range(chance.choice((0, 0, 1, 1, 1, 2)) if field.is_repeated else chance.random() > 0.35):
            within = getattr(message, field.name)
            try:
                if field.type == FieldDescriptor.TYPE_MESSAGE:
                    inner = within.add() if field.is_repeated else within
                    inner.SetInParent()
                    fill(chance, inner, identities)
                elif field.is_repeated:
                    within.append(value(chance, field.type, identities))
                else:
                    setattr(message, field.name, value(chance, field.type, identities))
            except ValueError:
                pass  # it does not fit into the field


def peopled(feeder: Feeder) -> list[Actor]:
    """Make two persons, an admin whom /people is open to, and something of each kind."""
    anna, bob = person(feeder, "anna", trash_ns=10**15), person(feeder, "bob")
    admin = commands.User(name="carl", home="/", rights=ROLES["admin"])
    admin.rules.add(path="/people", rights="elradfmwMT")
    feeder.all(
        command("put_group", group=commands.Group(name="g", members=["anna", "bob"])),
        command("put_user", user=admin),
        command("make_directory", path="/cams"),
        command("put_retention", path="/cams", max_files=2),
    )
    carl = session(feeder, "carl")
    send(feeder, anna, "bob/a", 1)
    send(feeder, anna, "g/x", 2)
    for path in ("/people/anna/a", "/people/anna/b"):
        feeder.all(by(put(path, 3, 4), anna), by(put(path, 5), anna))
    feeder.all(*(by(put(f"/cams/{seed}", seed), carl) for seed in range(3)))
    return [anna, bob, carl]


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_every_command_is_answered(tmp_path: Path, first: int) -> None:
    for seed in range(first, first + 10):
        chance = random.Random(seed)
        with Feeder(tmp_path / str(seed) / "catalog.db") as feeder:
            actors = peopled(feeder)
            for _ in range(COMMANDS):
                built = commands.Command()
                inner = getattr(built, chance.choice(KINDS))
                inner.SetInParent()
                fill(chance, inner, [actor.owner for actor in actors])
                if chance.random() < 0.25:
                    built = put(chance.choice(PATHS), chance.randrange(9))
                who = chance.choice([*actors, Actor.system("a test"), None])
                feeder.status(by(built, who) if who is not None else built)
