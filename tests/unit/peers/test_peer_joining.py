"""The door for machines with a token: what a stranger can do there, which is nothing."""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from peer_networks import DEADLINE, event_loops, identity, network, run_on

from raftstore.errors import Refused, Unavailable
from raftstore.peers import create_authority
from raftstore.peers.joining import JOIN, MAX_REQUEST, ask_to_join

TOKEN, KEY = b"t" * 16, b"k" * 32


@pytest.fixture(params=sorted(event_loops()))
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Admitter:
    """A node, and what came through its door."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, bytes, bytes]] = []
        self.is_open = True
        self.network = network("b", {"a": ("127.0.0.1", 1)})
        self.network.serve_joins(
            lambda: self.is_open, lambda token: KEY if token == TOKEN else None, self.answer
        )
        authority = x509.load_pem_x509_certificate(identity("b").ca).public_bytes(Encoding.DER)
        self.authority = hashlib.sha256(authority).digest()

    async def answer(self, token: bytes, nonce: bytes, body: bytes) -> bytes:
        self.asked.append((token, nonce, body))
        return b"welcome " + body

    async def ask(
        self, *, token: bytes = TOKEN, key: bytes = KEY, authority: bytes = b"", body: bytes = b"me"
    ) -> bytes:
        return await ask_to_join(
            self.network.address,
            authority=authority or self.authority,
            token=token,
            key=key,
            nonce=b"n" * 16,
            body=body,
            timeout=DEADLINE,
        )


@asynccontextmanager
async def admitter() -> AsyncIterator[Admitter]:
    made = Admitter()
    await made.network.start()
    try:
        yield made
    finally:
        await made.network.stop()


def test_who_has_a_token_is_answered(loop: str) -> None:
    async def main() -> None:
        async with admitter() as there:
            assert await there.ask() == b"welcome me"
            assert there.asked == [(TOKEN, b"n" * 16, b"me")]

    run_on(loop, main())


def test_who_has_none_is_not_even_read(loop: str) -> None:
    async def main() -> None:
        async with admitter() as there:
            for wrong in ({"key": b"x" * 32}, {"token": b"x" * 16}, {"token": b"x" * 16, "key": b"x" * 32}):
                with pytest.raises(Refused, match="does not know"):
                    await there.ask(**wrong)
            assert not there.asked

    run_on(loop, main())


def test_without_tokens_there_is_no_door(loop: str) -> None:
    async def main() -> None:
        async with admitter() as there:
            there.is_open = False
            with pytest.raises(Refused, match="lets nobody join"):
                await there.ask()
            assert not there.asked

    run_on(loop, main())


def test_a_joiner_tells_nothing_to_a_node_of_another_cluster(loop: str) -> None:
    async def main() -> None:
        async with admitter() as there:
            other = create_authority("other").certificate.public_bytes(Encoding.DER)
            with pytest.raises(Unavailable, match="not a node of the cluster"):
                await there.ask(authority=hashlib.sha256(other).digest())
            assert not there.asked

    run_on(loop, main())


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        os.urandom(2000),
        TOKEN + b"n" * 16 + (MAX_REQUEST + 1).to_bytes(2, "big") + bytes(MAX_REQUEST + 33),
        TOKEN + b"n" * 16 + (5).to_bytes(2, "big") + b"short",
        TOKEN + b"n" * 16 + (2).to_bytes(2, "big") + b"me" + bytes(32),
    ],
    ids=["nothing", "noise", "too large", "cut", "no mac"],
)
def test_nonsense_gets_no_answer(loop: str, sent: bytes) -> None:
    async def main() -> None:
        async with admitter() as there:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            reader, writer = await asyncio.open_connection(*there.network.address)
            writer.write(JOIN)
            await writer.start_tls(context, server_hostname="")
            writer.write(sent)
            if not sent or sent.endswith(b"short"):
                writer.close()
            else:
                async with asyncio.timeout(DEADLINE):
                    rest = await _all(reader)
                size = int.from_bytes(rest[:4], "big")
                assert rest[4 + size :] in (b"", b"\0")
            writer.transport.abort()
            assert not there.asked

    run_on(loop, main())


async def _all(reader: asyncio.StreamReader) -> bytes:
    received = b""
    try:
        while block := await reader.read(65536):
            received += block
    except (OSError, ssl.SSLError):
        pass
    return received
