"""When the leader ends what another node has reserved."""

from __future__ import annotations

import asyncio

import pytest

from raftstore.errors import DiskFull
from raftstore.metadata.tables.names.namespace import Place
from raftstore.metadata.tables.names.reservations import Reservation
from raftstore.store.transfers.reservations import Reserver
from raftstore.wire import commands_pb2 as commands


@pytest.mark.slow
def test_nobody_is_silent_while_nobody_could_be_heard() -> None:
    """After two disks were full for long, who still needs its names has time to say so."""
    held = [Reservation(Place(1, "lock"), 7, "ada", "n2", 1, 5)]
    full = True
    committed: list[str] = []

    async def propose(command: commands.Command) -> commands.Result:
        if full:
            raise DiskFull()
        committed.append(command.WhichOneof("kind") or "")
        return commands.Result()

    async def scenario() -> None:
        nonlocal full
        reserver = Reserver("n1", 1, lambda: held, propose, lambda: True, renew=0.02, lease=0.5)
        reserver.start()
        await asyncio.sleep(0.8)
        full = False
        await asyncio.sleep(0.25)
        assert committed and set(committed) == {"renew_names"}
        held[0] = Reservation(Place(1, "lock"), 7, "ada", "n2", 1, 9)
        await asyncio.sleep(0.9)
        assert "release_name" in committed, "and then it is silent after all"
        await reserver.stop()

    asyncio.run(scenario())


def test_what_nobody_needs_ends_though_others_reserve_all_the_time() -> None:
    ended: list[int] = []

    async def propose(command: commands.Command) -> commands.Result:
        ended.append(command.release_name.reservation)
        return commands.Result()

    async def never(_: commands.Command) -> commands.Result:
        await asyncio.sleep(60)
        raise AssertionError

    async def scenario() -> None:
        reserver = Reserver("n1", 1, lambda: [], propose, lambda: False)
        reserver.start()
        reserving = asyncio.create_task(reserver.reserve("/busy", never))
        await asyncio.sleep(0.01)
        reserver.forget(7)
        await asyncio.sleep(0.2)
        assert ended == [7]
        reserving.cancel()
        await reserver.stop()

    asyncio.run(scenario())
