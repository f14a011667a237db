"""Chunks, and which file version or partial upload refers to them.

A chunk that nothing refers to any more has no row: whoever wants to refer to it again must name stores that have
confirmed it since. What its row said of copies proves nothing from then on, because they may be collected.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from raftstore.metadata.refusal import MAX_BYTES, Refusal
from raftstore.metadata.registry import Context, Schema, Table, Tables, handles
from raftstore.metadata.surplus import may_drop
from raftstore.metadata.tables.cluster.intents import Intents
from raftstore.metadata.tables.cluster.jobs import Jobs, draining
from raftstore.metadata.tables.cluster.state import State
from raftstore.metadata.tables.contents.longcontents import LongContents
from raftstore.metadata.tables.contents.replicas import NOWHERE, ReplicaSets
from raftstore.metadata.tables.contents.stores import Stores
from raftstore.types import DIGEST_SIZE, ChunkRef, Wanted
from raftstore.wire import commands_pb2 as commands

_FIND = "SELECT id, refs, heads, replicas, length FROM chunks WHERE digest = ?"
_FIND_ALL = """
WITH RECURSIVE asked(number) AS (VALUES (0) UNION ALL SELECT number + 1 FROM asked WHERE number + 1 < ?2)
SELECT number, id, refs, heads, replicas, length
  FROM asked CROSS JOIN chunks ON digest = substr(?1, number * ?3 + 1, ?3)
"""
_NAMED = "SELECT digest, replicas FROM chunks WHERE digest BETWEEN ? AND ?"


def find_unlisted(
    database: sqlite3.Connection, names: Sequence[bytes], store: int
) -> tuple[list[bytes], list[bytes]]:
    """Return what `Contents.unlisted` does, over any connection; and which of these names have a row all the same.

    One statement for all names, so that a thread that asks does not need the interpreter's lock meanwhile.
    """
    here = [
        number
        for number, stores in database.execute("SELECT id, stores FROM replicas")
        if str(store) in stores.split(",")
    ]
    asked = ", ".join(["(?, ?)"] * len(names))
    # The + keeps SQLite from going through all chunks of a set of stores instead of looking for each name.
    rows = database.execute(
        f"WITH asked(first, last) AS (VALUES {asked})"
        " SELECT first, EXISTS (SELECT 1 FROM chunks WHERE digest BETWEEN first AND last) FROM asked"
        " WHERE NOT EXISTS (SELECT 1 FROM chunks WHERE digest BETWEEN first AND last"
        f" AND +replicas IN ({', '.join(map(str, here))}))",
        [bound for name in names for bound in (name, name.ljust(DIGEST_SIZE, b"\xff"))],
    ).fetchall()
    return [name for name, _ in rows], [name for name, elsewhere in rows if elsewhere]


Known = tuple[int, int, int, int, int]
"""Of a chunk: its number, references, heads, set of stores and length."""


@dataclass(slots=True)
class Piece:
    """A chunk that a new version refers to, as the catalog knows it (`number` 0: not yet)."""

    digest: bytes
    length: int
    number: int
    refs: int
    heads: int
    replicas: int
    stores: tuple[int, ...] = ()
    added: int = 0


def _piece(digest: bytes, length: int, known: Known | None) -> Piece:
    """Return a chunk as a new version names it. Refuses with INVALID."""
    if len(digest) != DIGEST_SIZE or not length:
        raise Refusal(commands.INVALID, "a chunk has a digest of 32 bytes and is not empty")
    number, refs, heads, replicas, known_length = known or (0, 0, 0, NOWHERE, length)
    if known_length != length:
        raise Refusal(commands.INVALID, f"chunk {digest.hex()} has {known_length} bytes, not {length}")
    return Piece(digest, length, number, refs, heads, replicas)


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return ascending numbers as ranges, first and last: the chunks of a file were mostly numbered in a row."""
    runs: list[tuple[int, int]] = []
    first = last = 0
    for number in numbers:
        if number != last + 1:
            if last:
                runs.append((first, last))
            first = number
        last = number
    return [*runs, (first, last)] if last else runs


class _Rows:
    """Rows to be written to `chunks`: new ones, others' references and heads, and with these their set of stores."""

    __slots__ = ("counted", "moved", "new")

    def __init__(self) -> None:
        self.new: list[tuple[int, bytes, int, int, int, int]] = []
        self.counted: list[tuple[int, int, int]] = []
        self.moved: list[tuple[int, int, int, int]] = []


