"""Names as an actor asks for them: judged in one step, refused only for certain, proposed by the rules of the level."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from catalogs import Feeder, command, partial, put

from ftpgateway.access.backend import Backend
from raftstore.errors import Denied, Invalid, NoQuorum, NotFound
from raftstore.metadata.results import accepted
from raftstore.rights import ROLES, Action, Actor
from raftstore.store.facade import Store
from raftstore.store.names import Names
from raftstore.types import Page, User
from raftstore.wire import commands_pb2 as commands

DROP_BOX, MEMBER = ROLES["drop-box"], ROLES["member"]


class Node:
    """One node's catalog; `late` is applied by the next barrier, as what others have acknowledged meanwhile is."""

    def __init__(self, feeder: Feeder) -> None:
        self.feeder = feeder
        self.late: list[commands.Command] = []
        self.barriers = 0
        self.proposed: list[commands.Command] = []
        self.before: Callable[[], object] = lambda: None
        self.names = Names(feeder.catalog, self.barrier, self.propose)

    async def barrier(self) -> None:
        self.barriers += 1
        late, self.late = self.late, []
        if late:
            self.feeder.all(*late)

    async def propose(self, built: commands.Command) -> commands.Result:
        copied = commands.Command()
        copied.CopyFrom(built)
        self.proposed.append(copied)
        before, self.before = self.before, lambda: None
        before()
        # Exactly as it came: the feeder adds no actor here.
        operation = self.feeder.operation(command("begin_sweep", store=1))
        operation.command = copied.SerializeToString()
        return accepted(self.feeder.apply(operation)[0].SerializeToString())


@pytest.fixture(params=[1, 2])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    with Feeder(tmp_path / "catalog.db", level=request.param) as feeder:
        feeder.make("/d")
        yield Node(feeder)


@pytest.fixture
def level_1(tmp_path: Path) -> Iterator[Node]:
    with Feeder(tmp_path / "catalog.db", level=1) as feeder:
        feeder.make("/d")
        yield Node(feeder)


def user(name: str = "ada", rights: str = MEMBER, home: str = "/", **rules: str) -> commands.Command:
    made = commands.User(name=name, password_hash="x", home=home, rights=rights)
    for path, letters in rules.items():
        made.rules.add(path=path.replace("_", "/"), rights=letters)
    return command("put_user", user=made)


def session(node: Node, name: str = "ada") -> Actor:
    found = node.feeder.catalog.user(name)
    assert found is not None
    return Actor.session(found)


async def page(node: Node, actor: Actor, path: str) -> Page:
    await node.barrier()
    return node.names.page(actor, path, backwards=False)


def test_a_read_is_judged_by_the_account_of_the_moment_in_which_it_is_read(node: Node) -> None:
    node.feeder.all(user(), put("/d/f", 1, owner="bob"))
    ada, names = session(node), node.names
    reads: list[Callable[[], Any]] = [
        lambda: names.lookup(ada, "/d/f"),
        lambda: page(node, ada, "/d"),
        lambda: names.file(ada, "/d/f"),
        lambda: names.require(ada, Action.READ, "/d/f"),
        lambda: names.lookup(ada, "/d", to=Action.RENAME),
    ]
    for read in reads:
        asyncio.run(read())
        node.late = [user(_d="")]
        with pytest.raises(Denied):
            asyncio.run(read())
        node.late = [user()]
        asyncio.run(read())
    node.late = [user(rights="elr", _d="")]
    with pytest.raises(Denied):
        asyncio.run(names.lookup(ada, "/d/f"))


def test_what_was_begun_is_told_to_who_may_go_on(node: Node) -> None:
    node.feeder.one(user())
    ada = session(node)
    node.feeder.all(partial("/d/f", 1, owner=ada.owner), partial("/d/f", 1, owner="anonymous"))
    assert asyncio.run(node.names.partial(ada, "/d/f")) is not None
    node.late = [user(_d="elr")]
    assert asyncio.run(node.names.partial(ada, "/d/f")) is None
    assert asyncio.run(node.names.partial(ada, "/d/f", anew=False)) is None
    anonymous = Actor.anonymous_user(User("anonymous", "", rights="elr"))
    assert asyncio.run(node.names.partial(anonymous, "/d/f")) is None, "no account's of that name"


