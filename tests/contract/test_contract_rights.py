"""Rights: what each account is refused, and with which error, so that nothing that is hidden is told."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

import pytest
from contract import MEMBER, World, refused

from raftstore.errors import AlreadyExists, Changed, Denied, NotFound, StoreError
from raftstore.rights import ROLES, Action, Actor
from raftstore.types import Order, User
from raftstore.wire import commands_pb2 as commands

CHANGES: dict[str, Callable[[World, Actor, str], Awaitable[object]]] = {
    "make": lambda world, who, at: world.store.make_directory(who, world.at(f"{at}new")),
    "remove directory": lambda world, who, at: world.store.remove_directory(who, world.at(f"{at}d")),
    "remove": lambda world, who, at: world.store.remove(who, world.at(f"{at}f")),
    "rename": lambda world, who, at: world.store.rename(who, world.at(f"{at}f"), world.at(f"{at}g")),
    "rename directory": lambda world, who, at: world.store.rename(who, world.at(f"{at}d"), world.at(f"{at}e")),
    "set time": lambda world, who, at: world.store.set_modified(who, world.at(f"{at}f"), 1),
    "upload": lambda world, who, at: world.store.upload(who, world.at(f"{at}new")),
    "replace": lambda world, who, at: world.store.upload(who, world.at(f"{at}f")),
    "append": lambda world, who, at: world.store.upload(who, world.at(f"{at}f"), append=True),
    "reserve": lambda world, who, at: world.store.reserve(who, world.at(f"{at}new")),
    "open to change": lambda world, who, at: world.store.base(who, world.at(f"{at}f")),
}
LOOKS: dict[str, Callable[[World, Actor, str], Awaitable[object]]] = {
    "list": lambda world, who, at: world.store.listing(who, world.at(f"{at}d")),
    "sort": lambda world, who, at: world.store.sorted_listing(who, world.at(f"{at}d"), Order.SIZE),
    "read": lambda world, who, at: world.store.download(who, world.at(f"{at}f")),
}


async def filled(world: World, at: str = "") -> None:
    await world.directory(f"{at}d")
    await world.put(f"{at}f", b"annas")


@pytest.mark.parametrize("change", CHANGES)
async def test_who_only_reads_changes_nothing(world: World, change: str) -> None:
    await filled(world)
    reader = await world.account("reader", ROLES["read-only"])
    with refused(Denied):
        await CHANGES[change](world, reader, "")
    assert (await world.names(), await world.get("f")) == (["d", "f"], b"annas")


@pytest.mark.parametrize("change", CHANGES | LOOKS)
async def test_outside_of_its_home_an_account_has_no_rights(world: World, change: str) -> None:
    await filled(world)
    await world.directory("home")
    other = await world.account("other", home=world.at("home"))
    with refused(Denied):
        await (CHANGES | LOOKS)[change](world, other, "")
    with refused(Denied):
        await world.lookup("f", other)
    assert await world.names() == ["d", "f", "home"]


@pytest.mark.parametrize("change", CHANGES | LOOKS)
async def test_a_rule_takes_rights_away_in_a_directory_and_below(world: World, change: str) -> None:
    await world.directory("closed", "closed/in")
    await filled(world, "closed/in/")
    ruled = await world.account("ruled", MEMBER, ("closed", ""))
    with refused(Denied):
        await (CHANGES | LOOKS)[change](world, ruled, "closed/in/")
    assert await world.names("closed/in") == ["d", "f"]


async def test_what_a_rule_closes_is_not_listed(world: World) -> None:
    await world.directory("closed", "open")
    ruled = await world.account("ruled", MEMBER, ("closed", ""))
    assert await world.names("", ruled) == ["open"]
    listing = await world.store.sorted_listing(ruled, world.at(), Order.TIME)
    assert [entry.name for entry in listing.page(0).entries] == ["open"]
    listing.close()
    with refused(Denied):
        await world.lookup("closed", ruled)


async def test_a_rule_gives_rights_below_what_is_closed(world: World) -> None:
    await world.directory("closed", "closed/open", "closed/other")
    await world.put("closed/open/f", b"content")
    ruled = await world.account("ruled", MEMBER, ("closed", ""), ("closed/open", "elr"))
    assert await world.names("closed", ruled) == ["open"]
    assert await world.get("closed/open/f", ruled) == b"content"
    with refused(Denied):
        await world.put("closed/open/g", b"no", ruled)
    # It may enter what leads to the rule, so of directories it hears that they are there.
    with refused(Denied):
        await world.names("closed/other", ruled)


# A drop-box: what is hidden is as if it were not there.


async def test_a_drop_box_sees_only_what_it_has_put(world: World) -> None:
    box = await world.account("box", ROLES["drop-box"])
    await world.put("theirs", b"annas")
    await world.put("mine", b"boxes", box)
    assert (await world.lookup("mine", box)).size == 5
    with refused(NotFound):
        await world.lookup("theirs", box)
    for refuse in (lambda: world.names("", box), lambda: world.get("mine", box)):
        with refused(Denied):
            await refuse()


@pytest.mark.parametrize("path", ["theirs", "missing"])
async def test_to_a_drop_box_what_is_others_and_what_is_missing_is_the_same(world: World, path: str) -> None:
    box = await world.account("box", ROLES["drop-box"])
    await world.put("theirs", b"annas")
    for refuse in (
        lambda: world.store.remove(box, world.at(path)),
        lambda: world.store.rename(box, world.at(path), world.at("g")),
        lambda: world.store.set_modified(box, world.at(path), 1),
    ):
        with refused(NotFound):
            await refuse()
    assert await world.names() == ["theirs"]


async def test_a_drop_box_changes_its_own(world: World) -> None:
    box = await world.account("box", ROLES["drop-box"])
    await world.put("a", b"first", box)
    await world.put("a", b"second", box)
    await world.store.rename(box, world.at("a"), world.at("b"))
    await world.store.set_modified(box, world.at("b"), 1_000)
    assert (await world.lookup("b")).mtime_ns == 1_000
    assert await world.get("b") == b"second"
    await world.store.remove(box, world.at("b"))
    assert await world.names() == []


async def test_a_drop_box_replaces_nothing_of_others(world: World) -> None:
    box = await world.account("box", ROLES["drop-box"])
    await world.put("theirs", b"annas")
    await world.put("mine", b"boxes", box)
    with refused(Denied):
        await world.put("theirs", b"boxes", box)
    with refused(Denied):
        await world.store.rename(box, world.at("mine"), world.at("theirs"))
    late = await world.upload("later", b"boxes", box)
    await world.put("later", b"annas")
    with refused(Denied):
        await late.commit()
    assert (await world.get("theirs"), await world.get("later")) == (b"annas", b"annas")


async def test_a_drop_box_does_not_learn_how_long_others_files_are(world: World) -> None:
    box = await world.account("box", "ewo")
    await world.put("theirs", b"12345")
    for offset in (3, 7):
        with refused(Denied):
            await world.upload("theirs", actor=box, offset=offset)


async def test_who_may_not_replace_puts_only_what_is_new(world: World) -> None:
    adder = await world.account("adder", "elrw")
    await world.put("f", b"annas")
    with refused(AlreadyExists):
        await world.upload("f", actor=adder)
    await world.put("new", b"adders", adder)
    with refused(AlreadyExists):
        await world.upload("new", actor=adder)
    late = await world.upload("later", b"adders", adder)
    await world.put("later", b"annas")
    with refused(AlreadyExists):
        await late.commit()
    assert await world.get("later") == b"annas"


async def test_who_may_only_append_adds_to_what_is_there(world: World) -> None:
    adder = await world.account("adder", "elra")
    await world.put("f", b"annas")
    with refused(Denied):
        await world.upload("f", actor=adder)
    await world.put("f", b", adders", adder, append=True)
    assert await world.get("f") == b"annas, adders"


async def test_a_move_to_other_rights_needs_the_right_to_read_and_to_delete(world: World) -> None:
    await world.directory("ruled")
    mover = await world.account("mover", "elfmw", ("ruled", MEMBER))
    await world.put("f", b"content")
    with refused(Denied):
        await world.store.rename(mover, world.at("f"), world.at("ruled/f"))
    await world.store.rename(mover, world.at("f"), world.at("g"))
    assert await world.names() == ["g", "ruled"]


# The home.


async def test_a_home_is_made_whatever_the_rights(world: World) -> None:
    box = await world.account("box", "", home=world.at("deep/down/home"))
    await world.store.make_home(box)
    await world.store.make_home(box)
    assert (await world.lookup("deep/down/home")).is_directory
    with refused(Denied):
        await world.store.make_directory(box, world.at("deep/down/home/d"))


async def test_nobody_takes_away_its_own_home(world: World) -> None:
    await world.directory("home")
    own = await world.account("own", home=world.at("home"))
    for refuse in (
        lambda: world.store.remove_directory(own, world.at("home")),
        lambda: world.store.rename(own, world.at("home"), world.at("home/x")),
    ):
        with refused(Denied):
            await refuse()
    assert await world.names() == ["home"]


async def test_who_may_not_change_others_homes_does_not_move_what_they_are_in(world: World) -> None:
    await world.directory("d", "d/home")
    await world.account("lodger", home=world.at("d/home"))
    for refuse in (
        lambda: world.store.rename(world.anna, world.at("d"), world.at("e")),
        lambda: world.store.remove_directory(world.anna, world.at("d/home")),
    ):
        with refused(Denied):
            await refuse()
    admin = await world.account("admin", ROLES["admin"])
    await world.store.rename(admin, world.at("d"), world.at("e"))
    assert await world.names("e") == ["home"]


async def test_a_home_follows_the_directory_that_it_is_in(world: World) -> None:
    await world.directory("d", "d/home")
    lodger = await world.account("lodger", home=world.at("d/home"))
    admin = await world.account("admin", ROLES["admin"])
    await world.store.rename(admin, world.at("d"), world.at("e"))
    moved = await world.store.user(world.name("lodger"))
    assert moved is not None and moved.home == world.at("e/home")
    with refused(Denied):
        await world.store.make_home(lodger)  # the session knows the former one


# Rights that change, sessions that end.


async def test_rights_count_as_they_are_now(world: World) -> None:
    bert = await world.account("bert", MEMBER)
    await world.put("f", b"berts", bert)
    upload = await world.upload("g", b"late", bert)
    await world.change("bert", rights=ROLES["read-only"])
    assert await world.get("f", bert) == b"berts"
    with refused(Denied):
        await world.store.remove(bert, world.at("f"))
    with refused(Denied):
        await upload.commit()
    assert await world.names() == ["f"]
    await world.change("bert", rights=MEMBER)
    await world.store.remove(bert, world.at("f"))


@pytest.mark.parametrize(
    "change",
    [{"disabled": True}, {"password_hash": "another"}, {"home": "/elsewhere"}, {}],
    ids=["disabled", "password", "home", "removed"],
)
async def test_a_session_ends_with_what_opened_it(world: World, change: dict[str, object]) -> None:
    bert = await world.account("bert")
    await world.put("f", b"annas")
    upload = await world.upload("g", b"late", bert)
    if change:
        await world.change("bert", **change)
    else:
        await world.remove_account("bert")
    for refuse in (
        lambda: world.lookup("f", bert),
        lambda: world.names("", bert),
        lambda: world.get("f", bert),
        lambda: world.store.remove(bert, world.at("f")),
        lambda: world.upload("h", b"", bert),
        lambda: upload.commit(),
    ):
        with refused(Denied):
            await refuse()
    assert await world.names() == ["f"]


async def test_an_account_made_anew_is_another(world: World) -> None:
    before = await world.account("bert")
    await world.put("f", b"berts", before)
    await (await world.upload("g", b"half", before)).suspend()
    await world.remove_account("bert")
    after = await world.account("bert", "elrwo")
    assert after.owner != before.owner
    assert world.store.usage(after.owner) == (0, 0)
    assert await world.store.partial(after, world.at("g")) is None
    with refused(Denied):
        await world.get("f", before)
    with refused(Denied):
        await world.store.remove(after, world.at("f"))


async def test_the_anonymous_user_reads_and_changes_nothing(world: World) -> None:
    await filled(world)
    nobody = Actor.anonymous_user(User("anonymous", "", home=world.home, rights=ROLES["read-only"]))
    assert nobody.owner == ""
    assert await world.names("", nobody) == ["d", "f"]
    assert await world.get("f", nobody) == b"annas"
    for change in CHANGES.values():
        with refused(Denied):
            await change(world, nobody, "")


# What is asked without doing it.


async def test_a_right_is_asked_for_without_using_it(world: World) -> None:
    reader = await world.account("reader", ROLES["read-only"])
    user = await world.store.require(reader, Action.LIST, world.at("anything"))
    assert (user.name, user.rights) == (world.name("reader"), ROLES["read-only"])
    for action in (Action.WRITE, Action.DELETE, Action.MAKE_DIRECTORY):
        with refused(Denied):
            await world.store.require(reader, action, world.at("anything"))


@pytest.mark.parametrize(
    ("rights", "error"), [("elrw", AlreadyExists), ("elrwo", Denied), ("elr", Denied), (MEMBER, None)]
)
async def test_a_change_is_allowed_or_not_by_what_it_replaces(
    world: World, rights: str, error: type[StoreError] | None
) -> None:
    there = await world.put("f", b"annas")
    other = await world.account("other", rights)
    put = commands.Command(put_file=commands.PutFile(path=world.at("f")))
    if error is None:
        await world.store.allow(other, put, there)
    else:
        with refused(error):
            await world.store.allow(other, put, there)


async def test_a_lookup_says_for_what_it_is(world: World) -> None:
    await world.put("f")
    reader = await world.account("reader", ROLES["read-only"])
    assert await world.store.lookup(reader, world.at("f"), to=Action.READ)
    with refused(Denied):
        await world.store.lookup(reader, world.at("f"), to=Action.DELETE)


# Accounts and secrets.


async def test_an_account_is_found_by_its_name(world: World) -> None:
    made = await world.account("bert", "elr", ("d", "elrw"), quota_bytes=1000, quota_files=5)
    found = await world.store.user(world.name("bert"))
    assert found is not None and found == made.user
    assert (found.home, found.rights, found.quota_bytes, found.quota_files) == (world.home, "elr", 1000, 5)
    assert [(rule.path, rule.rights) for rule in found.rules] == [(world.at("d"), "elrw")]
    assert world.store.cached_user(world.name("bert")) is world.store.cached_user(world.name("bert"))
    assert world.store.cached_user(world.name("bert")) == found
    assert await world.store.user(world.name("nobody")) is None
    assert world.store.cached_user(world.name("nobody")) is None


async def test_a_changed_account_is_another_state_of_the_same(world: World) -> None:
    before = (await world.account("bert")).user
    await world.change("bert", rights="elr")
    after = await world.store.user(world.name("bert"))
    assert before is not None and after is not None
    assert after.owner == before.owner
    assert after.revision > before.revision
    assert after.rights == "elr"


async def test_who_watches_accounts_hears_of_changes(world: World) -> None:
    heard: asyncio.Queue[str | None] = asyncio.Queue()
    world.store.watch_accounts(heard.put_nowait)
    await world.account("bert")
    await world.change("bert", rights="elr")
    await world.remove_account("bert")
    async with asyncio.timeout(30):
        for _ in range(3):
            assert await heard.get() in (world.name("bert"), None)


async def test_how_much_is_taken_is_told(world: World) -> None:
    await world.account("bert")
    assert world.store.takes(world.name("bert")) > 0


async def test_a_secret_is_agreed_on_once(world: World) -> None:
    name = world.name("secret")
    assert await world.secrets.secret(name) is None
    assert await world.secrets.agree_on_secret(name, b"first") == b"first"
    assert await world.secrets.agree_on_secret(name, b"second") == b"first"
    assert await world.secrets.secret(name, newest=True) == b"first"
    known = hashlib.sha256(b"first").digest()
    assert await world.secrets.agree_on_secret(name, b"third", replaces=known) == b"third"
    with refused(Changed):
        await world.secrets.agree_on_secret(name, b"fourth", replaces=known)
    assert await world.secrets.secret(name) == b"third"
