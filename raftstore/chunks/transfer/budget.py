"""A bound on the bytes that all transfers of a node hold at once, shared fairly."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Ticket:
    """A place in the queue for `size` bytes; `cancel` gives it up."""

    __slots__ = ("granted", "size")

    def __init__(self, size: int, granted: Callable[[], None]) -> None:
        self.size = size
        self.granted: Callable[[], None] | None = granted

    def cancel(self) -> None:
        """Leave the queue; nothing happens when it was granted already."""
        self.granted = None


class Budget:
    """Bytes that may be held at once. Runs on the loop; nothing here awaits.

    First come, first served: a large request is not overtaken by small ones that would fit. An upload queues
    with one chunk at a time, so that turns go round between uploads. Nobody holds a part while waiting for
    more, and what is held comes back by itself (every put has a deadline): there is no deadlock.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.held = 0
        self._queue: deque[Ticket] = deque()
        self._granting = False

    @property
    def contended(self) -> bool:
        """Whether somebody waits."""
        while self._queue and self._queue[0].granted is None:
            self._queue.popleft()
        return bool(self._queue)

    def take(self, size: int) -> bool:
        """Take `size` bytes if they are free and nobody waits; return whether they were taken."""
        if (self._queue and self.contended) or self.held + size > max(self.total, size):
            return False
        self.held += size
        return True

    def wait(self, size: int, granted: Callable[[], None]) -> Ticket:
        """Queue for `size` bytes; `granted` is called once they are taken."""
        ticket = Ticket(size, granted)
        self._queue.append(ticket)
        return ticket

    def give(self, size: int) -> None:
        """Return `size` bytes; whoever is next gets them."""
        self.held -= size
        assert self.held >= 0, "more bytes came back than were taken"
        if self._granting:  # by a `granted` that gives back at once: the loop below goes on
            return
        self._granting = True
        try:
            while self._queue and self._grant_next():
                pass
        finally:
            self._granting = False

    def _grant_next(self) -> bool:
        if not self.contended:
            return False
        ticket = self._queue[0]
        if self.held + ticket.size > max(self.total, ticket.size):
            return False
        self._queue.popleft()
        self.held += ticket.size
        granted, ticket.granted = ticket.granted, None
        assert granted is not None
        granted()
        return True
