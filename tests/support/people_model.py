"""What persons send to each other, over plain Python objects: slow, obvious, and independent of raftstore.metadata."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

DAY = 24 * 3600 * 10**9


class No(Exception):
    """Refused with the status of that name."""


@dataclass(eq=False)
class Sent:
    """A record: what was sent to whom, and in which state it is for each recipient."""

    sender: str
    path: str
    seeds: tuple[int, ...]
    at: int
    expires: int
    states: dict[str, str] = field(default_factory=dict)


@dataclass(eq=False)
class Content:
    """Some chunks, referred to once, however many files have them."""

    seeds: tuple[int, ...]


@dataclass(eq=False)
class File:
    """A file in a home, an inbox, or among what somebody sends; `record` when it was delivered."""

    content: Content
    record: Sent | None = None
    changed: int = 0
    inode: int = 0

    @property
    def seeds(self) -> tuple[int, ...]:
        """Its chunks."""
        return self.content.seeds


@dataclass
class People:
    """Persons, what each sends (by `TO/name`), has in its inbox and at home; `now` is cluster time."""

    names: tuple[str, ...]
    now: int
    sends: dict[str, dict[str, File]] = field(init=False)
    inboxes: dict[str, list[File]] = field(init=False)
    homes: dict[str, dict[str, File]] = field(init=False)
    blocks: set[tuple[str, str]] = field(default_factory=set)
    disabled: set[str] = field(default_factory=set)
    group: tuple[str, ...] = ()
    limit: int = 5
    """Files that an inbox takes from one sender."""
    ended: list[Sent] = field(default_factory=list)
    replaced: list[Sent] = field(default_factory=list)
    """Those of `ended` that gave way to something else under their names."""
    events: list[tuple[str, str, str, int]] = field(default_factory=list)
    """Kind, actor, subject ("": several), in how many inboxes. Those of one command about several are in any order."""

    def __post_init__(self) -> None:
        self.sends = {name: {} for name in self.names}
        self.inboxes = {name: [] for name in self.names}
        self.homes = {name: {} for name in self.names}

    def takes(self, name: str, sender: str) -> bool:
        """Whether somebody takes something from a sender."""
        if name not in self.names or name in self.disabled or name == sender or (name, sender) in self.blocks:
            return False
        there = [
            file for file in self.inboxes[name] if file.record is not None and file.record.sender == sender
        ]
        return len(there) < self.limit

    def asked(self, sender: str, to: str) -> list[str]:
        """Return who is meant."""
        if to == sender:
            raise No("DENIED")
        if to != "group":
            return [to]
        return [name for name in self.group if name != sender] if sender in self.group else []

    def put(self, sender: str, to: str, name: str, content: Content, *, draft: bool, lasts: int) -> list[File]:
        """Put something to somebody; return what is new in inboxes."""
        path, seeds = f"{to}/{name}", content.seeds
        old = self.sends[sender].get(path)
        if old is not None and old.record is not None and (not seeds or self.repeats(old, seeds)):
            return self.deliver_also(sender, to, old) if seeds else []
        if draft or not seeds:
            self.give_way(sender, path)
            self.sends[sender][path] = File(content, changed=self.now)
            return []
        return self.deliver(sender, to, path, content, lasts)

    def repeats(self, old: File, seeds: tuple[int, ...]) -> bool:
        """Whether it is sent again."""
        assert old.record is not None
        return old.seeds == seeds and self.now - old.record.at <= DAY

    def deliver_also(self, sender: str, to: str, old: File) -> list[File]:
        """It is sent again: put it into the inboxes of those that are meant by now and have it not."""
        assert old.record is not None
        states = old.record.states
        missing = [name for name in self.asked(sender, to) if states.get(name, "REFUSED") == "REFUSED"]
        return self.into_inboxes(old.content, old.record, sender, missing)

    def into_inboxes(self, content: Content, record: Sent, sender: str, asked: list[str]) -> list[File]:
        """Deliver it to those who take it."""
        made = []
        new = [name for name in asked if name not in record.states or self.takes(name, sender)]
        for name in asked:
            takes = self.takes(name, sender)
            record.states[name] = "DELIVERED" if takes else "REFUSED"
            if takes:
                made.append(File(content, record))
                self.inboxes[name].append(made[-1])
        if made:
            self.events.append(("DELIVERED", sender, new[0] if len(new) == 1 else "", len(made)))
        return made

    def deliver(self, sender: str, to: str, path: str, content: Content, lasts: int) -> list[File]:
        """Put it into inboxes: all have one content."""
        for record in reversed(self.replaced):
            if (
                (record.sender, record.path, record.seeds) == (sender, path, content.seeds)
                and self.now - record.at <= DAY
                and not 0 < record.expires <= self.now
                and any(state in ("DELIVERED", "OPENED", "KEPT") for state in record.states.values())
            ):
                return self.revive(sender, to, path, content, record)
        asked = self.asked(sender, to)
        takers = [name for name in asked if self.takes(name, sender)]
        if not takers:
            raise No("NOT_FOUND")
        self.give_way(sender, path)
        record = Sent(sender, path, content.seeds, self.now, self.now + lasts if lasts else 0)
        self.sends[sender][path] = File(content, record)
        return self.into_inboxes(content, record, sender, asked)

    def revive(self, sender: str, to: str, path: str, content: Content, record: Sent) -> list[File]:
        """The same is put again under a name that something else has by now: it is the delivery that was made."""
        self.give_way(sender, path)
        self.replaced.remove(record)
        self.ended.remove(record)
        self.sends[sender][path] = File(content, record)
        return self.deliver_also(sender, to, self.sends[sender][path])

    def give_way(self, sender: str, path: str) -> None:
        """The sender's entry goes for another of its name."""
        gone = self.sends[sender].get(path)
        if gone is not None and gone.record is not None:
            self.replaced.append(gone.record)
        self.clear(sender, path)

    def clear(self, sender: str, path: str) -> None:
        """The sender's entry goes."""
        gone = self.sends[sender].pop(path, None)
        if gone is not None and gone.record is not None:
            self.ended.append(gone.record)

    def remove(self, sender: str, path: str) -> None:
        """Recall it from who has not opened it."""
        found = self.sends[sender].get(path)
        if found is None:
            raise No("NOT_FOUND")
        if found.record is not None:
            for name in self.names:
                for file in list(self.inboxes[name]):
                    if file.record is found.record and found.record.states[name] == "DELIVERED":
                        self.inboxes[name].remove(file)
                        found.record.states[name] = "RECALLED"
                        self.events.append(("RECALLED", sender, name, 1))
        self.clear(sender, path)

    def rename(self, sender: str, to: str, old: str, new: str, *, draft: bool) -> list[File]:
        """Rename a draft; return what is new in inboxes."""
        source, target = f"{to}/{old}", f"{to}/{new}"
        moved = self.sends[sender].get(source)
        if moved is None:
            raise No("NOT_FOUND")
        if source == target:
            return []
        if moved.record is not None:
            raise No("DENIED")
        there = self.sends[sender].get(target)
        if draft or not moved.seeds:
            if there is not None and there.record is not None:
                raise No("DENIED")
            self.sends[sender][target] = File(moved.content, changed=self.now)
            del self.sends[sender][source]
            return []
        if there is None or there.record is None or not self.repeats(there, moved.seeds):
            made = self.deliver(sender, to, target, moved.content, 0)
        else:
            made = self.deliver_also(sender, to, there)
        del self.sends[sender][source]
        return made

    def take_out(self, name: str, file: File, state: str = "") -> None:
        """A file leaves an inbox."""
        self.inboxes[name].remove(file)
        if state and file.record is not None and file.record.states[name] != state:
            file.record.states[name] = state
            pair = (name, file.record.sender) if state == "KEPT" else (file.record.sender, name)
            self.events.append((state, *pair, 1))

    def keep_copied(self, name: str, file: File) -> None:
        """Somebody has a copy of a file in its inbox, which stays there."""
        assert file.record is not None
        if file.record.states[name] != "KEPT":
            file.record.states[name] = "KEPT"
            self.events.append(("KEPT", name, file.record.sender, 1))

    def open(self, name: str, file: File) -> None:
        """It is read."""
        assert file.record is not None
        if file.record.states[name] == "DELIVERED":
            file.record.states[name] = "OPENED"
            self.events.append(("OPENED", name, file.record.sender, 1))

    def advance(self, by: int) -> None:
        """Let time go on."""
        self.now += by
        records = {id(file.record): file.record for name in self.names for file in self.sends[name].values()}
        records |= {id(file.record): file.record for name in self.names for file in self.inboxes[name]}
        for record in records.values():
            if record is None or not record.expires or record.expires > self.now:
                continue
            for name in self.names:
                for file in [file for file in self.inboxes[name] if file.record is record]:
                    self.take_out(name, file, "" if record.states[name] == "KEPT" else "EXPIRED")
            held = self.sends[record.sender].get(record.path)
            if held is not None and held.record is record:
                self.clear(record.sender, record.path)
        for name in self.names:
            for path, file in list(self.sends[name].items()):
                if file.record is None and file.changed + DAY <= self.now:
                    del self.sends[name][path]

    def references(self) -> dict[int, tuple[int, int]]:
        """Count how often each chunk is referred to, and how many files begin with it."""
        held = [
            file
            for name in self.names
            for file in (*self.sends[name].values(), *self.inboxes[name], *self.homes[name].values())
        ]
        heads = Counter(file.seeds[0] for file in held if file.seeds)
        refs = Counter(seed for content in {file.content for file in held} for seed in content.seeds)
        return {seed: (count, heads[seed]) for seed, count in refs.items()}