class Contents(Table):
    """The tables `chunks` and `contents`."""

    schemas = (
        Schema(
            "contents",
            "inode, sequence",
            """
CREATE TABLE contents (
  inode INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  chunk INTEGER NOT NULL,
  PRIMARY KEY (inode, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX contents_by_chunk ON contents (chunk);
""",
        ),
        Schema(
            "chunks",
            "id",
            """
CREATE TABLE chunks (
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,
  length INTEGER NOT NULL,
  refs INTEGER NOT NULL,
  heads INTEGER NOT NULL,
  replicas INTEGER NOT NULL
) STRICT;
CREATE INDEX chunks_by_replicas ON chunks (replicas);
""",
        ),
    )

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._executemany = tables.database.cursor().executemany
        self._state = tables[State]
        self._sets = tables[ReplicaSets]
        self._stores = tables[Stores]
        self._jobs = tables[Jobs]
        self._intents = tables[Intents]
        self._long = tables[LongContents]
        self.next_chunk = self._state.next_chunk
        self.released: dict[int, tuple[int, int]] = {}
        """Chunks whose references the command under way has changed: these, and the heads, that are left."""

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with sets of stores, stores, and what says which of these stay."""
        return cls(tables)

    def flush(self) -> None:
        """Note the numbers given."""
        self._state.next_chunk = self.next_chunk

    def plan(self, chunks: Sequence[commands.Chunk], size: int, since: int) -> list[Piece]:
        """Return the pieces of a version of `size` bytes, in order; refuse with INVALID, CHANGED. Writes nothing.

        Stores that were swept after log index `since` do not count.
        """
        if len(chunks) == 1:
            return [self._plan_one(chunks[0], size, since)]
        reported = [(chunk.digest, chunk.length, tuple(chunk.stores)) for chunk in chunks]
        known = self._find([digest for digest, _, _ in reported])
        confirmed: dict[tuple[int, ...], tuple[int, ...]] = {}
        pieces: dict[bytes, Piece] = {}
        plan: list[Piece] = []
        total = 0
        for digest, length, stores in reported:
            total += length
            piece = pieces.get(digest)
            if piece is None:
                piece = pieces[digest] = _piece(digest, length, known.get(digest))
            elif piece.length != length:
                raise Refusal(commands.INVALID, f"chunk {digest.hex()} with two lengths")
            if stores != piece.stores:
                proven = confirmed.get(stores)
                if proven is None:
                    proven = confirmed[stores] = self._stores.all_proven(stores, since)
                piece.stores = tuple(dict.fromkeys(piece.stores + proven)) if piece.stores else proven
            plan.append(piece)
        if total != size or size > MAX_BYTES:
            raise Refusal(commands.INVALID, f"the chunks have {total} bytes together, not {size}")
        for piece in pieces.values():
            if not piece.stores and not self._sets.stores(piece.replicas):
                # No fault of the proposer's: none of those that had it could be asked, or has it still.
                raise Refusal(commands.CHANGED, f"chunk {piece.digest.hex()} may have been collected")
        return plan

    def _plan_one(self, chunk: commands.Chunk, size: int, since: int) -> Piece:
        """Return the only piece of a version, as `plan` does: nearly every picture has but one."""
        digest, length = chunk.digest, chunk.length
        piece = _piece(digest, length, self._execute(_FIND, (digest,)).fetchone())
        piece.stores = self._stores.all_proven(chunk.stores, since)
        if length != size or size > MAX_BYTES:
            raise Refusal(commands.INVALID, f"the chunks have {length} bytes together, not {size}")
        if not piece.stores and not self._sets.stores(piece.replicas):
            raise Refusal(commands.CHANGED, f"chunk {digest.hex()} may have been collected")
        return piece

    def _find(self, digests: list[bytes]) -> dict[bytes, Known]:
        """Return what there is of some chunks, with one statement."""
        asked = [digest for digest in dict.fromkeys(digests) if len(digest) == DIGEST_SIZE]
        if not asked:
            return {}
        rows = self._execute(_FIND_ALL, (b"".join(asked), len(asked), DIGEST_SIZE)).fetchall()
        return {
            asked[place]: (number, refs, heads, replicas, length)
            for place, number, refs, heads, replicas, length in rows
        }

    def check_quorum(self, plan: Iterable[Piece], quorum: int) -> None:
        """Refuse with CHANGED a version with a chunk on fewer than `quorum` stores that are current.

        A disk that was replaced during an upload has taken its copies with it, and one that was swept may have.
        """
        known: tuple[tuple[int, ...], int] | None = (
            None  # as the last one: of a large file nearly all are alike
        )
        for piece in plan:
            if known is not None and known == (piece.stores, piece.replicas):
                continue
            current = len(self._stores.current & {*piece.stores, *self._sets.stores(piece.replicas)})
            if current < quorum:
                short = f"chunk {piece.digest.hex()[:16]} has {current} copies of {quorum}"
                raise Refusal(commands.CHANGED, f"a disk was replaced or swept meanwhile: {short}")
            known = piece.stores, piece.replicas

    def check_staged(self, content: int, quorum: int) -> None:
        """Refuse with CHANGED what was staged, unless each chunk is on `quorum` stores that are current, as above."""
        sets = self._execute(
            "SELECT DISTINCT replicas FROM contents JOIN chunks ON id = chunk WHERE inode = ?", (content,)
        ).fetchall()
        current = min(len(self._stores.current.intersection(self._sets.stores(number))) for (number,) in sets)
        if current < max(1, quorum):
            short = f"a chunk has {current} copies of {quorum}"
            raise Refusal(commands.CHANGED, f"a disk was replaced or swept meanwhile: {short}")

    def publish_staged(self, inode: int, content: int) -> None:
        """Make what was staged the content of the file `inode`, which has none."""
        self._long.take(inode, content)
        self._count_heads(content, 1)

    def _count_heads(self, content: int, heads: int) -> None:
        """A content becomes that of so many files more, or less."""
        number, refs, before, replicas = self._execute(
            "SELECT id, refs, heads, replicas FROM contents JOIN chunks ON id = chunk WHERE inode = ? AND sequence = 0",
            (content,),
        ).fetchone()
        self._execute("UPDATE chunks SET heads = ? WHERE id = ?", (before + heads, number))
        self._sets.count(replicas, 0, heads, 0)
        self.released[number] = (refs, before + heads)

    def stage(self, content: int, plan: list[Piece], demand: int, offset: int) -> None:
        """Make `plan` part of `content`, from its chunk number `offset` on; see `acquire`."""
        self._acquire(content, plan, demand, heads=0, offset=offset)

    def acquire(
        self,
        inode: int,
        plan: list[Piece],
        demand: int,
        *,
        published: bool,
        others: Sequence[int] = (),
        fresh: bool = False,
    ) -> None:
        """Make `plan` the content of `inode`, which has none, and of the `others`, which have none either.

        `demand`: see ReplicaSet. It is met as long as anything refers to the chunk, and never falls meanwhile. `fresh`:
        the number `inode` was given just now, so nothing else can have it.

        What was released within the same command, also since `plan` was made, keeps its known copies: it was referred
        to until now.
        """
        if not plan:
            return
        content = inode if fresh else self._long.new(inode)
        heads = 1 + len(others) if published else 0
        if len(plan) == 1 and not plan[0].number:
            self._acquire_new(content, plan[0], demand, heads, 0)
        else:
            self._acquire(content, plan, demand, heads=heads)
        if others and fresh:
            self._long.share_new(inode, others)
        elif others:
            self._long.share(inode, content, others)

    def _acquire(self, content: int, plan: list[Piece], demand: int, *, heads: int, offset: int = 0) -> None:
        if len(plan) == 1 and not plan[0].number:
            self._acquire_new(content, plan[0], demand, heads, offset)
            return
        for piece in plan:
            piece.added += 1
        written = _Rows()
        self._add(plan[0], heads, demand, written)
        for piece in plan[1:]:
            if piece.added:
                self._add(piece, 0, demand, written)
        self._write(written)
        if len(plan) == 1:
            self._execute("INSERT INTO contents VALUES (?, ?, ?)", (content, offset, plan[0].number))
            return
        rows = [(content, sequence, piece.number) for sequence, piece in enumerate(plan, offset)]
        self._executemany("INSERT INTO contents VALUES (?, ?, ?)", rows)

    def _acquire_new(self, content: int, piece: Piece, demand: int, heads: int, offset: int) -> None:
        """Do it with one chunk that was not there, as nearly always."""
        replicas = self._sets.with_stores(NOWHERE, piece.stores, demand)
        piece.number = number = self.next_chunk
        self.next_chunk += 1
        self._execute(
            "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)",
            (number, piece.digest, piece.length, 1, heads, replicas),
        )
        self._sets.count(replicas, 1, heads, piece.length)
        self._execute("INSERT INTO contents VALUES (?, ?, ?)", (content, offset, number))

    def hand_over(self, inode: int, to: int) -> None:
        """Make the content of `inode` that of `to`, which has none: no chunk is referred to more or less often.

        Of a short one the rows are moved; a long one, and one that others have too, keeps its number.
        """
        if self._long.of(inode) is not None:
            self._long.hand_over(inode, to)
            return
        rows = self._execute(
            f"SELECT inode FROM contents WHERE inode = {self._long.number} LIMIT ?2",
            (inode, self._long.most + 1),
        ).fetchall()
        if len(rows) > self._long.most:
            self._long.hand_over(inode, to)
        elif rows:
            self._execute("UPDATE contents SET inode = ? WHERE inode = ?", (to, inode))

    def share(self, inode: int, others: Sequence[int], demand: int) -> None:
        """Make the content of `inode`, a published file, that of the files `others` too, which have none.

        A short one has as many copies as `demand` says from then on, if that is more; a long one is not gone through.
        """
        content = self.number(inode)
        if content is None or not others:
            return
        rows = self._execute(
            "SELECT c.id, c.heads, c.replicas, c.length FROM contents JOIN chunks AS c ON c.id = contents.chunk"
            " WHERE inode = ? ORDER BY sequence LIMIT ?",
            (content, self._long.most + 1),
        ).fetchall()
        if len(rows) <= self._long.most:
            for number, heads, before, length in dict.fromkeys(rows):
                self._move(number, heads, length, before, self._sets.with_stores(before, (), demand))
        self._count_heads(content, len(others))
        self._long.share(inode, content, others)

    def number(self, inode: int) -> int | None:
        """Return the number of the content of `inode`; None: it has none."""
        row = self._execute(
            f"SELECT inode FROM contents WHERE inode = {self._long.number} LIMIT 1", (inode,)
        ).fetchone()
        return row[0] if row is not None else None

    def alike(self, one: int, other: int) -> bool:
        """Whether two contents of the same size, given by their numbers, are of the same chunks: 3 ms for 8,192."""
        if one == other:
            return True
        (found,) = self._execute(
            "SELECT EXISTS (SELECT 1 FROM contents AS one WHERE inode = ?1 AND NOT EXISTS (SELECT 1 FROM contents"
            " WHERE inode = ?2 AND sequence = one.sequence AND chunk = one.chunk))",
            (one, other),
        ).fetchone()
        return not found

    def digests(self, inode: int, limit: int) -> list[bytes]:
        """Return up to `limit` chunks of `inode` by name, in order."""
        rows = self._execute(
            "SELECT digest FROM contents JOIN chunks ON chunks.id = contents.chunk"
            f" WHERE inode = {self._long.number} ORDER BY sequence LIMIT ?2",
            (inode, limit),
        ).fetchall()
        return [digest for (digest,) in rows]

    def _add(self, piece: Piece, heads: int, demand: int, rows: _Rows) -> None:
        if self.released and piece.number in self.released:
            piece.refs, piece.heads = self.released.pop(piece.number)
        replicas = self._sets.with_stores(piece.replicas, piece.stores, demand)
        refs = piece.refs + piece.added
        piece.added = 0
        if not piece.number:
            piece.number = self.next_chunk
            self.next_chunk += 1
            rows.new.append((piece.number, piece.digest, piece.length, refs, heads, replicas))
        elif replicas == piece.replicas:
            rows.counted.append((refs, piece.heads + heads, piece.number))
        else:
            rows.moved.append((refs, piece.heads + heads, replicas, piece.number))
        if not piece.refs:
            self._sets.count(replicas, 1, heads, piece.length)
        elif replicas == piece.replicas:
            self._sets.count(replicas, 0, heads, 0)
        else:
            self._sets.count(piece.replicas, -1, -piece.heads, -piece.length)
            self._sets.count(replicas, 1, piece.heads + heads, piece.length)

    def _write(self, rows: _Rows) -> None:
        if rows.new:
            self._each("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)", rows.new)
        if rows.counted:
            self._each("UPDATE chunks SET refs = ?, heads = ? WHERE id = ?", rows.counted)
        if rows.moved:
            self._each("UPDATE chunks SET refs = ?, heads = ?, replicas = ? WHERE id = ?", rows.moved)

    def _each(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        if len(rows) == 1:
            self._execute(statement, rows[0])
        else:
            self._executemany(statement, rows)

    def release_all(self, inodes: Sequence[int]) -> None:
        """Remove the content of some published files, which have one together, as `release` does."""
        *others, last = inodes
        if others:
            self._count_heads(self._long.part_all(others), -len(others))
        self.release(last, published=True)

    def release(self, inode: int, *, published: bool, at_once: int = 0) -> None:
        """Remove the content of `inode`; chunks without another reference go with `forget_unreferenced`.

        What other files have too stays. A long one is only left: it goes with `give_up`. So does, from level 2 on, one
        of more than `at_once` chunks (0: than one command touches), where a command removes many.
        """
        noted, shared = self._long.part(inode)
        if noted is not None and shared:
            if published:
                self._count_heads(noted, -1)
            return
        most = min(at_once, self._long.most) if at_once else self._long.most
        rows = self._execute(
            "SELECT inode, c.id, c.refs, c.heads, c.replicas, c.length FROM contents"
            " JOIN chunks AS c ON c.id = contents.chunk"
            f" WHERE inode = {self._long.number if noted is None else '?1'} ORDER BY sequence LIMIT ?2",
            (inode if noted is None else noted, most + 1 if most > 0 else -1),
        ).fetchall()
        if not rows:
            return
        content = rows[0][0]
        if 0 < most < len(rows):
            if published:
                self._count_heads(content, -1)
            self._long.leave(content)
            return
        self._execute("DELETE FROM contents WHERE inode = ?", (content,))
        self._drop(rows, rows[0][1] if published else 0)

    def leave(self, content: int) -> None:
        """Nobody will publish what was staged: it goes with `give_up`."""
        self._long.leave(content)

    def give_up(self, limit: int) -> None:
        """Remove up to `limit` chunks of contents that are left, those of one number."""
        content = self._long.first()
        if content is None:
            return
        rows = self._execute(
            "SELECT sequence, c.id, c.refs, c.heads, c.replicas, c.length FROM contents"
            " JOIN chunks AS c ON c.id = contents.chunk WHERE inode = ? ORDER BY sequence LIMIT ?",
            (content, limit),
        ).fetchall()
        if len(rows) < limit:
            self._long.gone(content)
        if rows:
            self._execute("DELETE FROM contents WHERE inode = ? AND sequence <= ?", (content, rows[-1][0]))
            self._drop([(content, *row[1:]) for row in rows], 0)

    def _drop(self, rows: list[tuple[int, int, int, int, int, int]], head: int) -> None:
        """Take references off chunks; `head`: the number of the one that a file began with."""
        times = Counter(rows) if len(rows) > 1 else {rows[0]: 1}
        written = _Rows()
        for (_, number, refs, heads, replicas, length), removed in times.items():
            left = refs - removed
            headed = 1 if number == head else 0
            self.released[number] = (left, heads - headed) if left else (0, 0)
            if left:
                written.counted.append((left, heads - headed, number))
                self._sets.count(replicas, 0, -headed, 0)
            else:
                # Its row is written once: when it is acquired again, or to go.
                self._sets.count(replicas, -1, -headed, -length)
        self._write(written)

    def forget_unreferenced(self) -> None:
        """At the end of a command: remove the rows of chunks that it has left without a reference."""
        gone = sorted(number for number, (refs, _) in self.released.items() if not refs)
        self._each("DELETE FROM chunks WHERE id BETWEEN ? AND ?", _runs(gone))
        self.released.clear()

    def unlisted(self, names: Iterable[bytes], store: int) -> list[bytes]:
        """Return those of `names` of which no chunk is said to be on `store`; a name is a digest or its first bytes."""
        stores = self._sets.stores
        return [
            name for name in names if not any(store in stores(replicas) for _, replicas in self._named(name))
        ]

    def held_by(self, names: Iterable[bytes]) -> list[tuple[bytes, tuple[int, ...]]]:
        """Return digest and stores of the chunks that have one of `names`."""
        stores = self._sets.stores
        return [(digest, stores(replicas)) for name in names for digest, replicas in self._named(name)]

    def _named(self, name: bytes) -> list[tuple[bytes, int]]:
        last = name.ljust(DIGEST_SIZE, b"\xff")
        return self._execute(_NAMED, (name, last)).fetchall()

    @handles("change_replicas", level=1)
    def change_replicas(self, command: commands.ChangeReplicas, at: Context) -> None:
        """Add and then remove stores of chunks. Refuses with INVALID.

        Passed over: unknown chunks, and additions whose store was swept since they were confirmed.
        """
        additions, removals = list(command.added), list(command.removed)
        for change in (*additions, *removals):
            if len(change.digest) != DIGEST_SIZE:
                raise Refusal(commands.INVALID, "a chunk's digest has 32 bytes")
            self._stores.check(change.store)
        for change in additions:
            if self._stores.proven(change.store, change.since):
                self._change(change.digest, change.store, True)
        for change in removals:
            self._change(change.digest, change.store, False)

    @handles("drop_replicas", level=1)
    def drop_replicas(self, command: commands.DropReplicas, at: Context) -> None:
        """Give up copies that are more than wanted (`surplus` has the rule), for a job of the store's node.

        Refuses with CHANGED, NOT_FOUND (the job), INVALID.
        """
        job = self._jobs.held(command.job, command.node, command.boot, at.time_ns)
        if job.kind != commands.Job.TRIM or not self._stores.belongs(command.store, job.node):
            raise Refusal(commands.INVALID, "a node drops copies of its own, by a job of that kind")
        zones = self._stores.zones(self._intents.staying() - draining(self._jobs.list()))
        for number in job.without:
            zones.pop(number, None)
        # Rather too many copies than too few: whoever is to leave is counted here.
        members = max(1, len(self._intents.members))
        wanted = Wanted(max(1, min(job.replicas, members)), members)
        if self.drop(command.store, command.drops, zones, wanted):
            self._stores.sweep(command.store, at.index)

    def drop(self, store: int, drops: Iterable[commands.Drop], zones: Mapping[int, str], wanted: Wanted) -> int:
        """Take `store` off the chunks that have enough copies without it; return of how many. Refuses with INVALID.

        See `surplus`. `zones`: of the stores that count.
        """
        asked = list(drops)
        if any(len(drop.digest) != DIGEST_SIZE for drop in asked):
            raise Refusal(commands.INVALID, "a chunk's digest has 32 bytes")
        dropped = 0
        for drop in asked:
            row = self._execute(_FIND, (drop.digest,)).fetchone()
            if row is None:
                continue
            group = self._sets.group(row[3])
            if may_drop(store, group.stores, drop.keepers, zones, group.copies(wanted)):
                self._change(drop.digest, store, False)
                dropped += 1
        return dropped

    def copies(self, digest: bytes, wanted: Wanted) -> tuple[int, tuple[int, ...]]:
        """Return how many copies a chunk should have, and its stores; (0, ()) for an unknown one."""
        row = self._execute(_FIND, (digest,)).fetchone()
        if row is None:
            return 0, ()
        group = self._sets.group(row[3])
        return group.copies(wanted), group.stores

    def _change(self, digest: bytes, store: int, present: bool) -> None:
        row = self._execute(_FIND, (digest,)).fetchone()
        if row is None:
            return
        number, _, heads, before, length = row
        after = self._sets.with_stores(before, (store,)) if present else self._sets.without_store(before, store)
        self._move(number, heads, length, before, after)

    def _move(self, number: int, heads: int, length: int, before: int, after: int) -> None:
        """A chunk is of another set of stores, or the same."""
        if after == before:
            return
        self._execute("UPDATE chunks SET replicas = ? WHERE id = ?", (after, number))
        self._sets.count(before, -1, -heads, -length)
        self._sets.count(after, 1, heads, length)

    def chunks(self, inode: int) -> tuple[ChunkRef, ...]:
        """Return the content of `inode`, in order."""
        rows = self._execute(
            "SELECT digest, length, replicas FROM contents JOIN chunks ON chunks.id = contents.chunk"
            f" WHERE inode = {self._long.number} ORDER BY sequence",
            (inode,),
        ).fetchall()
        stores = self._sets.stores
        return tuple([ChunkRef(digest, length, stores(replicas)) for digest, length, replicas in rows])

    def stores_of(self, digest: bytes) -> tuple[int, ...]:
        """Return the stores that hold a chunk; none for an unknown one."""
        row = self._execute(_FIND, (digest,)).fetchone()
        return self._sets.stores(row[3]) if row else ()
