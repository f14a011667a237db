"""What the logs tell of transfers over SFTP."""

from __future__ import annotations

import structlog
from sftpserver import serve

from ftpgateway.serving.logs.transferlog import Transferred
from raftstore.errors import DiskFull


def test_what_goes_into_the_logs() -> None:
    found: list[Transferred] = []

    class Transfers:
        def record(self, entry: Transferred) -> None:
            found.append(entry)

    with structlog.testing.capture_logs() as lines:
        server = serve()
        try:
            server.frontend._transfers = Transfers()  # type: ignore[assignment]
            with server.sftp() as client:
                with client.open("a b.jpg", "wb") as file:
                    file.write(b"picture")
                with client.open("a b.jpg", "rb") as file:
                    file.prefetch()
                    assert file.read() == b"picture"
                with client.open("a b.jpg", "rb") as file:
                    assert file.read(3) == b"pic"
                with client.open("a b.jpg", "rb"):
                    pass  # opened for nothing
                client.listdir("/")
                server.fail("commit", DiskFull())
                with client.open("c.jpg", "wb") as file:  # paramiko's close swallows failures
                    file.write(b"lost")
                server.heal()
                left = client.open("half.jpg", "wb")
                left.write(b"half")
                assert client.stat("half.jpg").st_size == 4
            server.wait_for(lambda: len(found) == 5)
        finally:
            server.stop()
    assert [(one.path, one.size, one.upload, one.complete) for one in found] == [
        ("/a b.jpg", 7, True, True),
        ("/a b.jpg", 7, False, True),
        ("/a b.jpg", 3, False, False),
        ("/c.jpg", 4, True, False),
        ("/half.jpg", 4, True, False),
    ]
    assert {(one.user, one.host, one.service, one.anonymous) for one in found} == {
        ("alice", "127.0.0.1", "sftp", False)
    }
    logged = [line for line in lines if line["event"] == "transfer"]
    assert [(line["path"], line["bytes"], line["whole"]) for line in logged] == [
        (one.path, one.size, one.complete) for one in found
    ]
    assert {(line["session"], line["user"], line["peer"]) for line in logged} == {(1, "alice", "127.0.0.1")}
