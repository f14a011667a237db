"""What the metric of logins counts over SSH: each wrong password, and connections that end after keys in vain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import paramiko
import pytest
from ftpserver import PASSWORD
from sftpserver import SftpServer

KEYS = [paramiko.ECDSAKey.generate() for _ in range(3)]


def refused(offer: Callable[..., object], *arguments: object) -> None:
    with pytest.raises(paramiko.SSHException):
        offer("alice", *arguments)


def in_vain(transport: paramiko.Transport) -> None:
    """Offer all keys."""
    for key in KEYS:
        refused(transport.auth_publickey, key)


def unusable(transport: paramiko.Transport) -> None:
    """Offer a key of a kind with which nobody can log in."""
    refused(transport.auth_publickey, paramiko.RSAKey.generate(1024))


def after_keys_a_wrong_password(transport: paramiko.Transport) -> None:
    in_vain(transport)
    refused(transport.auth_password, "wrong")


def after_keys_the_password(transport: paramiko.Transport) -> None:
    in_vain(transport)
    transport.auth_password("alice", PASSWORD)
    paramiko.SFTPClient.from_transport(transport)


def nothing(_transport: paramiko.Transport) -> None:
    """Offer nothing."""


@pytest.mark.parametrize(
    ("login", "counted"),
    [
        (in_vain, {"wrong_key": 1}),
        (unusable, {"wrong_key": 1}),
        (after_keys_a_wrong_password, {"wrong_password": 1}),
        (after_keys_the_password, {"accepted": 1}),
        (nothing, {}),
    ],
)
def test_what_is_counted(
    server: SftpServer, login: Callable[[paramiko.Transport], None], counted: dict[str, int]
) -> None:
    before = Counter(server.access.logins())
    with server.transport() as transport:
        transport.start_client(timeout=30)
        login(transport)
    server.wait_for(lambda: server.frontend.sessions == 0)
    assert Counter(server.access.logins()) - before == Counter(counted)
