"""Random histories by the rules of level 1, against 35711ca's own model, and what is left of them at the newest level.

This is 35711ca's test and model as they were, but for the level: the rules by which old logs replay never change.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path

from catalog_model_level_1 import Directory, File, Model
from catalogs import NOW, Feeder, chunk, command, digest
from examples import examples
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from raftstore.metadata.levels import NEWEST, OLDEST
from raftstore.types import Entry, Kind, Wanted
from raftstore.wire import commands_pb2 as commands

NAMES = ["a", "b", "c"]
PATHS = [
    "/",
    *(f"/{x}" for x in NAMES),
    *(f"/{x}/{y}" for x in NAMES for y in NAMES),
    "/a/b/a",
    "/a/b/b",
    "/a//b",
    "b",
]
OWNERS = ["ada", "bob"]

paths = st.sampled_from(PATHS)
owners = st.sampled_from(OWNERS)
whose = st.sampled_from(["", "", *OWNERS])
directories = st.sampled_from(["/", "/a", "/a/b", "/c/a"])
ruled = st.sets(directories, max_size=2).map(sorted)
seeds = st.integers(1, 6)
stores = st.sets(st.integers(1, 3)).map(lambda chosen: tuple(sorted(chosen)))
chunks = st.lists(st.builds(chunk, seeds, st.just(10), stores), max_size=3)
times = st.sampled_from([0, 1, NOW])
since = st.sampled_from([0, 3, 8, 100])
changes = st.lists(
    st.builds(
        lambda seed, store, index: commands.ReplicaChange(digest=digest(seed), store=store, since=index),
        seeds,
        st.integers(1, 3),
        since,
    ),
    max_size=3,
)


@st.composite
def sized(draw: st.DrawFn, kind: str) -> commands.Command:
    """Draw a command with chunks, whose size is wrong now and then."""
    drawn = draw(chunks)
    size = 10 * len(drawn) + (draw(st.integers(0, 9)) == 9)
    fields = {"path": draw(paths), "owner": draw(owners), "size": size, "chunks": drawn, "since": draw(since)}
    if kind == "put_file":
        fields |= {"mtime_ns": draw(times), "exclusive": draw(st.integers(0, 4)) == 4}
        fields["own_only"] = draw(st.integers(0, 3)) == 3
        fields["of_account"] = draw(st.integers(0, 3)) == 3
        if draw(st.integers(0, 9)) == 9:
            fields |= {"base_inode": draw(st.integers(1, 9)), "base_version": draw(st.integers(1, 9))}
    return command(kind, **fields)


@st.composite
def accounts(draw: st.DrawFn) -> commands.Command:
    """Draw a change of an account."""
    user = commands.User(
        name=draw(owners),
        home=draw(directories),
        quota_bytes=draw(st.sampled_from([0, 10, 20, 50])),
        quota_files=draw(st.sampled_from([0, 0, 1, 2])),
        disabled=draw(st.integers(0, 9)) == 9,
        rules=[commands.Rule(path=path, rights=draw(st.sampled_from(["", "elr"]))) for path in draw(ruled)],
    )
    how = draw(st.sampled_from(["create", "update", ""]))
    return command("put_user", user=user, **({how: True} if how else {}))


@st.composite
def renames(draw: st.DrawFn) -> commands.Command:
    """Draw a renaming, now and then only of one's own or over nothing."""
    fields = {"source": draw(paths), "target": draw(paths)}
    if draw(st.integers(0, 3)) == 3:
        fields |= {"source_of": draw(whose), "target_of": draw(whose), "exclusive": draw(st.booleans())}
    return command("rename", **fields)


operations = st.one_of(
    st.builds(lambda path: command("make_directory", path=path, owner="ada"), paths),
    st.builds(lambda path: command("make_directory", path=path, owner="ada"), paths),
    st.builds(lambda path: command("remove_directory", path=path), paths),
    sized("put_file"),
    sized("put_file"),
    sized("put_file"),
    sized("put_partial"),
    st.builds(lambda path, owner: command("remove_file", path=path, only_of=owner), paths, whose),
    renames(),
    renames(),
    renames(),
    st.builds(
        lambda path, mtime, owner: command("set_times", path=path, mtime_ns=mtime, only_of=owner),
        paths,
        times,
        whose,
    ),
    st.builds(lambda path, owner: command("drop_partial", path=path, owner=owner), paths, owners),
    accounts(),
    st.builds(lambda name: command("remove_user", name=name), owners),
    st.builds(
        lambda added, removed: command("change_replicas", added=added, removed=removed), changes, changes
    ),
    st.builds(lambda store: command("begin_sweep", store=store), st.integers(1, 4)),
)


