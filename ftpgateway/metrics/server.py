"""A small HTTP server with bounds: connections, of one request each, bytes of its head, time for it and its reply."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import structlog

from ftpgateway.metrics.answers import Answer, Answers, refusal, response
from ftpgateway.metrics.requests import Refused, Request, parse
from ftpgateway.metrics.settings import MetricsSettings
from ftpgateway.serving.listening import listening_socket
from raftstore.util.addresses import Address
from raftstore.util.tasks import cancel_and_wait

log = structlog.get_logger()


class MetricsServer:
    """The front-end. One connection more than there may be closes the oldest: who asks is answered within moments."""

    def __init__(
        self, address: Address, answers: Answers, settings: MetricsSettings, tls: ssl.SSLContext | None = None
    ) -> None:
        self._address = address
        self._answers = answers
        self._settings = settings
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[None], None] = {}

    @property
    def port(self) -> int:
        """Where it listens, once it does."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken."""
        sock = await listening_socket(self._address)
        self._server = await asyncio.start_server(self._connected, sock=sock, limit=self._settings.head_bytes)

    async def stop(self, grace: float = 5.0) -> None:
        """Listen no more; what is asked now is answered within `grace` seconds, or not."""
        if self._server is not None:
            self._server.close()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=grace)
        await cancel_and_wait(*self._tasks)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= self._settings.max_connections:
            next(iter(self._tasks)).cancel()
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer), name="metrics request")
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, EOFError, TimeoutError):  # of a client that is gone, or too slow
                async with asyncio.timeout(self._settings.request_timeout):
                    if self._tls is not None:
                        await writer.start_tls(self._tls)
                    request = await _read(reader)
                reply, with_body = await self._reply(request)
                async with asyncio.timeout(self._settings.reply_timeout):
                    writer.write(response(reply, with_body=with_body))
                    await writer.drain()
                    writer.close()
                    await writer.wait_closed()
        except asyncio.CancelledError:
            pass  # nobody waits for it
        finally:
            writer.transport.abort()

    async def _reply(self, request: Request | Refused) -> tuple[Answer, bool]:
        if isinstance(request, Refused):
            return refusal(request.status), True
        with_body = request.method == "GET"
        try:
            return await self._answers.answer(request), with_body
        except Refused as error:
            return refusal(error.status), with_body
        except Exception as error:  # of a metric: whoever asks sees that, and the others are served
            log.exception("metrics or health not answered", error=str(error))
            return refusal(500), with_body


async def _read(reader: asyncio.StreamReader) -> Request | Refused:
    """Read a request; Refused is the answer to what is none."""
    try:
        return parse(await reader.readuntil(b"\r\n\r\n"))
    except Refused as error:
        return error
    except asyncio.LimitOverrunError:
        return Refused(431)
