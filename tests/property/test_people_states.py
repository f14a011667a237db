"""Random histories of persons who send to each other against a plain model, through retries, restarts and snapshots."""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from pathlib import Path

from catalogs import Feeder, by, command, put
from examples import examples
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from people import HOUR, advance, files, past, person, sent, session, states
from people_model import Content, File, No, People

from raftstore.metadata.tables.cluster.clock import Clock
from raftstore.metadata.tables.events.events import Events, Noted
from raftstore.metadata.tables.people.persons import Persons
from raftstore.rights import Actor
from raftstore.types import Usage, owner_name
from raftstore.wire import commands_pb2 as commands

PERSONS = ("anna", "bob", "carl")
NAMES = ("a.jpg", "a.jpg", "b.jpg", "a.jpg.part")
SEEDS: tuple[tuple[int, ...], ...] = ((), (1,), (1,), (1,), (2,), (2, 1), (3, 3))
ALONE = ("DELIVERED", "OPENED", "KEPT")
"""Events of which a command here causes no more than one."""
SENDERS = ("anna", "anna", "anna", "bob", "carl")
"""Mostly one, so that much happens between two of them."""


class Sendings(RuleBasedStateMachine):
    """One catalog and one model, fed with the same."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="people-"))
        self.feeder = Feeder(self.directory / "main" / "catalog.db")
        self.model = People(PERSONS, 0)
        self.last: list[tuple[commands.Operation, commands.Result]] = []
        self.copies = self.kept = 0
        self.put: tuple[str, str, str, tuple[int, ...], int] | None = None

    def teardown(self) -> None:
        """Feed a second catalog with the whole log: it must be equal."""
        try:
            self.feeder.check_replay(self.directory / "replayed" / "catalog.db")
        finally:
            self.feeder.catalog.close()
            shutil.rmtree(self.directory)

    @initialize()
    def begin(self) -> None:
        """Make the persons, and all directories to send to."""
        advance(self.feeder, 1000 * HOUR)
        self.model.now = self.feeder.catalog.ask(Clock, lambda clock: clock.now_ns)
        for name in PERSONS:
            person(self.feeder, name, sender_files=self.model.limit)
        for name in PERSONS:
            for to in (*PERSONS, "group"):
                if to != name:
                    self.feeder.one(self.group(PERSONS))
                    made = command("make_directory", path=sent(session(self.feeder, name), to))
                    assert self.feeder.status(by(made, session(self.feeder, name))) == "OK"
        self.model.group = PERSONS

    @staticmethod
    def group(members: tuple[str, ...]) -> commands.Command:
        """Return the command that makes the group."""
        return command("put_group", group=commands.Group(name="group", members=members))

    def apply(self, built: commands.Command, expected: str, actor: Actor | None = None) -> commands.Result:
        """Apply one command, and some that were applied before: these are answered as they were."""
        operation = self.feeder.operation(by(built, actor) if actor is not None else built)
        *again, result = self.feeder.apply(*(operation for operation, _ in self.last[-2:]), operation)
        assert again == [result for _, result in self.last[-2:]]
        assert commands.Status.Name(result.status) == expected, (built, result)
        self.last.append((operation, result))
        return result

    def session(self, name: str) -> Actor:
        """Return a session of somebody."""
        return session(self.feeder, name)

    def delivered(self, made: list[File], result: commands.Result) -> None:
        """Learn the numbers of what has come: in each inbox one file more."""
        assert result.accepted == len(made)
        for name in PERSONS:
            new = [file for file in made if any(file is each for each in self.model.inboxes[name])]
            known = {file.inode for file in self.model.inboxes[name]}
            found = {inode: path for inode, path in self.inbox(name).items() if inode not in known}
            assert len(found) == len(new)
            for file, inode in zip(new, found, strict=True):
                file.inode = inode

    def inbox(self, name: str) -> dict[int, str]:
        """Return what is in an inbox: path by inode."""
        top = f"/people/@inbox/{name}"
        return {
            self.feeder.catalog.lookup(f"{top}/{way}").inode: f"{top}/{way}" for way in files(self.feeder, top)
        }

    @rule(seeds=st.lists(st.integers(0, 2**32), min_size=4, max_size=16))
    def some(self, seeds: list[int]) -> None:
        """Do some things; each number says which, and with what."""
        for seed in seeds:
            self.act(random.Random(seed))

    def act(self, chance: random.Random) -> None:
        """Do something."""
        who, other = chance.choice(SENDERS), chance.choice(PERSONS)
        to = chance.choice(["bob", "bob", "anna", "carl", "group", "group", "group", "nobody"])
        kind = chance.choices(
            (
                *("put", "again", "replace", "return", "rename", "recall", "receive", "send"),
                *("block", "group", "disable", "time"),
            ),
            (24, 8, 6, 8, 8, 8, 24, 10, 4, 3, 3, 6),
        )[0]
        match kind:
            case "put":
                self.puts(who, to, chance.choice(NAMES), chance.choice(SEEDS), chance.choice([0, HOUR]))
            case "again":
                self.puts_again()
            case "replace":
                self.replaces(who, chance.randrange(4), chance.choice(SEEDS))
            case "return":
                self.puts_what_gave_way(chance.randrange(4))
            case "rename":
                there = [path for path in self.model.sends[who] if path.endswith(".part")] or [f"{to}/none"]
                to, name = chance.choice(there).split("/")
                self.renames(who, to, name, chance.choice(NAMES))
            case "recall":
                self.recalls(who, chance.randrange(4))
            case "receive":
                how = chance.choice(["open", "open", "keep", "copy", "remove"])
                self.receives(chance.choice(PERSONS), chance.randrange(4), how)
            case "send":
                asked = other, chance.randrange(3), chance.choice([*PERSONS, "group"])
                self.sends_what_is_there(*asked, by_copy=chance.random() < 0.5)
            case "block":
                self.blocks(other, chance.choice(PERSONS), chance.random() < 0.7)
            case "group":
                self.regroups({name for name in PERSONS if chance.random() < 0.8} or {"bob"})
            case "disable":
                self.disables(other, chance.random() < 0.3)
            case "time":
                self.time_passes(chance.choice([1, 1, 7, 25]), chance.choice([1, 256]))

    def puts(self, who: str, to: str, name: str, what: tuple[int, ...], lasts: int) -> None:
        """Put something to somebody; a blocked or disabled account is refused by itself."""
        self.put = who, to, name, what, lasts
        draft, made, expected = name.endswith(".part"), [], "OK"
        try:
            if who in self.model.disabled:
                raise No("DENIED")
            if to in (who, "nobody"):
                raise No("NO_PARENT")
            made = self.model.put(who, to, name, Content(what), draft=draft, lasts=lasts)
        except No as refusal:
            expected = str(refusal)
        actor = self.session(who)
        built = put(sent(actor, f"{to}/{name}"), *what, draft=draft, expires_ns=lasts)
        self.delivered(made, self.apply(built, expected, actor))

    def puts_again(self) -> None:
        """Put the same again, as who has not heard that it has arrived."""
        if self.put is not None:
            self.puts(*self.put)

    def replaces(self, who: str, which: int, what: tuple[int, ...]) -> None:
        """Put something in the place of what was sent."""
        there = sorted(path for path, file in self.model.sends[who].items() if file.record is not None)
        if there:
            to, name = there[which % len(there)].split("/")
            self.puts(who, to, name, what, 0)

    def puts_what_gave_way(self, which: int) -> None:
        """Put once more what something else has taken the place of."""
        known = self.model.replaced[-4:]
        if known:
            record = known[which % len(known)]
            to, name = record.path.split("/")
            self.puts(record.sender, to, name, record.seeds, 0)

    def renames(self, who: str, to: str, old: str, new: str) -> None:
        """Rename what is sent."""
        made, expected = [], "OK"
        try:
            if who in self.model.disabled:
                raise No("DENIED")
            made = self.model.rename(who, to, old, new, draft=new.endswith(".part"))
        except No as refusal:
            expected = str(refusal)
        actor = self.session(who)
        built = command("rename", source=sent(actor, f"{to}/{old}"), target=sent(actor, f"{to}/{new}"))
        built.rename.draft = new.endswith(".part")
        self.delivered(made, self.apply(built, expected, actor))

    def recalls(self, who: str, which: int) -> None:
        """Remove what was sent, or what was not."""
        there = [*sorted(self.model.sends[who]), "bob/none"]
        to, name = there[which % len(there)].split("/")
        expected, actor = "OK", self.session(who)
        try:
            if who in self.model.disabled:
                raise No("DENIED")
            self.model.remove(who, f"{to}/{name}")
        except No as refusal:
            expected = str(refusal)
        self.apply(command("remove_file", path=sent(actor, f"{to}/{name}")), expected, actor)

    def receives(self, who: str, which: int, how: str) -> None:
        """Do something with what is in an inbox."""
        there = sorted(self.inbox(who).items())
        if not there or who in self.model.disabled:
            return
        inode, path = there[which % len(there)]
        (file,) = [file for file in self.model.inboxes[who] if file.inode == inode]
        actor = self.session(who)
        if how == "open":
            self.model.open(who, file)
            self.apply(command("mark_opened", inodes=[inode]), "OK")
        elif how == "keep":
            self.kept += 1
            self.model.take_out(who, file, "KEPT")
            self.model.homes[who][f"kept{self.kept}"] = file
            self.apply(command("rename", source=path, target=f"/people/{who}/kept{self.kept}"), "OK", actor)
        elif how == "copy":
            self.kept += 1
            self.model.homes[who][f"kept{self.kept}"] = File(file.content)
            self.model.keep_copied(who, file)
            self.apply(command("copy_file", source=path, target=f"/people/{who}/kept{self.kept}"), "OK", actor)
        else:
            self.model.take_out(who, file)
            self.apply(command("remove_file", path=path), "OK", actor)

    def sends_what_is_there(self, who: str, which: int, to: str, *, by_copy: bool) -> None:
        """Send a file of the home, or copy it there."""
        there = sorted(self.model.homes[who].items())
        if which >= len(there):
            return
        name, file = there[which]
        made, expected, actor = [], "OK", self.session(who)
        try:
            if who in self.model.disabled:
                raise No("DENIED")
            if to == who:
                raise No("NO_PARENT" if by_copy else "DENIED")
            made = self.model.put(who, to, name, file.content, draft=False, lasts=0)
        except No as refusal:
            expected = str(refusal)
        built = command("send_file", path=f"/people/{who}/{name}", to=to)
        if by_copy:
            target = sent(actor, f"{to}/{name}")
            built = command("copy_file", source=f"/people/{who}/{name}", target=target)
        self.delivered(made, self.apply(built, expected, actor))

    def blocks(self, who: str, name: str, off: bool) -> None:
        """Block somebody, or take from them again."""
        expected = "DENIED" if who in self.model.disabled else "INVALID" if who == name else "OK"
        if expected == "OK":
            (self.model.blocks.discard if off else self.model.blocks.add)((who, name))
        self.apply(command("block", person=who, name=name, off=off), expected, self.session(who))

    def regroups(self, members: set[str]) -> None:
        """Change the group."""
        self.model.group = tuple(sorted(members))
        self.apply(by(self.group(self.model.group), Actor.system("test")), "OK")

    def disables(self, who: str, disabled: bool) -> None:
        """Disable an account, or enable it."""
        (self.model.disabled.add if disabled else self.model.disabled.discard)(who)
        person(self.feeder, who, sender_files=self.model.limit, disabled=disabled)

    def time_passes(self, hours: int, limit: int) -> None:
        """Let cluster time go on."""
        self.model.advance(hours * HOUR)
        advance(self.feeder, hours * HOUR, limit)

    @rule()
    def restart(self) -> None:
        """Close and open."""
        self.feeder.reopen()

    @rule()
    def snapshot(self) -> None:
        """Go on with another catalog that took a snapshot of this one."""
        self.copies += 1
        source = self.directory / f"snapshot{self.copies}"
        self.feeder.catalog.write_snapshot(source)
        self.feeder.catalog.close()
        self.feeder.path = self.directory / f"copy{self.copies}" / "catalog.db"
        self.feeder.reopen()
        assert self.feeder.catalog.install_snapshot(source) == self.feeder.index

    @invariant()
    def all_agrees(self) -> None:
        """Everybody has and sees what the model says, and what is referred to is there."""
        catalog, model = self.feeder.catalog, self.model
        for name in PERSONS:
            found = self.inbox(name)
            assert sorted(found) == sorted(file.inode for file in model.inboxes[name])
            for file in model.inboxes[name]:
                assert self.content(found[file.inode]) == file.seeds
            listed = files(self.feeder, f"/people/@sent/{name}")
            assert listed == sorted(model.sends[name])
            for path, file in model.sends[name].items():
                assert self.content(f"/people/@sent/{name}/{path}") == file.seeds
            records = [file.record for file in model.sends[name].values() if file.record is not None]
            assert states(self.feeder, name) == sorted(
                each for record in records for each in record.states.items()
            )
            ended = [record for record in model.ended if record.sender == name]
            assert past(self.feeder, name) == sorted(
                (record.path, state) for record in ended for state in record.states.values()
            )
            self.counts_agree(name)
        self.events_agree()
        database = sqlite3.connect(self.feeder.path)
        try:
            rows = database.execute("SELECT digest, refs, heads FROM chunks").fetchall()
        finally:
            database.close()
        found = {int.from_bytes(name, "big"): (refs, heads) for name, refs, heads in rows}
        assert found == model.references()
        assert catalog.totals()[0] == sum(
            len(held[name]) for name in PERSONS for held in (model.sends, model.inboxes, model.homes)
        )

    def events_agree(self) -> None:
        """What has happened stands there once, numbered without a gap, and in the order of the log."""
        noted = self.feeder.catalog.ask(Events, lambda events: events.after(0, 1_000_000))
        assert [each.number for each in noted] == list(range(1, len(noted) + 1))
        assert [each.entry for each in noted] == sorted(each.entry for each in noted)
        assert sorted(self.event(each) for each in noted) == sorted(self.model.events)
        found = [event for event in map(self.event, noted) if event[0] in ALONE]
        assert found == [event for event in self.model.events if event[0] in ALONE]

    def event(self, noted: Noted) -> tuple[str, str, str, int]:
        """Return an event as the model has it."""
        return noted.kind.name, self.name_of(noted.actor), self.name_of(noted.subject), noted.files

    def name_of(self, number: int) -> str:
        """Return the name of a person by its number, "" for 0."""
        return (
            owner_name(self.feeder.catalog.ask(Persons, lambda persons: persons.identity(number)))
            if number
            else ""
        )

    def content(self, path: str) -> tuple[int, ...]:
        """Return the chunks of a file."""
        return tuple(int.from_bytes(ref.digest, "big") for ref in self.feeder.catalog.file(path).chunks)

    def counts_agree(self, name: str) -> None:
        """What is counted for a person is what it has."""
        user = self.feeder.catalog.user(name)
        if user is None:
            return
        own = [*self.model.sends[name].values(), *self.model.homes[name].values()]
        assert self.feeder.catalog.usage(user.owner) == Usage(
            len(own), sum(10 * len(file.seeds) for file in own)
        )
        came = self.model.inboxes[name]
        assert self.feeder.catalog.usage(f"{user.owner}/@inbox").bytes == sum(
            10 * len(file.seeds) for file in came
        )


TestSendings = Sendings.TestCase
TestSendings.settings = examples(25, steps=12)
