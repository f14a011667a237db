"""The leader notes in the log which members it cannot reach: for those who follow events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from raftstore.cluster.proposals import Propose
from raftstore.errors import Changed
from raftstore.metadata import Catalog
from raftstore.metadata.tables.events.watched import WatchedNodes
from raftstore.rights.reserved import LEVEL
from raftstore.util.tasks import Periodic
from raftstore.wire import commands_pb2 as commands

LOOK = 1.0

DOWN_AFTER = 30.0
"""Seconds for which a member must not have answered: a restart takes less."""


class NodeWatch(Periodic):
    """Looks at all members while this node leads. `answers`: whether one has reported in the last seconds."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        leads: Callable[[], bool],
        others: Callable[[], Iterable[str]],
        answers: Callable[[str], bool],
        propose: Propose,
    ) -> None:
        super().__init__("watch over nodes", LOOK, waits="what is new about nodes waits")
        self._catalog = catalog
        self._leads = leads
        self._others = others
        self._answers = answers
        self._propose = propose
        self._silent: dict[str, float] = {}
        """Since when members do not answer, on a clock that nobody sets."""

    async def look(self) -> None:
        """Note what is new about one member, if this node leads."""
        if self._catalog.level < LEVEL or not self._leads():
            self._silent.clear()
            return
        now, down = time.monotonic(), self._catalog.ask(WatchedNodes, lambda watched: watched.down())
        silent = [name for name in self._others() if not self._answers(name)]
        self._silent = {name: self._silent.get(name, now) for name in silent}
        gone = {name for name, since in self._silent.items() if now - since >= DOWN_AFTER} - down
        for name in sorted(gone | (down - set(silent))):
            try:
                await self._propose(commands.Command(note_node=commands.NoteNode(node=name, down=name in gone)))
            except Changed:
                continue  # another leader was faster, or it is no member any more