def test_a_change_is_refused_only_for_certain(node: Node) -> None:
    node.feeder.one(user(rights="elr"))
    ada, names = session(node), node.names
    with pytest.raises(Denied):
        asyncio.run(names.make_directory(ada, "/e"))
    assert (node.proposed, node.barriers) == ([], 1)
    node.late = [user()]
    asyncio.run(names.make_directory(ada, "/e"))
    assert node.feeder.catalog.lookup("/e").owner == ada.owner
    asyncio.run(names.make_directory(ada, "/f"))
    assert node.barriers == 2, "who may is not held up"


def test_what_was_allowed_here_may_be_refused_where_it_is_applied(tmp_path: Path) -> None:
    with Feeder(tmp_path / "catalog.db") as feeder:
        feeder.all(user(), command("make_directory", path="/d"))
        node = Node(feeder)
        ada = session(node)
        node.before = lambda: feeder.one(user(_d=""))
        with pytest.raises(Denied):
            asyncio.run(node.names.make_directory(ada, "/d/e"))
        assert len(node.proposed) == 1
        with pytest.raises(NotFound):
            feeder.catalog.lookup("/d/e")


def test_a_command_that_the_level_overtakes_is_proposed_again(level_1: Node) -> None:
    level_1.feeder.one(user())
    ada = session(level_1)
    level_1.before = lambda: level_1.feeder.one(command("set_level", level=2))
    asyncio.run(level_1.names.make_directory(ada, "/e"))
    assert [built.HasField("actor") for built in level_1.proposed] == [False, True]
    assert level_1.feeder.catalog.lookup("/e").owner == "ada"
    asyncio.run(level_1.names.make_directory(ada, "/f"))
    assert len(level_1.proposed) == 3


def test_what_only_the_new_level_knows_is_in_it_then(level_1: Node) -> None:
    level_1.feeder.one(user(rights="", home="/homes/ada"))
    ada = session(level_1)
    level_1.before = lambda: level_1.feeder.one(command("set_level", level=2))
    asyncio.run(level_1.names.make_home(ada))
    assert level_1.feeder.catalog.lookup("/homes/ada").is_directory


def test_nothing_is_read_while_what_was_applied_is_undone(node: Node) -> None:
    """After the barrier a full disk may take back what it has waited for."""
    node.feeder.all(user(), put("/d/f", 1))
    ada = session(node)
    node.feeder.catalog.behind = True
    with pytest.raises(NoQuorum):
        asyncio.run(node.names.lookup(ada, "/d/f"))
    node.feeder.catalog.behind = False
    assert asyncio.run(node.names.lookup(ada, "/d/f")).size == 10


def test_an_invalid_command_is_not_proposed_again(level_1: Node) -> None:
    level_1.feeder.one(user())
    wrong = commands.PutFile(path="/f", size=5)
    with pytest.raises(Invalid):
        asyncio.run(level_1.names.change(session(level_1), commands.Command(put_file=wrong)))
    assert len(level_1.proposed) == 1


@pytest.mark.parametrize(
    ("rights", "asked", "proposed"),
    [
        (MEMBER, {"make_directory": {"path": "/d/e"}}, {"path": "/d/e", "owner": "ada"}),
        (MEMBER, {"remove_file": {"path": "/d/f"}}, {"path": "/d/f"}),
        (DROP_BOX, {"remove_file": {"path": "/d/f"}}, {"path": "/d/f", "only_of": "ada"}),
        (
            DROP_BOX,
            {"set_times": {"path": "/d/f", "mtime_ns": 1}},
            {"path": "/d/f", "mtime_ns": 1, "only_of": "ada"},
        ),
        (
            DROP_BOX,
            {"rename": {"source": "/d/f", "target": "/d/g"}},
            {"source": "/d/f", "target": "/d/g", "source_of": "ada", "target_of": "ada"},
        ),
        (
            "elramwf",
            {"rename": {"source": "/d/f", "target": "/d/g"}},
            {"source": "/d/f", "target": "/d/g", "exclusive": True},
        ),
        (
            MEMBER,
            {"put_file": {"path": "/d/f", "append": True}},
            {"path": "/d/f", "owner": "ada", "of_account": True},
        ),
        (
            DROP_BOX,
            {"put_file": {"path": "/d/f"}},
            {"path": "/d/f", "owner": "ada", "own_only": True, "of_account": True},
        ),
        (
            "elw",
            {"put_file": {"path": "/d/x"}},
            {"path": "/d/x", "owner": "ada", "exclusive": True, "of_account": True},
        ),
        (MEMBER, {"put_partial": {"path": "/d/f"}}, {"path": "/d/f", "owner": "ada"}),
    ],
)
def test_level_1_is_proposed_as_before(
    level_1: Node, rights: str, asked: dict[str, dict[str, Any]], proposed: dict[str, Any]
) -> None:
    level_1.feeder.all(user(rights=rights), put("/d/f", 1))
    ((kind, fields),) = asked.items()
    asyncio.run(level_1.names.change(session(level_1), command(kind, **fields)))
    assert level_1.proposed == [command(kind, **proposed)]


