"""How several buffers are handed to a transport at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from raftstore.util.buffers import Buffer

COPY_BELOW = 64 * 1024
"""Shorter buffers are joined before they are handed to the transport."""


def write_all(transport: asyncio.WriteTransport, buffers: Sequence[Buffer]) -> None:
    """Write buffers in their order. A long one is not copied, so it must not change any more.

    Not by `writelines`: asyncio's own, in Python 3.12.0 to 3.12.8 and 3.13.0 to 3.13.1 (CVE-2024-12254), never tells
    the protocol to pause, so whatever is sent to one who does not read would wait in memory.
    """
    for buffer in joined(buffers) if len(buffers) > 1 else buffers:
        transport.write(buffer)


def joined(buffers: Sequence[Buffer]) -> list[Buffer]:
    """Join neighbours of a few bytes; large buffers stay as they are, uncopied."""
    result: list[Buffer] = []
    small: list[Buffer] = []
    for buffer in buffers:
        if len(buffer) < COPY_BELOW:
            small.append(buffer)
            continue
        if small:
            result.append(b"".join(small))
            small = []
        result.append(buffer)
    if small:
        result.append(b"".join(small))
    return result
