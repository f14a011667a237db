"""What close says after fsync@openssh.com failed: OpenSSH's `put -f` goes by the close alone."""

import os
from dataclasses import replace

import pytest
from paramiko.sftp import CMD_CLOSE, CMD_EXTENDED
from sftpserver import serve

from ftpgateway.access.tree import all_mounts
from raftstore.errors import NoQuorum, OutcomeUnknown, QuotaExceeded


@pytest.mark.parametrize("error", [QuotaExceeded("0"), NoQuorum(), OutcomeUnknown()])
@pytest.mark.parametrize("heal", [False, True])
@pytest.mark.parametrize("more", [False, True])
def test_close_after_a_failed_fsync_does_not_claim_success(error, heal, more):
    server = serve({})
    try:
        with server.sftp() as sftp:
            data = os.urandom(300_000)
            file = sftp.open("/a", "wb")
            file.write(data)
            server.fail("commit", error)
            with pytest.raises(OSError):
                sftp._request(CMD_EXTENDED, "fsync@openssh.com", file.handle)
            if heal:
                server.heal()
            said_ok = True
            try:
                if more:
                    data += b"more"
                    file.write(b"more")
                sftp._request(CMD_CLOSE, file.handle)  # the file's own close keeps silent about a refusal
            except OSError as refused:
                said_ok = False
                print("refused:", refused)
            server.heal()
            if said_ok:
                assert server.run(server.store.read, "/a") == data
    finally:
        server.stop()


@pytest.mark.parametrize("why", ["quota", "out of reach"])
def test_fsync_after_a_failed_write_publishes_nothing(why):
    """A write that failed is a hole in the file: what came before it must not take the place of the earlier version."""
    server = serve({})
    try:
        server.run(server.store.put, "/a", b"the version before", "alice")
        with server.sftp() as sftp:
            file = sftp.open("/a", "wb")
            file.write(b"x" * 1000)
            if why == "quota":
                server.fail("feed", QuotaExceeded("0"))
                with pytest.raises(OSError):
                    file.write(bytes(4_000_000))
                server.heal()
            else:
                file.seek(1 << 40)
                with pytest.raises(OSError):
                    file.write(b"far behind")
            try:
                sftp._request(CMD_EXTENDED, "fsync@openssh.com", file.handle)
            except OSError as refused:
                print("refused:", refused)
            with pytest.raises(OSError):
                sftp._request(CMD_CLOSE, file.handle)
        assert server.run(server.store.read, "/a") == b"the version before"
    finally:
        server.stop()


@pytest.mark.parametrize("more", [False, True])
def test_what_is_sent_waits_for_the_close_whatever_was_synced(more):
    """Half a picture in somebody's inbox would be a delivery that nobody has made."""
    server = serve({"mounts": all_mounts()})
    try:
        earlier = server.store.accounts["alice"]
        server.store.accounts["alice"] = replace(earlier, home="/people/alice", person=True)
        for directory in (
            "/people",
            "/people/alice",
            "/people/@sent",
            "/people/@sent/alice",
            "/people/@sent/alice/bob",
        ):
            server.run(server.store.put, directory, None, "alice")
        with server.sftp() as sftp:
            file = sftp.open("/send/bob/a.jpg", "wb")
            file.write(b"x" * 1000)
            sftp._request(CMD_EXTENDED, "fsync@openssh.com", file.handle)
            if more:
                file.write(b"x" * 500)
            sftp._request(CMD_CLOSE, file.handle)
        path = "/people/@sent/alice/bob/a.jpg"
        assert server.store.handed == [(path, 1000, True), (path, 1500 if more else 1000, False)]
    finally:
        server.stop()
