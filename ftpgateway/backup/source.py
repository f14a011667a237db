"""The cluster that a backup is made of: an admin's calls, to whatever member answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.message import Message

from ftpgateway.backup.catalogfile import digest_of
from raftstore.cluster.calls import backups as calls
from raftstore.errors import Changed, Damaged, NoQuorum, NotFound, Refused, StoreError, Unavailable
from raftstore.peers import PeerClient
from raftstore.peers.calls import Answered
from raftstore.peers.security.pki import Identity
from raftstore.types import ChunkRef
from raftstore.util.settings.kinds import Member
from raftstore.wire import admin_pb2 as admin

PIECE = 1 << 20
MAX_CHUNKS = 256
PATIENCE = 120.0
"""Seconds for which it is tried to reach any member: leaders change, nodes are started anew."""
ANSWER = 60.0
"""Seconds for one answer."""
PAUSE = 0.5

_Request = TypeVar("_Request", bound=Message)
_Reply = TypeVar("_Reply", bound=Message)
_PASSING = (Unavailable, Refused, NoQuorum)


class ClusterSource:
    """Calls to the members of a cluster, each over one connection for as long as that holds."""

    def __init__(
        self,
        cluster: str,
        members: Sequence[Member],
        identity: Identity,
        *,
        timeout: float,
        patience: float = PATIENCE,
    ) -> None:
        self.cluster = cluster
        self._members = list(members)
        self._identity = identity
        self._timeout = timeout
        self._patience = patience
        self._open: dict[str, PeerClient] = {}
        self._locks = {member.name: asyncio.Lock() for member in members}

    async def close(self) -> None:
        """Close all connections."""
        while self._open:
            _, client = self._open.popitem()
            await client.__aexit__(None, None, None)

    async def _client(self, member: Member) -> PeerClient:
        async with self._locks[member.name]:
            client = self._open.get(member.name)
            if client is None:
                made = PeerClient(self._identity, member.address, timeout=self._timeout, expected=member.name)
                client = self._open[member.name] = await made.__aenter__()
            return client

    async def _drop(self, member: Member, client: PeerClient) -> None:
        if self._open.get(member.name) is client:
            del self._open[member.name]
            await client.__aexit__(None, None, None)

    async def _call(self, member: Member, call: Answered[Any, _Request, _Reply], request: _Request) -> _Reply:
        client = await self._client(member)
        try:
            answer = await client.call(call.method, request.SerializeToString(), timeout=ANSWER)
        except Unavailable:
            await self._drop(member, client)
            raise
        return call.read(answer.body, member.name)

    async def _ask(self, call: Answered[Any, _Request, _Reply], request: _Request, first: int = 0) -> _Reply:
        """Ask members in turn, from number `first` on, for as long as none can answer and there is patience."""
        return await self._patiently(lambda member: self._call(member, call, request), first)

    async def _patiently(self, attempt: Callable[[Member], Awaitable[_Reply]], first: int = 0) -> _Reply:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while True:
            failures = []
            for number in range(len(self._members)):
                member = self._members[(first + number) % len(self._members)]
                try:
                    return await attempt(member)
                except _PASSING as error:
                    failures.append(f"{member.name}: {error}")
            if loop.time() >= deadline:
                raise Unavailable("; ".join(failures))
            await asyncio.sleep(PAUSE)

    # Holds.

    async def hold(self, identity: bytes, *, renew: bool = False) -> tuple[int, float]:
        """Take or renew a hold of the chunks; return its log index, and for how many seconds it lasts.

        Raises NotFound when what is to be renewed has ended.
        """
        reply = await self._ask(calls.renew if renew else calls.hold, admin.BackupHold(id=identity))
        return reply.index, reply.lease_ns / 1e9

    async def end(self, identity: bytes) -> None:
        """End a hold."""
        await self._ask(calls.end, admin.BackupHold(id=identity))

    # The catalog.

    async def catalog(
        self, hold: bytes, above: int, file: Path, took: Callable[[int, int], Awaitable[None]]
    ) -> int:
        """Fetch a copy of the catalog of log index `above` or later into `file`; return that of the copy.

        `took` hears of bytes that came, and of how many. A copy whose node goes is begun anew at another one.
        """
        return (await self._patiently(lambda member: self._catalog_of(member, hold, above, file, took))).index

    async def _catalog_of(
        self, member: Member, hold: bytes, above: int, file: Path, took: Callable[[int, int], Awaitable[None]]
    ) -> admin.BackupCatalog:
        copy = admin.BackupCatalog()
        while not copy.id:
            copy = await self._call(member, calls.catalog, admin.BackupHold(id=hold))
        if copy.index < above:
            raise Unavailable(f"its copy of the catalog is of entry {copy.index}, before {above}")
        offset = 0
        with file.open("wb") as opened:
            while offset < copy.size:
                length = min(PIECE, copy.size - offset)
                request = admin.BackupPiece(id=copy.id, offset=offset, length=length)
                try:
                    (data,) = (await self._call(member, calls.piece, request)).data
                except NotFound as error:
                    raise Unavailable(error.detail) from None
                if len(data) != length:
                    raise Damaged(f"{member.name}: {len(data)} bytes of the catalog's copy, not {length}")
                await asyncio.to_thread(opened.write, data)
                offset += length
                await took(offset, copy.size)
        size, digest = await asyncio.to_thread(digest_of, file)
        if (size, digest) != (copy.size, copy.digest.hex()):
            raise Damaged(f"{member.name}: the copy of the catalog is not what was announced")
        return copy

    # Chunks.

    async def chunks(self, refs: Sequence[ChunkRef], first: int) -> list[bytes]:
        """Return the bytes of chunks, asking member number `first` first; empty ones where nobody can read a copy.

        Each member tries all copies for a while by itself, so each is asked once.
        """
        found: dict[bytes, bytes] = {}
        for attempt in range(len(self._members)):
            left = [ref for ref in refs if ref.digest not in found]
            if not left:
                break
            request = admin.BackupChunks(
                chunks=[
                    admin.BackupChunk(digest=ref.digest, length=ref.length, stores=ref.stores) for ref in left
                ]
            )
            reply = await self._ask(calls.chunks, request, first + attempt)
            if len(reply.data) != len(left):
                raise Damaged("a node's answer has another number of chunks than were asked for")
            found |= {ref.digest: data for ref, data in zip(left, reply.data, strict=True) if data}
        return [found.get(ref.digest, b"") for ref in refs]


def portions(refs: Sequence[ChunkRef]) -> list[list[ChunkRef]]:
    """Split chunks into what one call asks for."""
    made: list[list[ChunkRef]] = []
    size = PIECE
    for ref in refs:
        size += ref.length
        if size > PIECE or len(made[-1]) >= MAX_CHUNKS:
            made.append([])
            size = ref.length
        made[-1].append(ref)
    return made


def ended(error: StoreError) -> StoreError:
    """Return what it means that a hold has ended under way."""
    return Changed(
        f"the cluster has let go of the chunks ({error.detail}); begin again: what came is not sent again"
    )
