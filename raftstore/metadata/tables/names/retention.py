"""Retention: directories that keep what is put there for a time, or up to so many files or bytes; the oldest goes.

The rule of a directory counts for all files beneath, but for those beneath another rule: the nearest counts. Old is
what has a low version, the log index at which its content was published; its age is told by `moments`.

Each such file has a row in `retained`, and each rule the sums of its rows. They are kept along with each change of
names, by two dictionary lookups where a rule is anywhere, by one test where there is none. When a directory comes or
goes by a rename, with all that is in it, the rules concerned are unsettled: until a scan by the leader has gone
through what is beneath (`raftstore/cluster/retaining.py`), a batch of inodes a command, nothing is removed by
them.

What is removed by a rule goes past the trash. An upload that makes a directory larger than it may be removes the
oldest itself, never what it has just put; ages, and what is left, are the leader's work. Each command removes a
bounded number, and decides where it is applied: what has come since the leader looked never goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

from raftstore.errors import BadName, NotADirectory, NotFound
from raftstore.metadata.database.database import ROOT
from raftstore.metadata.refusal import MAX_BYTES, MAX_INTEGER, Refusal
from raftstore.metadata.registry import Context, Schema, Table, Tables, handles
from raftstore.metadata.tables.cluster.clock import STEP, Budget, Clock
from raftstore.metadata.tables.cluster.moments import Moments
from raftstore.metadata.tables.events.events import Events
from raftstore.metadata.tables.names.namespace import Namespace, Place, Row
from raftstore.metadata.tables.people.storing import Storing
from raftstore.paths import within
from raftstore.rights.reserved import LEVEL, SHARED, is_reserved
from raftstore.types import EventKind, Kind
from raftstore.wire import commands_pb2 as commands

MAX_RULES = 1_000
MAX_AT_ONCE = 64
"""Files that an upload removes at most, for the sake of itself."""

MAX_REMOVED = 256
MAX_INDEXED = 500
"""Files that one command of the leader removes, and looks at, at most."""

MAX_KNOWN = 8192
"""Directories of which it is kept in memory beneath which rule they are."""

_COLUMNS = "directory, age_ns, max_bytes, max_files, revision, generation, settled, files, bytes"
_OLDEST = "SELECT inode, version, size FROM retained WHERE directory = ? ORDER BY version, inode LIMIT 1"


@dataclass(slots=True)
class Rule:
    """What a directory, given by its inode, keeps. 0: no bound; all three 0: it was removed, and its rows go.

    `revision`: log index of the last change; `generation`: of the last that moved something in or out. `settled`: all
    that is beneath has its row, and nothing else.
    """

    directory: int
    age_ns: int
    max_bytes: int
    max_files: int
    revision: int
    generation: int
    settled: bool
    files: int = 0
    bytes: int = 0

    @property
    def live(self) -> bool:
        """Whether it counts."""
        return bool(self.age_ns or self.max_bytes or self.max_files)

    @property
    def too_much(self) -> bool:
        """Whether more is there than may be."""
        return 0 < self.max_files < self.files or 0 < self.max_bytes < self.bytes


class Kept(NamedTuple):
    """A file beneath a rule, as its row has it."""

    inode: int
    directory: int
    version: int
    size: int


class Retention(Table):
    """The tables `retention`, whole in memory, and `retained`."""

    schemas = (
        Schema(
            "retention",
            "directory",
            """
