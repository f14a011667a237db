"""Nobody passes /people but its person: rights, accounts, groups, blocks, and what somebody leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from catalogs import Feeder, by, command, partial, put
from people import files, inbox, opens, past, person, persons, retire, send, sent, session, states

from raftstore.errors import Denied
from raftstore.metadata.tables.people import blocks, groups
from raftstore.metadata.tables.people.blocks import Blocks
from raftstore.metadata.tables.people.groups import MAX_MEMBERS, Groups
from raftstore.rights import ROLES, Action, Actor, Rights, looks
from raftstore.types import INBOX_MARK, Rule, Usage, User, identity_of
from raftstore.wire import commands_pb2 as commands


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog.db") as made:
        yield made


@pytest.fixture
def anna(feeder: Feeder) -> Actor:
    return person(feeder, "anna")


@pytest.fixture
def bob(feeder: Feeder) -> Actor:
    return person(feeder, "bob")


def account(feeder: Feeder, name: str, rights: str = ROLES["member"], home: str = "/", **rules: str) -> Actor:
    user = commands.User(name=name, password_hash="x", home=home, rights=rights)
    for path, letters in rules.items():
        user.rules.add(path=path.replace("_", "/"), rights=letters)
    assert feeder.status(command("put_user", user=user)) == "OK"
    return session(feeder, name)


def status(feeder: Feeder, actor: Actor, built: commands.Command) -> str:
    return feeder.status(by(built, actor))


# Whom /people is closed to.

ANNAS = [
    "/people",
    "/people/anna",
    "/people/anna/a",
    "/people/@inbox",
    "/people/@inbox/anna",
    "/people/@inbox/anna/bob/b",
    "/people/@sent/anna/bob/a",
    "/people/@trash/anna",
    "/people/nobody",
]


def everything(path: str) -> list[commands.Command]:
    return [
        command("make_directory", path=f"{path}/x"),
        command("remove_directory", path=path),
        command("remove_file", path=path),
        command("rename", source=path, target="/y"),
        command("rename", source="/theirs", target=path),
        command("rename", source="/theirs", target=f"{path}/x"),
        command("set_times", path=path, mtime_ns=1),
        command("reserve_name", path=f"{path}/x", node="n1", boot=1),
        command("send_file", path=path, to="carl"),
        put(path, 7),
        put(f"{path}/x", 7),
        partial(path, 7),
        command("drop_partial", path=path),
    ]


@pytest.mark.parametrize("who", ["root", "member", "person"])
@pytest.mark.parametrize("path", ANNAS)
def test_others_do_nothing_there_and_learn_nothing(
    feeder: Feeder, anna: Actor, bob: Actor, who: str, path: str
) -> None:
    feeder.all(by(put("/people/anna/a", 1), anna), put("/theirs", 3))
    send(feeder, bob, "anna/b", 2)
    send(feeder, anna, "bob/a", 1)
    if who == "person":
        stranger = person(feeder, "carl")
        assert status(feeder, stranger, put("/people/carl/c", 4)) == "OK"
    else:
        stranger = account(feeder, who, ROLES["admin" if who == "root" else "member"])
    for built in everything(path):
        assert status(feeder, stranger, built) == "DENIED", built
    rights = stranger.rights(feeder.catalog.rights, feeder.catalog.level)
    for action in Action:
        assert not rights.may(action, path, own=True)
    for look in (looks.entry, looks.version):
        with pytest.raises(Denied):
            look(rights, path, feeder.catalog.lookup)  # type: ignore[arg-type]
    assert looks.partial(rights, path, feeder.catalog.partial) is None


def test_listings_of_others_do_not_show_it(feeder: Feeder, anna: Actor) -> None:
    member, admin = account(feeder, "member"), account(feeder, "root", ROLES["admin"])
    listed = {
        actor.user.name: [
            entry.name for entry in looks.page(rights_of(feeder, actor), feeder.catalog.page("/")).entries
        ]
        for actor in (member, admin)
        if actor.user is not None
    }
    assert listed == {"member": [], "root": []}


def rights_of(feeder: Feeder, actor: Actor) -> Rights:
    return actor.rights(feeder.catalog.rights, feeder.catalog.level)


def test_an_admin_passes_by_a_rule_and_as_far_as_that_goes(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    send(feeder, anna, "bob/a", 1)
    admin = account(feeder, "root", ROLES["admin"], **{"_people_@inbox_bob": "elr"})
    rights = rights_of(feeder, admin)
    assert looks.version(rights, "/people/@inbox/bob/anna/a", feeder.catalog.file).entry.size == 10
    assert status(feeder, admin, command("remove_file", path="/people/@inbox/bob/anna/a")) == "DENIED"
    for path in ("/people/@inbox/anna", "/people/bob", "/people/@sent/anna/bob/a"):
        assert rights.letters(path) == ""
    shown = [
        [e.name for e in looks.page(rights, feeder.catalog.page(p)).entries]
        for p in ("/", "/people", "/people/@inbox")
    ]
    assert shown == [["people"], ["@inbox"], ["bob"]]
    above = Rights(User("root", "", rights=ROLES["admin"], rules=(Rule("/", "elradfmw"),)), reserved=True)
    assert above.letters("/people/bob") == ""


def test_a_person_has_these_letters_in_its_places_and_none_elsewhere(feeder: Feeder, anna: Actor) -> None:
    rights = rights_of(feeder, anna)
    found = {
        path: rights.letters(path)
        for path in (
            *("/", "/d", "/people", "/people/anna", "/people/anna/d", "/people/annabel", "/people/@inbox"),
            *(
                "/people/@inbox/anna",
                "/people/@sent/anna/bob/x",
                "/people/@trash/anna/x",
                "/people/@inbox/annabel",
            ),
            *("/people/@shared", "/people/@shared/x", "/people/@sharedx"),
        )
    }
    assert {path: letters for path, letters in found.items() if letters} == {
        "/people/anna": ROLES["member"],
        "/people/anna/d": ROLES["member"],
        "/people/@inbox/anna": "elrdf",
        "/people/@sent/anna/bob/x": "elrwadmfT",
        "/people/@trash/anna/x": "elrdf",
        "/people/@shared": "elrmwo",
        "/people/@shared/x": "elrmwo",
    }
    for path in ("/people/anna", "/people/@inbox/anna", "/people/@sent/anna", "/people/@shared"):
        page = looks.page(rights, feeder.catalog.page(path))
        assert page.entries == []
        assert looks.entry(rights, path, feeder.catalog.lookup).is_directory


@pytest.mark.parametrize(
    "place", ["/people/anna", "/people/@inbox/anna", "/people/@sent/anna", "/people/@shared"]
)
def test_a_person_keeps_its_places(feeder: Feeder, anna: Actor, place: str) -> None:
    assert status(feeder, anna, command("remove_directory", path=place)) == "DENIED"
    assert status(feeder, anna, command("rename", source=place, target="/people/anna/x")) == "DENIED"
    assert status(feeder, anna, put(place, 1)) in ("DENIED", "IS_A_DIRECTORY")
    assert feeder.catalog.lookup(place).is_directory


def test_in_shared_each_changes_what_is_its_own(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    assert status(feeder, anna, put("/people/@shared/a", 1)) == "OK"
    assert status(feeder, bob, put("/people/@shared/a", 2)) == "DENIED"
    assert status(feeder, bob, command("remove_file", path="/people/@shared/a")) == "DENIED"
    assert (
        status(feeder, bob, command("rename", source="/people/@shared/a", target="/people/@shared/b"))
        == "DENIED"
    )
    assert (
        looks.version(rights_of(feeder, bob), "/people/@shared/a", feeder.catalog.file).entry.owner
        == anna.owner
    )
    assert status(feeder, anna, put("/people/@shared/a", 2)) == "OK"
    assert (
        status(feeder, anna, command("rename", source="/people/@shared/a", target="/people/@shared/b")) == "OK"
    )
    assert status(feeder, anna, command("remove_file", path="/people/@shared/b")) == "OK"


def test_below_level_3_people_is_a_directory_like_others(tmp_path: Path) -> None:
    with Feeder(tmp_path / "old.db", level=2) as old:
        ada = account(old, "ada")
        for path in ("/people", "/people/@sent", "/people/@sent/ada", "/people/@sent/ada/bob"):
            assert status(old, ada, command("make_directory", path=path)) == "OK"
        assert status(old, ada, put("/people/@sent/ada/bob/a", 1)) == "OK"
        assert status(old, ada, command("rename", source="/people/@sent/ada/bob/a", target="/a")) == "OK"
        assert rights_of(old, ada).letters("/people/x") == ROLES["member"]
        refused = old.one(command("set_level", level=3))
        assert (refused.status, old.catalog.level) == (commands.CHANGED, 2)
        assert "/people is reserved" in refused.detail
        assert old.status(command("rename", source="/people", target="/folk")) == "OK"
        assert old.status(command("set_level", level=3)) == "OK"
        assert rights_of(old, ada).letters("/people/x") == ""


@pytest.mark.parametrize(
    "user",
    [
        commands.User(name="a@b", home="/"),
        commands.User(name="requests", home="/"),
        commands.User(name="ada", home="/people/x"),
        commands.User(name="ada", home="/", rules=[commands.Rule(path="/people", rights="elr")]),
    ],
    ids=["at", "requests", "home", "rule"],
)
def test_what_stands_in_the_way_of_level_3(tmp_path: Path, user: commands.User) -> None:
    with Feeder(tmp_path / "old.db", level=2) as old:
        assert old.status(command("put_user", user=user)) == "OK"
        assert old.status(command("set_level", level=3)) == "CHANGED"
        assert old.status(command("remove_user", name=user.name)) == "OK"
        assert old.status(command("set_level", level=3)) == "OK"


# Accounts that are persons.


def test_a_person_is_made_with_its_places_which_are_on_nobody_s_quota(feeder: Feeder) -> None:
    anna = person(feeder, "anna", quota_files=1)
    for path in (
        "/people/anna",
        "/people/@inbox/anna",
        "/people/@sent/anna",
        "/people/@trash/anna",
        "/people/@shared",
    ):
        entry = feeder.catalog.lookup(path)
        assert (entry.is_directory, entry.owner) == (True, "")
    assert feeder.catalog.usage(anna.owner) == Usage(0, 0)


def person_of(name: str, **fields: Any) -> commands.Command:
    fields.setdefault("home", f"/people/{name}")
    return command("put_user", user=commands.User(name=name, rights="elr", person=True, **fields))


def test_names_and_homes_that_no_person_may_have(feeder: Feeder) -> None:
    assert feeder.status(command("put_group", group=commands.Group(name="staff"))) == "OK"
    assert feeder.status(person_of("a@b")) == "BAD_NAME"
    assert feeder.status(person_of("requests")) == "BAD_NAME"
    assert feeder.status(person_of(".anna")) == "BAD_NAME"
    assert feeder.status(person_of("staff")) == "EXISTS"
    assert feeder.status(person_of("anna", home="/anna")) == "INVALID"
    assert feeder.status(person_of("anna", home="/people/bob")) == "INVALID"
    for home in ("/people", "/people/anna", "/people/@inbox/anna"):
        assert feeder.status(command("put_user", user=commands.User(name="anna", home=home))) == "INVALID"
    assert feeder.catalog.listing("/") == []


def test_nobody_makes_moves_or_removes_the_places_of_persons(feeder: Feeder, anna: Actor) -> None:
    carl = account(feeder, "carl", ROLES["admin"], _people="elradfmw")
    assert status(feeder, anna, put("/people/anna/mine", 1)) == "OK"
    system = Actor.system("a test")
    for who in (carl, system):
        for path in (
            *("/people", "/people/@inbox", "/people/@sent/anna", "/people/@trash/anna", "/people/@shared"),
            "/people/anna",
        ):
            assert status(feeder, who, command("rename", source=path, target="/elsewhere")) == "DENIED", path
            assert status(feeder, who, command("remove_directory", path=path)) == "DENIED", path
        for path in ("/people/zoe", "/people/@inbox/zoe", "/people/@zoe"):
            assert status(feeder, who, command("make_directory", path=path)) == "DENIED", path
            assert status(feeder, who, put(path, 1)) == "DENIED", path
            assert status(feeder, who, partial(path, 1)) == "DENIED", path
            assert status(feeder, who, command("reserve_name", path=path, node="n1", boot=1)) == "DENIED", path
        assert status(feeder, who, command("make_directory", path="/box")) in ("OK", "EXISTS")
        assert status(feeder, who, command("rename", source="/box", target="/people/zoe")) == "DENIED"
    assert feeder.status(person_of("zoe")) == "OK"
    # What is in a home is an admin's who has a rule for it.
    assert status(feeder, carl, command("rename", source="/people/anna/mine", target="/mine")) == "OK"


def test_what_one_has_put_into_shared_one_takes_away_again(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    assert status(feeder, anna, command("make_directory", path="/people/@shared/d")) == "OK"
    assert status(feeder, anna, put("/people/@shared/d/a", 1)) == "OK"
    for who, name in ((bob, "bob"), (anna, "anna")):
        own = who is anna
        home = f"/people/{name}/a"
        wanted = command("rename", source="/people/@shared/d/a", target=home)
        assert status(feeder, who, wanted) == ("OK" if own else "DENIED")
        assert status(feeder, who, command("remove_directory", path="/people/@shared/d")) == (
            "OK" if own else "DENIED"
        )
    assert files(feeder, "/people/anna") == ["a"]


def test_shared_is_for_persons(feeder: Feeder, anna: Actor) -> None:
    assert status(feeder, anna, put("/people/@shared/a", 1)) == "OK"
    everybody = account(feeder, "ada", ROLES["admin"])
    for wanted in (command("remove_file", path="/people/@shared/a"), put("/people/@shared/b", 1)):
        assert status(feeder, everybody, wanted) == "DENIED"
    assert status(feeder, everybody, command("make_directory", path="/shared")) == "OK", "that is another one"


def test_who_was_to_get_something_was_no_person_by_that(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    """An account that a group's sender could not reach has a number; the places of its name are not its own."""
    send(feeder, anna, "bob/secret", 1)
    assert feeder.status(command("remove_user", name="bob")) == "OK"
    account(feeder, "bob", home="/bob")
    send(feeder, anna, "bob/secret", 1)  # again: the record notes an account that takes nothing
    assert feeder.status(person_of("bob")) == "EXISTS"
    purge(feeder, bob.owner)
    assert feeder.status(person_of("bob")) == "OK"
    assert feeder.catalog.listing("/people/@inbox/bob") == []


