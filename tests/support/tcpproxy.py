"""A TCP proxy that tests put between nodes: it can refuse, cut, and hold back either direction; heals on demand."""

from __future__ import annotations

import selectors
import socket
import threading
from dataclasses import dataclass, field


@dataclass(eq=False)
class _Pipe:
    """A connection: its near end (who dialled) and its far end, and what waits to be sent to each."""

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
        self._held = (False, False)
        self._left: int | None = None
        self._closing = False
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._acknowledged = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tcp proxy", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Drop every connection and refuse new ones; returns when that is done."""
        self._cut = True
        self._command()

    def cut_after(self, size: int) -> None:
        """Do that as soon as so many bytes more have come, both ways together."""
        self._left = size
        self._command()

    def hold(self, *, forward: bool = False, backward: bool = False) -> None:
        """Let nothing through to the target (`forward`) or from it (`backward`), on new connections too.

        As with a network that loses packets one way, TCP delivers what was held back after the heal, if both
        ends still have the connection.
        """
        self._held = (self._held[0] or forward, self._held[1] or backward)
        self._command()

    def heal(self) -> None:
        """Let everything through again."""
        self._cut, self._held, self._left = False, (False, False), None
        self._command()

    def close(self) -> None:
        """Stop the proxy."""
        self._closing = True
        self._wake.send(b"x")
        self._thread.join(30)

    def _command(self) -> None:
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
                    for pipe in set(self._pipes.values()):
                        if self._cut:
                            self._drop(pipe)
                        else:
                            self._watch(pipe)
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
        self._watch(pipe)

    def _move(self, sock: socket.socket, events: int) -> None:
        pipe = self._pipes[sock]
        other = pipe.ends[1] if sock is pipe.ends[0] else pipe.ends[0]
        try:
            if events & selectors.EVENT_READ and not self._stopped(pipe, sock):
                data = sock.recv(1 << 16)
                if not data:
                    self._drop(pipe)
                    return
                pipe.waiting[other] += data
                if self._left is not None:
                    self._left -= len(data)
                    if self._left < 0:
                        self._cut = True
                        for each in set(self._pipes.values()):
                            self._drop(each)
                        return
            for end, source in (pipe.ends, pipe.ends[::-1]):
                if pipe.waiting[end] and not self._stopped(pipe, source):
                    sent = end.send(pipe.waiting[end])
                    del pipe.waiting[end][:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(pipe)
            return
        self._watch(pipe)

    def _stopped(self, pipe: _Pipe, source: socket.socket) -> bool:
        """Whether what comes from `source` is held back."""
        return self._held[0] if source is pipe.ends[0] else self._held[1]

    def _watch(self, pipe: _Pipe) -> None:
        """Wait for what can be done with the connection now."""
        for end, other in (pipe.ends, pipe.ends[::-1]):
            wanted = selectors.EVENT_WRITE if pipe.waiting[end] and not self._stopped(pipe, other) else 0
            if len(pipe.waiting[other]) < self.BOUND and not self._stopped(pipe, end):
                wanted |= selectors.EVENT_READ
            if end in self._selector.get_map():
                if wanted:
                    self._selector.modify(end, wanted)
                else:
                    self._selector.unregister(end)
            elif wanted:
                self._selector.register(end, wanted)

    def _drop(self, pipe: _Pipe) -> None:
        for sock in pipe.ends:
            if self._pipes.pop(sock, None) is not None:
                if sock in self._selector.get_map():
                    self._selector.unregister(sock)
                sock.close()
