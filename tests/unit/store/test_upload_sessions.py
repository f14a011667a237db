"""The end of an upload: what is published, what is kept to resume, and what is refused early."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from waiting import until

from raftstore.errors import Changed, NoQuorum, QuotaExceeded, TooLarge, Unavailable
from raftstore.store.targets import newer_of
from raftstore.store.transfers.ahead import Stager, chunks_to_wire
from raftstore.store.transfers.confirmations import ConfirmedCopies, TransferLeases
from raftstore.store.transfers.publishbatch import PublishBatch
from raftstore.store.transfers.sessions import Allowance, LateReplicas, PublishCalls, UploadPlan, UploadSession
from raftstore.types import CHUNK_SIZE, MAX_CHUNKS, ChunkRef, Entry, Kind
from raftstore.wire import commands_pb2 as commands


class Bytes:
    """Stands in for a chunks.Upload whose bytes are durable at once; `error` breaks it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.position = 0
        self.error = error

    def feed(self, data: bytes) -> bool:
        self.position += len(data)
        return True

    async def finish(self) -> tuple[list[ChunkRef], int]:
        if self.error is not None:
            raise self.error
        return self.durable()

    def referred(self) -> list[ChunkRef]:
        return self.durable()[0]

    def durable(self) -> tuple[list[ChunkRef], int]:
        return ([ChunkRef(b"d" * 32, self.position, (1, 2))] if self.position else []), self.position


class Log:
    """Takes what is proposed."""

    def __init__(self) -> None:
        self.taken: list[commands.Command] = []
        self.applied_index = 10
        self.level = 2
        self.leftovers = 0
        self.sweeps = {1: 0, 2: 0}
        self.held = {1: True, 2: True}
        self.asked: list[int] = []
        self.refuse = 0
        """So many proposals are refused, each because store 1 begins to remove chunks."""

    async def propose(self, command: commands.Command) -> commands.Result:
        self.taken.append(command)
        self.applied_index += 1
        if self.refuse:
            self.refuse -= 1
            self.sweeps[1] = self.applied_index
            raise Changed("swept")
        return commands.Result(inode=7, index=42)

    def swept(self) -> dict[int, int]:
        return self.sweeps

    async def confirm(self, store: int, digests: Sequence[bytes]) -> set[bytes]:
        self.asked.append(store)
        if store not in self.held:
            raise Unavailable("away")
        return set(digests) if self.held[store] else set()

    def added(self, digest: bytes, store: int, since: int) -> None:
        raise AssertionError("no copy came late")


def session(log: Log, upload: Bytes, *, overtaken: bool = False, quota: int | None = None) -> UploadSession:
    async def answer() -> bool:
        return overtaken

    confirmed = ConfirmedCopies(log, log.confirm)
    late, leases = LateReplicas(log, confirmed.begun), TransferLeases(60, log.confirm)
    calls = PublishCalls(
        log.propose,
        answer,
        confirmed,
        late,
        leases,
        PublishBatch(),
        Stager("n1", 1, log, log.propose, lambda: False, piece=2),
    )
    return UploadSession(
        UploadPlan(commands.PutFile(path="/a/photo.jpg", quorum=2), "ada", Allowance(quota)), upload, calls
    )


def test_a_commit_tells_of_what_it_published_whatever_happens_to_the_name_afterwards():
    log = Log()
    upload = session(log, Bytes())
    upload.feed(b"picture")
    # Nothing is looked up: another session may have removed the file by now; it was published all the same.
    entry = asyncio.run(upload.commit())
    put = log.taken[0].put_file
    assert entry == Entry("photo.jpg", Kind.FILE, 7, 7, put.mtime_ns, "ada", 42)
    assert put.mtime_ns > 0
    assert asyncio.run(session(log, Bytes()).commit(5)).mtime_ns == 5


@pytest.mark.parametrize("error", [None, NoQuorum("lost")])
def test_what_came_is_kept_unless_its_owner_has_published_since(error):
    for overtaken in (False, True):
        log = Log()
        upload = session(log, Bytes(error), overtaken=overtaken)
        upload.feed(b"half")
        asyncio.run(upload.suspend())
        assert [command.WhichOneof("kind") for command in log.taken] == ([] if overtaken else ["put_partial"])


def test_nothing_is_kept_of_nothing():
    log = Log()
    asyncio.run(session(log, Bytes()).suspend())
    assert log.taken == []


def test_who_has_overtaken_an_upload():
    def entry(version: int, owner: str = "ada") -> Entry:
        return Entry("f", Kind.FILE, 5, 1, 0, owner, version)

    assert not newer_of("ada", None, None)
    assert not newer_of("ada", entry(3), None)
    assert not newer_of("ada", entry(3), entry(3))
    assert newer_of("ada", entry(3), entry(4))
    assert newer_of("ada", None, entry(4))
    assert not newer_of("ada", None, entry(4, "bob"))