def test_level_1_moves_no_file_to_where_only_directories_may_be_made(level_1: Node) -> None:
    level_1.feeder.all(user(rights="elrfmd"), put("/d/f", 1), command("make_directory", path="/d/e"))
    ada = session(level_1)
    asyncio.run(level_1.names.rename(ada, "/d/e", "/d/g"))
    with pytest.raises(Denied):
        asyncio.run(level_1.names.rename(ada, "/d/f", "/d/h"))


def test_a_home_is_made_where_it_is_missing(node: Node) -> None:
    node.feeder.one(user(rights="elr", home="/homes/ada"))
    ada, catalog = session(node), node.feeder.catalog
    asyncio.run(node.names.make_home(ada))
    assert catalog.lookup("/homes/ada").is_directory
    asyncio.run(node.names.make_home(ada))
    assert len(node.proposed) == 2
    node.late = [command("rename", source="/homes", target="/folk")]
    with pytest.raises(Denied):
        asyncio.run(node.names.make_home(ada))
    with pytest.raises(NotFound):
        catalog.lookup("/homes")
    asyncio.run(node.names.make_home(session(node)))


def test_two_logins_at_once_make_one_home(node: Node) -> None:
    node.feeder.one(user(home="/homes/ada"))
    ada = session(node)
    node.before = lambda: node.feeder.make("/homes", "/homes/ada")
    asyncio.run(node.names.make_home(ada))
    assert len(node.proposed) == 2
    assert node.feeder.catalog.lookup("/homes/ada").is_directory


def test_where_an_open_file_is_published_is_judged_there(tmp_path: Path) -> None:
    """The name that it was opened by may be another's by then, or hidden."""
    with Feeder(tmp_path / "catalog.db") as feeder:
        feeder.all(user(rights="elr", _d=MEMBER), command("make_directory", path="/d"))
        feeder.one(put("/d/f", 1, owner="bob"))
        node = Node(feeder)
        ada, entry = session(node), feeder.catalog.lookup("/d/f")
        handle = commands.Handle(inode=entry.inode, version=entry.version)
        publish = commands.PutFile(path="/d/f", handle=handle)
        feeder.one(command("rename", source="/d", target="/e"))  # and the rule goes with it
        asyncio.run(node.names.change(ada, commands.Command(put_file=publish)))
        assert feeder.catalog.lookup("/e/f").owner == ada.owner
        entry = feeder.catalog.lookup("/e/f")
        handle = commands.Handle(inode=entry.inode, version=entry.version)
        feeder.one(command("rename", source="/e/f", target="/f"))  # where it may only read
        publish = commands.PutFile(path="/e/f", handle=handle)
        with pytest.raises(Denied):
            asyncio.run(node.names.change(ada, commands.Command(put_file=publish)))
        assert feeder.catalog.lookup("/f") == replace(entry, name="f")


def test_the_directory_of_a_hidden_name_is_not_told(node: Node) -> None:
    node.feeder.all(user(_d=""), command("make_directory", path="/d/sub", owner="bob"))
    ada = session(node)
    assert asyncio.run(node.names.directory_of(ada, "/x")) == 1
    for hidden in ("/d/sub/x", "/d/none/x"):
        with pytest.raises(Denied):
            asyncio.run(node.names.directory_of(ada, hidden))


ABOUT_NAMES = {"path", "source", "directory"}


@pytest.mark.parametrize("protocol", [Backend, Store])
def test_there_is_no_way_to_names_without_an_actor(protocol: type) -> None:
    """What front-ends can call: whoever takes a path takes an actor, and asks it."""
    calls = {
        name: list(inspect.signature(call).parameters)
        for name, call in inspect.getmembers(protocol, inspect.isfunction)
        if not name.startswith("_")
    }
    judged = {name for name, parameters in calls.items() if ABOUT_NAMES & set(parameters)}
    assert {"lookup", "listing", "download", "upload", "partial", "rename", "remove", "require"} <= judged
    assert [name for name in judged if calls[name][1] != "actor"] == []
    assert replace(User("ada", ""), identity="ada/1").owner == "ada/1"
