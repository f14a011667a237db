"""Which command may run while another one, or a transfer, is under way. Pure.

FTP allows one command at a time, but a session may have a transfer under way beside it. The rules:

- While a command waits for the store, everything queues: replies leave in the order of the commands.
- While data moves, commands that do not touch the data connection or the login run at once (they see what is
  published, never the upload under way). Commands that need the data connection, and QUIT, wait for the
  transfer's own reply (QUIT during an upload for a moment only, see `session`). ABOR does not queue: it ends the
  transfer (426, then 226). STAT without argument and NOOP run at once.
- Once all data of an upload is there and its commit is pending, the upload cannot be called back: ABOR waits
  for its 226 (or failure) and is then answered 225. QUIT and NOOP wait too; STAT without argument is answered
  at once.
- The queue is first in, first out; only ABOR (while data moves) and STAT pass it.

Each command says in its declaration what it does beside a transfer.
"""

from __future__ import annotations

import enum


class Beside(enum.Enum):
    """What a command does beside a transfer."""

    RUNS = enum.auto()
    """It runs while data moves; in the end it waits for the transfer's reply."""
    WAITS = enum.auto()
    """It touches the data connection or the login: it waits for the transfer's reply."""
    PASSES = enum.auto()
    """It runs while data moves, before those that queue."""
    ALWAYS = enum.auto()
    """It runs at any time, before those that queue."""


class Phase(enum.Enum):
    """Where a session's transfer is."""

    NONE = enum.auto()
    MOVING = enum.auto()
    """The 150 was sent; the data connection is awaited or data moves."""
    SETTLING = enum.auto()
    """The data connection is over; the store is asked to keep or publish what came."""


def may_run(beside: Beside, *, waiting: bool, phase: Phase) -> bool:
    """Return whether the command at the head of the queue may run now."""
    if waiting:
        return False
    if phase is Phase.NONE:
        return True
    if phase is Phase.MOVING:
        return beside is not Beside.WAITS
    return beside is Beside.ALWAYS


def passes_queue(beside: Beside, *, waiting: bool, phase: Phase) -> bool:
    """Return whether the command overtakes those that queue before it."""
    if phase is Phase.NONE or waiting:
        return False
    return beside is Beside.ALWAYS or (beside is Beside.PASSES and phase is Phase.MOVING)
