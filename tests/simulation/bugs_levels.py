"""Known bugs of levels. See `bugs`."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from simbugs import bug, replace

from raftstore.consensus import opening
from raftstore.metadata import catalog, levels, machine
from raftstore.metadata.refusal import Refusal
from raftstore.wire import commands_pb2


@bug("a leader appends what other nodes send it without looking at the level")
def append_above_the_level(stack: ExitStack) -> None:
    replace(stack, catalog.Catalog, "batch_refusal", lambda self, batch: None)


@bug("a leader lets fields pass that it does not know")
def append_unknown_fields(stack: ExitStack) -> None:
    replace(stack, levels, "above", lambda message, level: None)


@bug("a node answers a level that it does not know as it would any malformed command, and goes on")
def pass_over_a_level(stack: ExitStack) -> None:
    def raised(command: Any, *arguments: Any, **options: Any) -> int:
        if command.level > levels.NEWEST:
            raise Refusal(commands_pb2.INVALID, "an unknown level")
        level: int = real(command, *arguments, **options)
        return level

    real = replace(stack, machine, "raised", raised)


@bug("the level is not kept with the state: a node that starts again goes on by the old rules")
def forget_the_level(stack: ExitStack) -> None:
    replace(stack, machine, "set_level", lambda connection, level: None)


@bug("what callers propose does not wait for the first command of a new log")
def do_not_wait_for_the_opening(stack: ExitStack) -> None:
    async def propose(self: Any, command: bytes, timeout: float) -> bytes:
        result: bytes = await self._propose(command, timeout)
        return result

    replace(stack, opening.Opening, "propose", propose)
