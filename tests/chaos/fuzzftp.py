"""One fuzzed FTP session: brought into a state, fed with inputs, then asked whether it is still of use."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import socket
import ssl
import struct
import time

import fuzzinputs

PATIENCE = 60.0
"""Seconds without an answer that are taken for a hang; the node's own timeouts are far shorter."""

SHORTEST_TIMEOUT = 3.0
"""Seconds: of those that end a session of the node."""

USER = "demo"
STATES = (
    "greeted",
    "named",
    "logged in",
    "secured",
    "listening",
    "storing",
    "fetching",
    "renaming",
    "handshaking",
)
_WEIGHTS = (2, 1, 6, 2, 2, 3, 3, 1, 1)
LARGE = "kept/for the fetching.bin"
"""No input names it."""

_REPLY = re.compile(rb"^\d{3}[ -]")
_EXCUSES = (b"421 ", b"221 ", b"234 ")
"""Last words after which the server may close: goodbye, or TLS that the next inputs were not."""


class Failure(Exception):
    """The server did what it must never do; the message says what."""


class FtpSession:
    """A session whose every choice comes from `seed`; `run` sends the inputs or raises Failure."""

    def __init__(self, seed: str, address: tuple[str, int], inputs: int) -> None:
        self._chance = random.Random(seed)
        self._address = address
        self._inputs = inputs
        self.transcript: list[bytes] = []
        self.sent = 0
        self._begun = time.monotonic()
        self._heard = bytearray()
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._data: asyncio.StreamWriter | None = None
        self._news = asyncio.Event()
        self._over = False
        self._garbled = False  # what was sent beneath TLS, or instead of it, may end in anything

    async def run(self) -> None:
        """Do it all."""
        # Not all from one address: wrong passwords slow an address down.
        source = f"127.0.{self._chance.randrange(256)}.{self._chance.randrange(1, 255)}"
        self._reader, self._writer = await asyncio.open_connection(*self._address, local_addr=(source, 0))
        # What was said last must be heard although inputs are still being sent: a reset wipes out what is unread.
        listening = asyncio.create_task(self._listen())
        try:
            async with asyncio.timeout(PATIENCE):
                await self._reply()
                if await self._prepare(self._chance.choices(STATES, _WEIGHTS)[0]):
                    await self._feed()
                    await self._finish()
        except TimeoutError:
            raise Failure(f"no answer in {PATIENCE:g} s; last heard: {bytes(self._heard[-200:])!r}") from None
        except (ConnectionError, asyncio.IncompleteReadError, EOFError, ssl.SSLError):
            self._closed_by_server()
        finally:
            listening.cancel()
            for writer in filter(None, (self._data, self._writer)):
                writer.transport.abort()
        self._check_words()

    # The state.

    async def _prepare(self, state: str) -> bool:
        """Bring the session into `state`; whether the inputs can begin."""
        self.transcript.append(f"[{state}]".encode())
        if state == "greeted":
            return True
        if state == "handshaking":
            self._garbled = True
            return await self._command(b"AUTH TLS") in (234, 500, 502, 504)
        if state == "secured" and not await self._secure():
            return False
        if await self._command(f"USER {USER}".encode()) != 331:
            raise Failure(f"USER: {bytes(self._heard[-200:])!r}")
        if state == "named":
            return True
        if (code := await self._command(f"PASS {USER}".encode())) != 230:
            if code == 421:  # too many at once
                return False
            raise Failure(f"PASS: {bytes(self._heard[-200:])!r}")
        if state == "renaming":
            await self._command(b"RNFR a.jpg")
        if state in ("listening", "storing", "fetching"):
            await self._open_data(state)
        return True

    async def _secure(self) -> bool:
        if await self._command(b"AUTH TLS") != 234:
            return False
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        await self._writer.start_tls(context)
        return True

    async def _open_data(self, state: str) -> None:
        if await self._command(b"EPSV") != 229:
            return
        found = re.search(rb"\|\|\|(\d+)\|", self._heard)
        assert found is not None
        if state == "listening" and self._chance.random() < 0.5:
            return
        source = self._writer.get_extra_info("sockname")[0]
        with contextlib.suppress(ConnectionError):
            _, self._data = await asyncio.open_connection(
                self._address[0], int(found[1]), local_addr=(source, 0)
            )
            if state == "storing":
                # Each address of its own name: uploads to one name wait for each other's commits.
                await self._command(f"STOR up-{source}.bin".encode())
                self._data.write(self._chance.randbytes(self._chance.randrange(70_000)))
            elif state == "fetching":
                self._data.transport.pause_reading()  # type: ignore[attr-defined]
                await self._command(f"RETR {LARGE}".encode())

    # The inputs.

    async def _feed(self) -> None:
        chance = self._chance
        glued = b""
        for number in range(self._inputs):
            data = fuzzinputs.command(chance)
            self.transcript.append(data)
            glued += data
            if chance.random() < 0.4 and number + 1 < self._inputs:
                continue  # goes with the next
            for piece in fuzzinputs.portions(chance, glued):
                if self._writer.transport.is_closing():
                    raise ConnectionResetError
                self._writer.write(piece)
                if chance.random() < 0.3:
                    await asyncio.sleep(0)
            glued = b""
            await self._writer.drain()
            self.sent = number + 1
            if self._data is not None and chance.random() < 0.05:
                self._end_data(chance)
            if chance.random() < 0.002:
                self._beneath_tls(chance)

    def _end_data(self, chance: random.Random) -> None:
        assert self._data is not None
        if chance.random() < 0.5:
            self._data.close()
        else:
            self._data.transport.abort()
        self._data = None

    def _beneath_tls(self, chance: random.Random) -> None:
        """Write past the TLS layer, if there is one."""
        connection = self._writer.get_extra_info("socket")
        if self._writer.get_extra_info("ssl_object") is None or connection is None:
            return
        self._garbled = True
        with contextlib.suppress(OSError):
            os.write(connection.fileno(), chance.randbytes(chance.randrange(1, 100)))

    # The end.

    async def _finish(self) -> None:
        """The server must still answer; or have said goodbye."""
        chance = self._chance
        if chance.random() < 0.05:
            connection = self._writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
            return
        if self._data is not None:
            self._end_data(chance)
        marker = f"FZ{chance.randrange(10**9)}".encode()
        self._writer.write(b"\r\nREST 0\r\n" + marker + b"\r\n")
        await self._hear_of(marker)
        start = len(self._heard)
        self._writer.write(b"NOOP\r\n" + marker[::-1] + b"\r\n")
        await self._hear_of(marker[::-1])  # a transfer may end meanwhile, with a reply of its own
        if b"\r\n200 " not in b"\r\n" + self._heard[start:]:
            raise Failure(f"NOOP gets {bytes(self._heard[start:])!r}")
        self._writer.write(b"QUIT\r\n")
        while True:
            await self._hear()

    def _closed_by_server(self) -> None:
        if self._garbled or any(word in self._heard[-4000:] for word in _EXCUSES):
            return
        said = [data.upper() for data in self.transcript]
        if (
            any(b"QUIT" in data or b"AUTH" in data for data in said)
            or sum(b"PASS" in data for data in said) > 2
        ):
            return  # and we went on talking: the last word may be lost
        if time.monotonic() - self._begun > SHORTEST_TIMEOUT:
            return  # as is that at a timeout
        raise Failure(f"closed without a word; last heard: {bytes(self._heard[-200:])!r}")

    def _check_words(self) -> None:
        for sign in (b"Traceback", b'File "', b"Internal error", b"Error:"):
            if sign in self._heard:
                at = self._heard.index(sign)
                raise Failure(f"the client was told {bytes(self._heard[max(0, at - 200) : at + 200])!r}")

    # Beneath.

    async def _hear_of(self, marker: bytes) -> None:
        while marker not in self._heard:
            await self._hear()

    async def _listen(self) -> None:
        try:
            while data := await self._reader.read(65536):
                self._heard += data
                self._news.set()
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            self._over = True
            self._news.set()

    async def _hear(self) -> None:
        if self._over:
            raise EOFError
        self._news.clear()
        await self._news.wait()

    async def _command(self, line: bytes) -> int:
        self.transcript.append(line)
        self._writer.write(line + b"\r\n")
        return await self._reply()

    async def _reply(self) -> int:
        """Read a whole reply to the only command that is under way."""
        start = len(self._heard)
        while True:
            lines = bytes(self._heard[start:]).split(b"\r\n")
            for line in lines[:-1]:
                if re.match(rb"\d{3} ", line) and line[:3] == lines[0][:3]:
                    if not _REPLY.match(lines[0]):
                        raise Failure(f"not a reply: {lines[0][:200]!r}")
                    return int(line[:3])
            await self._hear()
