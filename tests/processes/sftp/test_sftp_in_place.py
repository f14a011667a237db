"""Files changed in place (opened for writing without being emptied): parts of one version only, or a refusal."""

import contextlib

import paramiko
import pytest
from paramiko.sftp import CMD_CLOSE, CMD_EXTENDED, CMD_FSETSTAT, CMD_READ, CMD_WRITE
from paramiko.sftp_client import int64
from sftpserver import serve

from raftstore.errors import NoQuorum

OLD, NEW = b"A" * 300_000, b"B" * 300_000


@contextlib.contextmanager
def opened_in_place():
    """A server with the picture /a, a session, and /a opened for reading and writing in that."""
    server = serve({})
    try:
        server.run(server.store.put, "/a", OLD, "alice")
        with server.sftp() as sftp:
            yield server, sftp, sftp.open("/a", "r+b")
    finally:
        server.stop()


def test_what_is_changed_in_place_is_no_mixture_of_two_versions():
    with opened_in_place() as (server, sftp, file):

        def overwritten(*_):  # another session is quicker, just now
            server.store.hooks.clear()
            server.store.put("/a", NEW, "alice")

        server.store.hooks["rewrite"] = overwritten
        file.seek(100_000)
        file.write(b"x" * 10)
        with pytest.raises(OSError, match="changed meanwhile"):
            sftp._request(CMD_CLOSE, file.handle)
        assert server.run(server.store.read, "/a") == NEW


def test_a_cut_that_was_refused_cuts_nothing_later():
    with opened_in_place() as (server, sftp, file):
        server.fail("rewrite", NoQuorum())
        attr = paramiko.SFTPAttributes()
        attr.st_size = 1000
        with pytest.raises(OSError):
            sftp._request(CMD_FSETSTAT, file.handle, attr)
        server.heal()
        file.write(b"x" * 10)
        sftp._request(CMD_CLOSE, file.handle)
        assert server.run(server.store.read, "/a") == b"x" * 10 + OLD[10:]


def test_what_fsync_has_published_is_read_through_the_same_handle():
    with opened_in_place() as (server, sftp, file):

        def read() -> bytes:
            return sftp._request(CMD_READ, file.handle, int64(0), 10)[1].get_string()

        assert read() == b"A" * 10
        sftp._request(CMD_WRITE, file.handle, int64(0), b"x" * 10)
        sftp._request(CMD_EXTENDED, "fsync@openssh.com", file.handle)
        assert server.run(server.store.read, "/a")[:10] == b"x" * 10
        assert read() == b"x" * 10
