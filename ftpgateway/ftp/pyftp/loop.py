"""pyftpdlib's event loop, as a guest of another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from pyftpdlib import ioloop as _ioloop  # first: it imports asyncore with its deprecation warning silenced

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
    """pyftpdlib's event loop as a guest: polled without waiting, and telling its host of new deadlines."""

    def __init__(self, on_deadline: Callable[[float], None]) -> None:
        super().__init__()
        self._on_deadline = on_deadline
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

    def call_later(self, seconds: float, target: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
        """Call `target` later; see the base class."""
        call = super().call_later(seconds, target, *args, **kwargs)
        self._on_deadline(call.timeout)
        return call

    def call_every(self, seconds: float, target: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
        """Call `target` periodically; see the base class."""
        call = super().call_every(seconds, target, *args, **kwargs)
        self._on_deadline(call.timeout)
        return call

    def run_due(self) -> float | None:
        """Run what is due; return the seconds until the next deadline."""
        due: float | None = self.sched.poll()
        return due

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
