"""A TCP proxy that tests put between nodes: it can refuse, cut and swallow, and heals on demand."""

from __future__ import annotations

import selectors
import socket
import threading
from dataclasses import dataclass, field


@dataclass(eq=False)
class _Pipe:
    ends: tuple[socket.socket, socket.socket]
    waiting: dict[socket.socket, bytearray] = field(default_factory=dict)


class TcpProxy:
    """Forwards 127.0.0.1:`port` to `target`. Runs in a thread of its own; `close` ends it."""

    BOUND = 1 << 20

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.address: tuple[str, int] = self._listener.getsockname()
        self._wake, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._pipes: dict[socket.socket, _Pipe] = {}
        self._cut = False
        self._closing = False
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._acknowledged = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tcp proxy", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Drop every connection and refuse new ones; returns when that is done."""
        self._command(cut=True)

    def heal(self) -> None:
        """Let new connections through again."""
        self._command(cut=False)

    def close(self) -> None:
        """Stop the proxy."""
        self._closing = True
        self._wake.send(b"x")
        self._thread.join(30)

    def _command(self, *, cut: bool) -> None:
        self._cut = cut
        self._acknowledged.clear()
        self._wake.send(b"x")
        assert self._acknowledged.wait(30)

    def _run(self) -> None:
        while not self._closing:
            for key, events in self._selector.select():
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if sock is self._listener:
                    self._accept()
                elif sock is self._woken:
                    self._woken.recv(4096)
                    if self._cut:
                        for pipe in set(self._pipes.values()):
                            self._drop(pipe)
                    self._acknowledged.set()
                elif sock in self._pipes:
                    self._move(sock, events)
        for pipe in set(self._pipes.values()):
            self._drop(pipe)
        self._selector.close()
        for sock in (self._listener, self._wake, self._woken):
            sock.close()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        if self._cut:
            near.close()
            return
        try:
            far = socket.create_connection(self.target, timeout=5)
        except OSError:
            near.close()
            return
        pipe = _Pipe((near, far), {near: bytearray(), far: bytearray()})
        for sock in pipe.ends:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pipes[sock] = pipe
            self._selector.register(sock, selectors.EVENT_READ)

    def _move(self, sock: socket.socket, events: int) -> None:
        pipe = self._pipes[sock]
        other = pipe.ends[1] if sock is pipe.ends[0] else pipe.ends[0]
        try:
            if events & selectors.EVENT_READ:
                data = sock.recv(1 << 16)
                if not data:
                    self._drop(pipe)
                    return
                pipe.waiting[other] += data
            for end in pipe.ends:
                if pipe.waiting[end]:
                    sent = end.send(pipe.waiting[end])
                    del pipe.waiting[end][:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(pipe)
            return
        for end, far in (pipe.ends, pipe.ends[::-1]):
            wanted = selectors.EVENT_WRITE if pipe.waiting[end] else 0
            if len(pipe.waiting[far]) < self.BOUND:
                wanted |= selectors.EVENT_READ
            self._selector.modify(end, wanted or selectors.EVENT_WRITE)

    def _drop(self, pipe: _Pipe) -> None:
        for sock in pipe.ends:
            if self._pipes.pop(sock, None) is not None:
                self._selector.unregister(sock)
                sock.close()
