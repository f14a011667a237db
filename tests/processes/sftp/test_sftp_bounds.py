"""What an SFTP client can make grow is bounded, and charged to its account and address."""

from __future__ import annotations

import asyncio
from pathlib import Path

import paramiko
import pytest
from fakestore import FakeStore
from ftpserver import ACCOUNTS
from sftpserver import serve

from ftpgateway.access.access import Access
from ftpgateway.access.ledger import LedgerLimits, Limits
from ftpgateway.access.settings import AccessSettings
from ftpgateway.sftp.connection import MOST_KEYS, Connection
from ftpgateway.sftp.files.drafts import READ_BACK
from ftpgateway.sftp.link import RECEIVE_BUFFER
from ftpgateway.sftp.processes import passing
from ftpgateway.sftp.settings import SftpSettings
from raftstore.store.transfers.spool import SpoolLedger, Spools
from raftstore.types import CHUNK_SIZE
from raftstore.wire import sftp_pb2 as wire


def test_sessions_are_charged_for_the_buffer_that_each_has() -> None:
    server = serve({"ledger": LedgerLimits(Limits(), Limits(memory=2 * RECEIVE_BUFFER), Limits())})
    try:
        with server.sftp() as first:
            transport = first.get_channel().get_transport()  # type: ignore[union-attr]
            second = paramiko.SFTPClient.from_transport(transport)
            assert second is not None and second.listdir() == []
            with pytest.raises(paramiko.SSHException):
                paramiko.SFTPClient.from_transport(transport)
            with server.sftp("bob") as other:
                assert other.listdir() == []
            second.close()
            server.wait_for(lambda: server.access.ledger.figures()["memory"].used == RECEIVE_BUFFER)
            again = paramiko.SFTPClient.from_transport(transport)
            assert again is not None and again.listdir() == first.listdir() == []
        server.wait_for(lambda: not list(server.access.ledger.holders()))
    finally:
        server.stop()


def test_handles_of_all_sessions_of_an_account_are_bounded() -> None:
    server = serve({"ledger": LedgerLimits(Limits(), Limits(handles=5), Limits())})
    try:
        server.store.put("/a", b"a")
        with server.sftp() as one, server.sftp() as two, server.sftp("bob") as other:
            opened = [one.open("a") for _ in range(3)] + [two.open("a") for _ in range(2)]
            for session in (one, two):
                with pytest.raises(OSError, match="your account has as many open files"):
                    session.open("a")
                with pytest.raises(OSError, match="open files and directories"):
                    session.listdir()
            assert other.listdir() == ["a"]
            opened.pop().close()
            assert two.listdir() == ["a"]
            with pytest.raises(OSError, match="No such file"):
                one.open("nothing")
            one.open("a").close()
        server.wait_for(lambda: not list(server.access.ledger.holders()))
    finally:
        server.stop()


def test_what_is_read_ahead_for_open_files_is_bounded_for_the_account() -> None:
    """Eight files of each of eight sessions on each of hundreds of connections had three megabytes each."""
    large = 2 * CHUNK_SIZE
    memory = 2 * RECEIVE_BUFFER + large + 1000
    server = serve({"ledger": LedgerLimits(Limits(), Limits(memory=memory), Limits())})
    try:
        for number in range(4):
            server.store.put(f"/{number}", bytes([number]) * large)
        server.store.put("/huge", b"x" * (3 * CHUNK_SIZE))
        with server.sftp() as one, server.sftp() as two:
            opened = [session.open(str(number)) for session in (one, two) for number in range(4)]
            for turn in range(2):
                for number, file in enumerate(opened):
                    file.seek(turn * 1000)
                    assert file.read(10) == bytes([number % 4]) * 10
                    used = server.run(lambda: server.access.ledger.figures()["memory"].used)
                    assert used <= memory
            for file in opened:
                file.close()
            assert server.run(lambda: server.access.ledger.figures()["memory"].used) == 2 * RECEIVE_BUFFER
            with one.open("huge") as file:
                assert file.read(10) == b"x" * 10
        server.wait_for(lambda: not list(server.access.ledger.holders()))
    finally:
        server.stop()


