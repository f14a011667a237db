"""The server on a real socket: what is answered, to whom, and within which bounds."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from waiting import until

from ftpgateway.metrics.access import server_context
from ftpgateway.metrics.answers import Answers
from ftpgateway.metrics.server import MetricsServer
from ftpgateway.metrics.settings import MetricsSettings
from ftpgateway.serving.exposition import Exposition
from raftstore.peers.security.pki import self_signed_server_pem
from raftstore.util.addresses import Address
from raftstore.util.metrics import Metrics, gauge

TOKEN = b"0123456789abcdef"


class Node:
    """A node that is as the test says: what is in the way of what."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}
        self.gate: asyncio.Event | None = None
        self.broken = False

    def alive(self) -> str:
        return self.problems.get("alive", "")

    async def ready(self, *, local: bool = False) -> str:
        if self.gate is not None:
            await self.gate.wait()
        return "" if local else self.problems.get("ready", "")

    def writable(self) -> str:
        return self.problems.get("writable", "")

    def spared(self) -> str:
        return self.problems.get("spared", "")

    def details(self) -> Mapping[str, object]:
        return {"node": "n1"}

    @gauge("pixraft_kettle_litres", "What is in it.")
    def litres(self) -> float:
        if self.broken:
            raise RuntimeError("the kettle leaks")
        return 2


class Served:
    """A server, and the client of it."""

    def __init__(self, server: MetricsServer, node: Node) -> None:
        self.server = server
        self.node = node

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.server.port)

    async def raw(self, request: bytes) -> bytes:
        reader, writer = await self.connect()
        try:
            writer.write(request)
            return await reader.read()
        finally:
            writer.close()

    async def get(self, path: str, *, token: bytes = b"", method: str = "GET") -> tuple[int, str]:
        field = b"Authorization: Bearer " + token + b"\r\n" if token else b""
        got = await self.raw(f"{method} {path} HTTP/1.1\r\nHost: x\r\n".encode() + field + b"\r\n")
        head, _, body = got.decode().partition("\r\n\r\n")
        assert "\r\nConnection: close" in head
        return int(head.split()[1]), body


@asynccontextmanager
async def serving(
    *, token: bytes | None = None, tls: ssl.SSLContext | None = None, settings: MetricsSettings | None = None
) -> AsyncIterator[Served]:
    node, metrics = Node(), Metrics()
    metrics.add(node)
    answers = Answers(Exposition(metrics), node, token)
    server = MetricsServer(Address("127.0.0.1", 0), answers, settings or MetricsSettings(), tls)
    await server.start()
    try:
        yield Served(server, node)
    finally:
        await server.stop(0.0)


def test_metrics_and_health_of_a_node_that_is_well() -> None:
    async def main() -> None:
        async with serving() as served:
            status, text = await served.get("/metrics")
            assert status == 200 and "pixraft_kettle_litres 2.0\n" in text
            assert await served.get("/livez") == (200, "alive\n")
            assert await served.get("/readyz") == (200, "ready\nwritable: true\n")
            assert await served.get("/readyz?maintenance") == (200, "ready\nwritable: true\nspared: true\n")
            status, text = await served.get("/readyz?verbose")
            details = json.loads(text)
            assert status == 200 and details.pop("seconds") >= 0
            assert details == {
                "ready": True,
                "reason": None,
                "writable": True,
                "not_writable": None,
                "spared": True,
                "needed": None,
                "node": "n1",
            }
            assert await served.get("/livez", method="HEAD") == (200, "")
            assert (await served.get("/"))[0] == 404

    asyncio.run(main())


