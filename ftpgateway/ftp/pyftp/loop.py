"""pyftpdlib's event loop, as a guest of another one."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import structlog
from pyftpdlib import ioloop as _ioloop  # first: it imports asyncore with its deprecation warning silenced

from ftpgateway.ftp.pyftp.timers import Timer, timer

log = structlog.get_logger()

READ: int = _ioloop.IOLoop.READ
WRITE: int = _ioloop.IOLoop.WRITE


class Watched:
    """A socket of our own in pyftpdlib's event loop."""

    _fileno: int = -1

    def on_events(self, events: int) -> None:
        """Handle ready events (an epoll mask)."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the socket; the loop is being closed."""
        raise NotImplementedError


class NestedIOLoop(_ioloop.IOLoop):  # type: ignore[misc]
    """pyftpdlib's event loop as a guest: polled without waiting, with timers of its host."""

    def __init__(self) -> None:
        super().__init__()
        self._timers: weakref.WeakSet[Timer] = weakref.WeakSet()
        self._watching: dict[int, int] = {}

    def watch(self, fd: int, instance: Watched, events: int) -> None:
        """Watch `fd` for `events` (0 pauses: only errors and hang-ups are seen)."""
        if fd not in self.socket_map:
            instance._fileno = fd
            self.register(fd, instance, events)
        elif self._watching.get(fd) != events:
            self.modify(fd, events)
        self._watching[fd] = events

    def unwatch(self, fd: int) -> None:
        """Forget `fd`; call it before the socket is closed."""
        if fd in self.socket_map:
            self.unregister(fd)
        self._watching.pop(fd, None)

    def call_later(self, seconds: float, target: Callable[..., object], *args: Any, **kwargs: Any) -> Timer:
        """Call `target` later; see the base class, and `timers` for why not as that does."""
        made = timer(seconds, target, args, kwargs)
        self._timers.add(made)
        return made

    def close(self) -> None:
        """Close all sockets; nothing is called any more."""
        super().close()
        for pending in self._timers:
            pending.cancel()

    def dispatch(self) -> int:
        """Handle all events that are ready now; return how many."""
        events = self._poller.poll(0)
        found = self.socket_map.get
        # Instances are looked up before any is called: a handler may close a socket and open another one with
        # the same number, which must not get the event of the old one.
        ready = [(found(fd), fd, event) for fd, event in events]
        for instance, fd, event in ready:
            if instance is None or found(fd) is not instance:
                continue
            if isinstance(instance, Watched):
                try:
                    instance.on_events(event)
                except Exception:
                    log.exception("data connection failed")
                    instance.close()
            elif event & self._ERROR and not event & READ:
                instance.handle_close()
            else:
                if event & READ and instance.readable():
                    _ioloop._read(instance)
                if event & WRITE and instance.writable():
                    _ioloop._write(instance)
        return len(ready)
