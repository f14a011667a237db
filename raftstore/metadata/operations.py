"""Log entries as the operations in them, and operations as commands."""

from __future__ import annotations

from collections.abc import Container

import structlog
from google.protobuf.message import DecodeError

from raftstore.metadata.levels import OLDEST, batch_above, command_above, unknown
from raftstore.metadata.refusal import Refusal
from raftstore.metadata.registry import COMMANDS
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()


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
        reason = batch_above(batch, decoded, level)
        if reason is not None:
            raise unknown(index, reason)
    return list(decoded.operations)


def command_of(index: int, data: bytes, level: int, kinds: Container[str]) -> tuple[str, commands.Command]:
    """Return which of `kinds` a command is that the log entry at `index` holds, and the command.

    Raises TooNew when it, or something in it, is not known here. At level 1 it refuses it instead, as every version of
    then did: no leader appends such a command any more, but old logs may hold some.
    """
    try:
        command = commands.Command.FromString(data)
    except DecodeError:
        if level > OLDEST:
            raise unknown(index, "not a command") from None
        raise Refusal(commands.INVALID, "not a command") from None
    kind = command.WhichOneof("kind") or ""
    if level > OLDEST:
        reason = command_above(data, command, level)
        if reason is not None or not kind:
            raise unknown(index, reason or "a command of no kind")
    elif kind not in kinds or COMMANDS[kind] > OLDEST:
        raise Refusal(commands.INVALID, "an unknown command")
    return kind, command
