"""Rights where they count: at the entry of the log, by the account, its rules and the names as they are there."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from catalogs import Feeder, by, chunk, command, partial, put

from raftstore.errors import Denied, NotFound
from raftstore.metadata import Catalog
from raftstore.metadata.listing import PAGE
from raftstore.metadata.tables.accounts import adoption
from raftstore.metadata.tables.names import spans
from raftstore.rights import ROLES, Actor
from raftstore.rights.changes import TABLE
from raftstore.types import Order, Usage, User
from raftstore.wire import commands_pb2 as commands

MEMBER, ADMIN, DROP_BOX = ROLES["member"], ROLES["admin"], ROLES["drop-box"]


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog.db") as made:
        yield made


def account(feeder: Feeder, name: str = "ada", rights: str = MEMBER, home: str = "/", **rules: str) -> Actor:
    """Make or change an account; return a session of it. `rules`: rights by directory, with _ for its slashes."""
    user = commands.User(name=name, password_hash="x", home=home, rights=rights)
    for path, letters in rules.items():
        user.rules.add(path=path.replace("_", "/"), rights=letters)
    assert feeder.status(command("put_user", user=user)) == "OK"
    return session(feeder, name)


def session(feeder: Feeder, name: str) -> Actor:
    user = feeder.catalog.user(name)
    assert user is not None
    return Actor.session(user)


def status(feeder: Feeder, actor: Actor, built: commands.Command) -> str:
    return feeder.status(by(built, actor))


def mkd(path: str) -> commands.Command:
    return command("make_directory", path=path)


def rename(source: str, target: str) -> commands.Command:
    return command("rename", source=source, target=target)


def remove(path: str) -> commands.Command:
    return command("remove_file", path=path)


@pytest.mark.parametrize("kind", sorted(TABLE))
@pytest.mark.parametrize("actor", [commands.Actor(), commands.Actor(system=""), commands.Actor(opened=3)])
def test_a_command_that_changes_names_must_say_who_wants_it(
    feeder: Feeder, kind: str, actor: commands.Actor
) -> None:
    built = command(kind)
    built.actor.CopyFrom(actor)
    built.actor.SetInParent()
    assert feeder.status(built) == "INVALID"


@pytest.mark.parametrize("kind", sorted(TABLE))
def test_the_anonymous_user_and_strangers_change_nothing(feeder: Feeder, kind: str) -> None:
    fields = {
        "rename": {"source": "/a", "target": "/b"},
        "restore_trash": {"inode": 1, "to": "/b"},
        "empty_trash": {"owner": "ada", "limit": 1},
        "copy_file": {"source": "/a", "target": "/b"},
    }.get(kind, {"path": "/a"})
    feeder.make("/a")
    for actor in (
        Actor.anonymous_user(User("anonymous", "")),
        Actor.session(User("nobody", "")),
        Actor.session(User("ada", "", identity="ada/77")),
    ):
        assert status(feeder, actor, command(kind, **fields)) == "DENIED"


def test_what_a_rule_says_is_decided_where_the_command_stands(feeder: Feeder) -> None:
    feeder.make("/ga", "/ga/private")
    feeder.one(put("/ga/private/secret", 1, owner="bob"))
    ada = account(feeder, _ga_private="")
    results = feeder.all(
        # They were proposed when /gb did not exist, or was another directory.
        by(mkd("/gb/private/evil"), ada),
        by(rename("/ga", "/gb"), Actor.system("test")),
        by(mkd("/gb/private/evil"), ada),
        by(remove("/gb/private/secret"), ada),
        by(put("/gb/private/secret", 2, owner=""), ada),
        by(put("/ga/private/secret", 2, owner=""), ada),
    )
    names = [commands.Status.Name(result.status) for result in results]
    assert names == ["NO_PARENT", "OK", "DENIED", "DENIED", "DENIED", "NO_PARENT"]
    assert feeder.catalog.file("/gb/private/secret").entry.owner == "bob"


def test_rights_taken_away_in_the_same_entry_count(feeder: Feeder) -> None:
    ada = account(feeder)
    read_only = commands.User(name="ada", password_hash="x", home="/", rights="elr")
    results = feeder.all(
        by(put("/f", 1), ada),
        by(mkd("/d"), ada),
        command("put_user", user=read_only),
        *(by(built, ada) for built in (put("/g", 1), put("/f", 2), remove("/f"), mkd("/e"), partial("/h", 1))),
        by(command("set_times", path="/f", mtime_ns=1), ada),
        by(rename("/f", "/i"), ada),
        by(command("remove_directory", path="/d"), ada),
    )
    assert [result.status for result in results] == [commands.OK] * 3 + [commands.DENIED] * 8


@pytest.mark.parametrize(
    "change",
    [{"home": "/b"}, {"password_hash": "y"}, {"disabled": True}],
    ids=["home", "password", "disabled"],
)
def test_a_session_from_before_such_a_change_does_nothing_more(
    feeder: Feeder, change: dict[str, object]
) -> None:
    ada = account(feeder)
    user = commands.User(**({"name": "ada", "password_hash": "x", "home": "/", "rights": MEMBER} | change))
    assert feeder.status(command("put_user", user=user, update=True)) == "OK"
    assert status(feeder, ada, mkd("/d")) == "DENIED"
    account(feeder)
    assert status(feeder, ada, mkd("/d")) == "DENIED", "nor when it is changed back"
    with pytest.raises(Denied):
        ada.rights(feeder.catalog.rights, feeder.catalog.level)
    assert status(feeder, session(feeder, "ada"), mkd("/d")) == "OK"


def test_other_changes_leave_the_session(feeder: Feeder) -> None:
    feeder.make("/a", "/b")
    ada = account(feeder, "ada", MEMBER, "/", _a="elr")
    account(feeder, "ada", MEMBER, "/", _a="elrw")
    assert status(feeder, ada, put("/a/f", 1)) == "OK"
    feeder.one(rename("/a", "/c"))
    assert status(feeder, ada, put("/c/g", 1)) == "OK"
    assert status(feeder, ada, mkd("/c/d")) == "DENIED"


def test_a_home_that_was_moved_ends_what_was_under_way_there(feeder: Feeder) -> None:
    feeder.make("/homes", "/homes/ada")
    ada = account(feeder, home="/homes/ada")
    assert status(feeder, ada, put("/homes/ada/f", 1)) == "OK"
    assert status(feeder, ada, put("/homes/f", 1)) == "DENIED", "outside of the home"
    feeder.one(rename("/homes", "/folk"))
    feeder.make("/homes", "/homes/ada")
    for path in ("/homes/ada/g", "/folk/ada/g"):
        assert status(feeder, ada, put(path, 1)) == "DENIED"
    assert status(feeder, ada, command("make_directory", path="/homes/ada/x", home=True)) == "DENIED"
    assert status(feeder, session(feeder, "ada"), put("/folk/ada/g", 1)) == "OK"


def test_a_home_and_the_way_to_it_are_made_whatever_the_rights(feeder: Feeder) -> None:
    ada = account(feeder, rights="", home="/homes/ada")
    for path, expected in (("/homes", "OK"), ("/homes/bob", "DENIED"), ("/homes/ada", "OK")):
        assert status(feeder, ada, command("make_directory", path=path, home=True)) == expected
    assert status(feeder, ada, command("make_directory", path="/homes/ada/x", home=True)) == "DENIED"
    assert feeder.catalog.lookup("/homes/ada").owner == "", "not on her quota"
    assert feeder.catalog.usage(ada.owner).files == 0


def test_a_key_that_was_removed_opens_nothing_more(feeder: Feeder) -> None:
    user = commands.User(name="ada", password_hash="x", home="/", rights=MEMBER, authorized_keys=["one", "two"])
    feeder.one(command("put_user", user=user))
    one, two = (Actor(feeder.catalog.user("ada"), key) for key in ("one", "two"))
    del user.authorized_keys[0]
    feeder.one(command("put_user", user=user))
    assert [status(feeder, actor, mkd("/d")) for actor in (one, two)] == ["DENIED", "OK"]


def test_a_refusal_does_not_tell_what_is_there(feeder: Feeder) -> None:
    feeder.make("/box", "/box/dir", "/hidden")
    feeder.all(put("/box/theirs", 1, owner="bob"), put("/hidden/f", 1, owner="bob"))
    ada = account(feeder, _box=DROP_BOX, _hidden="")
    reported = {}
    for path in ("/hidden/f", "/hidden/none", "/hidden/f/x", "/box/theirs", "/box/none"):
        reported[path] = [
            (result.status, result.detail.replace(path, "PATH"))
            for result in feeder.all(
                by(remove(path), ada),
                by(rename(path, "/box/new"), ada),
                by(command("set_times", path=path, mtime_ns=1), ada),
                by(command("remove_directory", path=path), ada),
                by(command("drop_partial", path=path), ada),
            )
        ]
    assert reported["/hidden/f"] == reported["/hidden/none"] == reported["/hidden/f/x"]
    assert reported["/box/theirs"] == reported["/box/none"]
    assert reported["/hidden/f"][0][0] == commands.DENIED
    # Nor whether a file is on the way.
    on_the_way = [feeder.one(by(put(f"/box/{name}/x", 1), ada)) for name in ("theirs", "none")]
    assert [result.status for result in on_the_way] == [commands.NO_PARENT] * 2


def test_a_refusal_does_not_tell_where_an_open_file_has_gone(feeder: Feeder) -> None:
    ada, root = account(feeder, _box=DROP_BOX), account(feeder, "root", ADMIN)
    feeder.make("/box")
    assert status(feeder, root, put("/pub.jpg", 1)) == "OK"
    opened = feeder.catalog.lookup("/pub.jpg")
    handle = commands.Handle(inode=opened.inode, version=opened.version)
    assert status(feeder, root, rename("/pub.jpg", "/box/secret.jpg")) == "OK"
    refused = feeder.one(by(put("/pub.jpg", 2, handle=handle), ada))
    assert refused.status == commands.DENIED
    assert "secret" not in refused.detail and "box" not in refused.detail


def test_appending_replaces_nothing(feeder: Feeder) -> None:
    feeder.one(put("/f", 1, owner="bob"))
    entry = feeder.catalog.lookup("/f")
    ada = account(feeder, rights="elra")
    base = {"base_inode": entry.inode, "base_version": entry.version, "append": True}
    assert status(feeder, ada, put("/f", 1, 2)) == "DENIED"
    assert status(feeder, ada, put("/f", 2, append=True)) == "CHANGED", "it keeps nothing of what is there"
    assert status(feeder, ada, put("/f", 1, 2, **base)) == "OK"
    assert status(feeder, ada, put("/f", 1, 2, 3, **base)) == "CHANGED"
    assert status(feeder, ada, put("/new", 1, append=True)) == "OK"


# What renames and removals would shift.


@pytest.mark.parametrize(
    ("source", "target"), [("/team", "/old"), ("/team/in", "/in"), ("/x", "/team2"), ("/team", "/team2/t")]
)
def test_what_others_homes_and_rules_are_for_is_moved_by_an_admin_alone(
    feeder: Feeder, source: str, target: str
) -> None:
    feeder.make("/team", "/team/in", "/x")
    ada, root = account(feeder), account(feeder, "root", ADMIN)
    account(feeder, "bob", MEMBER, "/team2", _team_in_private="")
    before = feeder.catalog.user("bob")
    denied = feeder.one(by(rename(source, target), ada))
    assert denied.status == commands.DENIED
    account(feeder, "reader", "elr")
    missing = feeder.one(by(rename(source, "/elsewhere"), session(feeder, "reader")))
    assert source == "/x" or (missing.status, missing.detail) == (denied.status, denied.detail)
    assert feeder.catalog.user("bob") == before
    if target == "/team2/t":
        feeder.make("/team2")
    assert status(feeder, root, rename(source, target)) == "OK"


def test_nor_is_it_removed_or_told_apart(feeder: Feeder) -> None:
    feeder.make("/team", "/free")
    ada = account(feeder)
    account(feeder, "bob", MEMBER, "/", _team="", _none="elr")
    removal = [command("remove_directory", path=path) for path in ("/team", "/none", "/free")]
    results = feeder.all(*(by(each, ada) for each in removal))
    assert [result.status for result in results] == [commands.DENIED, commands.DENIED, commands.OK]
    assert results[0].detail == results[1].detail
    assert status(feeder, ada, rename("/none", "/other")) == "DENIED"


def test_a_rule_does_not_go_away_from_under_who_is_restricted_by_it(feeder: Feeder) -> None:
    feeder.make("/team", "/team/private", "/open", "/open/more")
    ada = account(feeder, "ada", MEMBER, "/", _team_private="", _open_more=MEMBER + "A")
    assert status(feeder, ada, rename("/team", "/gone")) == "DENIED"
    assert status(feeder, ada, rename("/open", "/team/private")) == "DENIED"
    assert status(feeder, ada, rename("/open", "/team2")) == "OK", "a rule that only gives"
    assert status(feeder, ada, rename("/team2/more", "/team2/less")) == "OK"
    rules = {rule.path for rule in feeder.catalog.user("ada").rules}  # type: ignore[union-attr]
    assert rules == {"/team/private", "/team2/less"}


def test_a_home_is_not_moved_from_within(feeder: Feeder) -> None:
    feeder.make("/h", "/h/d")
    ada = account(feeder, home="/h")
    for built in (
        rename("/h", "/h2"),
        rename("/h/d", "/h"),
        rename("/h/d", "/d"),
        command("remove_directory", path="/h"),
    ):
        assert status(feeder, ada, built) == "DENIED"


# Whose something is.


def test_an_account_made_anew_inherits_nothing(feeder: Feeder) -> None:
    ada = account(feeder)
    feeder.all(by(put("/f", 1, 2), ada), by(partial("/g", 3), ada))
    assert feeder.catalog.usage(ada.owner) == Usage(1, 20)
    assert feeder.catalog.orphans() == []
    results = feeder.all(
        command("remove_user", name="ada"),
        command(
            "put_user",
            user=commands.User(name="ada", password_hash="x", home="/", rights="emwo", quota_bytes=25),
        ),
    )
    assert all(result.status == commands.OK for result in results)
    again = session(feeder, "ada")
    assert again.owner != ada.owner
    assert feeder.catalog.partial(again.owner, "/g") is None
    assert status(feeder, again, put("/f", 4)) == "DENIED"
    assert status(feeder, again, put("/h", 4, 5)) == "OK", "usage begins anew"
    assert status(feeder, again, put("/i", 4)) == "QUOTA"
    assert feeder.catalog.orphans() == [(ada.owner, Usage(1, 20))]
    assert status(feeder, ada, put("/j", 6)) == "DENIED"


def test_two_accounts_of_one_name_in_one_entry_differ(feeder: Feeder) -> None:
    make = command("put_user", user=commands.User(name="ada", password_hash="x", home="/", rights=MEMBER))
    owners = set()
    feeder.one(make)
    owners.add(session(feeder, "ada").owner)
    feeder.all(command("remove_user", name="ada"), make, command("remove_user", name="ada"), make)
    owners.add(session(feeder, "ada").owner)
    assert len(owners) == 2
    assert session(feeder, "ada").owner == f"ada/{feeder.index}.3"


def test_a_new_password_does_not_change_who_it_is(feeder: Feeder) -> None:
    ada = account(feeder)
    feeder.one(by(put("/f", 1), ada))
    user = commands.User(
        name="ada", password_hash="y", home="/", rights=DROP_BOX, identity="bob/1", sessions_since=0
    )
    assert feeder.status(command("put_user", user=user, update=True)) == "OK"
    assert session(feeder, "ada").owner == ada.owner
    assert status(feeder, session(feeder, "ada"), put("/f", 2)) == "OK"


def test_accounts_from_level_1_keep_their_names(tmp_path: Path) -> None:
    with Feeder(tmp_path / "catalog.db", level=1) as feeder:
        user = commands.User(name="ada", password_hash="x", home="/", rights=DROP_BOX)
        feeder.all(command("put_user", user=user), put("/f", 1), put("/orphaned", 1, owner="bob"))
        feeder.one(command("set_level", level=2))
        ada = session(feeder, "ada")
        assert ada.owner == "ada"
        assert status(feeder, ada, put("/f", 2)) == "OK"
        bob = account(feeder, "bob", DROP_BOX)
        assert status(feeder, bob, put("/orphaned", 2)) == "DENIED"
        assert feeder.catalog.orphans() == [("bob", Usage(1, 10))]


def test_what_is_orphaned_is_handed_over_some_names_at_a_time(feeder: Feeder) -> None:
    ada, bob = account(feeder), account(feeder, "bob")
    feeder.all(
        *(by(put(f"/{number}", 1), bob if number % 3 else ada) for number in range(20)),
        by(mkd("/d"), bob),
        *(by(partial(f"/p{number}", 1), bob) for number in range(5)),
        by(partial("/p0", 1), ada),
    )
    assert feeder.status(command("adopt_owner", owner=bob.owner, name="ada", limit=5)) == "INVALID", (
        "not orphaned"
    )
    feeder.one(command("remove_user", name="bob"))
    for fields in ({"name": "none"}, {"limit": 0}, {"limit": adoption.MAX_LOOKED_AT + 1}, {"owner": ""}):
        wrong = {"owner": bob.owner, "name": "ada", "limit": 5} | fields
        assert feeder.status(command("adopt_owner", **wrong)) in ("INVALID", "NOT_FOUND")
    before = feeder.catalog.usage(ada.owner)
    after, adopted, commands_needed = 0, 0, 0
    while True:
        done = feeder.one(command("adopt_owner", owner=bob.owner, name="ada", limit=4, after=after))
        assert done.status == commands.OK
        assert done.adopted <= 8
        after, adopted, commands_needed = done.after, adopted + done.adopted, commands_needed + 1
        if done.finished:
            break
    assert adopted == 13 + 1 + 5
    assert 5 <= commands_needed <= 10
    assert feeder.catalog.orphans() == []
    assert feeder.catalog.usage(ada.owner) == Usage(before.files + 13 + 1, before.bytes + 130)
    assert {entry.owner for entry in feeder.catalog.listing("/")} == {ada.owner}
    assert feeder.catalog.partial(ada.owner, "/p4") is not None
    feeder.reopen()
    database = sqlite3.connect(feeder.path)
    try:
        counted = database.execute("SELECT owner, partial_bytes FROM usage").fetchall()
    finally:
        database.close()
    assert counted == [(ada.owner, 50)]


# How far down paths reach.


def chain(feeder: Feeder, top: str, levels: int, name: str = "d") -> str:
    feeder.make(top)
    for _ in range(levels):
        top = f"{top}/{name}"
        feeder.make(top)
    return top


def test_no_path_becomes_too_deep_or_too_long(feeder: Feeder) -> None:
    feeder.make("/in")
    chain(feeder, "/a", 126)
    feeder.one(put("/a" + "/d" * 126 + "/f", 1))
    assert feeder.status(rename("/a", "/in/a")) == "BAD_NAME"
    assert feeder.status(rename("/a", "/b")) == "OK"
    assert feeder.status(remove("/b" + "/d" * 126 + "/f")) == "OK"
    assert feeder.status(rename("/b", "/in/b")) == "OK", "a bound that is too high is made exact"
    long = "x" * 240
    chain(feeder, "/l", 15, long)
    assert feeder.status(rename("/l", "/" + "y" * 250)) == "OK"
    assert feeder.status(rename("/" + "y" * 250, "/in/" + "y" * 250)) == "OK"
    assert feeder.status(rename("/in/" + "y" * 250, "/in/" + "y" * 254 + "z")) == "OK"
    put_it = feeder.status(put("/in/" + "y" * 254 + "z" + f"/{long}" * 15 + "/" + "f" * 221, 1))
    assert put_it == "OK"
    assert feeder.status(rename("/in/" + "y" * 254 + "z", "/in/b/" + "y" * 255)) == "BAD_NAME"


@pytest.mark.slow
def test_a_bound_that_would_take_too_long_to_make_exact_refuses(
    feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "COUNTED", 20)
    feeder.make("/in")
    chain(feeder, "/a", 127)
    for _ in range(100):
        feeder.one(command("remove_directory", path="/a" + "/d" * (127 - _)))
    feeder.all(*(put(f"/a/{number}", 1) for number in range(30)))
    assert feeder.status(rename("/a", "/in/a")) == "BAD_NAME"
    assert feeder.status(rename("/a", "/b")) == "OK"


def test_what_level_1_has_moved_too_far_down_comes_back_up(tmp_path: Path) -> None:
    with Feeder(tmp_path / "catalog.db", level=1) as feeder:
        chain(feeder, "/a", 126)
        bottom = chain(feeder, "/b", 100)
        feeder.one(put("/a" + "/d" * 126 + "/f", 1))
        assert feeder.status(rename("/a", f"{bottom}/a")) == "OK"
        deep = f"{bottom}/a" + "/d" * 126
        feeder.one(command("set_level", level=2))
        assert feeder.catalog.lookup(f"{deep}/f").size == 10
        assert [entry.name for entry in feeder.catalog.listing(deep)] == ["f"]
        assert feeder.status(put(f"{deep}/g", 1)) == "BAD_NAME"
        assert feeder.status(rename("/b", "/in")) == "OK", "no deeper than it was"
        bottom, deep = (path.replace("/b", "/in", 1) for path in (bottom, deep))
        assert feeder.status(remove(f"{deep}/f")) == "OK"
        assert feeder.status(command("remove_directory", path=deep)) == "OK"
        assert feeder.status(rename(f"{bottom}/a", "/a")) == "OK"
        assert feeder.status(put("/a/f", 1)) == "OK"


def test_the_migration_counts_what_is_there(tmp_path: Path) -> None:
    found = []
    for level in (1, 2):
        with Feeder(tmp_path / f"{level}.db", level=level) as feeder:
            chain(feeder, "/a", 5, "ä")
            feeder.make("/a/long", "/empty")
            feeder.all(put("/a/long/" + "x" * 99, 1), put("/f", 1))
            if level == 1:
                feeder.one(command("set_level", level=2))
            feeder.reopen()
            database = sqlite3.connect(feeder.path)
            found.append(database.execute("SELECT * FROM spans WHERE height > 0 ORDER BY inode").fetchall())
            database.close()
    assert found[0] == found[1]
    assert (1, 6, len("a/long/") + 99) in found[0]


# Reads.


async def sorted_names(catalog: Catalog, path: str, actor: Actor) -> list[str]:
    """Return what `actor` is shown of a directory, newest first."""
    packed = await catalog.sorted_listing(path, Order.TIME, actor)
    return [entry.name for number in range(packed.pages) for entry in packed.page(number).entries]


def test_a_large_listing_is_judged_by_the_state_that_it_is_read_from(feeder: Feeder) -> None:
    feeder.make("/ga", "/ga/private", "/gb", "/gb/private")
    feeder.all(*(put(f"/ga/private/{number:04}", 1) for number in range(PAGE + 1)))
    feeder.all(*(put(f"/gb/private/{number:04}", 1) for number in range(PAGE + 1)))
    ada = account(feeder, "ada", MEMBER, "/", _ga_private="")
    catalog = feeder.catalog

    async def listed() -> None:
        for change in (
            (rename("/gb", "/gc"), rename("/ga", "/gb")),
            (rename("/gb", "/ga"), rename("/gc", "/gb")),
        ):
            asking = asyncio.ensure_future(sorted_names(catalog, "/gb/private", ada))
            await asyncio.sleep(0)  # it is with the thread now
            feeder.all(*change)
            try:
                found = await asking
                assert len(found) == PAGE + 1
            except Denied:
                pass
        with pytest.raises(Denied):
            await sorted_names(catalog, "/ga/private", ada)

    asyncio.run(listed())


def test_rules_hide_names_of_large_directories_too(feeder: Feeder) -> None:
    ada = account(feeder, "ada", MEMBER, "/", _n0007="")
    feeder.all(*(put(f"/n{number:04}", 1) for number in range(PAGE + 1)))
    found = asyncio.run(sorted_names(feeder.catalog, "/", ada))
    assert len(found) == PAGE
    assert "n0007" not in found


def test_an_actor_is_judged_by_the_account_as_it_is(feeder: Feeder) -> None:
    ada = account(feeder)
    assert ada.rights(feeder.catalog.rights, feeder.catalog.level) is ada.rights(
        feeder.catalog.rights, feeder.catalog.level
    ), "parsed once"
    old = replace(ada, user=replace(ada.user, identity="ada/1")) if ada.user else ada
    with pytest.raises(Denied):
        old.rights(feeder.catalog.rights, feeder.catalog.level)
    feeder.one(command("remove_user", name="ada"))
    with pytest.raises(Denied):
        ada.rights(feeder.catalog.rights, feeder.catalog.level)
    with pytest.raises(NotFound):
        feeder.catalog.lookup("/nothing")
    assert chunk(1).length == 10
