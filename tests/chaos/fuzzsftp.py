"""One fuzzed SFTP session: logged in through paramiko, then packets that no client sends, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct

import fuzzinputs
import paramiko
from fuzzftp import LARGE, USER, Failure

PATIENCE = 60.0

_INIT, _VERSION, _OPEN, _OPENDIR, _REALPATH, _HANDLE = 1, 2, 3, 11, 16, 102
_LAST = 0x7FFFFFFE
"""Number of the request that must be answered at the end."""

_EXTENSIONS = (
    b"posix-rename@openssh.com",
    b"statvfs@openssh.com",
    b"fstatvfs@openssh.com",
    b"fsync@openssh.com",
    b"lsetstat@openssh.com",
    b"limits@openssh.com",
    b"expand-path@openssh.com",
    b"copy-data",
    b"copy-file",
    b"",
    b"x" * 300,
)
_PATHS = frozenset({3, 7, 9, 11, 13, 14, 15, 16, 17, 19})
_TWO_PATHS = frozenset({18, 20})
_HANDLES = frozenset({4, 5, 6, 8, 10, 12})
_NUMBERS = (0, 1, 2, 5, 255, 4096, 70_000, 2**31 - 1, 2**31, 2**32 - 1)
_OFFSETS = (0, 1, 100, 4096, 2**31, 2**32, 2**40, 2**63 - 1, 2**63, 2**64 - 1)


class SftpSession:
    """A session whose every choice comes from `seed`; `run` sends the inputs or raises Failure."""

    def __init__(self, seed: str, address: tuple[str, int], inputs: int) -> None:
        self._chance = random.Random(seed)
        self._address = address
        self._inputs = inputs
        self.transcript: list[bytes] = []
        self.sent = 0
        self._handles = [b"", b"nothing", b"\0" * 8]

    async def run(self) -> None:
        """Do it all."""
        await asyncio.to_thread(self._run)

    def _run(self) -> None:
        source = f"127.0.{self._chance.randrange(256)}.{self._chance.randrange(1, 255)}"
        with contextlib.closing(socket.create_connection(self._address, PATIENCE, (source, 0))) as connection:
            transport = paramiko.Transport(connection)
            try:
                transport.auth_timeout = transport.banner_timeout = PATIENCE
                transport.connect(username=USER, password=USER)
                self._talk(transport.open_session(timeout=PATIENCE))
            except TimeoutError:
                raise Failure(f"no answer in {PATIENCE:g} s") from None
            except (paramiko.SSHException, EOFError, OSError) as error:
                # After inputs the server may end the session; before them it may not.
                if not self.sent:
                    raise Failure(f"not let in: {error!r}") from None
            finally:
                transport.close()

    def _talk(self, channel: paramiko.Channel) -> None:
        channel.settimeout(PATIENCE)
        channel.invoke_subsystem("sftp")
        self._send(channel, bytes([_INIT]) + struct.pack("!I", 3))
        if self._packet(channel)[0] != _VERSION:
            raise Failure("no VERSION for an INIT")
        self._open_some(channel)
        for number in range(self._inputs):
            packet = self._request(number + 100)
            if self._chance.random() < 0.3:
                packet = fuzzinputs.mutated(self._chance, packet)
            self.transcript.append(packet)
            if self._chance.random() < 0.003:  # a length that lies ends the session
                channel.sendall(
                    struct.pack("!I", self._chance.choice((0, 1, 2**18 + 1, 2**31, 2**32 - 1))) + packet
                )
            else:
                self._send(channel, packet)
            self.sent = number + 1
            while channel.recv_ready():
                self._packet(channel)
        self._send(channel, bytes([_REALPATH]) + struct.pack("!I", _LAST) + _string(b"."))
        while struct.unpack_from("!I", self._packet(channel), 1)[0] != _LAST:
            pass

    def _open_some(self, channel: paramiko.Channel) -> None:
        """Get handles of a file to read, one to write and a directory."""
        writing = f"up-{self._chance.randrange(10**6)}.bin".encode()
        for packet in (
            bytes([_OPEN]) + struct.pack("!I", 1) + _string(LARGE.encode()) + struct.pack("!II", 1, 0),
            bytes([_OPEN]) + struct.pack("!I", 2) + _string(writing) + struct.pack("!II", 0x1A, 0),
            bytes([_OPENDIR]) + struct.pack("!I", 3) + _string(b"/"),
        ):
            self._send(channel, packet)
            answer = self._packet(channel)
            if answer[0] != _HANDLE:
                raise Failure(f"no handle for {packet!r}: {answer!r}")
            self._handles.append(answer[9:])

    def _request(self, number: int) -> bytes:
        chance = self._chance
        kind = chance.choice((*range(3, 21), 3, 5, 6, 12, 12, 16, 200, 200, 0, 1, 2, 99, 101, 255))
        body = b""
        if kind in _PATHS:
            body = _string(chance.choice(fuzzinputs.NAMES))
        elif kind in _TWO_PATHS:
            body = _string(chance.choice(fuzzinputs.NAMES)) + _string(chance.choice(fuzzinputs.NAMES))
        elif kind in _HANDLES:
            body = _string(chance.choice(self._handles))
        elif kind == 200:
            name = chance.choice(_EXTENSIONS)
            body = _string(name) + _string(chance.choice((*fuzzinputs.NAMES, *self._handles)))
            if name.startswith(b"posix"):
                body += _string(chance.choice(fuzzinputs.NAMES))
            elif name == b"copy-file":
                body += _string(chance.choice(fuzzinputs.NAMES)) + bytes([chance.randrange(2)])
            elif name == b"copy-data":
                body += struct.pack("!QQ", chance.choice(_OFFSETS), chance.choice(_NUMBERS))
                body += _string(chance.choice(self._handles)) + struct.pack("!Q", chance.choice(_OFFSETS))
        if kind == 3:
            body += struct.pack("!I", chance.choice((0, 1, 2, 3, 8, 26, 58, 255, 2**32 - 1)))
        elif kind == 5:
            body += struct.pack("!QI", chance.choice(_OFFSETS), chance.choice(_NUMBERS))
        elif kind == 6:
            body += struct.pack("!Q", chance.choice(_OFFSETS)) + _string(
                chance.randbytes(chance.choice((0, 1, 3000)))
            )
        if kind in (3, 9, 10, 14):
            body += self._attributes()
        return bytes([kind]) + struct.pack("!I", number) + body

    def _attributes(self) -> bytes:
        chance = self._chance
        flags = chance.choice((0, 1, 2, 4, 8, 12, 13, 15, 0x80000000, 2**32 - 1, 16))
        body = struct.pack("!I", flags)
        if flags & 1:
            body += struct.pack("!Q", chance.choice(_OFFSETS))
        for bit, numbers in ((2, 2), (4, 1), (8, 2), (0x80000000, 1)):
            if flags & bit:
                body += b"".join(struct.pack("!I", chance.choice(_NUMBERS)) for _ in range(numbers))
        return body

    # Packets.

    def _send(self, channel: paramiko.Channel, packet: bytes) -> None:
        channel.sendall(struct.pack("!I", len(packet)) + packet)

    def _packet(self, channel: paramiko.Channel) -> bytes:
        size = struct.unpack("!I", self._exactly(channel, 4))[0]
        if not 5 <= size <= 2**20:
            raise Failure(f"the server sent a packet of {size} bytes")
        packet = self._exactly(channel, size)
        for sign in (b"Traceback", b'File "', b"Error("):
            if sign in packet[:5000] and packet[0] == 101:
                raise Failure(f"the client was told {packet[:2000]!r}")
        return packet

    def _exactly(self, channel: paramiko.Channel, size: int) -> bytes:
        parts = b""
        while len(parts) < size:
            data = channel.recv(size - len(parts))
            if not data:
                raise EOFError("closed by the server")
            parts += data
        return parts


def _string(value: bytes) -> bytes:
    return struct.pack("!I", len(value)) + value
