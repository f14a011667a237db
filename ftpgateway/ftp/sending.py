"""Downloads and listings: from the store to the data connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import structlog

from ftpgateway.ftp.backend import Buffer
from ftpgateway.ftp.gate import Phase
from ftpgateway.ftp.pyftp import WRITE
from ftpgateway.ftp.replies import Doing, refusal
from ftpgateway.ftp.streams import Stream
from ftpgateway.ftp.transfers import Owner, Transfer
from raftstore.errors import StoreError

log = structlog.get_logger()

TURN_BUDGET = 4 * 1024 * 1024
"""Bytes that one session may send before the others have their turn."""


class Sending(Transfer):
    """Sends the blocks of `source`; the next block is fetched while one is on its way, never more.

    Anything but a complete transfer ends in a reset, so that the client cannot take what it got for the whole.
    A way to send without copying (sendfile from a volume) would be a second kind of source here: it needs the
    plain socket and `on_events`, nothing else.
    """

    def __init__(
        self,
        owner: Owner,
        command: str,
        path: str,
        source: AsyncIterator[Buffer],
        release: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(owner, command, path)
        self._source = source
        self._release = release
        self._left: memoryview | None = None
        self._drained: asyncio.Future[None] | None = None
        self._why = ""

    @property
    def stallable(self) -> bool:
        """While no block is on its way, the client is not to blame."""
        return self._left is not None and super().stallable

    def start(self, stream: Stream) -> None:
        """Begin to send."""
        self._take(stream)
        stream.no_delay()
        self._task = self.host.spawn(self._run())
        self._task.add_done_callback(self._never_ran)

    def _never_ran(self, task: asyncio.Task[None]) -> None:
        """Cancelled before its first step, the task has reported nothing."""
        if task.cancelled() and self.phase is Phase.MOVING:
            self.phase = Phase.SETTLING
            self._reset_stream()
            self._task = self.host.spawn(self._unsent())

    async def _run(self) -> None:
        sent_in_turn = 0
        try:
            async for block in self._source:
                sent_in_turn += len(block)
                if sent_in_turn > TURN_BUDGET:
                    sent_in_turn = 0
                    await asyncio.sleep(0)
                if self._left is not None:
                    await self._flushed()
                self._left = memoryview(block)
                self._push()
            if self._left is not None:
                await self._flushed()
            reply = "226 Transfer complete."
        except asyncio.CancelledError:
            reply = self._why or "426 Transfer ended."
        except StoreError as error:
            reply = refusal(error, Doing.READING)
        except OSError:
            reply = f"426 The data connection broke after {self.moved} bytes."
        except Exception:
            log.exception("download failed", path=self.path)
            reply = "451 Internal error; try again."
        self.phase = Phase.SETTLING
        if reply.startswith("2"):
            self._finish_stream()
        else:
            self._reset_stream()
        await self._close()
        self._over(reply)

    async def _close(self) -> None:
        try:
            if isinstance(self._source, AsyncGenerator):
                await self._source.aclose()
            if self._release is not None:
                async with asyncio.timeout(self.host.wait_limit):
                    await self._release()
        except (TimeoutError, StoreError) as error:
            log.warning("download not released", path=self.path, error=repr(error))

    def _push(self) -> None:
        """Send what goes out at once; the rest follows when the socket takes more."""
        stream, left = self._stream, self._left
        if stream is None:
            raise ConnectionResetError
        while left:
            try:
                count = stream.send(left)
            except BlockingIOError:
                self._left = left
                self.host.loop.watch(stream.fileno(), self, WRITE)
                return
            self.moved += count
            left = left[count:]
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
        problem: OSError | None = None
        if self._left is not None:
            try:
                self._push()
            except OSError as error:
                problem = error
        if self._left is None or problem is not None:
            if self._stream is not None:
                self.host.loop.unwatch(self._stream.fileno())
            if self._drained is not None and not self._drained.done():
                if problem is not None:
                    self._drained.set_exception(problem)
                else:
                    self._drained.set_result(None)
            elif problem is not None:
                self._stop("")

    def _stop(self, why: str) -> None:
        if self.phase is Phase.SETTLING:
            return
        self._why = why or f"426 The data connection broke after {self.moved} bytes."
        if self._task is not None:
            self._task.cancel()
        else:
            self._task = self.host.spawn(self._unsent())
            self.phase = Phase.SETTLING

    async def _unsent(self) -> None:
        await self._close()
        self._over(self._why)

    def unconnected(self, code: int) -> None:
        """No data connection: nothing was sent."""
        reason = "The TLS handshake failed" if code == 522 else "No data connection"
        self._stop(f"{code} {reason}; try PASV or EPSV.")

    def abort(self) -> None:
        """ABOR."""
        self.after_abort = True
        self._stop("426 Transfer aborted.")

    def lost_control(self) -> None:
        """The client is gone."""
        self._stop("426 The control connection was lost.")

    def stalled(self) -> None:
        """The client takes nothing."""
        self._stop("426 You took no data for too long.")
