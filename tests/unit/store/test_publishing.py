"""Where the file of a handle is published, at both levels."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from raftstore.errors import AlreadyExists, Changed, NoQuorum, NotFound, StoreError
from raftstore.store.targets import Target
from raftstore.store.transfers.publishing import Aim
from raftstore.wire import commands_pb2 as commands

FILE = Target(0, "a", inode=5, version=9)
NEW = Target(3, "a")


class Names:
    """Paths by inode; each barrier may change them."""

    def __init__(self, level: int, paths: dict[int, str]) -> None:
        self.level = level
        self.paths = paths
        self.changes: list[Callable[[], object]] = []

    def path_of(self, inode: int) -> str | None:
        return self.paths.get(inode)

    async def barrier(self) -> None:
        if self.changes:
            self.changes.pop(0)()


def published(names: Names, target: Target, answer: Callable[[commands.PutFile], commands.Result]):
    """Publish `target`; return the result and what was proposed."""
    proposed: list[commands.PutFile] = []

    async def propose(put: commands.PutFile) -> commands.Result:
        copy = commands.PutFile()
        copy.CopyFrom(put)
        proposed.append(copy)
        return answer(put)

    async def scenario():
        aim = Aim(names, names.barrier, lambda: target, sure=True)
        return await aim.publish(await aim.target(), commands.PutFile(path="/opened"), propose)

    try:
        return asyncio.run(scenario()), proposed
    except StoreError as error:
        return error, proposed


def done(_: commands.PutFile) -> commands.Result:
    return commands.Result(inode=5, index=20)


def raising(error: StoreError) -> Callable[[commands.PutFile], commands.Result]:
    def answer(_: commands.PutFile) -> commands.Result:
        raise error

    return answer


def test_level_2_leaves_it_to_the_entry() -> None:
    _, (put,) = published(Names(2, {}), FILE, done)
    assert (put.handle.inode, put.handle.version, put.handle.new) == (5, 9, False)
    replacing = Target(3, "a", replaces=(7, 8), reservation=4)
    _, (put,) = published(Names(2, {}), replacing, done)
    assert put.handle == commands.Handle(new=True, directory=3, name="a", inode=7, version=8, reservation=4)
    assert not put.exclusive and not put.base_inode
    result, _ = published(Names(2, {}), FILE, lambda put: commands.Result(index=20))
    assert result is None, "it is gone"


def test_level_1_finds_the_path_and_has_it_checked() -> None:
    _, (put,) = published(Names(1, {5: "/moved"}), FILE, done)
    assert (put.path, put.base_inode, put.base_version, put.HasField("handle")) == ("/moved", 5, 9, False)
    _, (put,) = published(Names(1, {3: "/d"}), NEW, done)
    assert (put.path, put.exclusive) == ("/d/a", True)
    _, (put,) = published(Names(1, {3: "/"}), Target(3, "a", replaces=(7, 8)), done)
    assert (put.path, put.exclusive, put.base_inode) == ("/a", False, 7)
    assert published(Names(1, {}), FILE, done) == (None, [])
    result, proposed = published(Names(1, {}), NEW, done)
    assert isinstance(result, NotFound) and not proposed


def test_level_1_goes_after_a_file_that_is_renamed_meanwhile() -> None:
    names = Names(1, {5: "/a"})

    def renamed(put: commands.PutFile) -> commands.Result:
        if put.path == "/a":
            names.paths[5] = "/b"
            raise Changed("/a")
        return done(put)

    result, proposed = published(names, FILE, renamed)
    assert isinstance(result, commands.Result) and [put.path for put in proposed] == ["/a", "/b"]


@pytest.mark.parametrize("error", [Changed("x"), AlreadyExists("x")])
def test_level_1_says_that_somebody_was_quicker(error: StoreError) -> None:
    result, proposed = published(Names(1, {3: "/d"}), NEW, raising(error))
    assert isinstance(result, Changed) and len(proposed) == 1


def test_what_was_opened_is_what_is_there_after_the_barrier() -> None:
    """An upload that begins at once finds out meanwhile what it takes the place of."""
    there = [Target(3, "a")]
    names = Names(2, {})
    names.changes.append(lambda: there.__setitem__(0, FILE))

    async def scenario() -> None:
        aim = Aim(names, names.barrier, lambda: there[0], sure=False)
        aim.begin()
        assert await aim.target() is FILE and await aim.target() is FILE
        dropped = Aim(names, names.barrier, lambda: there[0], sure=False)
        dropped.begin()
        dropped.drop()
        await asyncio.sleep(0)

    asyncio.run(scenario())


def test_what_could_not_be_found_out_at_first_is_asked_again() -> None:
    """Who has sent an hour's worth of bytes does not lose them for a second without a leader at the beginning."""
    names = Names(2, {})

    def no_quorum() -> None:
        raise NoQuorum("an election")

    names.changes.append(no_quorum)

    async def scenario() -> None:
        aim = Aim(names, names.barrier, lambda: FILE, sure=False)
        aim.begin()
        await asyncio.sleep(0.01)
        assert await aim.target() is FILE

    asyncio.run(scenario())
