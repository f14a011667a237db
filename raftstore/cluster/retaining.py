"""Retention goes on: the leader scans directories whose rule is unsettled, and has removed what is due.

The rules are in `metadata/tables/retention`; what each command does is decided where it is applied. A leader keeps only
how far it has scanned: a new one begins its scans again, and finds most rows as they should be.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator

import structlog

from raftstore.errors import Changed
from raftstore.metadata import Catalog
from raftstore.metadata.tables.names.retention import MAX_INDEXED, Retention, Rule
from raftstore.rights.reserved import LEVEL
from raftstore.types import Kind
from raftstore.util.tasks import Periodic
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

LOOK = 2.0
PAGE = 250
"""Names that a scan looks at in one slice of the loop."""

REMOVED = 64
"""Files that go with one command: some milliseconds of every node's loop."""


class Step(enum.Enum):
    """What a rule needs next."""

    SCAN = enum.auto()
    REMOVE = enum.auto()


def plan(rules: Iterable[Rule], due: Collection[int]) -> list[tuple[Rule, Step]]:
    """Return what the rules need next, each at most one step. Pure. `due`: directories with something to remove."""
    steps = []
    for rule in rules:
        if rule.live and not rule.settled:
            steps.append((rule, Step.SCAN))
        elif rule.directory in due:
            steps.append((rule, Step.REMOVE))
    return steps


def scan(catalog: Catalog, directory: int) -> Iterator[list[int]]:
    """Yield the files whose row is not as it should be, as `catalog` has them then, PAGE names looked at each time.

    First those that have a row and are not beneath `directory` any more, then those beneath.
    """
    after = 0
    while True:
        wrong, after = catalog.ask(Retention, lambda table, last=after: table.misplaced(directory, last, PAGE))  # type: ignore[misc]
        if not after:
            break
        yield wrong
    others = {rule.directory for rule in catalog.ask(Retention, lambda table: table.rules()) if rule.live}
    waiting = [directory]
    while waiting:
        inode = waiting.pop()
        for page, missing in _pages(catalog, inode):
            waiting += [row[2] for row in page if row[1] == Kind.DIRECTORY and row[2] not in others]
            yield missing


def _pages(
    catalog: Catalog, inode: int
) -> Iterator[tuple[list[tuple[str, int, int, int, int, str, int]], list[int]]]:
    after = ""
    while page := catalog.ask(Retention, lambda table, last=after: table.entries(inode, last, PAGE)):  # type: ignore[misc]
        yield page, catalog.ask(Retention, lambda table, rows=page: table.unlisted(inode, rows))  # type: ignore[misc]
        after = page[-1][0]


class RetentionWork(Periodic):
    """Scans and removes while this node leads, one command after the other."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        leads: Callable[[], bool],
        propose: Callable[[commands.Command], Awaitable[commands.Result]],
    ) -> None:
        super().__init__("retention", LOOK, waits="retention waits")
        self._catalog = catalog
        self._leads = leads
        self._propose = propose
        self._scans: dict[int, tuple[int, Iterator[list[int]]]] = {}
        self._removed = 0

    async def look(self) -> bool:
        """Do the next step of each rule, if this node leads; return whether there is more to do at once."""
        catalog = self._catalog
        if catalog.level < LEVEL or not self._leads():
            self._scans.clear()
            return False
        rules = catalog.ask(Retention, lambda table: table.rules())
        due = [
            rule.directory
            for rule in rules
            if catalog.ask(Retention, lambda table, inode=rule.directory: table.due(inode))  # type: ignore[misc]
        ]
        steps = plan(rules, due)
        for rule, step in steps:
            try:
                await (self._scan(rule) if step is Step.SCAN else self._remove(rule))
            except Changed:
                self._scans.pop(rule.directory, None)  # it has another rule now
        if not steps and self._removed:
            log.info("retention has removed files", removed=self._removed)
            self._removed = 0
        return bool(steps)

    async def _scan(self, rule: Rule) -> None:
        """Go on with the scan of a directory, begun anew if a directory has come or gone since."""
        generation, pages = self._scans.get(rule.directory, (0, iter(())))
        if generation != rule.generation:
            generation, pages = rule.generation, scan(self._catalog, rule.directory)
            self._scans[rule.directory] = generation, pages
        found = next(pages, None)
        if found is None:
            del self._scans[rule.directory]
            await self._retain(rule, settled=generation)
        elif found:
            await self._retain(rule, inodes=found[:MAX_INDEXED])

    async def _remove(self, rule: Rule) -> None:
        result = await self._retain(rule, decided=self._catalog.applied_index, limit=REMOVED)
        self._removed += result.removed

    async def _retain(
        self, rule: Rule, *, inodes: Iterable[int] = (), settled: int = 0, decided: int = 0, limit: int = 0
    ) -> commands.Result:
        command = commands.Retain(
            directory=rule.directory,
            revision=rule.revision,
            inodes=inodes,
            settled=settled,
            decided=decided,
            limit=limit,
        )
        return await self._propose(commands.Command(retain=command))
