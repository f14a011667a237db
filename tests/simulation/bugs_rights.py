"""Known bugs of rights: decided on one state, used on another. See `bugs`."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from simbugs import bug, replace

from raftstore.metadata import machine
from raftstore.metadata.refusal import Refusal
from raftstore.rights.changes import Leave, leave
from raftstore.store import names
from raftstore.wire import commands_pb2


@bug("what an account may do is decided before its command is proposed, and not again when that is applied")
def rights_of_the_proposer(stack: ExitStack) -> None:
    def judged(kind: str, command: Any, level: int, accounts: Any) -> Any:
        try:
            return real(kind, command, level, accounts)
        except Refusal as refusal:
            if refusal.status != commands_pb2.DENIED:
                raise
            return Leave(owner=command.actor.account), None

    real = replace(stack, machine, "judged", judged)


@bug("a read is judged by the account as it was known before the cluster was asked")
def rights_of_before(stack: ExitStack) -> None:
    async def read(self: Any, actor: Any, look: Any) -> Any:
        catalog = self._catalog
        rights = actor.rights(catalog.rights, catalog.level)
        await self._barrier()
        return look(rights, catalog)

    replace(stack, names.Names, "read", read)


@bug("a command is refused by the account as this node knows it, though others may know of more")
def refused_by_what_is_old(stack: ExitStack) -> None:
    async def granted(self: Any, actor: Any, command: Any) -> Any:
        if actor.user is None:
            return await real(self, actor, command)
        return leave(actor.rights(self._catalog.rights, self._catalog.level), command)

    real = replace(stack, names.Names, "_granted", granted)
