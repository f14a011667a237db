"""Naming chunks: BLAKE3, on the loop for small data, in a thread for large (the hash releases the GIL)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from blake3 import blake3

from raftstore.util.buffers import Buffer

INLINE_BYTES = 128 * 1024
"""Below this size the hash is cheaper than the way to a thread and back."""


def digest_of(data: Buffer) -> bytes:
    """The name of a chunk with these bytes."""
    return blake3(data).digest()


class Hasher:
    """Hashing for all transfers of a node; `close` it at the end."""

    def __init__(self, threads: int = 2) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="hash")

    def start(self, data: Buffer, done: Callable[[bytes], None]) -> None:
        """Call `done` on the loop with the digest: at once for small data, later for large."""
        if len(data) < INLINE_BYTES:
            done(digest_of(data))
            return
        future = asyncio.get_running_loop().run_in_executor(self._pool, digest_of, data)
        future.add_done_callback(lambda finished: None if finished.cancelled() else done(finished.result()))

    async def digest(self, data: Buffer) -> bytes:
        """The digest of `data`."""
        if len(data) < INLINE_BYTES:
            return digest_of(data)
        return await asyncio.get_running_loop().run_in_executor(self._pool, digest_of, data)

    def close(self) -> None:
        """Stop the threads once their work in hand is done (well under a millisecond each)."""
        self._pool.shutdown(wait=True, cancel_futures=True)
