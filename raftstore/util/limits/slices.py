"""Long work on the loop, cut into slices: in each turn of the loop one slice runs, whoever's it is.

Who has much to do on the loop does some milliseconds of it, then awaits `next_slice()`. Those who wait are served one
a turn, first come first served, so that a hundred long listings hold up the others no longer than one does.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import deque
from collections.abc import Callable

SLICE = 0.003
"""Seconds of work after which `Slice.used` says that it is another's turn."""

SHARED_SLICE = 0.005
"""Seconds of a turn that short commands of all clients have together."""


class _Turns:
    """Who waits for a slice on one loop."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None] | Callable[[], object]] = deque()
        self._scheduled = False

    def wait(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """Return what is done when the slice of who asks has come."""
        turn = loop.create_future()
        self.add(turn, loop)
        return turn

    def add(self, turn: asyncio.Future[None] | Callable[[], object], loop: asyncio.AbstractEventLoop) -> None:
        """Wake, or call, `turn` when its slice has come."""
        self._waiting.append(turn)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._serve, loop)

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call some, until a slice is used up, or let one task go on: its step is the next turn's."""
        present = Slice()
        for _ in range(len(self._waiting)):  # not those that queue again
            if present.used:
                break
            turn = self._waiting.popleft()
            if isinstance(turn, asyncio.Future):
                if not turn.done():  # else it was cancelled
                    turn.set_result(None)
                    break
            else:
                _called(turn, loop)
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            loop.call_soon(self._serve, loop)


_turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = weakref.WeakKeyDictionary()


async def next_slice() -> None:
    """Let others have their turn; return when it is the turn of who calls."""
    loop = asyncio.get_running_loop()
    await _of(loop).wait(loop)


def call_in_slice(callback: Callable[[], object], loop: asyncio.AbstractEventLoop) -> None:
    """Call `callback` when it is its turn."""
    _of(loop).add(callback, loop)


def _called(callback: Callable[[], object], loop: asyncio.AbstractEventLoop) -> None:
    try:
        callback()
    except Exception as error:
        loop.call_exception_handler({"message": "a callback in its slice failed", "exception": error})


def _of(loop: asyncio.AbstractEventLoop) -> _Turns:
    turns = _turns.get(loop)
    if turns is None:
        turns = _turns[loop] = _Turns()
    return turns


class Slice:
    """How long the present slice of some work has taken."""

    __slots__ = ("_seconds", "_until")

    def __init__(self, seconds: float = SLICE) -> None:
        """It begins now and takes so many seconds."""
        self._seconds = seconds
        self._until = time.perf_counter() + seconds

    @property
    def used(self) -> bool:
        """Whether the slice is used up."""
        return time.perf_counter() >= self._until

    async def rest(self) -> None:
        """Wait for the next slice if this one is used up."""
        if self.used:
            await next_slice()
            self._until = time.perf_counter() + self._seconds


class SharedSlice:
    """The time in each turn of the loop that many share who have little to do each.

    Whoever finds it used leaves the rest to `call_in_slice`.
    """

    __slots__ = ("_loop", "_seconds", "_until")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float = SHARED_SLICE) -> None:
        self._loop = loop
        self._seconds = seconds
        self._until = 0.0

    @property
    def used(self) -> bool:
        """Whether the time in this turn is used up; it begins when this is asked first."""
        now = time.perf_counter()
        if self._until:
            return now >= self._until
        self._until = now + self._seconds
        self._loop.call_soon(self._next_turn)
        return False

    def _next_turn(self) -> None:
        self._until = 0.0


class Pace:
    """Keeps long work on the loop to a share of its time: `with pace:` around each slice, then `await pace.rest()`."""

    def __init__(self, share: float) -> None:
        """`share` of the loop's time, above 0 and at most 1."""
        self._pause = 1 / share - 1
        self._spent = self._since = 0.0

    def __enter__(self) -> None:
        self._since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._spent += time.perf_counter() - self._since

    async def rest(self) -> None:
        """Leave the loop to others for as long as its share asks for."""
        spent, self._spent = self._spent, 0.0
        await asyncio.sleep(spent * self._pause)
