"""Clients of SFTP that are turned away: what they get, and that nobody holds anything by not leaving."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest
from waiting import until

from ftpgateway.sftp import refusing
from ftpgateway.sftp.refusing import Refusing, refusal


@pytest.mark.parametrize("reason", ["", "x", "Too many sessions.", "Wiederkommen: später", "y" * 300])
def test_it_is_a_line_a_version_and_a_disconnect_message(reason: str) -> None:
    line, version, packet = refusal(reason).split(b"\r\n", 2)
    assert line.decode() == reason and version == b"SSH-2.0-pixraft"
    length, padding = struct.unpack_from(">IB", packet)
    assert len(packet) == 4 + length and len(packet) % 8 == 0 and padding >= 4
    payload = packet[5 : len(packet) - padding]
    kind, code, size = struct.unpack_from(">BII", payload)
    assert (kind, code) == (1, 12)
    assert payload[9:] == reason.encode() + bytes(4) and size == len(reason.encode())


async def all_of(client: socket.socket) -> bytes:
    got = b""
    while part := await asyncio.get_running_loop().sock_recv(client, 4096):
        got += part
    return got


def test_who_talks_first_gets_the_reason_and_who_stays_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusing, "PATIENCE", 0.2)
    monkeypatch.setattr(refusing, "MOST", 2)

    async def main() -> None:
        turned = Refusing()
        pairs = [socket.socketpair() for _ in range(3)]
        for ours, theirs in pairs:
            theirs.setblocking(False)
            if theirs is pairs[0][1]:
                theirs.send(b"SSH-2.0-client\r\n" * 100)
            turned.turn_away(ours, "192.0.2.1", "no")
        assert pairs[2][0].fileno() < 0  # one too many to wait for
        for _, theirs in pairs:
            assert await all_of(theirs) == refusal("no")
        pairs[0][1].close()
        await until(lambda: not turned._held)
        again, other = socket.socketpair()
        turned.turn_away(again, "192.0.2.1", "no")
        turned.stop()
        assert again.fileno() < 0
        for each in (pairs[1][1], pairs[2][1], other):
            each.close()

    asyncio.run(main())
