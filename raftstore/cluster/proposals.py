"""What a part of a node is given to change the replicated state, and to be sure that it sees the newest one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from raftstore.wire import commands_pb2 as commands

Propose = Callable[[commands.Command], Awaitable[commands.Result]]
"""Replicates a command and returns its result. Raises the StoreError that stands for a refusal, or NoQuorum."""

Barrier = Callable[[], Awaitable[None]]
"""Waits until all that was acknowledged anywhere is applied at this node. Raises NoQuorum."""
