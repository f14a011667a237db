"""paramiko is the one that was read: what is replaced, called or leaned on there has not changed by a word.

When one of these fails, read the change, look whether `sshd`, `sshpackets`, `sshauth`, `sshkex` and `inlets` still do
what they should beside it, and write down the new digest.
"""

from __future__ import annotations

import hashlib
import inspect
import socket
from collections.abc import Callable
from typing import Any

import paramiko
import pytest
from paramiko.auth_handler import AuthHandler
from paramiko.kex_curve25519 import KexCurve25519
from paramiko.kex_group14 import KexGroup14SHA256
from paramiko.packet import Packetizer

READ: dict[type, dict[str, str]] = {
    paramiko.Transport: {
        "run": "d6584347",
        "_negotiate_keys": "a300d8c5",
        "_parse_kex_init": "bbcf0a37",
        "_check_banner": "b6aebd65",
        "_send_kex_init": "2df1e57b",
        "_activate_inbound": "8b9b2e25",
        "_activate_outbound": "2879dc34",
        "_auth_trigger": "7ee780dd",
        "_parse_newkeys": "0510151c",
        "_parse_disconnect": "b96366ac",
        "_parse_channel_open": "af19020b",
        "_ensure_authed": "513e037e",
        "_send_message": "0f365864",
        "_send_user_message": "3faeba78",
        "_sanitize_packet_size": "5d646dbd",
        "_queue_incoming_channel": "5f2c087e",
        "_unlink_channel": "e6ace9bb",
        "_compute_key": "6f841c2c",
        "add_server_key": "d9317b6e",
        "is_authenticated": "9c5e89e5",
    },
    AuthHandler: {
        "_parse_service_request": "e9cb11a9",
        "_server_handler_table": "2d8f20df",
        "_handler_table": "dc51e9c3",
        "_parse_userauth_request": "2456f4a1",
        "_send_auth_result": "7a0b7cbf",
        "_parse_userauth_info_response": "e8f9e76f",
        "_get_session_blob": "fcfa1f16",
    },
    Packetizer: {
        "read_message": "d5d2c676",
        "send_message": "34dee385",
        "write_all": "83e66cd7",
        "_read_timeout": "3b720533",
        "need_rekey": "d777da4e",
        "set_inbound_cipher": "6f797a65",
        "set_outbound_cipher": "927599b5",
        "start_handshake": "5bdee6bc",
        "handshake_timed_out": "4e3eee23",
        "complete_handshake": "7535964d",
        "_trigger_rekey": "56ab325d",
    },
    paramiko.Channel: {
        "_handle_request": "4dc690d3",
        "_handle_close": "88adce72",
        "_handle_eof": "cceabf8e",
        "_close_internal": "39667133",
        "_set_remote_channel": "3c90f17d",
        "_wait_for_send_window": "c1398cfb",
        "_check_add_window": "47546c4b",
        "_feed": "abae9419",
    },
    KexGroup14SHA256: {
        "parse_next": "053d57db",
        "_parse_kexdh_init": "104988f7",
    },
    KexCurve25519: {
        "parse_next": "8b4e9dcc",
        "_parse_kexecdh_init": "d541e00d",
    },
}
"""The beginning of the SHA-256 of each function's text."""


def text(owner: type, name: str) -> str:
    member: Any = inspect.getattr_static(owner, name)
    function: Callable[..., object] = member.fget if isinstance(member, property) else member
    return inspect.getsource(function)


@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner, names in READ.items() for name in names])
def test_what_is_leaned_on_has_not_changed(owner: type, name: str) -> None:
    assert hashlib.sha256(text(owner, name).encode()).hexdigest()[:8] == READ[owner][name]


def test_attributes_are_where_they_are_looked_for() -> None:
    one, other = socket.socketpair()
    with one, other:
        transport = vars(paramiko.Transport(one))
        for name in (
            *("local_kex_init", "remote_kex_init", "agreed_on_strict_kex", "kex_engine", "host_key_type"),
            *("remote_cipher", "local_cipher", "remote_mac", "local_mac", "remote_compression"),
            *(
                "in_kex",
                "initial_kex_done",
                "clear_to_send",
                "clear_to_send_lock",
                "auth_handler",
                "packetizer",
            ),
            *(
                "remote_version",
                "local_version",
                "saved_exception",
                "server_object",
                "_expected_packet",
                "active",
            ),
        ):
            assert name in transport
        assert {"auth_username", "authenticated"} <= vars(AuthHandler(paramiko.Transport(other))).keys()
    for name in ("_kex_info", "_preferred_kex", "_preferred_keys", "_preferred_ciphers", "_preferred_macs"):
        assert hasattr(paramiko.Transport, name)
    assert {"rsa-sha2-256", "rsa-sha2-512"} <= paramiko.RSAKey.HASHES.keys()
