"""Persons in a catalog, for tests: who they are, what they send, what is in their inboxes."""

from __future__ import annotations

from typing import Any

from catalogs import NOW, Feeder, by, command, put

from raftstore.metadata.tables.cluster.clock import Clock
from raftstore.metadata.tables.people.persons import Persons
from raftstore.metadata.tables.people.records import Records, as_shown
from raftstore.rights import ROLES, Actor
from raftstore.types import owner_name
from raftstore.wire import commands_pb2 as commands

SECOND = 10**9
HOUR = 3600 * SECOND
DAY = 24 * HOUR


def person(feeder: Feeder, name: str, **fields: Any) -> Actor:
    """Make or change a person; return a session of it."""
    fields.setdefault("rights", ROLES["member"])
    user = commands.User(name=name, password_hash="x", home=f"/people/{name}", person=True, **fields)
    assert feeder.status(command("put_user", user=user)) == "OK"
    return session(feeder, name)


def persons(feeder: Feeder, *names: str) -> None:
    """Make persons."""
    for name in names:
        person(feeder, name)


def retire(feeder: Feeder, name: str) -> None:
    """Let a person be none any more: its account stays, and takes nothing."""
    user = commands.User(name=name, password_hash="x", home=f"/{name}", rights=ROLES["member"])
    assert feeder.status(command("put_user", user=user)) == "OK"


def session(feeder: Feeder, name: str) -> Actor:
    """Return a session of an account, opened now."""
    user = feeder.catalog.user(name)
    assert user is not None
    return Actor.session(user)


def name_of(actor: Actor) -> str:
    """Return the name of an account."""
    assert actor.user is not None
    return actor.user.name


def sent(actor: Actor, way: str) -> str:
    """Return where an account puts what it sends; `way`: to whom, and the name."""
    return f"/people/@sent/{name_of(actor)}/{way}"


def opens(feeder: Feeder, actor: Actor, to: str) -> str:
    """Make the directory for what is sent to somebody; return the status."""
    return feeder.status(by(command("make_directory", path=sent(actor, to)), actor))


def send(feeder: Feeder, actor: Actor, way: str, *seeds: int, **fields: Any) -> commands.Result:
    """Put a picture of these chunks to somebody."""
    opens(feeder, actor, way.partition("/")[0])
    return feeder.one(by(put(sent(actor, way), *seeds, **fields), actor))


def inbox(feeder: Feeder, name: str) -> list[str]:
    """Return what is in somebody's inbox, by path."""
    return files(feeder, f"/people/@inbox/{name}")


def files(feeder: Feeder, path: str) -> list[str]:
    """Return the files beneath a directory, by their paths in it."""
    found: list[str] = []
    for entry in feeder.catalog.listing(path):
        inside = files(feeder, f"{path}/{entry.name}") if entry.is_directory else None
        found += [entry.name] if inside is None else [f"{entry.name}/{each}" for each in inside]
    return found


def states(feeder: Feeder, name: str) -> list[tuple[str, str]]:
    """Return of what somebody has sent, and that stands, to whom it is and its state, by name."""
    persons, number = Persons(feeder.catalog._database), _number(feeder, name)
    live = feeder.catalog.ask(Records, lambda records: records.live(number, (2**62, 2**62), 10_000))
    found = []
    for _, each in live:
        identity = persons.identity(each.recipient)
        account = feeder.catalog.user(owner_name(identity))
        found.append((owner_name(identity), as_shown(each.state, identity, account).name))
    return sorted(found)


def past(feeder: Feeder, name: str) -> list[tuple[str, str]]:
    """Return of what somebody has sent, and that has ended, the path and state, by path."""
    number = _number(feeder, name)
    found = feeder.catalog.ask(Records, lambda records: records.past(number, 2**62, 10_000))
    return sorted((each.path, each.state.name) for each in found)


def _number(feeder: Feeder, name: str) -> int:
    holder = Persons(feeder.catalog._database).holder(name)
    assert holder is not None
    number = Persons(feeder.catalog._database).find(holder)
    assert number is not None
    return number


def advance(feeder: Feeder, by_ns: int, limit: int = 256) -> None:
    """Let cluster time go on. The first step is short: what was made before then is made in no standstill."""
    now = feeder.catalog.ask(Clock, lambda clock: clock.now_ns) or NOW
    for time_ns in (now + SECOND, now + by_ns):
        while not feeder.one(command("advance_clock", time_ns=time_ns, limit=limit)).finished:
            pass
