"""One command of the old scp, as bytes of a channel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ftpgateway.access.sessions import Session
from ftpgateway.serving.logs.refusallog import RefusalLog
from ftpgateway.serving.opensessions import Operation
from ftpgateway.serving.refusals import Doing, one_line, reason
from ftpgateway.sftp.link import Link, SessionOver
from ftpgateway.sftp.scp import messages
from raftstore.errors import StoreError
from raftstore.util.buffers import Buffer
from raftstore.util.limits.slices import next_slice

T = TypeVar("T")

TURN = 16
"""Messages after which other sessions have their turn: a thousand fit into the buffer."""


@dataclass
class Transfer:
    """One file, up or down: `moved` bytes of it."""

    path: str
    writes: bool
    moved: int = 0
    begun: float = field(default_factory=time.monotonic)


OnTransfer = Callable[[Transfer, bool], None]
"""Told of a file, and whether it went over whole."""


class ScpLink(Link):
    """The channel: whole messages come in, answers go out."""

    busy = True
    """It is there for one transfer."""

    def __init__(
        self,
        session: Session,
        *,
        idle_timeout: float,
        wait_limit: float,
        refused: RefusalLog,
        on_transfer: OnTransfer,
    ) -> None:
        super().__init__(idle_timeout)
        self.session = session
        self.wait_limit = wait_limit
        self.on_transfer = on_transfer
        self.failures = 0
        """What was left out, or could not be done."""
        self.transfer: Transfer | None = None
        """The file that goes over, or went last."""
        self._refused = refused
        self._messages = 0

    def operations(self) -> list[Operation]:
        """Return the file that goes over, as operators see it."""
        if (file := self.transfer) is None:
            return []
        what = "upload" if file.writes else "download"
        return [Operation(what, file.path, file.moved, time.monotonic() - file.begun)]

    async def next(self, read: Callable[[memoryview], tuple[int, T | None]]) -> tuple[T, memoryview] | None:
        """Return the next message that `read` finds, and its bytes; None: the client has ended.

        The bytes are to be used before the next call. Raises SessionOver, BadScp.
        """
        self._flush()
        self._messages += 1
        if not self._messages % TURN:
            await next_slice()
        deadline = asyncio.get_running_loop().time() + self._idle
        while True:
            with self._buffer[self._start : self._end] as here:
                count, found = read(here)
            first = self._start
            self._start += count
            if found is not None:
                return found, self._buffer[first : self._start]
            if self._eof:
                return None
            self._make_space()
            await self._more(deadline)

    async def send(self, *parts: Buffer) -> None:
        """Send something, when the client takes it. Raises SessionOver."""
        self._put(parts)
        self._flush()
        if self._full:
            await self._drained()
        if self._transport is None:
            raise SessionOver("the client has left")

    async def refuse(self, about: str, error: StoreError, doing: Doing = Doing.NAMES) -> None:
        """Tell the client, and the log, why something is left out."""
        await self.leave_out(about, reason(error, doing))

    async def leave_out(self, about: str, text: str) -> None:
        """Do the same for a reason of scp's own."""
        self.failures += 1
        self._refused.refused(command="scp", path=one_line(about), reason=one_line(text))
        await self.send(messages.error(f"{one_line(about)}: {one_line(text)}"))

    async def end_with(self, text: str, *, tell: bool) -> None:
        """Tell the log why nothing more is done, and (`tell`) the client. Raises SessionOver."""
        self.failures += 1
        self._refused.refused(command="scp", path="", reason=one_line(text))
        if tell:
            await self.send(messages.error(text, fatal=True))

    def finish(self) -> None:
        """What was sent goes out, and the channel ends."""
        if self._transport is not None:
            self._flush()
            self._transport.close()