def test_who_becomes_a_person_or_is_none_any_more_logs_in_again(feeder: Feeder) -> None:
    before = account(feeder, "anna", home="/anna")
    anna = person(feeder, "anna")
    assert anna.owner == before.owner
    assert status(feeder, before, command("make_directory", path="/people/anna/d")) == "DENIED"
    after = account(feeder, "anna", home="/anna")
    assert status(feeder, anna, command("make_directory", path="/anna")) == "DENIED"
    assert rights_of(feeder, after).letters("/people/anna") == ""


def test_who_comes_under_an_old_name_inherits_nothing(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    send(feeder, bob, "anna/b", 1)
    assert feeder.status(command("remove_user", name="anna")) == "OK"
    assert feeder.status(person_of("anna")) == "EXISTS"
    account(feeder, "anna", home="/x")
    assert feeder.status(person_of("anna")) == "EXISTS"
    purge(feeder, anna.owner)
    assert feeder.status(person_of("anna")) == "OK"
    assert inbox(feeder, "anna") == []


def test_a_person_that_comes_back_finds_its_own(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    send(feeder, bob, "anna/b", 1)
    account(feeder, "anna", home="/anna")
    person(feeder, "anna")
    assert inbox(feeder, "anna") == ["bob/b"]


def test_the_unread_bounces_when_a_person_goes(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    for name in ("a", "b", "c"):
        send(feeder, bob, f"anna/{name}", 1)
    feeder.one(command("mark_opened", inodes=[feeder.catalog.lookup("/people/@inbox/anna/bob/a").inode]))
    feeder.one(by(command("remove_file", path=sent(bob, "anna/c")), bob))
    assert feeder.status(command("remove_user", name="anna")) == "OK"
    assert states(feeder, "bob") == [("anna", "BOUNCED"), ("anna", "OPENED")]
    assert inbox(feeder, "anna") == ["bob/a", "bob/b"]
    assert feeder.catalog.orphans() == [(f"{anna.owner}/@inbox", Usage(3, 20))]
    assert past(feeder, "bob") == [("anna/c", "RECALLED")]


def test_what_is_in_the_inbox_of_a_person_is_not_adopted(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    send(feeder, bob, "anna/b", 1)
    adopt = command("adopt_owner", owner=f"{anna.owner}/@inbox", name="bob", limit=10)
    assert feeder.status(adopt) == "INVALID"
    feeder.one(command("remove_user", name="anna"))
    assert feeder.status(adopt) == "OK"


def purge(feeder: Feeder, identity: str, limit: int = 64) -> int:
    rounds = 0
    while True:
        done = feeder.one(command("purge_person", identity=identity, limit=limit))
        assert done.status == commands.OK, done.detail
        rounds += 1
        if done.finished:
            return rounds


@pytest.mark.parametrize("limit", [1, 3, 64])
def test_what_somebody_left_is_purged_a_few_at_a_time(
    feeder: Feeder, anna: Actor, bob: Actor, limit: int
) -> None:
    for name in ("a", "b"):
        send(feeder, bob, f"anna/{name}", 1)
        send(feeder, anna, f"bob/{name}", 2)
    feeder.all(
        by(command("make_directory", path="/people/anna/d"), anna),
        by(put("/people/anna/d/x", 3), anna),
        by(partial("/people/anna/d/y", 4), anna),
    )
    assert feeder.status(command("purge_person", identity=anna.owner, limit=9)) == "CHANGED"
    assert feeder.status(command("remove_user", name="anna")) == "OK"
    assert feeder.status(command("purge_person", identity="anna", limit=9)) == "NOT_FOUND"
    assert feeder.status(command("purge_person", identity=anna.owner, limit=0)) == "INVALID"
    rounds = purge(feeder, anna.owner, limit)
    assert (rounds > 5) == (limit < 3)
    assert [entry.name for entry in feeder.catalog.listing("/people")] == [
        "@inbox",
        "@sent",
        "@shared",
        "@trash",
        "bob",
    ]
    feeder.one(
        command("begin_sweep", store=1)
    )  # what was begun in a removed directory goes with the next commands
    assert feeder.catalog.orphans() == []
    assert feeder.catalog.usage(f"{bob.owner}/@inbox") == Usage(3, 20)  # what has come stays
    assert files(feeder, "/people/@sent/bob") == ["anna/a", "anna/b"]
    assert states(feeder, "bob") == [("anna", "BOUNCED")] * 2


def test_what_was_thrown_away_unopened_has_bounced_for_good_and_can_be_sent_again(
    feeder: Feeder, anna: Actor, bob: Actor
) -> None:
    send(feeder, bob, "anna/a", 1)
    user = {"name": "anna", "rights": ROLES["member"]}
    assert feeder.status(command("put_user", user=commands.User(**user, home="/anna"))) == "OK"
    purge(feeder, anna.owner)
    assert states(feeder, "bob") == [("anna", "BOUNCED")]
    back = commands.User(**user, home="/people/anna", person=True)
    assert feeder.status(command("put_user", user=back)) == "OK"
    assert states(feeder, "bob") == [("anna", "BOUNCED")]
    send(feeder, bob, "anna/a", 1)
    assert inbox(feeder, "anna") == ["bob/a"]
    assert states(feeder, "bob") == [("anna", "DELIVERED")]


def test_no_identity_is_that_of_what_is_in_an_inbox(feeder: Feeder) -> None:
    feeder.index = int("inbox", 36) - 1
    anna = account(feeder, "anna")
    assert anna.owner == "anna/inbox"
    assert identity_of(anna.owner) == anna.owner
    assert identity_of(anna.owner + INBOX_MARK) == anna.owner
    assert INBOX_MARK != "/inbox"


# Groups and blocks.


def group(name: str, *members: str, **fields: object) -> commands.Command:
    return command("put_group", group=commands.Group(name=name, members=members), **fields)


def test_names_that_no_group_may_have(feeder: Feeder, anna: Actor) -> None:
    for name in ("", ".", "a/b", "a@b", "requests", ".a", "x" * 256, "a\u202eb"):
        assert feeder.status(group(name)) == "BAD_NAME"
    refused = feeder.one(group("anna"))
    assert refused.status == commands.EXISTS and "anna is an account" in refused.detail
    assert feeder.status(group("g", "a/b")) == "BAD_NAME"


def test_a_group_has_a_thousand_members_each_once(feeder: Feeder) -> None:
    many = [f"m{n}" for n in range(MAX_MEMBERS)]
    persons(feeder, *many, "a", "one more")
    assert feeder.status(group("g", *many)) == "OK"
    assert feeder.status(group("g", *many, "one more")) == "INVALID"
    assert feeder.status(group("g", "a", "a")) == "INVALID"
    found = feeder.catalog.ask(Groups, lambda groups: groups.find("g"))
    assert found is not None
    assert found.members == tuple(sorted(many))


def test_a_group_is_its_owner_s(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    person(feeder, "carl")
    assert status(feeder, anna, group("g", "bob", create=True)) == "OK"
    assert status(feeder, bob, group("g", "bob", "carl", update=True)) == "NOT_FOUND"
    assert status(feeder, bob, group("g", create=True)) == "EXISTS"
    assert status(feeder, bob, group("g")) == "EXISTS"
    assert status(feeder, bob, command("remove_group", name="g")) == "NOT_FOUND"
    assert status(feeder, bob, command("remove_group", name="none")) == "NOT_FOUND"
    assert feeder.status(group("g", "bob", "carl", update=True)) == "OK"
    assert status(feeder, anna, group("g", "carl", update=True)) == "OK"
    assert status(feeder, anna, command("remove_group", name="g")) == "OK"
    assert status(feeder, account(feeder, "ada"), group("h")) == "DENIED"


def test_a_group_that_was_changed_meanwhile(feeder: Feeder, anna: Actor) -> None:
    persons(feeder, "bob", "carl")
    first = feeder.one(by(group("g", "bob"), anna))
    stale = command("put_group", group=commands.Group(name="g", revision=first.index), update=True)
    assert status(feeder, anna, group("g", "carl", update=True)) == "OK"
    assert status(feeder, anna, stale) == "CHANGED"


def test_members_know_of_each_other_until_they_go(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    carl = person(feeder, "carl")
    person(feeder, "dora")
    assert status(feeder, anna, group("g", "bob", "carl")) == "OK"
    assert feeder.status(group("h", "carl", "dora")) == "OK"

    def companions(actor: Actor) -> list[str]:
        return feeder.catalog.ask(Groups, lambda groups: groups.companions(actor.owner))

    assert [companions(one) for one in (anna, bob, carl)] == [["bob", "carl"], ["carl"], ["bob", "dora"]]
    assert feeder.status(command("remove_user", name="carl")) == "OK"
    assert [companions(one) for one in (anna, bob)] == [["bob"], []]
    assert feeder.status(command("remove_user", name="anna")) == "OK"
    found = feeder.catalog.ask(Groups, lambda groups: groups.find("g"))
    assert found is not None
    assert found.owner == ""
    assert companions(person(feeder, "carl")) == []


def members(feeder: Feeder, name: str) -> tuple[str, ...]:
    found = feeder.catalog.ask(Groups, lambda groups: groups.find(name))
    assert found is not None
    return found.members


def test_only_persons_come_into_a_group_and_the_refusal_names_the_others(feeder: Feeder, anna: Actor) -> None:
    account(feeder, "ada")
    refused = feeder.one(group("g", "anna", "ada", "nobody"))
    assert (refused.status, refused.detail) == (commands.INVALID, "only persons are members: ada, nobody")
    refused = feeder.one(group("g", *(f"n{number}" for number in range(10, 22))))
    assert (
        refused.detail
        == "only persons are members: n10, n11, n12, n13, n14, n15, n16, n17, n18, n19 and 2 more"
    )
    assert feeder.catalog.ask(Groups, lambda groups: groups.find("g")) is None


def test_who_is_no_person_any_more_stays_in_a_group_and_stands_in_nobody_s_way(
    feeder: Feeder, anna: Actor, bob: Actor
) -> None:
    person(feeder, "carl")
    assert feeder.status(group("g", "anna", "bob")) == "OK"
    retire(feeder, "bob")
    assert feeder.status(group("g", "anna", "bob", "carl", update=True)) == "OK"
    assert members(feeder, "g") == ("anna", "bob", "carl")
    assert feeder.status(group("g", "anna", update=True)) == "OK"
    assert feeder.status(group("g", "anna", "bob", update=True)) == "INVALID"


def test_a_later_account_of_a_member_s_name_is_no_member(feeder: Feeder, anna: Actor) -> None:
    carl = person(feeder, "carl")
    assert feeder.status(group("g", "anna", "carl")) == "OK"
    assert feeder.status(command("remove_user", name="carl")) == "OK"
    assert members(feeder, "g") == ("anna",)
    new = person(feeder, "carl")
    assert new.owner != carl.owner
    assert members(feeder, "g") == ("anna",)
    assert opens(feeder, new, "g") == "NOT_FOUND"
    assert not feeder.catalog.ask(Groups, lambda groups: groups.of(new.owner))
    assert not feeder.catalog.ask(Groups, lambda groups: groups.are_companions(anna.owner, "carl"))
    assert not feeder.catalog.ask(Groups, lambda groups: groups.companions(new.owner))
    feeder.reopen()
    assert members(feeder, "g") == ("anna",)
    assert feeder.status(group("g", "anna", "carl", update=True)) == "OK"
    assert (members(feeder, "g"), opens(feeder, new, "g")) == (("anna", "carl"), "OK")


def test_who_was_given_too_many_groups_gets_none_more(
    feeder: Feeder, anna: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "MAX_OF_OWNER", 1)
    assert status(feeder, anna, group("g")) == "OK"
    assert status(feeder, anna, group("h")) == "QUOTA"
    assert feeder.status(group("h")) == "OK"
    given = commands.Group(name="h", owner=anna.owner)
    assert feeder.status(command("put_group", group=given, update=True)) == "QUOTA"


def test_a_block_holds_against_whoever_has_the_name(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    assert status(feeder, bob, command("block", person="bob", name="anna")) == "OK"
    assert feeder.status(command("remove_user", name="anna")) == "OK"
    assert opens(feeder, person(feeder, "anna"), "bob") == "NOT_FOUND"


def test_who_is_no_person_any_more_leaves_no_blocks_to_the_next_of_its_name(feeder: Feeder, bob: Actor) -> None:
    assert status(feeder, bob, command("block", person="bob", name="anna")) == "OK"
    retire(feeder, "bob")
    assert feeder.catalog.ask(Blocks, lambda blocks: blocks.of("bob")) == ["anna"]
    assert feeder.status(command("remove_user", name="bob")) == "OK"
    person(feeder, "bob")
    assert feeder.catalog.ask(Blocks, lambda blocks: blocks.of("bob")) == []


def test_who_blocks_as_many_as_one_may_blocks_none_more_and_those_again(
    feeder: Feeder, bob: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "MAX_BLOCKS", 2)
    answers = [status(feeder, bob, command("block", person="bob", name=name)) for name in ("a", "b", "c", "a")]
    assert answers == ["OK", "OK", "QUOTA", "OK"]
    assert status(feeder, bob, command("block", person="bob", name="a", off=True)) == "OK"
    assert status(feeder, bob, command("block", person="bob", name="c")) == "OK"


def test_a_person_blocks_for_itself_alone(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    assert status(feeder, anna, command("block", person="bob", name="anna")) == "DENIED"
    assert status(feeder, account(feeder, "ada"), command("block", person="ada", name="bob")) == "DENIED"
    assert status(feeder, bob, command("block", person="bob", name="bob")) == "INVALID"
    assert status(feeder, bob, command("block", person="bob", name="")) == "INVALID"
    assert feeder.status(command("block", person="nobody", name="anna")) == "NOT_FOUND"
    for name in ("dora@berlin", "anna", "anna"):
        assert status(feeder, bob, command("block", person="bob", name=name)) == "OK"
    assert feeder.catalog.ask(Blocks, lambda blocks: blocks.of("bob")) == ["anna", "dora@berlin"]
    feeder.reopen()
    assert opens(feeder, anna, "bob") == "NOT_FOUND"
    feeder.one(command("remove_user", name="bob"))
    assert feeder.catalog.ask(Blocks, lambda blocks: blocks.of("bob")) == []
    assert feeder.catalog.ask(Blocks, lambda blocks: blocks.blocking(["bob"], "anna")) == set()


@pytest.mark.parametrize("kind", ["put_group", "remove_group", "block"])
def test_such_a_command_must_say_whose_it_is(feeder: Feeder, kind: str) -> None:
    built = command(kind)
    built.actor.SetInParent()
    assert feeder.status(built) == "INVALID"
    stranger = Actor.anonymous_user(User("anonymous", ""))
    assert status(feeder, stranger, built) == "DENIED"
