"""Log entries as the operations in them, and operations as functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from google.protobuf.message import DecodeError

from raftstore.metadata.levels import OLDEST, above, unknown
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()


def plain(change: Callable[[Any], None]) -> Callable[[Any], commands.Result]:
    """Return the handler of a command whose result says nothing but that it is done."""

    def handler(command: Any) -> commands.Result:
        change(command)
        return commands.Result()

    return handler


def operations_of(index: int, batch: bytes, level: int) -> list[commands.Operation]:
    """Return the operations of the log entry at `index`.

    What is not a Batch had none at level 1: every node passed over it. Since then it raises TooNew.
    """
    try:
        decoded = commands.Batch.FromString(batch)
    except DecodeError:
        if level > OLDEST:
            raise unknown(index, "not a batch of commands") from None
        log.error("log entry is not a batch of commands", length=len(batch))
        return []
    if level > OLDEST:
        reason = above(decoded, level)
        if reason is not None:
            raise unknown(index, reason)
    return list(decoded.operations)
