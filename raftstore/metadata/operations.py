"""Log entries as the operations in them, and operations as functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from google.protobuf.message import DecodeError

from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()


def plain(change: Callable[[Any], None]) -> Callable[[Any], commands.Result]:
    """Return the handler of a command whose result says nothing but that it is done."""

    def handler(command: Any) -> commands.Result:
        change(command)
        return commands.Result()

    return handler


def operations_of(batch: bytes) -> list[commands.Operation]:
    """Return the operations of a log entry. What is not a Batch has none: every node passes over it."""
    try:
        return list(commands.Batch.FromString(batch).operations)
    except DecodeError:
        log.error("log entry is not a batch of commands", length=len(batch))
        return []
