"""What accounts may do where, and what they see: tables of cases."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from cursors import all_of
from fakestore import FakeStore

from ftpgateway.access.account import Account, View
from ftpgateway.access.login import keys
from ftpgateway.access.workspace import Workspace
from raftstore.errors import AlreadyExists, BadName, Denied, NotFound
from raftstore.metadata.levels import NEWEST
from raftstore.rights import ROLES, Action, Rights, permits, why_ended, word_of
from raftstore.types import Rule, User

ANNA = User("anna", "hash", home="/home/anna")
EVERYTHING = set(Action)
LOOKING = {Action.ENTER, Action.LIST, Action.READ}
ADDING = {Action.ENTER, Action.WRITE, Action.MAKE_DIRECTORY}
OWN = {Action.OVERWRITE, Action.APPEND, Action.DELETE, Action.RENAME, Action.SET_TIMES}


@pytest.mark.parametrize(
    ("role", "others", "own"),
    [
        ("admin", EVERYTHING, EVERYTHING),
        ("member", EVERYTHING, EVERYTHING),
        ("read-only", LOOKING, LOOKING),
        ("drop-box", ADDING, ADDING | OWN),
        ("none", set(), set()),
    ],
)
def test_roles(role: str, others: set[Action], own: set[Action]) -> None:
    assert {action for action in Action if permits(ROLES[role], action)} == others
    assert {action for action in Action if permits(ROLES[role], action, own=True)} == own
    assert word_of("".join(reversed(ROLES[role]))) == role
    assert word_of("elw") == "elw"


def test_replacing_needs_the_right_to_delete_too() -> None:
    assert not permits("elw", Action.OVERWRITE, own=True)
    assert permits("wd", Action.OVERWRITE)


@pytest.mark.parametrize("home", ["/", "/home/anna"])
@pytest.mark.parametrize("path", ["..", "/../..", "a/../../..", "/./..//../", "x/../../home/bob"])
def test_a_view_has_no_way_out(home: str, path: str) -> None:
    view = View(home)
    client = view.resolve("/sub", path)
    stored = view.to_store(client)
    assert stored == home or stored.startswith(home.rstrip("/") + "/")
    assert view.to_client(stored) == client


def test_what_a_view_does_not_show() -> None:
    view = View("/home/anna")
    assert [view.to_client(path) for path in ("/home/anna2", "/home", "/", "/home/anna/x")] == [
        *(None, None, None),
        "/x",
    ]
    with pytest.raises(BadName):
        view.resolve("/", "a\x01b")


def test_what_lies_too_far_down_can_be_named_but_not_for_ever() -> None:
    view = View("/home/anna")
    deep = view.resolve("/", "d/" * 500)
    assert view.to_store(deep).count("/") == 502
    with pytest.raises(BadName):
        view.resolve("/", "d/" * 1100)


RULED = replace(
    ANNA,
    home="/",
    rules=(Rule("/team", "elr"), Rule("/team/in", "emwo"), Rule("/team/secret", ""), Rule("/teams", "l")),
)


@pytest.mark.parametrize(
    ("path", "letters"),
    [
        ("/", RULED.rights),
        ("/tea", RULED.rights),
        ("/team", "elr"),
        ("/team/x/y", "elr"),
        ("/team/in", "emwo"),
        ("/team/in/x", "emwo"),
        ("/team/inner", "elr"),
        ("/team/secret/x", ""),
        ("/teams/x", "l"),
    ],
)
def test_the_longest_rule_counts(path: str, letters: str) -> None:
    assert Account(RULED, NEWEST).letters(path) == letters
    assert Account(replace(RULED, rights=ROLES["admin"]), NEWEST).letters(path) == ROLES["admin"]


def test_rules_seen_from_a_home() -> None:
    account = Account(replace(RULED, home="/team"), NEWEST)
    assert [account.letters(path) for path in ("/", "/x", "/in/x", "/secret")] == ["elr", "elr", "emwo", ""]


def test_what_leads_to_a_granted_directory_is_seen_but_nothing_beside_it() -> None:
    account = Rights(
        replace(ANNA, home="/", rights="", rules=(Rule("/a/b", "elr"), Rule("/c", ""))), reserved=False
    )
    assert account.may(Action.LIST, "/")
    assert account.may(Action.ENTER, "/a")
    assert not account.may(Action.READ, "/a/x")
    assert [account.shows("/", name) for name in ("a", "b", "c")] == [True, False, False]
    assert [account.shows("/a", name) for name in ("b", "x")] == [True, False]
    assert account.shows("/a/b", "x")
    hidden = Rights(RULED, reserved=False)
    assert [hidden.shows("/team", name) for name in ("in", "secret", "x")] == [True, False, True]


@pytest.mark.parametrize(
    ("change", "ends"),
    [
        ({}, False),
        ({"revision": 9, "rights": "", "rules": (Rule("/", ""),), "quota_bytes": 5}, False),
        ({"disabled": True}, True),
        ({"password_hash": "another"}, True),
        ({"home": "/"}, True),
    ],
)
def test_what_ends_a_session(change: dict[str, Any], ends: bool) -> None:
    assert (why_ended(ANNA, replace(ANNA, **change)) is not None) is ends
    assert why_ended(ANNA, None) is not None


def test_a_session_ends_with_its_own_key() -> None:
    with_keys = replace(ANNA, authorized_keys=("one", "two"))
    assert why_ended(with_keys, replace(with_keys, authorized_keys=("two",)), "one")
    assert why_ended(with_keys, replace(with_keys, authorized_keys=("two",)), "two") is None


KEY = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode()


def test_public_keys() -> None:
    line = f"ssh-ed25519 {KEY} anna@laptop of hers"
    kind, blob, comment = keys.parse(f"  {line}\n")
    assert (kind, comment) == ("ssh-ed25519", "anna@laptop of hers")
    assert keys.normalised(f"ssh-ed25519   {KEY}") == f"ssh-ed25519 {KEY}"
    assert keys.fingerprint(blob).startswith("SHA256:")
    assert keys.matching(("rubbish", line), blob) == line
    assert keys.matching(("rubbish", line), blob + b"x") is None
    for wrong in ("", "ssh-ed25519", f"ssh-rsa {KEY}", "ssh-ed25519 AAAA", "ssh-ed25519 %", f'from="x" {line}'):
        with pytest.raises(ValueError, match="key"):
            keys.parse(wrong)


def workspace(test: Callable[[FakeStore, Workspace], Coroutine[Any, Any, None]], **account: Any) -> None:
    store = FakeStore()
    for path in ("/home", "/home/anna", "/home/anna/d"):
        store.put(path, None)
    store.put("/home/anna/own", b"1", "anna")
    store.put("/home/anna/theirs", b"2", "bob")
    asyncio.run(test(store, Workspace(store, Account(replace(ANNA, **account), NEWEST))))


async def send(files: Workspace, path: str, *, append: bool = False) -> None:
    upload = await files.upload(path, offset=None, append=append, exclusive=False, expected=None)
    upload.feed(b"new")
    await upload.commit()


def test_a_drop_box_changes_its_own_and_sees_nothing() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        for denied in (
            files.directory("/"),
            files.matching("/own*"),
            files.download("/own"),
            files.remove_directory("/d"),
            files.rename("/own", "/theirs"),
            files.rename("/d", "/e"),
            send(files, "/theirs"),
            send(files, "/theirs", append=True),
        ):
            with pytest.raises(Denied):
                await denied
        for unseen in (
            *(files.entry("/theirs"), files.entry("/nothing"), files.size("/theirs")),
            *(files.remove("/theirs"), files.rename("/theirs", "/x"), files.set_modified("/theirs", 1)),
            *(files.remove("/nothing"), files.rename("/nothing", "/x"), files.set_modified("/nothing", 1)),
            *(
                files.enter("/theirs"),
                files.enter("/nothing"),
                files.entry("/theirs/x"),
                files.enter("/theirs/x"),
            ),
        ):
            with pytest.raises(NotFound):
                await unseen
        assert (await files.entry("/d")).is_directory
        assert store.read("/home/anna/theirs") == b"2"
        await send(files, "/own")
        await send(files, "/own", append=True)
        assert store.read("/home/anna/own") == b"newnew"
        assert await files.size("/own") == (6, False)
        await files.set_modified("/own", 7)
        await files.rename("/own", "/d/other")
        await send(files, "/fresh")
        await files.rename("/fresh", "/d/other")
        await files.remove("/d/other")
        with pytest.raises(NotFound):
            await files.remove("/d/other")

    workspace(test, rights=ROLES["drop-box"])


def test_what_may_only_be_added_to_is_never_replaced() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        for path in ("/own", "/theirs"):
            with pytest.raises(AlreadyExists):
                await send(files, path)
        await send(files, "/theirs", append=True)
        assert store.read("/home/anna/theirs") == b"2new"
        with pytest.raises(AlreadyExists):
            await files.rename("/own", "/theirs")
        # What was begun would replace what is there, not be appended to it.
        store.partials["anna", "/home/anna/theirs"] = b"begun"
        with pytest.raises(AlreadyExists):
            await send(files, "/theirs", append=True)
        # Nor does it when it is left just then, by another session of the account.
        del store.partials["anna", "/home/anna/theirs"]
        begun = ("anna", "/home/anna/theirs")
        store.hooks["upload"] = lambda _path: store.partials.update({begun: b"begun"})
        with pytest.raises(AlreadyExists):
            await send(files, "/theirs", append=True)
        assert store.read("/home/anna/theirs") == b"2new"

    workspace(test, rights="elamwf")


def test_nothing_is_taken_to_where_it_could_be_read() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        for source in ("/d/hidden", "/d"):
            with pytest.raises(Denied):
                await files.rename(source, "/seen")
        with pytest.raises(Denied):
            await files.rename("/own", "/d/own")
        await files.rename("/own", "/mine")

    async def begin(store: FakeStore, files: Workspace) -> None:
        store.put("/home/anna/d/hidden", b"3", "bob")
        await test(store, files)

    workspace(begin, rules=(Rule("/home/anna/d", "f"),))


def test_listings_leave_out_what_may_not_be_seen() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        assert [entry.name for entry in await all_of(await files.directory("/"))] == ["own", "theirs"]
        assert [entry.name for entry in await all_of(await files.matching("/*"))] == ["own", "theirs"]
        for denied in (files.enter("/d"), files.entry("/d"), files.matching("/d/*")):
            with pytest.raises(Denied):
                await denied

    workspace(test, rules=(Rule("/home/anna/d", ""),))


@pytest.mark.parametrize("now", [replace(ANNA, rights=""), replace(ANNA, home="/"), None])
@pytest.mark.parametrize("what", ["entry", "directory", "enter", "download"])
def test_rights_taken_away_while_the_store_was_asked_count(what: str, now: User | None) -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        def taken(path: str) -> None:
            store.change_account("anna", now)

        hook = {"entry": "lookup", "enter": "lookup", "directory": "listing"}.get(what, what)
        store.hooks[hook] = taken
        path = "/own" if what in ("entry", "download") else "/d"
        with pytest.raises(Denied):
            await getattr(files, what)(path)
        assert files.cwd == "/"
        assert store.opened["download"] == store.ended["download"]

    workspace(test)


def test_a_session_that_was_shut_does_nothing() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        files.shut()
        for denied in (files.entry("/own"), files.size("/own"), files.remove("/own"), send(files, "/new")):
            with pytest.raises(Denied):
                await denied
        assert not store.calls

    workspace(test)


def test_nothing_is_taken_around_a_directory_that_is_not_there_yet() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        store.put("/home/anna/d/sub", None, "bob")
        with pytest.raises(Denied):
            await files.rename("/d", "/seen")

    workspace(test, rights="ewmf", rules=(Rule("/home/anna/seen/sub", "elr"),))
