"""Random histories against a plain model: every result, everything readable, through restarts, crashes, snapshots."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from pathlib import Path

from catalog_model import NEEDS, Bounds, Directory, File, Model, No
from catalogs import NOW, Feeder, by, chunk, command, digest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from raftstore.cluster.retaining import RetentionWork
from raftstore.metadata.results import accepted
from raftstore.metadata.tables.cluster.clock import Clock
from raftstore.metadata.tables.contents import longcontents
from raftstore.metadata.tables.events.audit import AuditLog
from raftstore.metadata.tables.names.retention import Retention
from raftstore.metadata.tables.names.trash import Trash
from raftstore.rights import ROLES, Actor
from raftstore.types import Entry, Kind, User, Wanted
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
    "/people/@trash/ada/a",
    "/people/@trash/ada/a (2)",
    "/people/@trash/bob/b",
]
OWNERS = ["ada", "bob"]

paths = st.sampled_from(PATHS)
owners = st.sampled_from(OWNERS)
whose = st.sampled_from(["", "", *OWNERS])
directories = st.sampled_from(["/", "/", "/a", "/a/b", "/c/a"])
letters = st.sampled_from(
    [
        *ROLES.values(),
        ROLES["member"],
        ROLES["member"],
        ROLES["admin"],
        "elf",
        "wo",
        "emo",
        "ela",
        "elramwf",
        "dT",
    ]
)
Who = tuple[str, int] | None
DAY = 86_400 * 10**9
calls = st.integers(1, 9)
"""Which call of an admin's a command belongs to: some have several."""

whoever = st.one_of(st.none(), st.tuples(st.sampled_from(OWNERS), st.sampled_from([0, 0, 0, 1, 5])))
"""Whose a command is: the system's, or a session's of an account, opened so many entries ago."""
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
    fields["content"] = draw(st.sampled_from([0, 0, 1, 2]))
    if kind == "put_file":
        fields |= {"mtime_ns": draw(times), "exclusive": draw(st.integers(0, 4)) == 4}
        fields["own_only"] = draw(st.integers(0, 3)) == 3
        fields["of_account"] = draw(st.integers(0, 3)) == 3
        fields["append"] = draw(st.integers(0, 5)) == 5
        if draw(st.integers(0, 9)) == 9:
            fields |= {"base_inode": draw(st.integers(1, 9)), "base_version": draw(st.integers(1, 9))}
    return command(kind, **fields)


@st.composite
def through_handles(draw: st.DrawFn) -> commands.Command:
    """Draw a file that is published by what was opened; `Histories.resolved` says what that was."""
    drawn = draw(chunks)
    handle = commands.Handle(
        new=draw(st.booleans()), name=draw(st.sampled_from(NAMES)), version=draw(st.integers(0, 3))
    )
    fields = {
        "path": draw(paths),
        "owner": draw(owners),
        "size": 10 * len(drawn),
        "chunks": drawn,
        "handle": handle,
        "content": draw(st.sampled_from([0, 0, 1])),
    }
    return command("put_file", since=draw(since), own_only=draw(st.integers(0, 4)) == 4, **fields)


nodes = st.sampled_from(["n2", "n3"])
staging = st.one_of(
    st.builds(
        lambda node, which, offset, drawn, index: command(
            "stage_content",
            node=node,
            boot=1,
            content=which,
            offset=offset,
            chunks=drawn,
            since=index,
            owner="ada",
        ),
        nodes,
        st.integers(0, 2),
        st.sampled_from([0, 0, 0, 1]),
        chunks.filter(bool),
        since,
    ),
    st.builds(
        lambda node, which: command("unstage_content", node=node, boot=1, content=which),
        nodes,
        st.integers(1, 2),
    ),
)
"""`Histories.resolved` says which content that is, and how long it is by then."""
reserving = st.one_of(
    st.builds(
        lambda path, node: command("reserve_name", path=path, node=node, boot=1),
        paths,
        nodes,
    ),
    st.builds(lambda node: command("renew_names", node=node, boot=1), nodes),
    st.builds(
        lambda node, which, renewed: command(
            "release_name", node=node, boot=1, reservation=which, renewed=renewed
        ),
        nodes,
        st.sampled_from([0, 1, 1]),
        st.integers(0, 30),
    ),
)


