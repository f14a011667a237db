"""SSH through paramiko: the only module that touches its inside (a test fails when the library changes there).

Public: `Transport`, `ServerInterface`, `Channel`. Beyond that: `Packetizer.read_all` is replaced by one that refuses
packets nobody may send, before anything of them is kept (paramiko takes any length that a stranger announces), and that
tells when a reply is out.
"""

from __future__ import annotations

import io
import logging
import socket
from collections import deque
from collections.abc import Callable, Sequence

import paramiko
from paramiko.packet import Packetizer

VERSION = "SSH-2.0-pixraft"
MAX_SSH_PACKET = 256 * 1024
"""Longest SSH packet that is taken; RFC 4253 asks for 35,000 bytes."""
WINDOW = 2 * 1024 * 1024
"""Bytes that a client may send ahead in one channel."""

_CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
_MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-sha1",
)


class _BoundedPacketizer(Packetizer):  # type: ignore[misc]
    """Reads packets up to a length; does what waits for a reply to be sent before it reads on."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.later: deque[Callable[[], None]] = deque()

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        if n > MAX_SSH_PACKET or n < 0:
            raise paramiko.SSHException(f"a packet of {n} bytes")
        while self.later:
            self.later.popleft()()
        data: bytes = super().read_all(n, check_rekey)
        return data


class ServerTransport(paramiko.Transport):  # type: ignore[misc]
    """One connection, as the server. `on_end` is called by its thread when it is over, with the reason."""

    def __init__(
        self,
        sock: socket.socket,
        keys: Sequence[paramiko.PKey],
        on_end: Callable[[str], None],
    ) -> None:
        super().__init__(sock, default_window_size=WINDOW, default_max_packet_size=32 * 1024)
        packetizer = _BoundedPacketizer(sock)
        packetizer.set_log(self.logger)
        self.packetizer = packetizer
        self.local_version = VERSION
        options = self.get_security_options()
        options.ciphers = _CIPHERS
        options.digests = _MACS
        for key in keys:
            self.add_server_key(key)
        self._on_end = on_end

    def after_reply(self, work: Callable[[], None]) -> None:
        """Call `work`, in this transport's thread, when the reply to the present request is sent."""
        self.packetizer.later.append(work)

    def run(self) -> None:
        """Serve until the connection is over."""
        try:
            super().run()
        finally:
            error = self.saved_exception
            self._on_end(f"{type(error).__name__}: {error}" if error is not None else "")


def host_key(text: bytes) -> paramiko.PKey:
    """Read a private key in OpenSSH's format. Raises ValueError."""
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text.decode()))
        except (paramiko.SSHException, ValueError):
            continue
    raise ValueError("not a host key of a kind that is known here")


def quiet() -> None:
    """Keep the library's own log lines, which have no context, out of the node's log."""
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    logging.getLogger("paramiko").propagate = False
