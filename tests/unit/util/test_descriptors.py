"""Clients do not get the last descriptors: without them the node could not open a volume, and would stop."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator

import pytest
from ftpserver import Client, serving

from ftpgateway.ftp.data import channels
from raftstore.util.descriptors import scarce


@pytest.fixture
def few() -> Iterator[int]:
    """Leave this process few more descriptors than it has."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(1024, max(map(int, os.listdir("/proc/self/fd"))) + 400)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    yield most
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_clients_do_not_get_them(few: int) -> None:
    held: list[int] = []
    with serving() as server, server.client() as client:
        try:
            while not scarce(number := os.dup(0)):
                held.append(number)
            held.append(number)
            assert client.command("PASV") == 425
            with pytest.raises(OSError, match="Too many open files") as refused:
                channels.open_listener("127.0.0.1", None)
            assert refused.value.errno == errno.EMFILE
            # Who connects now waits until there is a place again.
            for number in held[-20:]:
                os.close(number)
            del held[-20:]
            with Client("127.0.0.1", server.port, "bob") as other:
                assert other.command("PASV") == 227
        finally:
            for number in held:
                os.close(number)