@st.composite
def accounts(draw: st.DrawFn) -> commands.Command:
    """Draw a change of an account."""
    user = commands.User(
        name=draw(owners),
        home=draw(directories),
        quota_bytes=draw(st.sampled_from([0, 10, 20, 50])),
        quota_files=draw(st.sampled_from([0, 0, 1, 2])),
        disabled=draw(st.integers(0, 9)) == 9,
        rights=draw(letters),
        trash_ns=draw(st.sampled_from([0, 60 * 10**9, 10 * DAY])),
        rules=[commands.Rule(path=path, rights=draw(letters)) for path in draw(ruled)],
    )
    how = draw(st.sampled_from(["create", "update", ""]))
    return command("put_user", user=user, **({how: True} if how else {}))


@st.composite
def renames(draw: st.DrawFn) -> commands.Command:
    """Draw a renaming, now and then only of one's own or over nothing."""
    fields: dict[str, str | bool] = {"source": draw(paths), "target": draw(paths)}
    if draw(st.integers(0, 3)) == 3:
        fields |= {"source_of": draw(whose), "target_of": draw(whose), "exclusive": draw(st.booleans())}
    return command("rename", **fields)


copies = st.builds(
    lambda source, target, mtime, exclusive: command(
        "copy_file", source=source, target=target, mtime_ns=mtime, exclusive=exclusive
    ),
    paths,
    paths,
    times,
    st.sampled_from([False, False, False, True]),
)
operations = st.one_of(
    st.builds(lambda path, owner: command("make_directory", path=path, owner=owner), paths, owners),
    st.builds(lambda path: command("make_directory", path=path, owner="ada"), paths),
    st.builds(
        lambda path, home: command("make_directory", path=path, owner="ada", home=home), paths, st.booleans()
    ),
    st.builds(lambda path: command("remove_directory", path=path), paths),
    sized("put_file"),
    sized("put_file"),
    sized("put_file"),
    sized("put_partial"),
    through_handles(),
    through_handles(),
    reserving,
    staging,
    staging,
    st.builds(lambda path, owner: command("remove_file", path=path, only_of=owner), paths, whose),
    renames(),
    renames(),
    renames(),
    copies,
    copies,
    st.builds(
        lambda path, mtime, owner: command("set_times", path=path, mtime_ns=mtime, only_of=owner),
        paths,
        times,
        whose,
    ),
    st.builds(lambda path, owner: command("drop_partial", path=path, owner=owner), paths, owners),
    st.builds(
        lambda tick, keep: command("expire_partials", tick=tick, keep=keep, limit=256),
        st.integers(0, 6),
        st.integers(0, 2),
    ),
    accounts(),
    st.builds(
        lambda seconds: command("advance_clock", time_ns=NOW + seconds * 10**9, limit=256),
        st.sampled_from([-(10**10), 0, 1, 50, 100, 170, 300, 86_400, 11 * 86_400, 30 * 86_400]),
    ),
    st.builds(
        lambda which, path, beside, replace: command(
            "restore_trash", inode=which, to=path, beside=beside, replace=replace
        ),
        st.integers(0, 5),
        paths,
        st.booleans(),
        st.booleans(),
    ),
    st.builds(lambda owner, limit: command("empty_trash", owner=owner, limit=limit), owners, st.integers(1, 3)),
    st.builds(lambda name: command("remove_user", name=name), owners),
    st.builds(
        lambda added, removed: command("change_replicas", added=added, removed=removed), changes, changes
    ),
    st.builds(lambda store: command("begin_sweep", store=store), st.integers(1, 4)),
    st.builds(
        lambda call, code: command(
            "record_audit", audit=commands.Audit(call=bytes([call]), caller="olga"), code=code
        ),
        calls,
        st.sampled_from(["", "", "NotFound", "Denied", "OutcomeUnknown"]),
    ),
    st.builds(lambda up_to: command("trim_audit", up_to=up_to), st.integers(0, 8)),
    st.builds(
        lambda which, seconds, renew: command(
            "hold_chunks", id=bytes([which]) * 16, lease_ns=seconds * 10**9, renew=renew
        ),
        st.integers(1, 3),
        st.sampled_from([-1, 30, 130, 3600, 3601]),
        st.booleans(),
    ),
    st.builds(lambda which: command("end_hold", id=bytes([which]) * 16), st.integers(1, 3)),
)


