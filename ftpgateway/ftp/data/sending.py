"""Downloads and listings: from the store to the data connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

from ftpgateway.access.backend import Part
from ftpgateway.ftp.data.streams import Stream
from ftpgateway.ftp.data.transfers import Owner, Transfer, Unconnected
from ftpgateway.ftp.gate import Phase
from ftpgateway.ftp.pyftp import WRITE
from ftpgateway.ftp.replies import refusal
from ftpgateway.serving.refusals import Doing
from raftstore.errors import StoreError
from raftstore.types import Span

TURN_BUDGET = 4 * 1024 * 1024
"""Bytes that one session may send before the others have their turn."""

COMPLETE = "226 Transfer complete."


def let_go(part: Part) -> None:
    """A part will not be sent."""
    if isinstance(part, Span):
        part.close()


def _sendable(part: Part) -> memoryview | Span | None:
    if isinstance(part, Span):
        return part
    return memoryview(part) if part else None


class Sending(Transfer):
    """Sends `first` and then the blocks of `rest`; the next block is fetched while one is on its way, never
    more.

    A block is bytes, or a `Span` of a file, which is sent without a copy. What fits into one block needs no task
    of its own. Anything but a complete transfer ends in a reset, so that the client cannot take what it got for the
    whole.
    """

    def __init__(
        self,
        owner: Owner,
        command: str,
        path: str,
        first: Part,
        rest: AsyncIterator[Part] | None = None,
        release: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(owner, command, path)
        self._left: memoryview | Span | None = _sendable(first)
        self._next: Part | None = None
        self._rest = rest
        self._release = release
        self._drained: asyncio.Future[None] | None = None
        self._why = ""

    @property
    def stallable(self) -> bool:
        """While no block is on its way, the client is not to blame."""
        return self._left is not None and super().stallable

    def start(self, stream: Stream) -> None:
        """Begin to send."""
        self._take(stream)
        if self._rest is not None:
            stream.no_delay()
            self._task = self.host.spawn(self._run(self._rest))
            self._task.add_done_callback(self._never_ran)
        else:
            self._send_last()

    def _send_last(self) -> None:
        """All that is left is in `_left`: send, and end when it is gone."""
        try:
            self._push()
        except OSError:
            self._stop("")
            return
        if self._left is None:
            self.phase = Phase.SETTLING
            self._finish_stream()
            self._over(COMPLETE)

    def _never_ran(self, task: asyncio.Task[None]) -> None:
        """Cancelled before its first step, the task has reported nothing."""
        if task.cancelled() and self.phase is Phase.MOVING:
            self.phase = Phase.SETTLING
            self._reset_stream()
            self._task = self.host.spawn(self._unsent())

    async def _run(self, rest: AsyncIterator[Part]) -> None:
        sent_in_turn = 0
        try:
            self._push()
            async for block in rest:
                sent_in_turn += len(block)
                self._next = block
                if sent_in_turn > TURN_BUDGET:
                    sent_in_turn = 0
                    await asyncio.sleep(0)
                if self._left is not None:
                    await self._flushed()
                self._left, self._next = _sendable(block), None
                self._push()
            if self._left is not None:
                await self._flushed()
            reply = COMPLETE
        except asyncio.CancelledError:
            reply = self._why or "426 Transfer ended."
        except StoreError as error:
            reply = refusal(error, Doing.READING)
        except OSError:
            reply = f"426 The data connection broke after {self.moved} bytes."
        except Exception:
            self.owner.events.exception("download failed", path=self.path)
            reply = "451 Internal error; try again."
        self.phase = Phase.SETTLING
        if reply is COMPLETE:
            self._finish_stream()
        else:
            self._reset_stream()
        await self._close()
        self._over(reply)

    async def _close(self) -> None:
        self._drop_left()
        try:
            if isinstance(self._rest, AsyncGenerator):
                await self._rest.aclose()
            if self._release is not None:
                async with asyncio.timeout(self.host.wait_limit):
                    await self._release()
        except (TimeoutError, StoreError) as error:
            self.owner.events.warning("download not released", path=self.path, error=repr(error))

    def _drop_left(self) -> None:
        left, self._left = self._left, None
        following, self._next = self._next, None
        for part in (left, following):
            if part is not None:
                let_go(part)

    def _push(self) -> None:
        """Send what goes out at once; the rest follows when the socket takes more."""
        stream, left = self._stream, self._left
        if stream is None:
            raise ConnectionResetError
        try:
            if isinstance(left, Span):
                while left.length:
                    count = stream.send_file(left.fd, left.offset, left.length)
                    self.moved += count
                    left.cut(count, left.length)
                left.close()
            else:
                while left:
                    count = stream.send(left)
                    self.moved += count
                    self._left = left = left[count:]
        except BlockingIOError:
            self.host.loop.watch(stream.fileno(), self, WRITE)
            return
        self._left = None

    async def _flushed(self) -> None:
        self._drained = asyncio.get_running_loop().create_future()
        try:
            await self._drained
        finally:
            self._drained = None

    def on_events(self, events: int) -> None:
        """The socket takes more, or it broke."""
        if self._stream is None:
            return
        if self._rest is None:
            self._send_last()
            return
        problem: OSError | None = None
        try:
            self._push()
        except OSError as error:
            problem = error
        if self._left is not None and problem is None:
            return
        self.host.loop.unwatch(self._stream.fileno())
        if self._drained is None or self._drained.done():
            if problem is not None:
                self._stop("")
        elif problem is not None:
            self._drained.set_exception(problem)
        else:
            self._drained.set_result(None)

    def _stop(self, why: str) -> None:
        if self.phase is Phase.SETTLING:
            return
        self._why = why or f"426 The data connection broke after {self.moved} bytes."
        if self._task is not None:
            self._task.cancel()
            return
        self.phase = Phase.SETTLING
        self._reset_stream()
        if self._rest is None and self._release is None:
            self._drop_left()
            self._over(self._why)
        else:
            self._task = self.host.spawn(self._unsent())

    async def _unsent(self) -> None:
        await self._close()
        self._over(self._why)

    def unconnected(self, why: Unconnected) -> None:
        """No data connection: nothing was sent."""
        self._stop(f"{why.value}.")

    def abort(self) -> None:
        """ABOR."""
        self.after_abort = True
        self._stop("426 Transfer aborted.")

    def cut(self, reply: str) -> None:
        """End it."""
        self._stop(reply)

    def lost_control(self) -> None:
        """The client is gone."""
        self._stop("426 The control connection was lost.")

    def stalled(self) -> None:
        """The client takes nothing."""
        self._stop("426 You took no data for too long.")