class Histories(RuleBasedStateMachine):
    """One catalog and one model, fed with the same."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="catalog-"))
        self.feeder = Feeder(self.directory / "main" / "catalog.db", level=OLDEST, wal_bytes=40_000)
        self.model = Model()
        self.done: list[tuple[commands.Operation, commands.Result]] = []
        self.copies = 0

    def teardown(self) -> None:
        """Feed a second catalog with the whole log: it must be equal."""
        try:
            self.feeder.check_replay(self.directory / "replayed" / "catalog.db")
        finally:
            self.feeder.catalog.close()
            shutil.rmtree(self.directory)

    @initialize()
    def begin(self) -> None:
        """Make some directories."""
        self.entry([command("make_directory", path=path, owner="ada") for path in ("/a", "/a/b", "/b")], 0)

    @precondition(lambda self: self.feeder.catalog.level == OLDEST)
    @rule(built=st.lists(operations, min_size=1, max_size=6), again=st.integers(0, 3))
    def entry(self, built: list[commands.Command], again: int) -> None:
        """Apply one log entry of new operations, and some that were applied before."""
        repeated = self.done[-again:] if again else []
        fresh = [self.feeder.operation(each) for each in built]
        results = self.feeder.apply(*(operation for operation, _ in repeated), *fresh)
        assert results[: len(repeated)] == [result for _, result in repeated]
        self.model.index = self.feeder.index
        for operation, each, result in zip(fresh, built, results[len(repeated) :], strict=True):
            self.model.time_ns = operation.time_ns
            expected = self.model.apply(each)
            assert commands.Status.Name(result.status) == expected, (each, result)
            assert result.index == self.feeder.index
            if expected == "OK" and each.WhichOneof("kind") == "put_file":
                self.note_inode(each.put_file.path, result.inode)
            self.done.append((operation, result))

    def note_inode(self, path: str, inode: int) -> None:
        """Give the model the inode of a new file, which it cannot know; that of a replaced file must stay."""
        parent, name = self.model.place(path, "")
        file = parent.entries[name]
        assert isinstance(file, File)
        assert file.inode in (0, inode)
        file.inode = inode

    @precondition(lambda self: self.feeder.index > 6)
    @rule()
    def upgrade(self) -> None:
        """Put the newest level in force: all that is there stays as it is."""
        while self.feeder.catalog.level < NEWEST:
            assert self.feeder.status(command("set_level", level=self.feeder.catalog.level + 1)) == "OK"

    @rule()
    def repeat_an_entry(self) -> None:
        """Apply the last entry again, as after a restart."""
        before = self.feeder.catalog.digest()
        index, batch = self.feeder.log[-1]
        assert all(self.feeder.catalog.apply(index, batch))
        assert self.feeder.catalog.digest() == before

    @rule()
    def restart(self) -> None:
        """Close and open."""
        self.feeder.reopen()

    @rule()
    def make_durable(self) -> None:
        """Sync, and often checkpoint."""
        assert self.feeder.catalog.make_durable() == self.feeder.index

    @rule()
    def crash(self) -> None:
        """Go on with a copy of the files as a killed process leaves them.

        No checkpoint runs meanwhile: the catalog begins none of its own after so few entries.
        """
        self.copies += 1
        target = self.directory / f"copy{self.copies}"
        target.mkdir()
        for path in self.feeder.path.parent.iterdir():
            if not path.name.endswith(("-shm", ".replaced")):  # both may go at any moment
                shutil.copyfile(path, target / path.name)
        self.feeder.catalog.close()
        self.feeder.path = target / "catalog.db"
        self.feeder.reopen()

    @precondition(lambda self: self.feeder.index > 3)
    @rule()
    def snapshot(self) -> None:
        """Go on with another catalog that took a snapshot of this one."""
        self.copies += 1
        source = self.directory / f"snapshot{self.copies}"
        assert self.feeder.catalog.write_snapshot(source) == self.feeder.index
        before = self.feeder.catalog.digest()
        self.feeder.catalog.close()
        self.feeder.path = self.directory / f"copy{self.copies}" / "catalog.db"
        self.feeder.reopen()
        self.feeder.catalog.apply(1, self.feeder.log[0][1])
        assert self.feeder.catalog.install_snapshot(source) == self.feeder.index
        assert self.feeder.catalog.digest() == before

    @invariant()
    def names_agree(self) -> None:
        """Every directory lists what the model has, and every entry is found."""
        catalog = self.feeder.catalog
        waiting: list[tuple[str, Directory]] = [("", self.model.root)]
        while waiting:
            path, directory = waiting.pop()
            assert catalog.lookup(path or "/").mtime_ns == directory.mtime_ns
            listed = {entry.name: entry for entry in catalog.listing(path or "/")}
            assert list(listed) == sorted(directory.entries)
            for name, entry in directory.entries.items():
                here = f"{path}/{name}"
                assert catalog.lookup(here) == listed[name]
                if isinstance(entry, Directory):
                    assert listed[name].kind is Kind.DIRECTORY
                    waiting.append((here, entry))
                else:
                    self.file_agrees(here, entry, listed[name])
            for (name, owner), content in directory.partials.items():
                partial = catalog.partial(owner, f"{path}/{name}")
                assert partial is not None
                assert partial.size == content.size
                assert [ref.digest for ref in partial.chunks] == [digest(seed) for seed in content.seeds]

    def file_agrees(self, path: str, file: File, entry: Entry) -> None:
        """One file is as the model has it."""
        expected = (Kind.FILE, file.inode, file.size, file.mtime_ns, file.owner, file.version)
        assert (entry.kind, entry.inode, entry.size, entry.mtime_ns, entry.owner, entry.version) == expected
        refs = self.feeder.catalog.file(path).chunks
        assert [ref.digest for ref in refs] == [digest(seed) for seed in file.seeds]
        for ref, seed in zip(refs, file.seeds, strict=True):
            assert set(ref.stores) == self.model.replicas[seed]

    def directories(self) -> int:
        """Count them, the root left out."""
        found, waiting = -1, [self.model.root]
        while waiting:
            found += 1
            waiting += [entry for entry in waiting.pop().entries.values() if isinstance(entry, Directory)]
        return found

    @invariant()
    def counters_agree(self) -> None:
        """What is counted along the way is what a count gives."""
        catalog, model = self.feeder.catalog, self.model
        files = model.files()
        assert catalog.totals() == (len(files), sum(file.size for file in files))
        for owner in OWNERS:
            count, size = model.usage(owner)
            # Since level 2 directories count, too; all here are made by ada.
            count += self.directories() if catalog.level > OLDEST and owner == "ada" else 0
            assert catalog.usage(owner) == (count, size)
            user, account = catalog.user(owner), model.accounts.get(owner)
            assert (user is None) == (account is None)
            if user is not None and account is not None:
                assert (user.home, dict(user.rules)) == (account.home, account.rules)
        references = model.references()
        for store in (1, 2, 3):
            heads = sum(1 for file in files if file.seeds and store in model.replicas[file.seeds[0]])
            held = sum(10 for seed in references if store in model.replicas[seed])
            assert catalog.store_totals(store) == (heads, held)
        for live in ([1, 2, 3], [2, 3]):
            short = {seed for seed in references if len(model.replicas[seed] & set(live)) < 2}
            assert {ref.digest for ref in catalog.short_chunks(Wanted(2), live, 100)} == {
                digest(seed) for seed in short
            }
            count = sum(1 for file in files if short & set(file.seeds))
            found, listed = catalog.short_files(Wanted(2), live, 100)
            assert (found, len(listed)) == (count, count)

    @invariant()
    def references_agree(self) -> None:
        """Every chunk knows how often it is referred to; unreferenced ones have no row."""
        database = sqlite3.connect(self.feeder.path)
        try:
            rows = database.execute("SELECT digest, refs FROM chunks").fetchall()
        finally:
            database.close()
        references = self.model.references()
        assert {int.from_bytes(name, "big"): refs for name, refs in rows} == references
        for store in (1, 2, 3):
            unlisted = [digest(seed) for seed in range(8) if store not in self.model.replicas.get(seed, ())]
            assert self.feeder.catalog.unlisted(map(digest, range(8)), store) == unlisted


TestHistories = Histories.TestCase
TestHistories.settings = examples(25, steps=20)
