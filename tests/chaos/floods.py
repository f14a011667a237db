"""What a hostile machine does to the ports of a node, each kind in a process of its own: `python floods.py KIND ...`.

It says `standing` on standard output when the flood is in full swing, goes on until its standard input is closed, and
counts what it did at the end.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import sys
import threading
import time
from collections.abc import Callable

HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(32) + b"\x00\x00\x04\x13\x01\x13\x02\x01\x00"
"""How a TLS handshake begins; the rest never comes."""
ENDLESS = b"\x00" * 8000


class Flood:
    """One kind: where to, from which addresses. `stopping` is set at the end."""

    def __init__(self, ports: dict[str, int], sources: list[str]) -> None:
        self.ports = ports
        self._sources = itertools.cycle(sources)
        self.stopping = threading.Event()
        self.standing = threading.Event()
        self.swing = 0
        """With so much done it is in full swing."""
        self.done = 0

    def did(self, count: int) -> None:
        """Count what was done."""
        self.done += count
        if self.done >= self.swing:
            self.standing.set()

    def connect(self, service: str) -> socket.socket:
        """Connect to a service from the next address."""
        sock = socket.socket()
        try:
            sock.settimeout(5.0)
            sock.bind((next(self._sources), 0))
            sock.connect(("127.0.0.1", self.ports[service]))
        except OSError:
            sock.close()
            raise
        self.did(1)
        return sock

    def hold(self, services: list[str], most: int, first: bytes = b"") -> None:
        """Hold connections open, and open others for those that were closed."""
        held: list[socket.socket] = []
        for service in itertools.cycle(services):
            if self.stopping.is_set():
                break
            with contextlib.suppress(OSError):
                sock = self.connect(service)
                sock.sendall(first)
                held.append(sock)
            if len(held) >= most:
                held = [sock for sock in held if not _closed(sock)]
                self.stopping.wait(0.02 if len(held) < most else 0.2)
        for sock in held:
            sock.close()

    # The kinds.

    def idle(self) -> None:
        """Connections that send nothing, at all ports."""
        self.hold(["ftp", "sftp", "peers"], 900)

    def connects(self) -> None:
        """Connect and leave, as fast as it goes."""
        for service in itertools.cycle(["ftp", "sftp", "peers", "peers"]):
            if self.stopping.is_set():
                return
            with contextlib.suppress(OSError):
                self.connect(service).close()

    def handshakes(self) -> None:
        """Handshakes that are begun and never ended, at all ports."""
        threads = [
            threading.Thread(target=self.hold, args=(["peers"], 100, HELLO)),
            threading.Thread(target=self.hold, args=(["sftp"], 100, b"SSH-2.0-x\r\n")),
            threading.Thread(target=self.hold, args=(["ftp"], 300, b"AUTH TLS\r\n" + HELLO)),
        ]
        _together(threads)

    def hellos(self) -> None:
        """Begin a handshake at the port of the nodes, and leave, as fast as it goes."""
        while not self.stopping.is_set():
            with contextlib.suppress(OSError), self.connect("peers") as sock:
                sock.sendall(HELLO + ENDLESS)

    def lines(self) -> None:
        """Lines that cause others in the log, before a login."""
        text = b"\xe2\x80\xae" + b"A" * 190
        block = (b"CLNT " + text + b"\r\n" + b"USER " + text * 30 + b"\r\n" + b"NONE " + text + b"\r\n") * 20
        while not self.stopping.is_set():
            with contextlib.suppress(OSError), self.connect("ftp") as sock:
                draining = threading.Thread(target=_drain, args=(sock,))
                draining.start()
                try:
                    while not self.stopping.is_set():
                        sock.sendall(block)
                        self.did(60)
                finally:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
                    draining.join()

    def guesses(self) -> None:
        """Wrong passwords of many accounts, from many connections."""

        def guess() -> None:
            while not self.stopping.is_set():
                with contextlib.suppress(OSError), self.connect("ftp") as sock:
                    for number in range(3):
                        sock.sendall(b"USER demo\r\nPASS wrong%d\r\n" % number)
                        sock.recv(1000)

        _together([threading.Thread(target=guess) for _ in range(16)])

    def deaf(self) -> None:
        """Long lines whose replies are never read."""
        held: list[socket.socket] = []
        while not self.stopping.is_set():
            if len(held) >= 300:
                self.stopping.wait(0.2)
                continue
            with contextlib.suppress(OSError):
                sock = self.connect("ftp")
                sock.setblocking(False)
                held.append(sock)
                for _ in range(200):
                    self.did(sock.send(b"HELP\r\n" * 50 + b"USER " + b"x" * 8000 + b"\r\n"))
        for sock in held:
            sock.close()


SWING = {
    "idle": 900,
    "connects": 200,
    "handshakes": 400,
    "hellos": 100,
    "lines": 1200,
    "guesses": 16,
    "deaf": 50_000_000,
}
"""How much of each kind is done when it is in full swing: connections, lines or bytes."""
KINDS = tuple(SWING)
STANDING_TIME = 60.0


def _together(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _drain(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while sock.recv(65536):
            pass


def _closed(sock: socket.socket) -> bool:
    """Whether the node has ended the connection; the socket is closed then."""
    try:
        sock.setblocking(False)
        while select.select([sock], [], [], 0)[0]:
            if not sock.recv(65536):
                raise ConnectionResetError
    except BlockingIOError:
        return False
    except OSError:
        sock.close()
        return True
    return False


def main() -> None:
    """Do one kind: KIND PORTS SOURCES, as ftp=2121,sftp=... and 127.0.0.2,127.0.0.3."""
    kind, ports, sources = sys.argv[1:]
    flood = Flood(
        {name: int(port) for name, port in (pair.split("=") for pair in ports.split(","))}, sources.split(",")
    )
    flood.swing = SWING[kind]
    run: Callable[[], None] = getattr(flood, kind)
    thread = threading.Thread(target=run)
    begun = time.monotonic()
    thread.start()
    print("standing" if flood.standing.wait(STANDING_TIME) else f"{flood.done} only", flush=True)
    sys.stdin.read()
    flood.stopping.set()
    thread.join()
    print(f"{flood.done} in {time.monotonic() - begun:.1f} s")


if __name__ == "__main__":
    main()