def test_what_is_in_the_way_of_what() -> None:
    async def main() -> None:
        async with serving() as served:
            served.node.problems["writable"] = "its disk is full"
            assert await served.get("/readyz") == (200, "ready\nwritable: false\n")
            assert await served.get("/readyz?writable") == (503, "not ready\nwritable: false\n")
            served.node.problems = {"spared": "no majority is left"}
            assert (await served.get("/readyz"))[0] == 200
            assert await served.get("/readyz?maintenance") == (
                503,
                "not ready\nwritable: true\nspared: false\n",
            )
            served.node.problems = {"ready": "no majority answers"}
            assert (await served.get("/readyz"))[0] == 503
            assert (await served.get("/readyz?local"))[0] == 200
            status, text = await served.get("/readyz?verbose")
            assert status == 503 and json.loads(text)["reason"] == "no majority answers"
            assert (await served.get("/livez"))[0] == 200
            served.node.problems = {"alive": "the journal does not answer"}
            assert await served.get("/livez") == (503, "not alive\n")

    asyncio.run(main())


def test_with_a_token_figures_and_details_are_for_who_has_it() -> None:
    async def main() -> None:
        async with serving(token=TOKEN) as served:
            for path in ("/metrics", "/livez?verbose", "/readyz?verbose"):
                assert await served.get(path) == (401, "Unauthorized\n")
                assert (await served.get(path, token=b"f" * 16))[0] == 401
                assert (await served.get(path, token=TOKEN))[0] == 200
            assert await served.get("/livez") == (200, "alive\n")
            assert (await served.get("/readyz?writable"))[0] == 200
            got = await served.raw(b"GET /metrics HTTP/1.1\r\n\r\n")
            assert b"\r\nWWW-Authenticate: Bearer\r\n" in got

    asyncio.run(main())


def test_with_a_certificate_it_is_https(tmp_path: Path) -> None:
    file = tmp_path / "web.pem"
    file.write_bytes(self_signed_server_pem(["localhost"]))

    async def main() -> None:
        async with serving(tls=server_context(file)) as served:
            trust = ssl.create_default_context(cafile=str(file))
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", served.server.port, ssl=trust, server_hostname="localhost"
            )
            writer.write(b"GET /livez HTTP/1.1\r\n\r\n")
            assert (await reader.read()).endswith(b"\r\n\r\nalive\n")
            writer.close()
            assert b"HTTP/1.1" not in await served.raw(b"GET /livez HTTP/1.1\r\n\r\n")

    asyncio.run(main())


def test_a_request_that_is_none_is_refused() -> None:
    async def main() -> None:
        async with serving() as served:
            for request, status in (
                (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
                (b"GET /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"413"),
                (b"hello\r\n\r\n", b"400"),
                (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", b"431"),
            ):
                assert (await served.raw(request)).split()[1] == status

    asyncio.run(main())


def test_a_metric_that_fails_fails_nothing_else() -> None:
    async def main() -> None:
        async with serving() as served:
            served.node.broken = True
            assert await served.get("/metrics") == (500, "Internal Server Error\n")
            assert (await served.get("/livez"))[0] == 200

    asyncio.run(main())


def test_who_sends_no_request_is_let_go() -> None:
    async def main() -> None:
        async with serving(settings=MetricsSettings(request_timeout=0.05)) as served:
            assert await served.raw(b"GET /livez HTTP/1.1\r\n") == b""

    asyncio.run(main())


def test_one_more_than_there_may_be_replaces_the_oldest() -> None:
    async def main() -> None:
        async with serving(settings=MetricsSettings(max_connections=2, request_timeout=600)) as served:
            silent = [await served.connect() for _ in range(2)]
            await until(lambda: len(served.server._tasks) == 2)
            assert await served.get("/livez") == (200, "alive\n")
            assert await silent[0][0].read() == b""
            silent[1][1].write(b"GET /livez HTTP/1.1\r\n\r\n")
            assert (await silent[1][0].read()).endswith(b"alive\n")
            for _, writer in silent:
                writer.close()

    asyncio.run(main())


def test_the_stop_ends_what_waits() -> None:
    async def main() -> None:
        async with serving() as served:
            served.node.gate = asyncio.Event()
            asked = asyncio.ensure_future(served.raw(b"GET /readyz HTTP/1.1\r\n\r\n"))
            await until(lambda: served.server._tasks)
            port = served.server.port
            await served.server.stop(0.0)
            assert await asked == b""
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)

    asyncio.run(main())
