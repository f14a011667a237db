"""Files over SFTP, with paramiko as the client and a fake store: what is published when, and what is not."""

from __future__ import annotations

import os
import stat
from dataclasses import replace

import paramiko
import pytest
from sftpserver import SftpServer

from ftpgateway.sftp.files.opened import HELD, File
from raftstore.errors import NoQuorum, QuotaExceeded
from raftstore.types import Partial

DATA = os.urandom(3 * 1024 * 1024 + 17)


def test_what_is_put_is_what_is_read(server: SftpServer) -> None:
    with server.sftp() as client:
        for size in (0, 1, 255 * 1024 + 1, len(DATA)):
            with client.open("a.jpg", "wb") as file:
                file.set_pipelined(True)
                file.write(DATA[:size])
            assert server.store.read("/a.jpg") == DATA[:size]
            with client.open("a.jpg") as file:
                assert file.read() == DATA[:size]
                for offset in (size // 2, 5, size + 3):
                    file.seek(offset)
                    assert file.read(70_000) == DATA[:size][offset : offset + 70_000]


def test_few_files_hold_bytes_however_many_are_open(server: SftpServer) -> None:
    server.store.put("/a.jpg", DATA, "alice")
    with server.sftp() as client:

        def holding() -> int:
            streams = [stream for one in list(server.frontend._connections) for stream in one._streams]
            (busy,) = [stream for stream in streams if stream.busy]
            return sum(isinstance(one, File) and one.holds for one in busy._requests._handles.values())

        files = [client.open("a.jpg") for _ in range(20)]
        assert holding() == HELD, "from their first bytes only, and nobody has asked for these"
        for offset in (0, 100_000, 2_000_000):
            for file in files:
                file.seek(offset)
                assert file.read(50_000) == DATA[offset : offset + 50_000]
            assert holding() == HELD
        for file in files[HELD // 2 :]:
            file.close()
        assert holding() == 0
        files += [client.open("a.jpg") for _ in range(3)]
        assert holding() == 3


def test_nothing_is_visible_before_close_and_close_waits_for_the_commit(server: SftpServer) -> None:
    server.store.put("/a.jpg", b"old", "alice")
    gate = server.gate("commit")
    with server.sftp() as client, server.sftp("bob") as other:
        file = client.open("a.jpg", "wb")
        file.write(DATA)
        assert other.stat("a.jpg").st_size == 3 and client.stat("a.jpg").st_size == len(DATA)
        closed = server_thread(file.close)
        gate.wait_until_held()
        assert not closed.done() and server.store.read("/a.jpg") == b"old"
        gate.open()
        closed.result(30)
        assert server.store.read("/a.jpg") == DATA


def server_thread(function):  # type: ignore[no-untyped-def]
    """Run `function` in a thread; return a future."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(1).submit(function)


@pytest.mark.parametrize(
    ("call", "error"), [("commit", NoQuorum()), ("feed", QuotaExceeded("0")), ("drained", NoQuorum())]
)
def test_a_close_that_fails_says_so_and_publishes_nothing(
    server: SftpServer, call: str, error: Exception
) -> None:
    server.store.put("/a.jpg", b"old", "alice")
    server.store.window = 1
    server.fail(call, error)
    with server.sftp() as client:
        handle = client.open("a.jpg", "wb")
        with pytest.raises(OSError):
            handle.write(DATA)
            # paramiko's own close swallows the status
            status, _ = client._request(4, handle.handle)
            assert status
        server.heal()
        assert server.store.read("/a.jpg") == b"old"
        with client.open("b.jpg", "wb") as file:
            file.write(b"the session goes on")
    assert server.store.read("/b.jpg") == b"the session goes on"


def test_an_open_that_fails_at_the_last_moment_leaves_nothing_open(server: SftpServer) -> None:
    server.store.put("/a.jpg", DATA, "alice")
    with server.sftp() as client:
        reading = client.open("a.jpg")
        server.fail("target", NoQuorum())
        with pytest.raises(OSError):
            client.open("b.jpg", "wb")
        server.heal()
        begun = server.store.opened["upload"]
        assert begun and sum(server.store.ended[how] for how in ("abort", "suspend", "commit")) == begun
        reading.close()


def test_who_may_only_store_may_store_several_at_a_time(server: SftpServer) -> None:
    alice = server.store.accounts["alice"]
    server.store.accounts["alice"] = replace(alice, rights="w")
    try:
        with server.sftp() as client, client.open("a.jpg", "wb") as first, client.open("b.jpg", "wb") as second:
            first.write(b"first")
            second.write(b"second")
    finally:
        server.store.accounts["alice"] = alice
    assert (server.store.read("/a.jpg"), server.store.read("/b.jpg")) == (b"first", b"second")


def test_who_leaves_before_close_leaves_what_can_be_resumed_and_nobody_else_sees_it(server: SftpServer) -> None:
    with server.sftp() as client:
        file = client.open("a.jpg", "wb")
        file.write(DATA[:2_000_000])
        assert client.stat("a.jpg").st_size == 2_000_000
        client.get_channel().get_transport().close()
    server.wait_for(lambda: ("alice", "/a.jpg") in server.store.partials)
    with server.sftp("bob") as other, pytest.raises(FileNotFoundError):
        other.stat("a.jpg")
    with server.sftp() as client:
        size = client.stat("a.jpg").st_size
        assert size == 2_000_000 and "a.jpg" not in client.listdir()
        with client.open("a.jpg", "r+b") as file:
            file.seek(size)
            file.write(DATA[size:])
    assert server.store.read("/a.jpg") == DATA and not server.store.partials


def test_changing_a_part_keeps_the_rest(server: SftpServer) -> None:
    server.store.put("/a.jpg", DATA, "alice")
    with server.sftp() as client:
        with client.open("a.jpg", "r+b") as file:
            assert file.read(4) == DATA[:4]
            file.seek(1000)
            file.write(b"new")
        expected = DATA[:1000] + b"new" + DATA[1003:]
        assert server.store.read("/a.jpg") == expected
        with client.open("a.jpg", "ab") as file:
            file.write(b"tail")
        assert server.store.read("/a.jpg") == expected + b"tail"
        client.truncate("a.jpg", 2_000_000)
        assert server.store.read("/a.jpg") == expected[:2_000_000]
        client.truncate("a.jpg", 3_000_000)
        assert server.store.read("/a.jpg") == expected[:2_000_000] + bytes(1_000_000)
        with client.open("a.jpg", "r+b") as file:
            file.truncate(10)
        assert server.store.read("/a.jpg") == expected[:10]
        with pytest.raises(OSError, match="exists"):
            client.open("a.jpg", "xb")
        with client.open("b.jpg", "xb") as _:
            pass
        assert server.store.read("/b.jpg") == b""


def test_gaps_are_zeroes_and_anything_can_be_written_again(server: SftpServer) -> None:
    with server.sftp() as client:
        with client.open("a.jpg", "wb") as file:
            file.seek(6 * 1024 * 1024)
            file.write(b"x")
            file.seek(10)
            file.write(b"y")
        assert server.store.read("/a.jpg") == bytes(10) + b"y" + bytes(6 * 1024 * 1024 - 11) + b"x"
        with client.open("a.jpg", "wb") as file:
            file.write(DATA)
            file.seek(0)
            file.write(b"header")
        assert server.store.read("/a.jpg") == b"header" + DATA[6:]


def test_a_size_that_is_set_is_the_size(server: SftpServer) -> None:
    with server.sftp() as client:
        file = client.open("a.jpg", "wb")
        file.truncate(5)  # as lftp does before or after it writes
        file.write(b"12345")
        file.truncate(5)
        file.close()
        assert server.store.read("/a.jpg") == b"12345"
        with client.open("b.jpg", "wb") as file:
            file.truncate(100)
        assert server.store.read("/b.jpg") == bytes(100)
        file = client.open("c.jpg", "wb")
        with pytest.raises(OSError, match="Larger than"):
            file.truncate(2**40)
        with pytest.raises(OSError, match="Larger than"):
            client._request(4, file.handle)


def test_a_time_that_was_set_is_shown_before_the_file_is_published(server: SftpServer) -> None:
    with server.sftp() as client:
        with client.open("a.jpg", "w") as file:
            file.write(b"x")
            client.utime("a.jpg", (1, 1_000_000))
            assert (client.stat("a.jpg").st_mtime, file.stat().st_mtime) == (1_000_000, 1_000_000)
        assert client.stat("a.jpg").st_mtime == 1_000_000


def test_names(server: SftpServer) -> None:
    with server.sftp() as client:
        assert client.normalize("x/../..") == "/"
        client.mkdir("d é")
        with pytest.raises(OSError, match="exists"):
            client.mkdir("d é")
        for number in range(1500):
            server.store.put(f"/d é/{number:04}.jpg", b"x", "alice")
        listed = client.listdir_attr("d é")
        assert [one.filename for one in listed] == [f"{number:04}.jpg" for number in range(1500)]
        assert stat.S_ISREG(listed[0].st_mode) and stat.S_ISDIR(client.stat("d é").st_mode)
        client.rename("d é/0000.jpg", "a.jpg")
        with pytest.raises(OSError, match="exists"):
            client.rename("d é/0001.jpg", "a.jpg")
        client.posix_rename("d é/0001.jpg", "a.jpg")
        client.utime("a.jpg", (1, 1_000_000))
        assert client.stat("a.jpg").st_mtime == 1_000_000
        client.chmod("a.jpg", 0o600)
        with pytest.raises(PermissionError):
            client.chown("a.jpg", 5, 5)
        with pytest.raises(OSError, match="not empty"):
            client.rmdir("d é")
        with pytest.raises(OSError, match="links"):
            client.symlink("a.jpg", "l")
        with pytest.raises(PermissionError):
            client.rmdir("/")
        client.remove("a.jpg")
        with pytest.raises(FileNotFoundError):
            client.remove("a.jpg")


def test_handles_are_bounded_and_bad_ones_refused(server: SftpServer) -> None:
    with server.sftp() as client:
        server.store.put("/a.jpg", b"x", "alice")
        files = [client.open("a.jpg") for _ in range(1024)]
        with pytest.raises(OSError, match="can be open"):
            client.open("a.jpg")
        for file in files:
            file.close()
        client.open("a.jpg").close()
        with pytest.raises(OSError, match="no such handle"):
            client._request(4, b"nonsense")
        with pytest.raises(OSError):
            client._request(99, b"nonsense")
        assert client.listdir() == ["a.jpg"]


def test_a_packet_that_is_too_long_ends_the_session_only(server: SftpServer) -> None:
    with server.sftp() as client:
        channel = client.get_channel()
        channel.sendall((2**20).to_bytes(4, "big"))
        assert channel.recv(1) == b""
    with server.sftp() as client:
        assert client.listdir() == []


def test_an_account_that_is_disabled_loses_its_sessions_and_publishes_nothing(server: SftpServer) -> None:
    with server.sftp() as client:
        file = client.open("a.jpg", "wb")
        file.write(b"12345")
        file.stat()
        server.store.accounts["alice"] = replace(server.store.accounts["alice"], disabled=True)
        server.run(lambda: [watch("alice") for watch in server.store.watchers])
        with pytest.raises((OSError, EOFError, paramiko.SSHException)):
            client._request(4, file.handle)
        server.wait_for(lambda: server.frontend.sessions == 0)
        assert "a.jpg" not in server.store.root.children


def test_what_is_not_there_takes_one_question_to_the_cluster(
    server: SftpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both what is published and what could be resumed are looked at, as of one moment."""
    asked: list[bool] = []
    partial = server.store.partial

    async def counting(path: str, owner: str, *, anew: bool = True) -> Partial | None:
        asked.append(anew)
        return await partial(path, owner, anew=anew)

    monkeypatch.setattr(server.store, "partial", counting)
    with server.sftp() as client:
        with pytest.raises(FileNotFoundError):
            client.stat("/nothing.jpg")
        with pytest.raises(FileNotFoundError):
            client.open("/nothing.jpg", "r+")
    assert asked == [False, False]
