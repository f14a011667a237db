"""Uploads: from the data connection into the store."""

from __future__ import annotations

import asyncio

from ftpgateway.access.backend import Upload
from ftpgateway.access.ledger import UploadMemory
from ftpgateway.access.login.throttle import Throttle
from ftpgateway.ftp.data.streams import Stream
from ftpgateway.ftp.data.transfers import READ_BUDGET, Owner, Transfer, Unconnected
from ftpgateway.ftp.gate import Phase
from ftpgateway.ftp.pyftp import READ
from ftpgateway.ftp.replies import refusal
from ftpgateway.serving.refusals import Doing
from raftstore.errors import NoQuorum, OutcomeUnknown, StoreError

INTERNAL = "451 Internal error; nothing was stored, try again."


LOST = "426 The control connection was lost."


class Receiving(Transfer):
    """An upload. Only a clean end of data leads to `commit`; everything else keeps what came for the owner."""

    upload = True

    def __init__(
        self,
        owner: Owner,
        command: str,
        path: str,
        upload: Upload,
        done: str,
        throttle: Throttle,
        memory: UploadMemory,
    ) -> None:
        """`memory` is charged for the upload, and released at its end."""
        super().__init__(owner, command, path)
        self._memory = memory
        self._upload = upload
        self._throttle = throttle
        self._done = done
        self._paused = False

    @property
    def stallable(self) -> bool:
        """While the store makes us wait, the client is not to blame."""
        return not self._paused and super().stallable

    def start(self, stream: Stream) -> None:
        """Begin to receive."""
        self._take(stream)
        stream.acknowledge_at_once()
        self._go_on(stream)

    def _go_on(self, stream: Stream) -> None:
        self.host.loop.watch(stream.fileno(), self, READ)
        if stream.pending():
            asyncio.get_running_loop().call_soon(self.on_events, READ)

    def on_events(self, events: int) -> None:
        """Receive what is there and feed it to the upload."""
        stream = self._stream
        if stream is None or self._paused:
            return
        buffer, received = self.host.buffer, 0
        buffer = buffer[: self._throttle.portion(len(buffer))]
        try:
            while received < READ_BUDGET:
                count = stream.recv_into(buffer)
                if not count:
                    self._ended()
                    return
                received += count
                seconds = self._throttle.take(count)
                self._memory.cover(self._upload.position + count)
                if not self._upload.feed(buffer[:count]) or seconds:
                    self._pause(stream, seconds)
                    return
            self._go_on(stream)
        except BlockingIOError:
            pass
        except StoreError as error:
            self._broken(refusal(error, Doing.WRITING), refused=True)
        except OSError:
            self._broken(f"426 The data connection broke; {self._kept()}")
        except Exception:
            self.owner.events.exception("upload failed", path=self.path)
            self._broken(INTERNAL, refused=True)
        finally:
            self.moved += received

    def _pause(self, stream: Stream, seconds: float) -> None:
        """The store has enough for now, or the user for `seconds`: leave the rest to TCP's flow control until then."""
        self._paused = True
        self.host.loop.unwatch(stream.fileno())
        self._task = self.host.spawn(self._wait_for_space(stream, seconds))

    async def _wait_for_space(self, stream: Stream, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
            async with asyncio.timeout(self.host.wait_limit):
                await self._upload.drained()
        except TimeoutError:
            reply = refusal(NoQuorum(), Doing.WRITING)
        except StoreError as error:
            reply = refusal(error, Doing.WRITING)
        except Exception:
            self.owner.events.exception("upload failed", path=self.path)
            reply = INTERNAL
        else:
            reply = ""
        self._paused = False
        if self._stream is not stream:
            return
        if reply:
            self._broken(reply, refused=True)
        else:
            self._go_on(stream)

    def _ended(self) -> None:
        """All data is there; but is the client? The kernel closes a killed program's connections."""
        self._finish_stream()
        if self.owner.hung_up():
            self._settle(self._suspend(LOST))
        else:
            self._settle(self._commit())

    async def _commit(self) -> None:
        try:
            async with asyncio.timeout(self.host.wait_limit):
                await self._upload.prepare()
                # The kernel may have closed the data connection first: asked once more, before it is published.
                lost = self.owner.hung_up()
                if not lost:
                    await self._upload.commit()
        except TimeoutError:
            reply = refusal(OutcomeUnknown(), Doing.WRITING)
        except StoreError as error:
            reply = refusal(error, Doing.WRITING)
        except Exception:
            self.owner.events.exception("commit failed", path=self.path)
            reply = INTERNAL
        else:
            if lost:
                await self._suspend(LOST)
                return
            reply = self._done
        self._over(reply)

    async def _suspend(self, reply: str) -> None:
        try:
            async with asyncio.timeout(self.host.wait_limit):
                await self._upload.suspend()
        except (TimeoutError, StoreError):
            self.owner.events.warning("partial upload not kept", path=self.path)
        except Exception:
            self.owner.events.exception("suspend failed", path=self.path)
        self._over(reply)

    def _settle(self, work: object) -> None:
        self.phase = Phase.SETTLING
        self._task = self.host.spawn(work)  # type: ignore[arg-type]

    def _broken(self, reply: str, *, refused: bool = False) -> None:
        """End before the end of the data. `refused`: by us, while the client still sends and hears nothing yet."""
        if self.phase is Phase.SETTLING:
            return
        if self._task is not None and self._paused:
            self._task.cancel()
        if refused:
            self._discard_stream(self._throttle)
        else:
            self._reset_stream()
        self._settle(self._suspend(reply))

    def _over(self, reply: str) -> None:
        self._memory.release()
        super()._over(reply)

    def _read_out(self) -> None:
        """Take what is already in the socket, as much as fits at once: less to send again."""
        if self._stream is None or self._paused:
            return
        try:
            count = self._stream.recv_into(self.host.buffer)
            self._memory.cover(self._upload.position + count)
            self._upload.feed(self.host.buffer[:count])
            self.moved += count
        except (OSError, StoreError):
            pass

    def _kept(self) -> str:
        return "what came is kept for you: continue with REST or APPE, or send it again."

    def unconnected(self, why: Unconnected) -> None:
        """No data connection: nothing was received."""
        self._broken(f"{why.value}; nothing was stored.")

    def abort(self) -> None:
        """ABOR: keep what came."""
        self.after_abort = True
        self._read_out()
        self._broken(f"426 Upload aborted; {self._kept()}")

    def cut(self, reply: str) -> None:
        """Keep what came; whether a commit under way may still happen is decided where it is applied."""
        self._broken(reply)

    def lost_control(self) -> None:
        """Keep what came; a commit under way goes on."""
        self._read_out()
        self._broken("426 The control connection was lost.")

    def stalled(self) -> None:
        """Keep what came."""
        self._broken(f"426 No data came for too long; {self._kept()}")
