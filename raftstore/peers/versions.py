"""Which nodes understand each other: each says which levels of the log its program knows, and which one is in force.

Two nodes work together when both know the level that is in force, as far as either has heard. A program that says
nothing of levels is pixraft 0.1; it works with its own kind only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from raftstore.errors import Incompatible
from raftstore.wire import peer_pb2

MAX_PROGRAM = 64
"""Characters of a program's version that are believed."""


@dataclass(frozen=True, slots=True)
class Versions:
    """A program's version, for people, and the levels that it knows; `newest` 0: it said nothing of levels."""

    program: str = ""
    oldest: int = 1
    newest: int = 1

    def knows(self, level: int) -> bool:
        """Whether a node of this program can take part while `level` is in force."""
        return self.oldest <= level <= self.newest

    def __str__(self) -> str:
        return f"pixraft {self.program or '?'} (levels {self.oldest} to {self.newest})"


def incompatible(name: str, own: Versions, peer_name: str, peer: Versions, level: int) -> str | None:
    """Say why two nodes cannot work together while `level` is in force (0: not known yet); None: they can.

    The text is for the operators of both.
    """
    if not peer.newest:
        return (
            f"{peer_name} runs pixraft 0.1, which cannot be in one cluster with {own} of {name}: stop the whole "
            'cluster and upgrade all nodes, see "Upgrading" in docs/operating.md'
        )
    for which, versions in ((peer_name, peer), (name, own)):
        if level and not versions.knows(level):
            return (
                f"{which} runs {versions}, but level {level} is in force: install another version of pixraft on "
                f'{which}, see "Upgrading" in docs/operating.md'
            )
    return None


class Greetings:
    """What this node says of itself when a connection begins, and what it makes of what the other says."""

    def __init__(self, name: str, versions: Versions, in_force: Callable[[], int]) -> None:
        """`in_force`: the level as far as this node has applied the log, 0 when it has applied nothing yet."""
        self._name = name
        self._versions = versions
        self._in_force = in_force
        self.refused: dict[str, str] = {}
        """Members that do not fit, and why; until they do."""

    def add_to(self, hello: peer_pb2.Hello) -> peer_pb2.Hello:
        """Say it."""
        versions = self._versions
        hello.program, hello.oldest, hello.newest = versions.program, versions.oldest, versions.newest
        hello.level = self._in_force()
        return hello

    def check(self, peer: str, hello: peer_pb2.Hello) -> None:
        """Raise Incompatible unless the node `peer`, which has said `hello`, fits."""
        versions = Versions(hello.program[:MAX_PROGRAM], hello.oldest, hello.newest)
        level = max(self._in_force(), hello.level)
        reason = incompatible(self._name, self._versions, peer, versions, level)
        if reason is None:
            self.refused.pop(peer, None)
            return
        self.refused[peer] = reason
        raise Incompatible(reason)
