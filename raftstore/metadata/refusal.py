"""How a command is refused: as a value of the log, the same on every node."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from raftstore.errors import NotFound
from raftstore.wire import commands_pb2 as commands

MAX_INTEGER = 2**63 - 1
"""Largest integer that SQLite keeps; the wire's unsigned ones reach further."""

MAX_BYTES = 2**60
"""Largest size of a file, and of all that one owner has: sums of it cannot overflow."""

MAX_LABEL = 255
"""Characters of an owner's, a user's or a node's name."""


# Not str.isprintable: it depends on the interpreter's Unicode tables, and nodes may run different ones.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Refusal(Exception):
    """The command is refused with `status`; raised before anything was written."""

    def __init__(self, status: commands.Status, detail: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def no_node(name: str, members: Iterable[str]) -> Refusal:
    """Return the refusal of what is asked of a node that is no member."""
    return Refusal(commands.NOT_FOUND, NotFound.node(name, members))


@functools.lru_cache(maxsize=4096)
def check_label(label: str, what: str) -> None:
    """Refuse an owner's or node's name that is too long or has control characters; it may be empty."""
    if len(label) > MAX_LABEL or _CONTROL.search(label):
        raise Refusal(commands.INVALID, f"{what} has at most {MAX_LABEL} characters, and no control characters")
