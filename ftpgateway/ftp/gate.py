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
"""

from __future__ import annotations

import enum

DATA_COMMANDS = frozenset(
    {"PASV", "EPSV", "PORT", "EPRT", "RETR", "STOR", "APPE", "STOU", "LIST", "NLST", "MLSD"}
)
"""Commands that make or use the data connection."""

_AFTER_TRANSFER = DATA_COMMANDS | {"HOST", "USER", "PASS", "REIN", "AUTH", "PROT", "PBSZ", "QUIT"}

INLINE = frozenset(
    (
        *("ABOR", "ACCT", "AUTH", "CCC", "CLNT", "CSID", "EPRT", "EPSV", "FEAT", "HELP"),
        *("HOST", "LANG", "MODE", "NOOP", "OPTS", "PASV", "PBSZ", "PORT", "PROT", "PWD"),
        *("QUIT", "RANG", "REIN", "REST", "STRU", "SYST", "TYPE", "USER", "XPWD", "SITE HELP"),
    )
)
"""Commands that never wait for the store: they run without a greenlet."""


class Phase(enum.Enum):
    """Where a session's transfer is."""

    NONE = enum.auto()
    MOVING = enum.auto()
    """The 150 was sent; the data connection is awaited or data moves."""
    SETTLING = enum.auto()
    """The data connection is over; the store is asked to keep or publish what came."""


def may_run(command: str, has_argument: bool, *, waiting: bool, phase: Phase) -> bool:
    """Return whether the command at the head of the queue may run now."""
    if waiting:
        return False
    if phase is Phase.NONE:
        return True
    if phase is Phase.MOVING:
        return command not in _AFTER_TRANSFER
    return command == "STAT" and not has_argument


def passes_queue(command: str, has_argument: bool, *, waiting: bool, phase: Phase) -> bool:
    """Return whether the command overtakes those that queue before it."""
    if phase is Phase.NONE or waiting:
        return False
    if command == "ABOR":
        return phase is Phase.MOVING
    return command == "STAT" and not has_argument
