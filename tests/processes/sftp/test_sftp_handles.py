"""What a handle stands for, over real SFTP sessions: names that change under it, others that change its file."""

from __future__ import annotations

import paramiko
import pytest
from paramiko.sftp import CMD_CLOSE, CMD_FSETSTAT
from sftpserver import SftpServer

from ftpgateway.sftp.files.drafts import WARM
from raftstore.errors import AlreadyExists


def close(client: paramiko.SFTPClient, file: paramiko.SFTPFile) -> None:
    """Close, and hear of a failure, about which the library says nothing."""
    file._closed = True
    client._request(CMD_CLOSE, file.handle)


def test_a_close_publishes_where_another_session_has_moved_the_file(server: SftpServer) -> None:
    server.store.put("/d", None)
    server.store.put("/a", b"old", "alice")
    with server.sftp() as one, server.sftp() as other:
        file = one.open("a", "r+b")
        file.write(b"new")
        other.posix_rename("a", "d/b")
        with other.open("a", "wb") as another:
            another.write(b"another")
        close(one, file)
    assert (server.store.read("/a"), server.store.read("/d/b")) == (b"another", b"new")


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_close_publishes_nowhere_what_is_gone(server: SftpServer, how: str) -> None:
    server.store.put("/a", b"old", "alice")
    server.store.put("/b", b"newer", "alice")
    with server.sftp() as one, server.sftp() as other:
        file = one.open("a", "wb")
        file.write(b"late")
        other.remove("a") if how == "removed" else other.posix_rename("b", "a")
        close(one, file)
    assert ("a" in server.store.root.children) is (how == "replaced")
    assert how == "removed" or server.store.read("/a") == b"newer"


def test_the_second_of_two_closes_fails(server: SftpServer) -> None:
    server.store.put("/a", b"old", "alice")
    with server.sftp() as one, server.sftp() as other:
        for name in ("a", "new"):
            files = [client.open(name, "wb") for client in (one, other)]
            for number, file in enumerate(files):
                file.write(b"%d" % number)
            close(one, files[0])
            with pytest.raises(OSError, match="changed meanwhile"):
                close(other, files[1])
            assert server.store.read(f"/{name}") == b"0"


def test_exclusive_means_now(server: SftpServer) -> None:
    with server.sftp() as one, server.sftp() as other:
        lock = one.open("lock", "wx")
        with pytest.raises(OSError, match="exists"):
            other.open("lock", "wx")
        with pytest.raises(OSError, match="exists"):
            other.mkdir("lock")
        with pytest.raises(FileNotFoundError):
            other.stat("lock")
        assert other.listdir() == [] and one.listdir() == ["lock"]
        one.remove("lock")
        with other.open("lock", "wx") as file:
            file.write(b"other's")
        close(one, lock)
        assert server.store.read("/lock") == b"other's"
        begun = one.open("more", "wx")
        begun.write(b"x")
        begun._closed = True
    server.wait_for(lambda: not server.store.reserved)


def test_a_name_that_was_lost_is_not_published_at(server: SftpServer) -> None:
    with server.sftp() as client:
        file = client.open("lock", "wx")
        file.write(b"mine")
        server.run(server.store.reserved.clear)
        with pytest.raises(OSError, match="changed meanwhile"):
            close(client, file)
    assert "lock" not in server.store.root.children


def test_a_session_sees_what_it_writes(server: SftpServer) -> None:
    with server.sftp() as client:
        file = client.open("a", "w+b")
        file.write(b"0123456789")
        file.seek(0)
        assert file.read(4) == b"0123"
        with client.open("a", "rb") as reader:
            assert reader.read() == b"0123456789"
            file.truncate(3)
            file.seek(5)
            file.write(b"x")
            reader.seek(0)
            assert reader.read() == b"012\0\0x"
        client.rename("a", "b")
        assert client.stat("b").st_size == 6 and client.listdir() == ["b"]
        close(client, file)
    assert server.store.read("/b") == b"012\0\0x"


def test_many_files_are_written_at_once(server: SftpServer) -> None:
    content = {f"{number}": bytes([number]) * 50_000 for number in range(3 * WARM)}
    with server.sftp() as client:
        files = {name: client.open(name, "wb") for name in content}
        for start in range(0, 50_000, 10_000):
            for name, file in files.items():
                file.write(content[name][start : start + 10_000])
        for file in files.values():
            close(client, file)
    assert {name: server.store.read(f"/{name}") for name in content} == content


def test_a_partial_has_no_gap_in_it(server: SftpServer) -> None:
    with server.sftp() as client:
        file = client.open("a", "wb")
        file.write(b"A" * 100_000)
        file.seek(200_000)
        file.write(b"B" * 100)
        file.seek(0)
        file.write(b"header")
        file.stat()
        client.get_channel().get_transport().close()
    server.wait_for(lambda: server.store.partials)
    assert server.store.partials["alice", "/a"] == b"header" + b"A" * 99_994


def test_what_was_changed_in_place_and_not_closed_is_forgotten(server: SftpServer) -> None:
    server.store.put("/a", b"old", "alice")
    with server.sftp() as client:
        file = client.open("a", "r+b")
        file.write(b"new")
        file.stat()
        client.get_channel().get_transport().close()
    server.wait_for(lambda: server.store.ended["abort"])
    assert server.store.read("/a") == b"old" and not server.store.partials


def test_a_time_is_set_on_the_file_and_not_on_the_name(server: SftpServer) -> None:
    server.store.put("/a", b"old", "alice", mtime_ns=5 * 10**9)
    attributes = paramiko.SFTPAttributes()
    attributes.st_atime = attributes.st_mtime = 1_000_000
    with server.sftp() as client, client.open("a", "rb") as file:
        client._request(CMD_FSETSTAT, file.handle, attributes)
        assert client.stat("a").st_mtime == 1_000_000
        server.run(server.store.root.children.pop, "a")
        server.run(server.store.put, "/a", b"another", "bob")
        with pytest.raises(OSError, match="changed meanwhile"):
            client._request(CMD_FSETSTAT, file.handle, attributes)


def test_a_reservation_that_fails_opens_nothing(server: SftpServer) -> None:
    server.fail("reserve", AlreadyExists("lock"))
    with server.sftp() as client, pytest.raises(OSError, match="exists"):
        client.open("lock", "wx")
    assert not server.store.opened["upload"]
