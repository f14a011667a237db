"""What an upload of many chunks proposes, and what its node does about contents that nobody needs."""

from __future__ import annotations

import asyncio

import pytest

from raftstore.errors import NoQuorum
from raftstore.metadata.tables.contents.staging import Staged
from raftstore.store.transfers.ahead import Stager
from raftstore.types import ChunkRef
from raftstore.wire import commands_pb2 as commands

CHUNKS = [ChunkRef(bytes([n]) * 32, 10, (1, 2)) for n in range(5)]


class Log:
    """A catalog, and what is proposed to it."""

    def __init__(self) -> None:
        self.level = 2
        self.leftovers = 0
        self.taken: list[commands.Command] = []
        self.here: dict[int, Staged] = {}
        self.lost = False
        """Whether answers get lost."""

    def staged(self) -> list[Staged]:
        return list(self.here.values())

    async def propose(self, command: commands.Command) -> commands.Result:
        self.taken.append(command)
        await asyncio.sleep(0)
        if command.HasField("stage_content"):
            stage = command.stage_content
            content = stage.content or 40 + len(self.here)
            count = stage.offset + len(stage.chunks)
            self.here[content] = Staged(content, stage.node, stage.boot, count, 10 * count)
            if self.lost:
                raise NoQuorum("lost")
            return commands.Result(inode=content)
        if command.HasField("unstage_content"):
            del self.here[command.unstage_content.content]
        if command.HasField("forget_contents"):
            self.leftovers -= 1
        return commands.Result()

    def kinds(self) -> list[str]:
        return [command.WhichOneof("kind") or "" for command in self.taken]


def made(log: Log, *, leads: bool = False) -> Stager:
    return Stager("n1", 7, log, log.propose, lambda: leads, piece=2)


def test_only_what_is_long_is_staged_and_only_where_all_nodes_know_how() -> None:
    log = Log()
    assert not made(log).needs(CHUNKS[:2])
    assert made(log).needs(CHUNKS[:3])
    log.level = 1
    assert not made(log).needs(CHUNKS)


def test_a_content_travels_in_order_a_slice_at_a_time() -> None:
    log = Log()
    assert asyncio.run(made(log).stage(CHUNKS, 5, "ada")) == 40
    slices = [command.stage_content for command in log.taken]
    assert [(one.content, one.offset, len(one.chunks)) for one in slices] == [(0, 0, 2), (40, 2, 2), (40, 4, 1)]
    assert [chunk.digest for one in slices for chunk in one.chunks] == [ref.digest for ref in CHUNKS]
    assert {(one.node, one.boot, one.since, one.owner) for one in slices} == {("n1", 7, 5, "ada")}
    assert list(slices[0].chunks[0].stores) == [1, 2]


def test_one_slice_of_a_node_is_under_way_at_a_time() -> None:
    log = Log()
    under_way = most = 0

    async def propose(command: commands.Command) -> commands.Result:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        result = await log.propose(command)
        under_way -= 1
        return result

    async def scenario() -> None:
        stager = Stager("n1", 7, log, propose, lambda: False, piece=2)
        await asyncio.gather(*(stager.stage(CHUNKS, 5, "ada") for _ in range(3)))

    asyncio.run(scenario())
    assert (most, len(log.taken)) == (1, 9)


def test_what_no_upload_needs_is_ended_also_where_the_answer_was_lost() -> None:
    log = Log()
    log.here[3] = Staged(3, "n2", 7, 1, 10)
    log.here[4] = Staged(4, "n1", 6, 1, 10)

    async def scenario() -> None:
        stager = made(log)
        held = await stager.stage(CHUNKS, 5, "ada")
        log.lost = True
        with pytest.raises(NoQuorum):
            await stager.stage(CHUNKS, 5, "ada")
        log.lost = False
        await stager.look()
        assert set(log.here) == {3, 4, held}, "neither another node's, nor another boot's"
        stager.over(held)
        await stager.look()
        assert set(log.here) == {3, 4}

    asyncio.run(scenario())


def test_nothing_is_ended_while_some_number_is_not_known_yet() -> None:
    log = Log()
    begun, answer = asyncio.Event(), asyncio.Event()

    async def propose(command: commands.Command) -> commands.Result:
        result = await log.propose(command)
        if command.HasField("stage_content"):
            begun.set()
            await answer.wait()
        return result

    async def scenario() -> None:
        stager = Stager("n1", 7, log, propose, lambda: False, piece=2)
        staging = asyncio.create_task(stager.stage(CHUNKS[:2], 5, "ada"))
        await begun.wait()
        await stager.look()
        answer.set()
        assert await staging in log.here

    asyncio.run(scenario())


def test_the_leader_has_contents_given_up_until_nothing_is_left() -> None:
    log = Log()
    log.leftovers = 3
    asyncio.run(made(log).look())
    assert log.taken == []
    asyncio.run(made(log, leads=True).look())
    assert log.kinds() == ["forget_contents"] * 3 and log.taken[0].forget_contents.limit == 2
