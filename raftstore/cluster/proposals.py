"""What a part of a node is given to change the replicated state, and to be sure that it sees the newest one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from raftstore.rights import Actor
from raftstore.wire import commands_pb2 as commands

Propose = Callable[[commands.Command], Awaitable[commands.Result]]
"""Replicates a command and returns its result. Raises the StoreError that stands for a refusal, or NoQuorum."""

Change = Callable[[Actor, commands.Command], Awaitable[commands.Result]]
"""Does the same in the name of an actor."""

Barrier = Callable[[], Awaitable[None]]
"""Waits until all that was acknowledged anywhere is applied at this node. Raises NoQuorum."""
