"""A node's volumes are announced, and announced again when the cluster takes them for lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from waiting import until

from raftstore.cluster.replicas import registration
from raftstore.cluster.replicas.registration import Registration
from raftstore.errors import Invalid, NoQuorum, StoreError, Superseded
from raftstore.metadata.results import accepted
from raftstore.types import StoreInfo
from raftstore.wire import commands_pb2 as commands

IDENTITY = b"i" * 16
HERE, LOST = b"h" * 32, b"l" * 32


class Cluster:
    """The catalog, and what is proposed to it."""

    def __init__(self) -> None:
        self.current = False
        self.member = True
        self.proposed = 0
        self.missing: list[tuple[bytes, int]] = []
        self.announced = 0
        self.fatal: list[BaseException] = []
        self.errors: list[StoreError] = []

    def stores(self) -> list[StoreInfo]:
        return [StoreInfo(7, "n3", IDENTITY, self.current)]

    def chunks_on(self, store: int) -> Iterator[list[bytes]]:
        yield [HERE, LOST]

    async def propose(self, command: commands.Command) -> commands.Result:
        self.proposed += 1
        if self.errors:
            raise self.errors.pop(0)
        assert command.register_store.identity == IDENTITY
        self.current = True
        return commands.Result(store=7)

    def report(self, digest: bytes, store: int) -> bool:
        self.missing.append((digest, store))
        return True

    def noted(self) -> None:
        self.announced += 1

    def registration(self) -> Registration:
        return Registration(
            commands.RegisterStore(node="n3", identity=IDENTITY),
            self,
            propose=self.propose,
            member=lambda: self.member,
            holds=lambda digest: digest == HERE,
            missing=self.report,
            announced=self.noted,
            on_fatal=self.fatal.append,
        )


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "PERIOD", 0.001)


def test_volumes_that_went_with_a_predecessor_of_the_same_name_are_announced_again() -> None:
    async def scenario() -> None:
        cluster = Cluster()
        registration = cluster.registration()
        registration.start()
        await until(lambda: len(cluster.missing) == 1)
        # The predecessor's membership ends, and with it all volumes of the name; nobody of that name is a member now.
        cluster.member = cluster.current = False
        await asyncio.sleep(0.02)
        assert cluster.proposed == 1
        cluster.member = True
        await until(lambda: len(cluster.missing) == 2)
        assert (cluster.current, cluster.announced) == (True, 2)
        assert cluster.missing == [(LOST, 7)] * 2
        await registration.stop()
        assert not cluster.fatal

    asyncio.run(scenario())


def test_without_a_quorum_it_is_tried_again() -> None:
    async def scenario() -> None:
        cluster = Cluster()
        cluster.errors = [NoQuorum(), NoQuorum()]
        registration = cluster.registration()
        registration.start()
        await until(lambda: cluster.announced == 1)
        assert cluster.proposed == 3
        await registration.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("status", [commands.INVALID, commands.SUPERSEDED])
def test_volumes_of_another_node_or_an_older_disk_stop_this_one(status: commands.Status) -> None:
    async def scenario() -> None:
        cluster = Cluster()
        with pytest.raises(StoreError) as refused:
            accepted(commands.Result(status=status, detail="no").SerializeToString())
        cluster.errors = [refused.value]
        registration = cluster.registration()
        registration.start()
        await until(lambda: bool(cluster.fatal))
        await registration.stop()
        assert (cluster.proposed, cluster.announced) == (1, 0)
        # The exit code: a supervisor does not start a node with an old disk again and again.
        assert isinstance(cluster.fatal[0], Superseded if status == commands.SUPERSEDED else Invalid)

    asyncio.run(scenario())
