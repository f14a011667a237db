"""Sessions that do anything in any order, over a store that is slow and fails: nothing leaks, nobody else suffers."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from ftpserver import PASSWORD, Server, certificate, serving
from waiting import DEADLINE

from raftstore import errors

LINES = (
    *(
        "NOOP",
        "PWD",
        "STAT",
        "STAT /",
        "ABOR",
        "REST 5",
        "REST 0",
        "TYPE A",
        "TYPE I",
        "SIZE f",
        "MDTM f",
        "MLST f",
    ),
    *(
        "CWD /",
        "CDUP",
        "MKD d",
        "RMD d",
        "DELE f",
        "RNFR f",
        "RNTO g",
        "MFMT 20240101000000 f",
        "ALLO 5",
        "FEAT",
    ),
    *("HELP", "SYST", "OPTS UTF8 ON", "PBSZ 0", "PROT P", "PROT C", "WAT", "LIST", "NLST", "MLSD", "RETR f"),
    *(
        "RETR big",
        "STOR f",
        "STOR d/f",
        "APPE f",
        "STOU",
        "EPSV",
        "PASV",
        "EPSV",
        "EPSV ALL",
        "USER alice",
        "REIN",
    ),
    *("HASH f", "HASH big", "XCRC f", "OPTS HASH MD5", "RMDA d", "AVBL", "RANG 0 5", "LIST -R", "STAT -lR /"),
    *("SITE UTIME 20240101000000 f", "MFF Modify=20240101000000; f", "HOST x", "CCC", "SITE", "MKD d/e"),
    *("QUIT", "STOR a\0b", "EPRT |1|127.0.0.1|9|", "", " ", "AUTH TLS"),
)
ACTIONS = (
    *("line", "line", "line", "line", "connect", "connect", "send"),
    *("close", "reset", "half", "read", "wait", "garbage"),
)
FAILURES = (
    errors.NoQuorum,
    errors.OutcomeUnknown,
    errors.Unavailable,
    errors.DiskFull,
    errors.NotFound,
    ValueError,
)


class Chaos:
    """One client without manners."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        self.data: list[socket.socket] = []
        self.heard = b""
        self.control: socket.socket = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)

    def run(self) -> None:
        try:
            with contextlib.suppress(OSError, ValueError):
                if self.random.random() < 0.4:
                    self.control.sendall(b"AUTH TLS\r\n")
                    while b"234 " not in self.heard:
                        self.heard += self.control.recv(1000)
                    self.control = tls().wrap_socket(self.control)
                self.control.sendall(f"USER alice\r\nPASS {PASSWORD}\r\n".encode())
                for _ in range(self.random.randrange(60)):
                    getattr(self, self.random.choice(ACTIONS))()
        finally:
            for sock in (*self.data, self.control):
                if self.random.random() < 0.3:
                    with contextlib.suppress(OSError):
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()

    def line(self) -> None:
        self.control.sendall(self.random.choice(LINES).encode() + b"\r\n")

    def garbage(self) -> None:
        self.control.sendall(self.random.randbytes(self.random.randrange(300)) + b"\r\n")

    def wait(self) -> None:
        self.control.settimeout(0.01)
        with contextlib.suppress(TimeoutError, ssl.SSLError):
            self.heard = (self.heard + self.control.recv(65536))[-1000:]
        self.control.settimeout(DEADLINE)

    def connect(self) -> None:
        self.wait()
        places = self.heard.split(b"(|||")
        if len(places) > 1:
            sock = socket.create_connection(("127.0.0.1", int(places[-1].split(b"|")[0])), timeout=0.2)
            self.data.append(sock)
            if self.random.random() < 0.3:
                with contextlib.suppress(OSError):
                    self.data[-1] = tls().wrap_socket(sock)

    def send(self) -> None:
        if self.data:
            self.data[-1].settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                self.data[-1].sendall(bytes(self.random.randrange(200_000)))

    def read(self) -> None:
        if self.data:
            self.data[-1].settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                self.data[-1].recv(self.random.choice((1, 100_000)))

    def close(self) -> None:
        if self.data:
            self.data.pop().close()

    def half(self) -> None:
        if self.data:
            self.data[-1].shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        if self.data:
            self.data[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.data.pop().close()


def tls() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def make_unreliable(server: Server, seed: int) -> None:
    chance = random.Random(seed)

    def sometimes(call: str) -> Callable[..., object]:
        def hook(*_: object) -> object:
            draw = chance.random()
            if draw < 0.1 and call != "suspend":
                raise chance.choice(FAILURES)("injected")
            if draw < 0.5 and call != "feed":
                return asyncio.sleep(draw / 50)
            return None

        return hook

    for call in (
        *("lookup", "listing", "make_directory", "remove_directory", "remove", "rename", "set_modified"),
        *("upload", "download", "partial", "drop_partial", "drained", "commit", "suspend", "abort", "feed"),
        *("block", "close_download"),
    ):
        server.store.hooks[call] = sometimes(call)


@pytest.mark.filterwarnings(
    "ignore:unclosed <ssl.SSLSocket:ResourceWarning"
)  # wrap_socket of a reset connection
@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("seed", range(3))
def test_disorder(tmp_path: Path, factory: Callable[[], asyncio.AbstractEventLoop], seed: int) -> None:
    settings = {
        "tls_certificate": certificate(tmp_path),
        "data_timeout": 0.5,
        "stall_timeout": 1.0,
        "wait_limit": 2.0,
    }
    with serving(factory, **settings) as server:
        server.run(server.store.put, "/f", b"x" * 1000)
        server.run(server.store.put, "/big", bytes(5_000_000))
        server.store.window = 50_000
        make_unreliable(server, seed)
        clients = [Chaos(server, seed * 1000 + number) for number in range(40)]
        threads = [threading.Thread(target=client.run) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * DEADLINE)
        assert not any(thread.is_alive() for thread in threads)
        server.wait_for(lambda: server.frontend.sessions == 0)
        server.wait_for(lambda: not server.frontend._background)
        server.heal()
        with server.client() as client:
            server.timeouts(data=DEADLINE, stall=DEADLINE)
            assert client.store("after", b"all is well") == 226
            assert client.fetch("RETR after") == b"all is well"
        server.wait_for(lambda: server.frontend.sessions == 0)
        server.wait_for(lambda: len(server.frontend.loop.socket_map) == 1)
        ended = server.store.ended
        assert ended["commit"] + ended["suspend"] + ended["abort"] == server.store.opened["upload"]
        assert ended["download"] == server.store.opened["download"]
        assert not server.frontend.watch._seen
