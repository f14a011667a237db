"""Make a backup: hold the chunks, have the catalog copied, send what the target does not have, and only then say so."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from blake3 import blake3

from ftpgateway.backup.catalogfile import CatalogFile, blocks, digest_of
from ftpgateway.backup.manifest import Manifest
from ftpgateway.backup.repository import RENEW, Lock, Report, Repository, sealed_size
from ftpgateway.backup.source import ClusterSource, ended, portions
from raftstore.errors import NotFound, StoreError, Unavailable
from raftstore.metadata.levels import VERSION
from raftstore.types import ChunkRef
from raftstore.util.limits.throttle import Throttle
from raftstore.util.tasks import cancel_and_wait

WORKERS = 4
"""Portions that are under way at a time."""
QUEUE = 2 * WORKERS
_NAMED = 5
"""Of the chunks that are lost so many are named."""


@dataclass(slots=True)
class _Sent:
    objects: int = 0
    bytes: int = 0
    lost: list[ChunkRef] = field(default_factory=list)

    def add(self, size: int) -> None:
        """Count an object."""
        self.objects += 1
        self.bytes += size


@dataclass(frozen=True, slots=True)
class Creation:
    """How a backup is made. `rate` in bytes a second (0: no bound); `without_lost`: also when chunks are lost."""

    source: ClusterSource
    repository: Repository
    report: Report
    rate: float = 0.0
    without_lost: bool = False

    async def run(self) -> Manifest:
        """Make a backup. Interrupted, it leaves what it has sent at the target, and the next one goes on from there.

        Raises Unavailable (no member answers, chunks are lost), Changed when it was away for too long, DiskFull.
        """
        lock = await asyncio.to_thread(self.repository.lock, "create", ("prune",))
        hold = secrets.token_bytes(16)
        try:
            index, lease = await self.source.hold(hold)
            try:
                return await self._while_held(lock, hold, index, lease)
            finally:
                with contextlib.suppress(StoreError):  # its lease ends it
                    await self.source.end(hold)
        finally:
            await asyncio.to_thread(lock.release)

    async def _while_held(self, lock: Lock, hold: bytes, index: int, lease: float) -> Manifest:
        work = asyncio.ensure_future(self._make(lock, hold, index))
        renewal = asyncio.ensure_future(self._renew(lock, hold, min(RENEW, lease / 4)))
        try:
            await asyncio.wait([work, renewal], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                renewal.result()
            return await work
        finally:
            renewal.cancel()
            work.cancel()
            await asyncio.gather(work, renewal, return_exceptions=True)

    async def _renew(self, lock: Lock, hold: bytes, period: float) -> None:
        while True:
            await asyncio.sleep(period)
            await asyncio.to_thread(lock.renew)
            try:
                await self.source.hold(hold, renew=True)
            except NotFound as error:
                raise ended(error) from None

    async def _make(self, lock: Lock, hold: bytes, index: int) -> Manifest:
        throttle = Throttle(self.rate) if self.rate else None

        async def paced(size: int) -> None:
            if throttle is not None:
                await throttle.take(size)

        with tempfile.TemporaryDirectory(prefix="pixraft-backup-") as scratch:
            copy = Path(scratch) / "catalog.copy"
            done = 0

            async def took(size: int, total: int) -> None:
                nonlocal done
                self.report("catalog", size, total)
                await paced(max(0, size - done))
                done = size

            await self.source.catalog(hold, index, copy, took)
            known = await asyncio.to_thread(lambda: dict(self.repository.objects()))
            sent = _Sent()
            digests = await asyncio.to_thread(self._send_blocks, copy, known, sent)
            with await asyncio.to_thread(CatalogFile.unpacked, copy, Path(scratch)) as catalog:
                await self._send_chunks(catalog, known, sent, paced)
                self._check_lost(catalog, sent)
                size, digest = await asyncio.to_thread(digest_of, copy)
                manifest = self._manifest(catalog, sent, (size, digest), digests)
            await asyncio.to_thread(self._publish, lock, manifest)
            return manifest

    def _send_blocks(self, copy: Path, known: dict[str, int], sent: _Sent) -> list[bytes]:
        digests = []
        for block in blocks(copy):
            digest = blake3(block).digest()
            name = self.repository.block_name(digest)
            if name not in known:
                known[name] = self.repository.put_block(block)
                sent.add(known[name])
            digests.append(digest)
        return digests

    async def _send_chunks(
        self, catalog: CatalogFile, known: dict[str, int], sent: _Sent, paced: Callable[[int], Awaitable[None]]
    ) -> None:
        """Send what is not there whole, several portions at a time, in the order in which it came to the cluster."""
        name_of = self.repository.chunk_name
        missing = await asyncio.to_thread(
            lambda: [
                ref for ref in catalog.chunks() if known.get(name_of(ref.digest)) != sealed_size(ref.length)
            ]
        )
        total, done = sum(ref.length for ref in missing), 0
        self.report("chunks", 0, total)
        waiting = iter(portions(missing))

        async def send(first: int) -> None:
            nonlocal done
            for portion in waiting:
                await paced(sum(ref.length for ref in portion))
                data = await self.source.chunks(portion, first)
                for ref, size in zip(portion, await asyncio.to_thread(self._put, portion, data), strict=True):
                    if size:
                        sent.add(size)
                    else:
                        sent.lost.append(ref)
                    done += ref.length
                self.report("chunks", done, total)

        workers = [asyncio.create_task(send(number)) for number in range(WORKERS)]
        try:
            await asyncio.gather(*workers)
        finally:
            await cancel_and_wait(*workers)

    def _put(self, portion: list[ChunkRef], data: list[bytes]) -> list[int]:
        return [
            self.repository.put_chunk(ref.digest, found) if found else 0
            for ref, found in zip(portion, data, strict=True)
        ]

    def _check_lost(self, catalog: CatalogFile, sent: _Sent) -> None:
        if not sent.lost or self.without_lost:
            return
        named = [
            f"{ref.digest.hex()[:16]} ({', '.join(catalog.paths(ref.digest)) or 'of no file'})"
            for ref in sent.lost[:_NAMED]
        ]
        raise Unavailable(
            f"no node has a readable copy of {len(sent.lost)} chunk(s): {'; '.join(named)}; `pixraft fsck` tells more, "
            "and with --without-lost the backup is made without them"
        )

    def _manifest(
        self, catalog: CatalogFile, sent: _Sent, copy: tuple[int, str], digests: list[bytes]
    ) -> Manifest:
        now = time.time_ns()
        chunks, chunk_bytes = catalog.totals()
        return Manifest(
            name=f"{datetime.fromtimestamp(now // 10**9, UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}",
            cluster=self.source.cluster,
            time_ns=now,
            index=catalog.index,
            level=catalog.level,
            program=VERSION,
            size=copy[0],
            digest=copy[1],
            blocks=tuple(digest.hex() for digest in digests),
            files=catalog.files,
            chunks=chunks,
            chunk_bytes=chunk_bytes,
            new_objects=sent.objects,
            new_bytes=sent.bytes,
            lost=tuple(sorted(ref.digest.hex() for ref in sent.lost)),
        )

    def _publish(self, lock: Lock, manifest: Manifest) -> None:
        """Put the manifest, and look whether nobody has pruned since this began: see `repository`."""
        lock.check()
        place, _ = self.repository.put_manifest(manifest)
        try:
            lock.check()
        except StoreError:
            self.repository.target.remove(place)
            raise
