"""Ports for nodes: those where somebody listens are not taken."""

from __future__ import annotations

import socket

import pytest

from ftpgateway.cli.errors import AddressInUse
from ftpgateway.demo import ports

HOST = "127.0.0.1"


def test_a_port_where_somebody_listens_is_passed_over_or_named() -> None:
    (port,) = ports.free(HOST, 1)
    with socket.create_server((HOST, port)):
        assert not ports.is_free(HOST, port)
        with pytest.raises(AddressInUse, match=f"{port}: another process listens there"):
            ports.consecutive(HOST, 1, port)
    assert ports.consecutive(HOST, 1, port) == [port]