def test_what_is_written_is_charged_and_put_down_where_the_account_may_hold_no_more() -> None:
    memory = RECEIVE_BUFFER + 2 * CHUNK_SIZE
    server = serve({"ledger": LedgerLimits(Limits(), Limits(memory=memory), Limits())})
    try:
        with server.sftp() as client:
            opened = [client.open(f"{number}", "wb") for number in range(4)]
            for turn in range(3):
                for number, file in enumerate(opened):
                    file.write(bytes([65 + number]) * 40_000)
                    used = server.run(lambda: server.access.ledger.figures()["memory"].used)
                    assert RECEIVE_BUFFER < used <= memory, turn
            for number, file in enumerate(opened):
                file.close()
                assert server.store.read(f"/{number}") == bytes([65 + number]) * 120_000
            assert server.run(lambda: server.access.ledger.figures()["memory"].used) == RECEIVE_BUFFER
        server.wait_for(lambda: not list(server.access.ledger.holders()))
    finally:
        server.stop()


def test_keys_that_are_offered_in_vain_are_bounded(tmp_path: Path) -> None:
    """Each is asked of the cluster; and a worker that was taken over would ask for ever."""

    async def main() -> int:
        store = FakeStore()
        store.accounts.update(ACCOUNTS)
        access = Access(store, AccessSettings())
        ours, worker = passing.pair()
        over = asyncio.Event()
        Connection(
            1,
            "192.0.2.1",
            ours,
            access=access,
            settings=SftpSettings(),
            spools=Spools(tmp_path / "spool", SpoolLedger(lambda: 1 << 30)),
            spawn=asyncio.get_running_loop().create_task,
            on_over=lambda _: over.set(),
            on_question=lambda: None,
            on_login=lambda account, *, shared: None,
        )
        asked = 0
        with worker:
            worker.setblocking(False)
            while not over.is_set():
                passing.send(worker, wire.FromWorker(key=wire.Key(user="alice", blob=b"key %d" % asked)))
                asked += 1
                answers = asyncio.Event()
                asyncio.get_running_loop().add_reader(worker.fileno(), answers.set)
                async with asyncio.timeout(10):
                    await answers.wait()
                asyncio.get_running_loop().remove_reader(worker.fileno())
                # "No" is an empty message, which looks as the end does.
                received = passing.receive(worker, wire.Answer)
                assert received is None or received[0].over
        return asked

    assert asyncio.run(main()) == MOST_KEYS


def test_what_is_written_is_bounded_for_the_account() -> None:
    """Sixteen files of each of eight sessions on each of hundreds of connections had a megabyte each."""
    memory = 2 * RECEIVE_BUFFER + CHUNK_SIZE + 1000
    server = serve({"ledger": LedgerLimits(Limits(), Limits(memory=memory), Limits())})
    part = bytes(range(256)) * 400
    try:
        with server.sftp() as one, server.sftp() as two:
            files = [one.open(str(number), "wb") for number in range(3)]
            for _ in range(3):
                for file in files:
                    file.write(part)
                    used = server.run(lambda: server.access.ledger.figures()["memory"].used)
                    assert used <= memory
            with pytest.raises(OSError, match="much memory"), two.open("more", "wb") as other:
                other.write(part)
                other.stat()
            for file in files:
                file.close()
            assert [server.store.read(f"/{number}") for number in range(3)] == [part * 3] * 3
            assert server.run(lambda: server.access.ledger.figures()["memory"].used) == 2 * RECEIVE_BUFFER
            with two.open("more", "wb") as other:
                other.write(part)
            assert server.store.read("/more") == part
        server.wait_for(lambda: not list(server.access.ledger.holders()))
    finally:
        server.stop()


def test_what_is_read_back_of_many_files_is_not_kept() -> None:
    """A byte changed and a byte read of each of a thousand files held a gigabyte."""
    server = serve()
    try:
        for number in range(20):
            server.store.put(f"/{number}", bytes([number]) * CHUNK_SIZE * 2, "alice")
        with server.sftp() as client:

            def kept() -> int:
                (connection,) = server.frontend._connections
                (stream,) = connection._streams
                drafts = list(stream._requests._drafts)
                readers = [draft._reader for draft in drafts if draft._reader is not None]
                return sum(draft._chunk is not None for draft in drafts) + sum(one.holds for one in readers)

            files = [client.open(str(number), "r+b") for number in range(20)]
            for number, file in enumerate(files):
                assert file.read(10) == bytes([number]) * 10
            assert server.run(kept) == READ_BACK
            for number, file in enumerate(files):
                file.seek(0)
                file.write(b"x")
                assert file.read(10) == bytes([number]) * 10
            for number, file in enumerate(files):
                file.seek(CHUNK_SIZE)
                assert file.read(10) == bytes([number]) * 10
            assert server.run(kept) == READ_BACK
            for file in files:
                file.close()
            assert server.run(lambda: server.access.ledger.figures()["memory"].used) == RECEIVE_BUFFER
            assert server.store.read("/7") == b"x" + bytes([7]) * (2 * CHUNK_SIZE - 1)
    finally:
        server.stop()
