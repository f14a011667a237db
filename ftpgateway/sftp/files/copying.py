"""Copies between two open files: the extension copy-data (draft-ietf-secsh-filexfer-extensions-00, section 7).

All of a published file, into one that is empty, becomes a reference to its chunks. Everything else is read and written,
a slice at a time: then it takes the time of an upload, by the account's rate, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ftpgateway.sftp.files.opened import File
from raftstore.errors import Changed, Denied, StoreError
from raftstore.util.limits.slices import next_slice

SLICE = 256 * 1024
"""Bytes that are copied before others have their turn."""

Fetch = Callable[[int, int], Awaitable[Sequence[memoryview]]]


async def copy_data(
    source: File,
    start: int,
    length: int,
    target: File,
    at: int,
    *,
    fetch: Fetch,
    pause: Callable[[int], float],
    over: Callable[[], bool],
) -> bool:
    """Copy `length` bytes of `source` from `start` on (0: all that follow) to `target` from `at` on.

    Return whether all of them were there. `fetch` reads from the source. `pause` tells for how many seconds to wait
    after so many bytes, `over` whether the session is. Raises StoreError: then nothing of the target is published.
    """
    try:
        if source is target or (source.draft is not None and source.draft is target.draft):
            raise Denied("a file is not copied onto itself")
        size = source.entry().size
        if start == at == 0 and (not length or length == size) and await target.copy(source):
            return True
        return await _write(start, length, target, at, fetch=fetch, pause=pause, over=over)
    except StoreError as error:
        target.fail(error)
        raise


async def _write(
    start: int,
    length: int,
    target: File,
    at: int,
    *,
    fetch: Fetch,
    pause: Callable[[int], float],
    over: Callable[[], bool],
) -> bool:
    done = 0
    while not length or done < length:
        parts = await fetch(start + done, min(SLICE, length - done) if length else SLICE)
        if not parts:
            return not length
        count = sum(map(len, parts))
        for part in parts:
            await target.write(at + done, part)
            done += len(part)
        seconds = pause(count)
        await (asyncio.sleep(seconds) if seconds else next_slice())
        if over():
            raise Changed("the session has ended")
    return True