def test_what_cannot_be_published_is_not_received_either():
    upload = session(Log(), Bytes(), quota=10)
    upload.feed(b"x" * 10)
    with pytest.raises(QuotaExceeded):
        upload.feed(b"x")
    assert upload.position == 10
    bytes_ = Bytes()
    bytes_.position = MAX_CHUNKS * CHUNK_SIZE
    with pytest.raises(TooLarge):
        session(Log(), bytes_).feed(b"x")


def stores(command: commands.Command) -> list[int]:
    return list(command.put_file.chunks[0].stores)


def test_what_a_store_said_before_its_sweep_is_asked_again():
    log = Log()
    upload = session(log, Bytes())
    upload.feed(b"picture")
    log.applied_index, log.sweeps[1] = 20, 15
    asyncio.run(upload.commit())
    assert (log.asked, stores(log.taken[0]), log.taken[0].put_file.since) == ([1], [1, 2], 20)


@pytest.mark.parametrize("held", [{1: False, 2: True}, {2: True}])
def test_a_store_that_no_longer_has_it_is_not_named(held):
    log = Log()
    upload = session(log, Bytes())
    upload.feed(b"picture")
    log.sweeps[1], log.held = 15, held
    asyncio.run(upload.commit())
    assert stores(log.taken[0]) == [2]


def test_a_sweep_between_the_question_and_the_log_is_asked_about():
    log = Log()
    upload = session(log, Bytes())
    upload.feed(b"picture")
    log.refuse = 2
    asyncio.run(upload.commit())
    assert [command.put_file.since for command in log.taken] == [10, 11, 12]
    assert log.asked == [1, 1]
    log.refuse = 100
    with pytest.raises(Changed):
        asyncio.run(session(log, Bytes()).commit())


def test_another_refusal_stands():
    log = Log()

    async def refuse(command: commands.Command) -> commands.Result:
        log.taken.append(command)
        raise Changed("another session was faster")

    log.propose = refuse  # type: ignore[method-assign]
    upload = session(log, Bytes())
    upload.feed(b"picture")
    with pytest.raises(Changed):
        asyncio.run(upload.commit())
    assert len(log.taken) == 1


def test_what_is_taken_over_from_the_catalog_is_asked_for_once():
    log = Log()
    refs = [ChunkRef(b"a" * 32, 5, (1, 2)), ChunkRef(b"b" * 32, 5, (2,))]
    confirmed = ConfirmedCopies(log, log.confirm, refs[:1])
    assert not confirmed.stands(refs)
    assert asyncio.run(confirmed.renewed(refs)) == refs
    assert (log.asked, confirmed.stands(refs)) == ([1, 2], True)


def test_what_long_transfers_need_is_asked_for():
    async def scenario() -> None:
        log = Log()
        leases = TransferLeases(0.01, log.confirm)
        short, long = session(log, Bytes()), session(log, Bytes())
        long.feed(b"x")
        leases.watch(short)
        leases.watch(long)
        leases.left(short)
        leases.start()
        await until(lambda: len(log.asked) >= 2)
        leases.left(long)
        await leases.stop()
        assert sorted(log.asked[:2]) == [1, 2]

    asyncio.run(scenario())


class Many(Bytes):
    """Three chunks."""

    def durable(self) -> tuple[list[ChunkRef], int]:
        return [ChunkRef(bytes([n]) * 32, 10, (1, 2)) for n in range(3)], 30


@pytest.mark.parametrize("end", ["commit", "suspend"])
def test_the_chunks_of_a_large_file_travel_ahead_and_again_when_they_may_have_been_collected(end):
    log = Log()
    log.refuse = 1
    asyncio.run(getattr(session(log, Many()), end)())
    kinds = [command.WhichOneof("kind") for command in log.taken]
    last = "put_file" if end == "commit" else "put_partial"
    # The first slice was refused: the stores were asked again, and told anew.
    assert kinds == ["stage_content", "stage_content", "stage_content", last]
    put = getattr(log.taken[-1], last)
    assert (put.content, put.size, list(put.chunks)) == (7, 30, [])
    assert [len(command.stage_content.chunks) for command in log.taken[1:3]] == [2, 1]
    assert log.taken[2].stage_content.content == 7


def test_the_largest_file_fits_into_a_command():
    largest = [ChunkRef(b"d" * 32, CHUNK_SIZE, (1000, 2000, 3000, 4000, 5000))] * MAX_CHUNKS
    put = commands.PutFile(
        path="/" + "p" * 4095,
        owner="o" * 255,
        size=MAX_CHUNKS * CHUNK_SIZE,
        mtime_ns=2**62,
        chunks=chunks_to_wire(largest),
    )
    assert commands.Command(put_file=put).ByteSize() <= 512 * 1024