class Histories(RuleBasedStateMachine):
    """One catalog and one model, fed with the same."""

    def __init__(self) -> None:
        super().__init__()
        self.slice, longcontents.SLICE = longcontents.SLICE, Model.slice
        self.directory = Path(tempfile.mkdtemp(prefix="catalog-"))
        self.feeder = Feeder(self.directory / "main" / "catalog.db", wal_bytes=40_000)
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
            longcontents.SLICE = self.slice

    @initialize()
    def begin(self) -> None:
        """Make some directories."""
        made = [command("make_directory", path=path, owner="ada") for path in ("/a", "/a/b", "/b")]
        self.entry([self.by(each, None) for each in made], 0)

    @rule(
        asked=st.lists(
            st.tuples(operations, whoever, st.one_of(st.none(), st.none(), calls)), min_size=1, max_size=6
        ),
        again=st.integers(0, 3),
    )
    def entries(self, asked: list[tuple[commands.Command, Who, int | None]], again: int) -> None:
        """Apply one log entry of new operations, some for an admin, and some that were applied before."""
        self.entry([self.of(self.by(each, who), call) for each, who, call in asked], again)

    def of(self, built: commands.Command, call: int | None) -> commands.Command:
        """Return a command with the call of an admin's that has proposed it."""
        if call is None:
            return built
        audited = commands.Command()
        audited.CopyFrom(built)
        audited.audit.CopyFrom(commands.Audit(call=bytes([call]), caller="olga", method="admin.user_put"))
        return audited

    def by(self, built: commands.Command, who: Who) -> commands.Command:
        """Return a command with its actor: sessions are of the accounts that there are before the entry."""
        if built.WhichOneof("kind") not in NEEDS:
            return built
        if who is None:
            return by(built, Actor.system("test"))
        name, lag = who
        account = self.model.accounts.get(name)
        identity, opened = (account.identity, account.revision) if account is not None else (name, 1)
        return by(built, Actor.session(User(name, "", identity=identity, revision=max(0, opened - lag))))

    def entry(self, built: list[commands.Command], again: int) -> None:
        """Apply one log entry."""
        repeated = self.done[-again:] if again else []
        built = [self.resolved(each) for each in built]
        fresh = [self.feeder.operation(each) for each in built]
        results = self.feeder.apply(*(operation for operation, _ in repeated), *fresh)
        assert results[: len(repeated)] == [result for _, result in repeated]
        self.model.index = self.feeder.index
        for position, each in enumerate(built):
            operation, result = fresh[position], results[len(repeated) + position]
            self.model.time_ns = operation.time_ns
            self.model.position = len(repeated) + position
            expected = self.model.apply(each)
            assert commands.Status.Name(result.status) == expected, (each, result)
            assert result.index == self.feeder.index
            if expected == "OK":
                self.note(each, result)
            self.done.append((operation, result))

    def resolved(self, each: commands.Command) -> commands.Command:
        """Give a drawn handle or reservation the numbers of something that there is, or was, now and then."""
        if each.WhichOneof("kind") == "release_name" and each.release_name.reservation:
            held = [one.number for one in self.model.reservations() if one.node == each.release_name.node]
            each.release_name.reservation = held[0] if held else 999
        if each.WhichOneof("kind") == "empty_trash":
            account = self.model.accounts.get(each.empty_trash.owner)
            each.empty_trash.owner = account.identity if account is not None else "ada"
        if each.WhichOneof("kind") == "restore_trash":
            trash = [file for file in self.model.trash() if file.inode > 0]
            which = each.restore_trash.inode
            each.restore_trash.inode = trash[which % len(trash)].inode if trash else 999
        self.resolve_content(each)
        if each.WhichOneof("kind") != "put_file" or not each.put_file.HasField("handle"):
            return each
        handle, stale = each.put_file.handle, each.put_file.handle.version == 3
        files = sorted(self.model.files(), key=lambda file: file.inode)
        at = len(self.done)
        if not handle.new:
            file = files[at % len(files)] if files else None
            handle.inode, handle.version = (file.inode, file.version) if file is not None else (77, 1)
            handle.version += stale
            handle.inode += 1000 * (handle.name == "c")
            return each
        directories = sorted(self.model.directories(), key=lambda directory: directory.inode)
        directory = directories[at % len(directories)]
        handle.directory, handle.version = directory.inode + 1000 * stale, 0
        there, held_one = directory.entries.get(handle.name), directory.reserved.get(handle.name)
        if isinstance(there, File) and at % 3:
            handle.inode, handle.version = there.inode, there.version
        if held_one is not None and at % 4:
            handle.reservation = held_one.number
        return each

    def resolve_content(self, each: commands.Command) -> None:
        """Give a drawn content the number of what is staged, and a size that fits, now and then."""
        put = getattr(each, each.WhichOneof("kind") or "")
        which = getattr(put, "content", 0)
        if not which:
            return
        numbers = sorted(self.model.staged)
        if which not in numbers:
            put.content = numbers[which % len(numbers)] if numbers else 999 * (which % 2)
        staged = self.model.staged.get(put.content)
        if isinstance(put, commands.StageContent):
            if staged is not None and not put.offset:
                put.node, put.offset = staged.node, len(staged.seeds)
        elif put.content and not isinstance(put, commands.UnstageContent):
            if staged is not None and put.size % 10 == 0:
                put.size = staged.size
            del put.chunks[:]

    def note(self, each: commands.Command, result: commands.Result) -> None:
        """Give the model the numbers that it cannot know; those of a replaced file must stay."""
        kind = each.WhichOneof("kind")
        if kind in ("put_file", "copy_file") and result.inode:
            (file,) = [
                file for file in self.model.files() if file.version == self.model.index and not file.inode
            ] or [file for file in self.model.files() if file.inode == result.inode]
            assert file.inode in (0, result.inode)
            file.inode = result.inode
        elif kind == "stage_content" and not each.stage_content.content:
            self.model.staged[result.inode] = self.model.staged.pop(0)
        elif kind == "make_directory":
            parent, name = self.model.place(each.make_directory.path, "")
            parent.entries[name].inode = result.inode
        elif kind == "reserve_name":
            parent, name = self.model.place(each.reserve_name.path, "")
            assert parent.inode == result.inode
            parent.reserved[name].number = result.reservation

    @rule(which=st.integers(0, 3), name=owners, limit=st.sampled_from([1, 3, 2000]))
    def adopt(self, which: int, name: str, limit: int) -> None:
        """Hand what somebody without an account has left over, some names at a time."""
        orphans = [owner for owner, _ in self.feeder.catalog.orphans()]
        owner = orphans[which] if which < len(orphans) else "nobody"
        after, finished, status = 0, False, "OK"
        self.model.position = 0
        while not finished and status == "OK":
            if after:
                self.model.drop_orphans()  # each is an entry; the model has but the last one
            adopt = command("adopt_owner", owner=owner, name=name, after=after, limit=limit)
            result = self.feeder.one(adopt)
            after, finished, status = result.after, result.finished, commands.Status.Name(result.status)
        assert self.model.apply(adopt) == status
        assert owner not in [owner for owner, _ in self.feeder.catalog.orphans()] or status != "OK"

    @rule(
        path=st.sampled_from(["/a", "/a/b", "/b", "/c"]),
        files=st.integers(0, 3),
        size=st.sampled_from([0, 0, 20, 40]),
    )
    def retention(self, path: str, files: int, size: int) -> None:
        """Set or remove the bounds of a directory. Which rules are settled then is read, not foretold."""
        bound = bool(files or size)
        each = (
            command("put_retention", path=path, max_files=files, max_bytes=size)
            if bound
            else command("remove_retention", path=path)
        )
        result = self.feeder.one(each)
        try:
            *_, directory = self.model.found(path, "INVALID")
        except No:
            assert result.status == commands.NOT_FOUND
            return
        if isinstance(directory, File):
            assert result.status == commands.NOT_A_DIRECTORY
            return
        assert result.status == (commands.OK if bound or directory.bounds is not None else commands.NOT_FOUND)
        directory.bounds = Bounds(files, size) if bound else None
        settled = {
            one.directory: one.settled
            for one in self.feeder.catalog.ask(Retention, lambda table: table.rules())
            if one.live
        }
        for one in self.model.directories():
            if one.bounds is not None:
                one.bounds.settled = settled.pop(one.inode)
        assert not settled

    @rule()
    def retain(self) -> None:
        """Let the leader do what there is to do about retention."""

        async def propose(built: commands.Command) -> commands.Result:
            self.model.time_ns = NOW + self.feeder.index
            return accepted(self.feeder.one(built).SerializeToString())

        work = RetentionWork(catalog=self.feeder.catalog, leads=lambda: True, propose=propose)

        async def all_of_it() -> None:
            while await work.look():
                pass

        contents = self.model.contents()
        asyncio.run(all_of_it())
        for one in self.model.directories():
            if one.bounds is not None:
                before = {id(each): len(each.entries) for each in self.model.directories()}
                one.bounds.settled = True
                self.model.retain(one)
                for each in self.model.directories():
                    if len(each.entries) < before[id(each)]:
                        each.mtime_ns = 0  # in whichever entry it was
        self.model.leave(contents)
        self.model.forget()

    @invariant()
    def retention_agrees(self) -> None:
        """A settled rule knows what is beneath it."""
        by_inode = {one.inode: one for one in self.model.directories() if one.bounds is not None}
        for one in self.feeder.catalog.ask(Retention, lambda table: table.rules()):
            if not one.live:
                continue
            directory = by_inode.pop(one.directory)
            assert directory.bounds is not None
            assert directory.bounds.settled == one.settled
            if one.settled:
                files = self.model.beneath(directory)
                assert (one.files, one.bytes) == (len(files), sum(file.size for _, _, file in files))
        assert not by_inode

    @invariant()
    def trash_agrees(self) -> None:
        """What is in the trash is known there, the oldest first, and nothing in it is past the clock."""
        catalog = self.feeder.catalog
        now_ns = catalog.ask(Clock, lambda clock: clock.now_ns)
        assert now_ns == self.model.now_ns
        for owner in {file.owner for file in self.model.trash()}:
            found = catalog.ask(Trash, lambda table, owner=owner: table.of(owner))  # type: ignore[misc]
            assert [trashed.inode for trashed, _ in found] == [file.inode for file in self.model.trash(owner)]
            assert all(trashed.expires_ns > now_ns for trashed, _ in found)

    @rule(
        path=st.sampled_from(["/a/a", "/a/b/a", "/b/a"]),
        drawn=st.lists(st.builds(chunk, seeds, st.just(10), st.just((1, 2))), min_size=3, max_size=5),
        kind=st.sampled_from(["put_file", "put_file", "put_partial"]),
        ahead=st.booleans(),
        then=st.sampled_from(
            ["", "short", "short", "empty", "long", "remove", "rename", "copy", "copy", "over"]
        ),
    )
    def large(self, path: str, drawn: list[commands.Chunk], kind: str, ahead: bool, then: str) -> None:
        """Publish a content that is long, staged or not, and then perhaps something in its place."""
        fields = {"path": path, "owner": "ada", "since": self.feeder.index}
        whole = command(kind, size=10 * len(drawn), chunks=drawn, **fields)
        if ahead:
            staged = 0
            for offset in range(0, len(drawn), Model.slice):
                part = drawn[offset : offset + Model.slice]
                begun = {"node": "n2", "boot": 1, "content": staged, "offset": offset}
                stage = command("stage_content", chunks=part, since=self.feeder.index, **begun)
                self.entry([stage], 0)
                staged = staged or max(self.model.staged)
            whole = command(kind, size=10 * len(drawn), content=staged, **fields)
        instead = {
            "short": command("put_file", size=10, chunks=drawn[:1], **fields),
            "empty": command("put_file", **fields),
            "long": command("put_file", size=30, chunks=drawn[-3:], **fields),
            "remove": command("remove_file", path=path),
            "rename": command("rename", source="/b/a", target="/a/a"),
            "copy": command("copy_file", source=path, target="/b/b"),
            "over": command("copy_file", source="/b/b", target=path),
        }
        self.entry([self.by(each, None) for each in (whole, *([instead[then]] if then else []))], 0)

    @precondition(lambda self: not self.model.orphaned)
    @rule(limits=st.lists(st.integers(0, 3), min_size=1, max_size=8))
    def forget_contents(self, limits: list[int]) -> None:
        """Give up some chunks of what is left; which content comes first the model does not know."""
        for limit in limits:
            first = self.first_left()
            if first:
                self.model.leftovers.remove(first)
                self.model.leftovers.insert(0, first)
            forget = command("forget_contents", limit=limit)
            status = commands.Status.Name(self.feeder.one(forget).status)
            if first or not 0 < limit <= Model.slice:  # else the number of one went of which nothing was left
                assert status == self.model.apply(forget)

    def first_left(self) -> list[int]:
        """Return the seeds of the content that goes next."""
        database = sqlite3.connect(self.feeder.path)
        try:
            rows = database.execute(
                "SELECT digest FROM contents JOIN chunks ON id = chunk"
                " WHERE inode = (SELECT min(content) FROM leftovers) ORDER BY sequence"
            ).fetchall()
        finally:
            database.close()
        return [int.from_bytes(name, "big") for (name,) in rows]

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
            directory.mtime_ns = directory.mtime_ns or catalog.lookup(path or "/").mtime_ns
            assert catalog.lookup(path or "/").mtime_ns == directory.mtime_ns
            listed = {entry.name: entry for entry in catalog.listing(path or "/")}
            self.learn(directory, listed)
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

    @staticmethod
    def learn(directory: Directory, listed: dict[str, Entry]) -> None:
        """Give the model the numbers of what commands have made beside what they name."""
        for name, entry in directory.entries.items():
            if name in listed and entry.inode <= 0:
                entry.inode = listed[name].inode

    def file_agrees(self, path: str, file: File, entry: Entry) -> None:
        """One file is as the model has it."""
        expected = (Kind.FILE, file.inode, file.size, file.mtime_ns, file.owner, file.version)
        assert (entry.kind, entry.inode, entry.size, entry.mtime_ns, entry.owner, entry.version) == expected
        refs = self.feeder.catalog.file(path).chunks
        assert [ref.digest for ref in refs] == [digest(seed) for seed in file.seeds]
        for ref, seed in zip(refs, file.seeds, strict=True):
            assert set(ref.stores) == self.model.replicas[seed]

    @invariant()
    def audit_agrees(self) -> None:
        """Every call that was done has one record of that, with its entry, and so has each other outcome."""
        found = self.feeder.catalog.ask(AuditLog, lambda audit: audit.after(0, 1_000))
        assert {each.number: (each.call, each.code, each.entry) for each in found} == self.model.audit.records

    @invariant()
    def staged_agree(self) -> None:
        """What is staged is what the model has."""
        found = self.feeder.catalog.staged()
        assert {(one.content, one.node, one.boot, one.chunks, one.size) for one in found} == {
            (number, one.node, one.boot, len(one.seeds), one.size) for number, one in self.model.staged.items()
        }
        assert self.feeder.catalog.leftovers >= len(self.model.leftovers)

    @invariant()
    def reservations_agree(self) -> None:
        """Names that are taken are those of the model."""
        expected = {
            (directory.inode, name, held.number, held.owner, held.node, held.boot, held.renewed)
            for directory in self.model.directories()
            for name, held in directory.reserved.items()
        }
        found = self.feeder.catalog.reservations()
        assert expected == {
            (one.place.parent, one.place.name, one.number, one.owner, one.node, one.boot, one.renewed)
            for one in found
        }

    @invariant()
    def counters_agree(self) -> None:
        """What is counted along the way is what a count gives."""
        catalog, model = self.feeder.catalog, self.model
        files = model.files()
        assert catalog.totals() == (len(files), sum(file.size for file in files))
        for owner in OWNERS:
            user, account = catalog.user(owner), model.accounts.get(owner)
            for identity in (owner, "", account.identity if account is not None else "nobody"):
                assert catalog.usage(identity) == model.usage(identity)
            assert (user is None) == (account is None)
            if user is not None and account is not None:
                assert (user.home, dict(user.rules)) == (account.home, account.rules)
                assert (user.owner, user.sessions_since) == (account.identity, account.since)
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
            names = [digest(seed) for seed in range(8)]
            elsewhere = [name for name in unlisted if int.from_bytes(name, "big") in self.model.replicas]
            found = asyncio.run(self.feeder.catalog.find_unlisted(names, store))
            assert tuple(map(sorted, found)) == (unlisted, elsewhere)
