"""Points ftputil's tests of a real server, whose code stays as it is, at the live one, with the files they expect.

The suite has the address localhost:2121 in its code.
"""

from __future__ import annotations

import ftplib
import io
import socket

import live

_connect = socket.create_connection


def _redirected(address: tuple[str, int], *arguments: object, **options: object) -> socket.socket:
    if address == ("localhost", 2121):
        address = live.ADDRESSES["plain4"]
    return _connect(address, *arguments, **options)


def pytest_sessionstart() -> None:
    """Make the tree that the suite expects."""
    with live.session("ftptest", "dummy") as own:
        live.empty(own)
        for directory in (
            "rootdir1",
            "rootdir2",
            "rootdir2/dir2",
            "dir with spaces",
            "dir with spaces/second dir",
            "äbc",
        ):
            own.mkd("/" + directory)
        files = {
            "CONTENTS": b"what is here\n",
            "large_file": bytes(range(256)) * 8000,
            ".hidden": b"",
            "dir with spaces/some file": b"",
            "dir with spaces/some_file": b"",
            "äbc/file1": b"",
            "äbc/file1_ö": b"",
        }
        for name, content in files.items():
            own.storbinary(f"STOR /{name}", io.BytesIO(content))
    socket.create_connection = _redirected
    ftplib.socket.create_connection = _redirected