CREATE TABLE retention (
  directory INTEGER PRIMARY KEY,
  age_ns INTEGER NOT NULL,
  max_bytes INTEGER NOT NULL,
  max_files INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  settled INTEGER NOT NULL,
  files INTEGER NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;
""",
            level=LEVEL,
        ),
        Schema(
            "retained",
            "inode",
            """
CREATE TABLE retained (
  inode INTEGER PRIMARY KEY,
  directory INTEGER NOT NULL,
  version INTEGER NOT NULL,
  size INTEGER NOT NULL
) STRICT;
CREATE INDEX retained_by_version ON retained (directory, version, inode);
""",
            level=LEVEL,
        ),
    )

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._names = tables[Namespace]
        self._storing = tables[Storing]
        self._clock = tables[Clock]
        self._moments = tables[Moments]
        self._events = tables[Events]
        rows = (
            self._execute(f"SELECT {_COLUMNS} FROM retention ORDER BY directory").fetchall()
            if tables.at.level >= LEVEL
            else []
        )
        self.by_directory = {row[0]: _rule_of(row) for row in rows}
        self._changed: set[int] = set()
        self._over: dict[int, int] = {}  # by directory that of its rule, 0 where there is none

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with names and time."""
        return cls(tables)

    def flush(self) -> None:
        """Write the rules whose sums have changed into the current transaction."""
        for directory in sorted(self._changed):
            rule = self.by_directory[directory]
            self._execute(
                f"INSERT OR REPLACE INTO retention VALUES ({', '.join('?' * 9)})",
                (
                    directory,
                    rule.age_ns,
                    rule.max_bytes,
                    rule.max_files,
                    rule.revision,
                    rule.generation,
                    int(rule.settled),
                    rule.files,
                    rule.bytes,
                ),
            )
        self._changed.clear()

    # Looking.

    def rules(self) -> list[Rule]:
        """Return all rules, by directory; not to be changed."""
        return [self.by_directory[directory] for directory in sorted(self.by_directory)]

    def rule_over(self, directory: int) -> int:
        """Return the directory whose rule counts in `directory`; 0: there is none. Both by inode."""
        if not self.by_directory:
            return 0
        way: list[int] = []
        inode, found = directory, 0
        while True:
            rule = self.by_directory.get(inode)
            if rule is not None and rule.live:
                found = inode
                break
            known = self._over.get(inode)
            if known is not None:
                found = known
                break
            way.append(inode)
            if inode == ROOT:
                break
            row = self._execute("SELECT parent FROM entries WHERE inode = ?", (inode,)).fetchone()
            if row is None:
                break
            inode = row[0]
        if len(self._over) + len(way) > MAX_KNOWN:
            self._over.clear()
        self._over.update(dict.fromkeys(way, found))
        return found

    def find(self, inode: int) -> Kept | None:
        """Return the row of a file; None: it has none."""
        row = self._execute(
            "SELECT inode, directory, version, size FROM retained WHERE inode = ?", (inode,)
        ).fetchone()
        return Kept(*row) if row is not None else None

    def misplaced(self, directory: int, after: int, limit: int) -> tuple[list[int], int]:
        """Look at `limit` rows of a rule behind inode `after`: return those whose file is not beneath any more, or
        otherwise now, and the last inode looked at, 0 where none is left.
        """
        rows = self._execute(
            "SELECT inode, directory, version, size FROM retained WHERE directory = ? AND inode > ?"
            " ORDER BY inode LIMIT ?",
            (directory, after, limit),
        ).fetchall()
        return [row[0] for row in rows if not self._right(Kept(*row))], rows[-1][0] if rows else 0

    def _right(self, kept: Kept) -> bool:
        found = self._names.of_inode(kept.inode)
        return found is not None and self._wanted(*found) == kept

    def _wanted(self, place: Place, row: Row) -> Kept | None:
        """Return the row that a file should have."""
        directory = self.rule_over(place.parent)
        return Kept(row[2], directory, row[6], row[3]) if directory and row[1] == Kind.FILE else None

    def entries(self, directory: int, after: str, limit: int) -> list[Row]:
        """Return what is in a directory behind the name `after`."""
        return self._names.listing(directory, limit, after=after).fetchall()

    def unlisted(self, directory: int, rows: Iterable[Row]) -> list[int]:
        """Return those of some files in `directory` whose row is missing, or not as it should be."""
        wanted = [self._wanted(Place(directory, row[0]), row) for row in rows if row[1] == Kind.FILE]
        return [kept.inode for kept in wanted if kept is not None and self.find(kept.inode) != kept]

    def too_old(self, age_ns: int, now_ns: int = 0) -> int:
        """Return the version below which all are older than `age_ns`; 0: none is known to be.

        `now_ns` is a time that the clock has not come to yet: it stands up to STEP behind while nothing expires.
        """
        now = min(max(now_ns, self._clock.now_ns), self._clock.now_ns + STEP)
        return self._moments.before(now - age_ns) if age_ns else 0

    def due(self, directory: int) -> bool:
        """Whether a rule has something to remove now, its rows included if it was removed itself."""
        rule = self.by_directory.get(directory)
        if rule is None:
            return False
        if not rule.live:
            return True
        return rule.settled and self._next(rule, MAX_INTEGER) is not None

    def _next(self, rule: Rule, decided: int) -> tuple[int, int] | None:
        """Return inode and size of the oldest file, if it is to go and not younger than `decided`."""
        row = self._execute(_OLDEST, (rule.directory,)).fetchone()
        if row is None or row[1] > decided:
            return None
        return (row[0], row[2]) if rule.too_much or row[1] < self.too_old(rule.age_ns) else None

    # Along with names.

    def note(self, place: Place, inode: int, version: int, size: int) -> None:
        """A file has come to `place`, or has a new version there."""
        if not self.by_directory:
            return
        directory = self.rule_over(place.parent)
        self.forget(inode)
        if directory:
            self._execute("INSERT INTO retained VALUES (?, ?, ?, ?)", (inode, directory, version, size))
            self._count(directory, 1, size)

    def forget(self, inode: int) -> None:
        """A file is not where it was any more."""
        if not self.by_directory:
            return
        kept = self.find(inode)
        if kept is not None:
            self._execute("DELETE FROM retained WHERE inode = ?", (inode,))
            self._count(kept.directory, -1, -kept.size)

    def _count(self, directory: int, files: int, size: int) -> None:
        rule = self.by_directory[directory]
        rule.files += files
        rule.bytes += size
        self._changed.add(directory)

    def moves(self, at: Context, parents: Iterable[int]) -> None:
        """A directory, with what is in it, leaves one of these directories and comes to the other. Before it does."""
        if not self.by_directory:
            return
        concerned = {self.rule_over(parent) for parent in parents}
        if len(concerned) > 1:
            for directory in sorted(concerned):
                self._unsettle(directory, at.index)

    def moved(self) -> None:
        """A directory was moved, or removed: paths are others."""
        self._over.clear()

    def directory_removed(self, inode: int) -> None:
        """An empty directory is gone, and its rule with it."""
        rule = self.by_directory.get(inode)
        if rule is not None:
            rule.age_ns = rule.max_bytes = rule.max_files = 0
            self._changed.add(inode)
        self.moved()

    def _unsettle(self, directory: int, index: int) -> None:
        rule = self.by_directory.get(directory)
        if rule is not None:
            rule.settled, rule.generation = False, index
            self._changed.add(directory)

    # Removing.

    def shed(self, at: Context, place: Place, newest: int) -> None:
        """A file, `newest`, was put at `place`: remove the oldest if they are too many there, but not that one."""
        directory = self.rule_over(place.parent)
        rule = self.by_directory.get(directory)
        if rule is not None and rule.settled and rule.too_much:
            self._remove_due(at, rule, MAX_INTEGER, Budget(MAX_AT_ONCE), newest)

    def _remove_due(self, at: Context, rule: Rule, decided: int, budget: Budget, newest: int = 0) -> None:
        while (following := self._next(rule, decided)) is not None:
            inode, size = following
            if inode == newest or not budget.take(size):
                return
            found = self._names.of_inode(inode)
            if found is not None:
                self._storing.remove(at, *found)
            self.forget(inode)

    # Commands.

    @handles("put_retention", level=LEVEL)
    def put(self, command: commands.PutRetention, at: Context) -> commands.Result:
        """Set the rule of a directory. Refuses with NOT_FOUND, NOT_A_DIRECTORY, INVALID, QUOTA."""
        directory = self._directory(command.path)
        bounds = (command.age_ns, command.max_bytes, command.max_files)
        if not any(bounds) or min(bounds) < 0 or max(bounds[1:]) > MAX_BYTES:
            raise Refusal(commands.INVALID, "retention has an age, or most bytes or files")
        before = self.by_directory.get(directory)
        if before is None and len(self.by_directory) >= MAX_RULES:
            raise Refusal(commands.QUOTA, f"at most {MAX_RULES:,} directories have retention")
        rule = before or Rule(directory, 0, 0, 0, 0, 0, False)
        if not rule.live:
            self._unsettle(self.rule_over(directory), at.index)  # what is here was that one's
            rule.generation, rule.settled = at.index, rule.files == 0 and self._names.is_empty(directory)
        rule.age_ns, rule.max_bytes, rule.max_files = bounds
        rule.revision = at.index
        self.by_directory[directory] = rule
        self._changed.add(directory)
        self.moved()
        return commands.Result(inode=directory)

    @handles("remove_retention", level=LEVEL)
    def remove(self, command: commands.RemoveRetention, at: Context) -> commands.Result:
        """Remove the rule of a directory: nothing more goes by it. Refuses with NOT_FOUND, NOT_A_DIRECTORY, INVALID."""
        directory = self._directory(command.path)
        rule = self.by_directory.get(directory)
        if rule is None or not rule.live:
            raise Refusal(commands.NOT_FOUND, f"{command.path} has no retention")
        rule.age_ns = rule.max_bytes = rule.max_files = 0
        rule.revision = at.index
        self._changed.add(directory)
        self.moved()
        self._unsettle(self.rule_over(directory), at.index)  # what is here is that one's now
        return commands.Result(inode=directory)

    def _directory(self, path: str) -> int:
        if not may_have_retention(path):
            raise Refusal(commands.INVALID, no_retention(path))
        try:
            return self._names.directory(path)
        except NotADirectory as error:
            raise Refusal(commands.NOT_A_DIRECTORY, error.detail) from None
        except NotFound as error:
            raise Refusal(commands.NOT_FOUND, error.detail) from None
        except BadName as error:
            raise Refusal(commands.BAD_NAME, error.detail) from None

    @handles("retain", level=LEVEL)
    def retain(self, command: commands.Retain, at: Context) -> commands.Result:
        """Go on with a rule: look where some files are, and remove what is due. Refuses with CHANGED, INVALID."""
        rule = self.by_directory.get(command.directory)
        if rule is None or rule.revision != command.revision:
            raise Refusal(commands.CHANGED, "the directory has another rule now, or none")
        if command.limit > MAX_REMOVED or len(command.inodes) > MAX_INDEXED:
            raise Refusal(commands.INVALID, f"{len(command.inodes)} files, {command.limit} of them to go")
        if not rule.live:
            return self._clear(rule, command.limit)
        for inode in command.inodes:
            self._settle(inode)
        if command.settled and command.settled == rule.generation:
            rule.settled = True
            self._changed.add(rule.directory)
        budget = Budget(command.limit)
        if rule.settled and command.limit:
            self._remove_due(at, rule, command.decided, budget)
        if budget.spent:
            self._events.note(EventKind.RETAINED, files=budget.spent, inode=rule.directory)
        return commands.Result(removed=budget.spent, finished=not self.due(rule.directory))

    def _settle(self, inode: int) -> None:
        """Give a file the row that it should have, or none."""
        found = self._names.of_inode(inode) if inode <= MAX_INTEGER else None
        if found is None or found[1][1] != Kind.FILE:
            self.forget(min(inode, MAX_INTEGER))
        else:
            self.note(found[0], inode, found[1][6], found[1][3])

    def _clear(self, rule: Rule, limit: int) -> commands.Result:
        """Take some rows of a rule that was removed away; the files stay."""
        rows = self._execute(
            "SELECT inode FROM retained WHERE directory = ? ORDER BY version, inode LIMIT ?",
            (rule.directory, limit),
        ).fetchall()
        for (inode,) in rows:
            self.forget(inode)
        if rule.files:
            return commands.Result(finished=False)
        self._execute("DELETE FROM retention WHERE directory = ?", (rule.directory,))
        del self.by_directory[rule.directory]
        self._changed.discard(rule.directory)
        return commands.Result(finished=True)


def may_have_retention(path: str) -> bool:
    """Whether a directory of that path may lose its oldest files: not all of the store, nor what is a person's."""
    return path != "/" and (not is_reserved(path) or within(path, SHARED))


def no_retention(path: str) -> str:
    """Return the refusal of retention for a path that may have none."""
    what = "all of the store" if path == "/" else "what belongs to persons"
    return f"{path}: there is no retention for {what}; name another directory"


def _rule_of(row: tuple[int, int, int, int, int, int, int, int, int]) -> Rule:
    directory, age_ns, max_bytes, max_files, revision, generation, settled, files, size = row
    return Rule(
        directory, age_ns, max_bytes, max_files, revision, generation, bool(settled), files=files, bytes=size
    )
