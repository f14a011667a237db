"""The catalog's rules over plain Python objects: slow, obvious, and independent of raftstore.metadata.

It has the rules of level 3 but for persons, what accounts may do included; raftstore.rights is not asked either.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from audit_model import AuditModel

from raftstore.paths import free_name
from raftstore.wire import commands_pb2 as commands

STEP = 120 * 10**9
DISPLACED = 64


@dataclass
class Content:
    """Chunk seeds of a file or a partial upload."""

    owner: str
    seeds: tuple[int, ...]
    size: int
    tick: int = field(default=0, kw_only=True)
    shared: object = field(default_factory=object, kw_only=True, compare=False)
    """The same of a file and its copies: their chunks are referred to once."""


@dataclass
class File(Content):
    """A published file."""

    inode: int = 0
    version: int = 0
    mtime_ns: int = 0
    trashed: Trashed | None = None


@dataclass
class Trashed:
    """That a file is in the trash: the how-manieth that came there, and by when in cluster time it counts and goes."""

    number: int
    stamp_ns: int
    expires_ns: int


@dataclass
class Bounds:
    """What a directory keeps; `settled`: the leader has looked through it since a directory came or went."""

    files: int
    bytes: int
    settled: bool = False


@dataclass
class Reserved:
    """A name that is taken for a file that is still to be published."""

    owner: str
    node: str
    boot: int
    renewed: int
    number: int = 0


@dataclass
class Ahead:
    """What a node has staged of a file."""

    node: str
    boot: int
    seeds: tuple[int, ...] = ()
    size: int = 0


@dataclass
class Directory:
    """A directory with its entries, and partial uploads by name and owner."""

    entries: dict[str, Directory | File] = field(default_factory=dict)
    partials: dict[tuple[str, str], Content] = field(default_factory=dict)
    mtime_ns: int = 0
    inode: int = 0
    reserved: dict[str, Reserved] = field(default_factory=dict)
    owner: str = ""
    number: int = 0
    bounds: Bounds | None = None


@dataclass
class Account:
    """An account: its quotas, the directories that it names, and who it is."""

    name: str
    quota_bytes: int
    quota_files: int
    disabled: bool
    home: str
    rights: str
    rules: dict[str, str]
    identity: str = ""
    since: int = 0
    revision: int = 0
    trash_ns: int = 0

    def letters(self, path: str) -> str:
        """Return what it may do at `path`."""
        if self.trash_ns and beneath(path, f"/people/@trash/{self.name}"):
            return "elrdf"
        if not beneath(path, self.home):
            return ""
        if reserved(path):
            return next((self.rules[rule] for rule in ways(path) if reserved(rule) and rule in self.rules), "")
        fitting = [rule for rule in self.rules if beneath(path, rule)]
        return self.rules[max(fitting, key=len)] if fitting and "A" not in self.rights else self.rights

    def ruled(self) -> bool:
        """Whether its rules count."""
        return bool(self.rules) and "A" not in self.rights

    def leads(self, path: str, *, itself: bool = False) -> bool:
        """Whether a rule gives rights beneath `path`."""
        return (
            self.ruled()
            and beneath(path, self.home)
            and any(
                rights and beneath(rule, path) and (itself or rule != path)
                for rule, rights in self.rules.items()
            )
        )

    def lists(self, path: str) -> bool:
        """Whether it is shown what is at `path`, and may list it."""
        if "l" not in self.letters(path) and not self.leads(path):
            return False
        if path == self.home or not self.ruled():
            return True
        parent = path.rpartition("/")[0] or "/"
        if "l" in self.letters(parent):
            return bool(self.letters(path)) or self.leads(path)
        return self.leads(path, itself=True)

    def sees(self, path: str, entry: Directory | File) -> bool:
        """Whether it is to know of what is at `path`."""
        letters = self.letters(path)
        if isinstance(entry, Directory):
            return self.lists(path) or "e" in letters or self.leads(path)
        own = entry.owner == self.identity and bool(set("To") & set(letters))
        return self.lists(path) or "r" in letters or own


class No(Exception):
    """Refused with the status of that name."""


def beneath(path: str, directory: str) -> bool:
    """Whether `path` is `directory`, or in it."""
    return directory == "/" or f"{path}/".startswith(f"{directory}/")


def reserved(path: str) -> bool:
    """Whether nobody has rights there but by a rule for it."""
    return beneath(path, "/people")


def ways(path: str) -> list[str]:
    """Return a path, and all directories on the way up to the root."""
    names = path.split("/")[1:]
    return ["/" + "/".join(names[:count]) for count in range(len(names), 0, -1)] + ["/"]


def base36(number: int) -> str:
    """Return a number in 36 digits."""
    return (base36(number // 36) if number >= 36 else "") + "0123456789abcdefghijklmnopqrstuvwxyz"[number % 36]


@dataclass
class Model:
    """The state that the commands applied so far make."""

    root: Directory = field(default_factory=lambda: Directory(inode=1))
    orphaned: list[Directory] = field(default_factory=list)
    made: int = 0
    staged: dict[int, Ahead] = field(default_factory=dict)
    leftovers: list[list[int]] = field(default_factory=list)
    slice: int = 2
    """Chunks of a content that goes at once; a longer one is left."""
    accounts: dict[str, Account] = field(default_factory=dict)
    audit: AuditModel = field(default_factory=AuditModel)
    replicas: dict[int, set[int]] = field(default_factory=dict)
    swept: dict[int, int] = field(default_factory=dict)
    holds: dict[bytes, list[int]] = field(default_factory=dict)
    index: int = 0
    time_ns: int = 0
    tick: int = 0
    length: int = 10
    now_ns: int = 0
    """Cluster time."""
    came: int = 0
    """How many have come to the trash."""
    position: int = 0
    """Of the operation in its entry."""
    actor: Account | None = None
    """Whose command it is; None: the system's."""

    def apply(self, command: commands.Command) -> str:
        """Apply one command at the current index and time; return the name of its status."""
        kind = command.WhichOneof("kind")
        assert kind is not None
        self.drop_orphans()
        before = self.contents()
        try:
            self.actor = self.acting(kind, command)
            getattr(self, kind)(getattr(command, kind))
        except No as refusal:
            self.leave(before)
            return str(refusal)
        if command.HasField("audit"):
            self.audit.note(command.audit.call, "", self.index)
        self.leave(before)
        self.forget()
        return "OK"

    def record_audit(self, command: commands.RecordAudit) -> None:
        """Note what became of a call."""
        self.audit.note(command.audit.call, command.code, self.index)

    def trim_audit(self, command: commands.TrimAudit) -> None:
        """Forget the oldest."""
        self.audit.trim(command.up_to)

    def leave(self, before: list[Content]) -> None:
        """Long contents that were there before and are no more wait to be given up."""
        here = {id(content.shared) for content in self.contents()}
        gone = {id(content.shared): content for content in before if id(content.shared) not in here}
        self.leftovers += [list(content.seeds) for content in gone.values() if len(content.seeds) > self.slice]

    # Who may do what.

    def acting(self, kind: str, command: commands.Command) -> Account | None:
        """Return whose command it is; refuse when it may do nothing more, or does not say."""
        if kind not in NEEDS:
            return None
        actor = command.actor
        if actor.system:
            return None
        if not actor.account:
            raise No("INVALID")
        account = self.accounts.get(actor.account.partition("/")[0])
        if account is None or account.identity != actor.account or account.disabled:
            raise No("DENIED")
        if account.since > actor.opened:
            raise No("DENIED")
        return account

    def need(self, path: str, letter: str, own: str = "") -> str:
        """Refuse unless the actor has a right; return whose files it is for ("": anybody's). `own`: for its own."""
        if self.actor is None:
            return ""
        letters = self.actor.letters(path)
        if letter in letters:
            return ""
        if own and own in letters:
            return self.actor.identity
        raise No("DENIED")

    def has(self, path: str, letter: str) -> bool:
        """Whether the actor has a right."""
        return self.actor is None or letter in self.actor.letters(path)

    def replaces(self, path: str, old: Directory | File | None, letter: str, command_exclusive: bool) -> None:
        """Refuse to replace a file that the actor may not; `letter` is the right to do it to anybody's."""
        if old is None:
            return
        if command_exclusive:
            raise No("EXISTS")
        if self.actor is not None and not self.has(path, letter):
            if not self.has(path, "o"):
                raise No("EXISTS")
            self.owned(old, self.actor.identity)

    def touched(self, path: str, entry: Directory | File, owner: str) -> None:
        """Refuse to touch what the actor is not to know of, when it may touch its own files alone."""
        if owner and self.actor is not None and not self.actor.sees(path, entry):
            raise No("NOT_FOUND")

    def shifts(self, path: str) -> None:
        """Refuse to move or remove what others' homes and rules are for, or a rule that takes rights from the actor."""
        actor = self.actor
        if actor is None or "A" in actor.rights:
            return
        for account in self.accounts.values():
            named = {account.home, *account.rules} - {"/"}
            for place in named:
                if beneath(place, path) and (account is not actor or self.restricts(actor, place)):
                    raise No("DENIED")

    @staticmethod
    def restricts(account: Account, rule: str) -> bool:
        """Whether the account would have more rights without this rule."""
        if rule not in account.rules:
            return False
        others = {path: rights for path, rights in account.rules.items() if path != rule}
        fitting = [path for path in others if beneath(rule, path)]
        outer = others[max(fitting, key=len)] if fitting else account.rights
        return bool(set(outer) - set(account.rules[rule]))

    def same(self, one: str, other: str) -> bool:
        """Whether the same rule counts at both paths, and all that is beneath."""
        actor = self.actor
        if actor is None or not actor.ruled():
            return True
        if any(beneath(rule, path) for rule in actor.rules for path in (one, other)):
            return False
        fitting = [
            max((r for r in actor.rules if beneath(path, r)), key=len, default="") for path in (one, other)
        ]
        return fitting[0] == fitting[1]

    def whose(self, owner: str) -> str:
        """Return who owns what is put."""
        return owner if self.actor is None else self.actor.identity

    def forget(self) -> None:
        """Forget what nothing refers to any more, with all that was known of its copies."""
        self.replicas = {seed: self.replicas[seed] for seed in self.references()}

    def drop_orphans(self) -> None:
        """Drop a few of the partial uploads in a directory that was removed, the oldest directory first."""
        if self.orphaned and not self.position:
            oldest = min(self.orphaned, key=lambda directory: directory.number)
            some = sorted(oldest.partials)[:4]
            before = self.contents()
            for key in some:
                del oldest.partials[key]
            if len(some) < 4:
                self.orphaned.remove(oldest)
            self.leave(before)
            self.forget()

    # Places.

    def place(self, path: str, at_root: str) -> tuple[Directory, str]:
        """Return the directory and the name that `path` means."""
        if path == "/":
            raise No(at_root)
        names = path[1:].split("/")
        if not path.startswith("/") or any(name in ("", ".", "..") for name in names):
            raise No("BAD_NAME")
        directory = self.root
        for name in names[:-1]:
            found = directory.entries.get(name)
            if found is None:
                raise No("NO_PARENT")
            if isinstance(found, File):
                seen = self.actor is None or self.actor.lists(path)
                raise No("NOT_A_DIRECTORY" if seen else "NO_PARENT")
            directory = found
        return directory, names[-1]

    def found(self, path: str, at_root: str) -> tuple[Directory, str, Directory | File]:
        """Return where `path` is, and what it is."""
        try:
            directory, name = self.place(path, at_root)
        except No as refusal:
            raise No("NOT_FOUND" if str(refusal) == "NO_PARENT" else str(refusal)) from None
        if name not in directory.entries:
            raise No("NOT_FOUND")
        return directory, name, directory.entries[name]

    def directories(self) -> list[Directory]:
        """Return every directory."""
        found, waiting = [], [self.root]
        while waiting:
            directory = waiting.pop()
            found.append(directory)
            waiting.extend(entry for entry in directory.entries.values() if isinstance(entry, Directory))
        return found

    def contents(self) -> list[Content]:
        """Return every file and partial upload."""
        found = [content for directory in self.orphaned for content in directory.partials.values()]
        for directory in self.directories():
            found.extend(directory.partials.values())
            found.extend(entry for entry in directory.entries.values() if isinstance(entry, File))
        return found

    def files(self) -> list[File]:
        """Return every published file."""
        return [content for content in self.contents() if isinstance(content, File)]

    def usage(self, owner: str) -> tuple[int, int]:
        """Return how many files and directories an owner has, and the bytes of the files."""
        sizes = [file.size for file in self.files() if file.owner == owner]
        made = [one for one in self.directories() if one.owner == owner and one is not self.root]
        return len(sizes) + len(made), sum(sizes)

    def account(self, owner: str) -> Account | None:
        """Return the account that an owner is, if it is one."""
        return next((account for account in self.accounts.values() if account.identity == owner), None)

    def quota(self, owner: str) -> tuple[int, int]:
        """Return how many files, and bytes in them, an owner may have."""
        account = self.account(owner)
        bounds = (account.quota_files, account.quota_bytes) if account is not None else (0, 0)
        return bounds[0] or 10**9, bounds[1] or 10**9

    @staticmethod
    def owned(entry: Directory | File, owner: str) -> None:
        """Refuse unless it is a file of `owner`, if there is one."""
        if owner and (isinstance(entry, Directory) or entry.owner != owner):
            raise No("DENIED")

    def references(self) -> Counter[int]:
        """Count how often each chunk is referred to."""
        shared = {id(content.shared): content.seeds for content in self.contents()}
        staged = [one.seeds for one in self.staged.values()]
        return Counter(seed for seeds in [*shared.values(), *staged, *self.leftovers] for seed in seeds)

    # Commands.

    def make_directory(self, command: commands.MakeDirectory) -> None:
        """See proto/commands.proto, as for all commands."""
        home = self.actor is not None and command.home and beneath(self.actor.home, command.path)
        if not home:
            self.need(command.path, "m")
        parent, name = self.place(command.path, "EXISTS")
        if name in parent.entries:
            raise No("EXISTS")
        if name in parent.reserved:
            raise No("EXISTS")
        self.not_apart(command.path)
        owner = "" if command.home else self.whose(command.owner)
        self.empty(self.displaced(owner, 1, 0))
        self.made += 1
        parent.entries[name] = Directory(mtime_ns=self.time_ns, owner=owner, number=self.made)
        parent.mtime_ns = self.time_ns

    def remove_directory(self, command: commands.RemoveDirectory) -> None:
        """Remove an empty directory."""
        self.not_home(command.path)
        self.need(command.path, "d")
        self.shifts(command.path)
        parent, name, entry = self.found(command.path, "INVALID")
        if isinstance(entry, File):
            raise No("NOT_A_DIRECTORY")
        if entry.entries or entry.reserved:
            raise No("NOT_EMPTY")
        del parent.entries[name]
        if entry.partials:
            self.orphaned.append(entry)
        parent.mtime_ns = self.time_ns

    def proven(self, stores: list[int], since: int) -> set[int]:
        """Return those of `stores` that were not swept after log index `since`."""
        return {store for store in stores if self.swept.get(store, 0) <= since}

    def seeds(self, command: commands.PutFile | commands.PutPartial) -> tuple[int, ...]:
        """Check chunks; return their seeds."""
        if command.content:
            return self.ahead(command)
        chunks = list(command.chunks)
        if sum(chunk.length for chunk in chunks) != command.size:
            raise No("INVALID")
        for digest in dict.fromkeys(chunk.digest for chunk in chunks):
            named = [store for chunk in chunks if chunk.digest == digest for store in chunk.stores]
            known = self.replicas.get(int.from_bytes(digest, "big"))
            if not known and not self.proven(named, command.since):
                raise No("CHANGED")
        return tuple(int.from_bytes(chunk.digest, "big") for chunk in chunks)

    def ahead(self, command: commands.PutFile | commands.PutPartial) -> tuple[int, ...]:
        """Check what was staged; return its seeds."""
        staged = self.staged.get(command.content)
        if staged is None:
            raise No("CHANGED")
        if staged.size != command.size:
            raise No("INVALID")
        if not all(self.replicas[seed] for seed in staged.seeds):
            raise No("CHANGED")
        return staged.seeds

    def stage_content(self, command: commands.StageContent) -> None:
        """Take some chunks; the number of a new content is noted afterwards."""
        staged = Ahead(command.node, command.boot)
        if command.content:
            staged = self.staged.get(command.content, staged)
            if command.content not in self.staged:
                raise No("CHANGED")
        if (staged.node, staged.boot, len(staged.seeds)) != (command.node, command.boot, command.offset):
            raise No("CHANGED")
        if not 0 < len(command.chunks) <= self.slice:
            raise No("INVALID")
        size = sum(chunk.length for chunk in command.chunks)
        put = commands.PutPartial(chunks=command.chunks, size=size, since=command.since)
        seeds = self.seeds(put)
        self.learn(put)
        staged.seeds += seeds
        staged.size += size
        self.staged[command.content] = staged

    def unstage_content(self, command: commands.UnstageContent) -> None:
        """Leave what was staged."""
        staged = self.staged.get(command.content)
        if staged is not None and (staged.node, staged.boot) == (command.node, command.boot):
            self.leftovers.append(list(self.staged.pop(command.content).seeds))

    def forget_contents(self, command: commands.ForgetContents) -> None:
        """Give up the first chunks of the content that comes first: whoever asks has put it there."""
        if not 0 < command.limit <= self.slice:
            raise No("INVALID")
        if self.leftovers:
            del self.leftovers[0][: command.limit]
            self.leftovers = [left for left in self.leftovers if left]

    def learn(self, command: commands.PutFile | commands.PutPartial) -> None:
        """Note on which stores chunks are."""
        for chunk in command.chunks:
            proven = self.proven(list(chunk.stores), command.since)
            self.replicas.setdefault(int.from_bytes(chunk.digest, "big"), set()).update(proven)

    def copy_file(self, command: commands.CopyFile) -> None:
        """Publish what is another file's, too."""
        self.need(command.source, "r")
        self.need(command.target, "w")
        *_, source = self.found(command.source, "IS_A_DIRECTORY")
        if isinstance(source, Directory):
            raise No("IS_A_DIRECTORY")
        if command.source == command.target:
            raise No("DENIED")
        self.put_file(
            commands.PutFile(
                path=command.target,
                size=source.size,
                mtime_ns=command.mtime_ns,
                exclusive=command.exclusive,
            ),
            source,
        )

    def put_file(self, command: commands.PutFile, copied: File | None = None) -> None:
        """Publish."""
        anew = False
        path = self.path_of(command.handle) if command.HasField("handle") else ""
        path = path or command.path
        if not (command.append and self.has(path, "a")):
            self.need(path, "w")
        owner = self.whose(command.owner)
        if command.HasField("handle"):
            found = self.opened(command.handle)
            if found is None:
                if command.content in self.staged:
                    self.leftovers.append(list(self.staged.pop(command.content).seeds))
                return
            parent, name, anew = found
        else:
            parent, name = self.place(command.path, "IS_A_DIRECTORY")
        if anew:
            self.unchanged(parent.entries.get(name), command.handle)
        old = parent.entries.get(name)
        if isinstance(old, Directory):
            raise No("IS_A_DIRECTORY")
        letter = "a" if command.append else "d"
        self.replaces(command.path, old, letter, command.exclusive)
        if self.actor is None and old is not None and command.own_only:
            self.owned(old, command.owner)
        if command.append and old is not None and not command.base_inode:
            raise No("CHANGED")
        base = (command.base_inode, command.base_version)
        if base != (0, 0) and (old is None or base != (old.inode, old.version)):
            raise No("CHANGED")
        if command.HasField("handle"):
            self.unchanged(old, command.handle)
        elif name in parent.reserved:
            raise No("EXISTS")
        self.not_apart(path if command.HasField("handle") else command.path)
        account = self.account(owner)
        if command.of_account and (account is None or account.disabled):
            raise No("DENIED")
        seeds = copied.seeds if copied is not None else self.seeds(command)
        shared = copied.shared if copied is not None and seeds else object()
        own = old is not None and old.owner == owner
        where = path if command.HasField("handle") else command.path
        kept = old is not None and self.keeps(where, old)
        growth = (0, command.size - old.size) if old is not None and own else (1, command.size)
        if own and kept:
            try:
                gone = self.displaced(owner, 1, command.size)
            except No:
                kept, gone = False, self.displaced(owner, *growth)
        else:
            gone = self.displaced(owner, *growth)
        self.empty(gone)
        inode = old.inode if old is not None and not anew else 0
        if kept and old is not None:
            self.keep(name, old)
        parent.entries[name] = File(
            owner,
            seeds,
            command.size,
            inode=inode,
            version=self.index,
            mtime_ns=command.mtime_ns or self.time_ns,
            shared=shared,
        )
        self.learn(command)
        self.staged.pop(command.content, None)
        parent.reserved.pop(name, None)
        parent.partials.pop((name, owner), None)
        parent.mtime_ns = self.time_ns
        self.shed(where, parent.entries[name])

    @staticmethod
    def unchanged(old: Directory | File | None, handle: commands.Handle) -> None:
        """Refuse unless there is what the handle was opened on."""
        there = (old.inode, old.version) if isinstance(old, File) else (0, 0)
        if isinstance(old, Directory) or there != (handle.inode, handle.version):
            raise No("CHANGED")

    def path_of(self, handle: commands.Handle) -> str:
        """Return where a handle's file is, or will be, by now; "" for nowhere."""
        waiting = [("", self.root)]
        while waiting:
            path, directory = waiting.pop()
            if handle.new and directory.inode == handle.directory:
                return f"{path}/{handle.name}"
            for name, entry in directory.entries.items():
                if isinstance(entry, Directory):
                    waiting.append((f"{path}/{name}", entry))
                elif not handle.new and entry.inode == handle.inode:
                    return f"{path}/{name}"
        return ""

    def opened(self, handle: commands.Handle) -> tuple[Directory, str, bool] | None:
        """Return where a handle's file is to be published, and whether as another inode; None: nowhere."""
        for directory in self.directories():
            for name, entry in directory.entries.items():
                if not handle.new and isinstance(entry, File) and entry.inode == handle.inode:
                    return directory, name, False
            if handle.new and directory.inode == handle.directory:
                held = directory.reserved.get(handle.name)
                if handle.reservation and (held is None or held.number != handle.reservation):
                    raise No("CHANGED")
                if held is not None and not handle.reservation:
                    raise No("EXISTS")
                return directory, handle.name, True
        if handle.new:
            raise No("NO_PARENT")
        return None

    def reserve_name(self, command: commands.ReserveName) -> None:
        """Take a name."""
        self.need(command.path, "w")
        parent, name = self.place(command.path, "IS_A_DIRECTORY")
        if name in parent.entries:
            raise No("EXISTS")
        boots = [held.boot for held in self.reservations() if held.node == command.node]
        if boots and command.boot < max(boots):
            raise No("STALE")
        if name in parent.reserved:
            raise No("EXISTS")
        parent.reserved[name] = Reserved(self.whose(""), command.node, command.boot, self.index)

    def reservations(self) -> list[Reserved]:
        """Return all that are held."""
        return [held for directory in self.directories() for held in directory.reserved.values()]

    def renew_names(self, command: commands.RenewNames) -> None:
        """Note that they are needed."""
        held = [one for one in self.reservations() if one.node == command.node]
        if any(command.boot < one.boot for one in held):
            raise No("STALE")
        for one in held:
            one.renewed = self.index

    def release_name(self, command: commands.ReleaseName) -> None:
        """End one, or all that were not renewed."""
        ours = [one for one in self.reservations() if (one.node, one.boot) == (command.node, command.boot)]
        if command.reservation:
            ours = [one for one in ours if one.number == command.reservation]
        elif any(one.renewed > command.renewed for one in ours):
            raise No("CHANGED")
        for directory in self.directories():
            directory.reserved = {name: one for name, one in directory.reserved.items() if one not in ours}

    def remove_file(self, command: commands.RemoveFile) -> None:
        """Remove a file."""
        only_of = self.need(command.path, "d", "o") or (command.only_of if self.actor is None else "")
        parent, name, entry = self.found(command.path, "IS_A_DIRECTORY")
        self.touched(command.path, entry, only_of)
        if isinstance(entry, Directory):
            raise No("IS_A_DIRECTORY")
        self.owned(entry, only_of)
        if self.keeps(command.path, entry):
            self.keep(name, entry)
        del parent.entries[name]
        parent.mtime_ns = self.time_ns

    def rename(self, command: commands.Rename) -> None:
        """Move."""
        self.not_home(command.source)
        source_of = self.need(command.source, "f", "o") or (command.source_of if self.actor is None else "")
        if not self.same(command.source, command.target):
            self.need(command.source, "r")
            self.need(command.source, "d")
        self.not_home(command.target)
        if not self.has(command.target, "w"):
            self.need(command.target, "m")
        self.shifts(command.source)
        source, name, entry = self.found(command.source, "INVALID")
        self.touched(command.source, entry, source_of)
        if command.source == command.target:
            return
        if isinstance(entry, Directory) and command.target.startswith(command.source + "/"):
            raise No("CYCLE")
        self.owned(entry, source_of)
        if isinstance(entry, Directory):
            self.shifts(command.target)
        elif not self.has(command.target, "w"):
            raise No("DENIED")
        target, new = self.place(command.target, "EXISTS")
        if new in target.entries:
            both = (entry, target.entries[new])
            if any(isinstance(one, Directory) for one in both) or (isinstance(entry, File) and entry.trashed):
                raise No("EXISTS")
            # To replace needs the right to store beside that to delete, or one's own.
            letter = "d" if self.has(command.target, "w") else "-"
            self.replaces(command.target, target.entries[new], letter, command.exclusive)
            if self.actor is None:
                self.owned(target.entries[new], command.target_of)
        elif new in target.reserved:
            raise No("EXISTS")
        self.not_apart(command.target)
        if isinstance(entry, Directory) or not entry.trashed:
            self.not_apart(command.source)
        if isinstance(entry, Directory):
            self.unsettle(command.source.rpartition("/")[0], command.target.rpartition("/")[0])
        if new in target.entries and self.keeps(command.target, target.entries[new]):
            self.keep(new, target.entries[new])
        del source.entries[name]
        target.entries[new] = entry
        if isinstance(entry, File):
            entry.trashed = None
            target.partials.pop((new, entry.owner), None)
        else:
            self.follow(command.source, command.target)
        source.mtime_ns = target.mtime_ns = self.time_ns

    @staticmethod
    def not_apart(path: str) -> None:
        """Refuse what nobody does in the areas of /people: what is in the trash is removed, or moved out of it."""
        if path.startswith("/people/@"):
            raise No("DENIED")

    def follow(self, source: str, target: str) -> None:
        """Homes and rules go with a directory; a rule that comes takes the place of one that is there."""

        def moved(path: str) -> str | None:
            return target + path[len(source) :] if f"{path}/".startswith(f"{source}/") else None

        for account in self.accounts.values():
            before = account.home
            account.home = moved(account.home) or account.home
            if before != account.home:
                account.since = self.index
            if before != account.home or any(moved(path) is not None for path in account.rules):
                account.revision = self.index
            stay = {path: rights for path, rights in account.rules.items() if moved(path) is None}
            come = {moved(path): rights for path, rights in account.rules.items() if moved(path) is not None}
            account.rules = stay | {str(path): rights for path, rights in come.items()}

    def set_times(self, command: commands.SetTimes) -> None:
        """Set the time of a file or directory."""
        only_of = self.need(command.path, "T", "o") or (command.only_of if self.actor is None else "")
        entry = self.root if command.path == "/" else self.found(command.path, "INVALID")[2]
        if command.path != "/":
            self.touched(command.path, entry, only_of)
            self.owned(entry, only_of)
        entry.mtime_ns = command.mtime_ns

    # Cluster time, trash, retention.

    def advance_clock(self, command: commands.AdvanceClock) -> None:
        """Remove what expires; what came while time stood still counts from now. The model does all of it at once."""
        until = command.time_ns
        if until <= 0:
            raise No("INVALID")
        if until <= self.now_ns:
            return
        if until - self.now_ns > STEP:
            for file in self.trash():
                trashed = file.trashed
                assert trashed is not None
                if self.now_ns <= trashed.stamp_ns <= self.now_ns + STEP:
                    trashed.expires_ns += until - trashed.stamp_ns
                    trashed.stamp_ns = until
            for held in self.holds.values():
                if self.now_ns <= held[0] <= self.now_ns + STEP:
                    held[0] = until
        self.empty([file for file in self.trash() if file.trashed and file.trashed.expires_ns <= until])
        self.now_ns = until

    def trash(self, owner: str | None = None) -> list[File]:
        """Return what is in the trash (of an owner), the oldest first."""
        found = [
            (file.trashed.number, file)
            for file in self.files()
            if file.trashed is not None and owner in (None, file.owner)
        ]
        return [file for _, file in sorted(found, key=lambda each: each[0])]

    def empty(self, gone: list[File]) -> None:
        """Remove files for good."""
        for directory in self.directories():
            before = len(directory.entries)
            directory.entries = {
                name: entry
                for name, entry in directory.entries.items()
                if not any(entry is file for file in gone)
            }
            if len(directory.entries) < before:
                directory.mtime_ns = self.time_ns

    def keeps(self, path: str, entry: Directory | File) -> bool:
        """Whether a file that goes is kept in the trash."""
        account = self.account(entry.owner)
        return bool(
            isinstance(entry, File)
            and entry.size
            and account is not None
            and account.trash_ns
            and not path.startswith("/people/@")
        )

    def keep(self, name: str, old: Directory | File) -> None:
        """Put a version into its owner's trash."""
        assert isinstance(old, File)
        account = self.account(old.owner)
        assert account is not None
        directory = self.root
        for step in ("people", "@trash", account.name):
            if step not in directory.entries:
                self.made += 1
                directory.entries[step] = Directory(mtime_ns=self.time_ns, number=self.made)
                directory.mtime_ns = self.time_ns
            found = directory.entries[step]
            assert isinstance(found, Directory)
            directory = found
        stamp = min(max(self.time_ns, self.now_ns), self.now_ns + STEP)
        self.came += 1
        kept = old  # the same content, under another number
        kept.inode = -self.came
        kept.trashed = Trashed(self.came, stamp, stamp + account.trash_ns)
        directory.entries[free_name(name, directory.entries.__contains__)] = kept
        directory.mtime_ns = self.time_ns

    def displaced(self, owner: str, files: int, size: int) -> list[File]:
        """Return what of the trash must go for so much more; refuse when that is not enough."""
        (have, held), (most, largest) = self.usage(owner), self.quota(owner)
        files = max(0, have + files - most) if files > 0 else 0
        size = max(0, held + size - largest) if size > 0 else 0
        gone: list[File] = []
        for file in self.trash(owner)[:DISPLACED]:
            if len(gone) >= files and sum(each.size for each in gone) >= size:
                break
            gone.append(file)
        if len(gone) < files or sum(each.size for each in gone) < size:
            raise No("QUOTA")
        return gone

    def empty_trash(self, command: commands.EmptyTrash) -> None:
        """Empty it, the oldest first."""
        if self.actor is not None and self.actor.identity != command.owner:
            raise No("DENIED")
        if not command.owner:
            raise No("INVALID")
        self.empty(self.trash(command.owner)[: command.limit])

    def restore_trash(self, command: commands.RestoreTrash) -> None:
        """Put something back."""
        self.need(command.to, "w")
        found = next((file for file in self.trash() if file.inode == command.inode), None)
        if found is None or (self.actor is not None and found.owner != self.actor.identity):
            raise No("NOT_FOUND")
        names = command.to.split("/")[1:]
        if command.to.startswith("/people/@") or (command.beside and command.replace):
            raise No("INVALID")
        if not command.to.startswith("/") or "" in names[:-1]:
            raise No("BAD_NAME")
        if command.to == "/":
            raise No("IS_A_DIRECTORY")
        parent = self.way(names[:-1])
        self.replaced(command, parent, names[-1])
        new = names[-1]
        if command.beside:
            new = free_name(new, lambda name: name in parent.entries or name in parent.reserved)
            self.need(command.to.rpartition("/")[0] + "/" + new, "w")
        for directory in self.directories():
            for name, entry in list(directory.entries.items()):
                if entry is found:
                    del directory.entries[name]
                    directory.mtime_ns = self.time_ns
        parent.entries[new] = found
        found.trashed = None
        parent.partials.pop((new, found.owner), None)
        parent.mtime_ns = self.time_ns

    def way(self, names: list[str]) -> Directory:
        """Return the directory at the end of a way, of which what is missing is made."""
        directory, path = self.root, ""
        for place, name in enumerate(names):
            found = directory.entries.get(name)
            if isinstance(found, File):
                raise No("NOT_A_DIRECTORY")
            if found is None:
                self.make_way(directory, path, names[place:])
                return self.way(names)
            directory, path = found, f"{path}/{name}"
        return directory

    def make_way(self, directory: Directory, path: str, missing: list[str]) -> None:
        """Make directories for who restores something."""
        for count in range(1, len(missing) + 1):
            self.need(f"{path}/{'/'.join(missing[:count])}", "m")
        if missing[0] in directory.reserved:
            raise No("EXISTS")
        owner = self.whose("")
        if self.usage(owner)[0] + len(missing) > self.quota(owner)[0]:
            raise No("QUOTA")
        for name in missing:
            self.made += 1
            made = Directory(mtime_ns=self.time_ns, owner=owner, number=self.made)
            directory.entries[name], directory.mtime_ns = made, self.time_ns
            directory = made

    def replaced(self, command: commands.RestoreTrash, parent: Directory, name: str) -> None:
        """Make place for what is restored, or refuse."""
        if command.beside:
            return
        if name in parent.reserved:
            raise No("EXISTS")
        there = parent.entries.get(name)
        if there is None:
            return
        if isinstance(there, Directory) or not command.replace:
            raise No("EXISTS")
        self.replaces(command.to, there, "d", command_exclusive=False)
        if self.keeps(command.to, there):
            self.keep(name, there)
        del parent.entries[name]

    def over(self, path: str) -> Directory | None:
        """Return the directory whose bounds count for what is in the directory `path`: the nearest."""
        directory, found = self.root, None
        for name in path.split("/")[1:] if path not in ("", "/") else []:
            entry = directory.entries[name]
            assert isinstance(entry, Directory)
            directory = entry
            if directory.bounds is not None:
                found = directory
        return found

    def beneath(self, directory: Directory) -> list[tuple[Directory, str, File]]:
        """Return the files for which the bounds of a directory count, the oldest first."""
        found, waiting = [], [directory]
        while waiting:
            one = waiting.pop()
            for name, entry in one.entries.items():
                if isinstance(entry, File):
                    found.append((one, name, entry))
                elif entry.bounds is None:
                    waiting.append(entry)
        return sorted(found, key=lambda each: (each[2].version, each[2].inode or 10**9))

    def shed(self, path: str, newest: Directory | File) -> None:
        """After an upload: remove the oldest."""
        over = self.over(path.rpartition("/")[0])
        if over is not None and over.bounds is not None and over.bounds.settled:
            self.retain(over, newest)

    def retain(self, directory: Directory, newest: Directory | File | None = None) -> None:
        """Remove the oldest while there are too many, but not `newest`."""
        bounds = directory.bounds
        assert bounds is not None
        while True:
            files = self.beneath(directory)
            size = sum(file.size for _, _, file in files)
            if not (0 < bounds.files < len(files) or 0 < bounds.bytes < size) or files[0][2] is newest:
                return
            parent, name, _ = files[0]
            del parent.entries[name]
            parent.mtime_ns = self.time_ns

    def unsettle(self, source: str, target: str) -> None:
        """A directory goes from one directory to another."""
        before, after = self.over(source), self.over(target)
        if before is not after:
            for directory in (before, after):
                if directory is not None and directory.bounds is not None:
                    directory.bounds.settled = False

    def goes_on(self, path: str) -> bool:
        """Whether the actor may go on with an upload."""
        return self.actor is None or bool(set("wao") & set(self.actor.letters(path)))

    def not_home(self, path: str) -> None:
        """Refuse to the actor to move, replace or remove its own home."""
        if self.actor is not None and path == self.actor.home:
            raise No("DENIED")

    def put_partial(self, command: commands.PutPartial) -> None:
        """Keep a partial upload."""
        if not self.goes_on(command.path):
            raise No("DENIED")
        owner = self.whose(command.owner)
        parent, name = self.place(command.path, "IS_A_DIRECTORY")
        if isinstance(parent.entries.get(name), Directory):
            raise No("IS_A_DIRECTORY")
        seeds = self.seeds(command)
        old = parent.partials.get((name, owner))
        begun = [c for c in self.contents() if not isinstance(c, File) and c.owner == owner and c is not old]
        growth = command.size - (old.size if old else 0)
        most, largest = self.quota(owner)
        if growth > 0 and sum(content.size for content in begun) + command.size > largest:
            raise No("QUOTA")
        if old is None and len(begun) >= most:
            raise No("QUOTA")
        self.learn(command)
        self.staged.pop(command.content, None)
        parent.partials[name, owner] = Content(owner, seeds, command.size, tick=self.tick)

    def expire_partials(self, command: commands.ExpirePartials) -> None:
        """Count on, and drop what is old; not for more than one command takes."""
        if command.tick not in (self.tick, self.tick + 1):
            raise No("CHANGED")
        if not command.keep:
            raise No("INVALID")
        self.tick = command.tick
        waiting = [self.root]
        while waiting:
            directory = waiting.pop()
            waiting += [entry for entry in directory.entries.values() if isinstance(entry, Directory)]
            for key, content in list(directory.partials.items()):
                if content.tick + command.keep <= self.tick:
                    del directory.partials[key]

    def drop_partial(self, command: commands.DropPartial) -> None:
        """Drop a partial upload."""
        if not self.goes_on(command.path):
            self.need(command.path, "d", "o")
        owner = self.whose(command.owner)
        parent, name = self.place(command.path, "IS_A_DIRECTORY")
        if parent.partials.pop((name, owner), None) is None:
            raise No("NOT_FOUND")

    def put_user(self, command: commands.PutUser) -> None:
        """Make or change an account."""
        user = command.user
        self.check_trash(user)
        if command.create and user.name in self.accounts:
            raise No("EXISTS")
        if command.update and user.name not in self.accounts:
            raise No("NOT_FOUND")
        rules = {rule.path: rule.rights for rule in user.rules}
        before = self.accounts.get(user.name)
        made = Account(
            user.name, user.quota_bytes, user.quota_files, user.disabled, user.home, user.rights, rules
        )
        made.revision = self.index
        made.trash_ns = user.trash_ns
        if before is None:
            number = base36(self.index) + (f".{base36(self.position)}" if self.position else "")
            made.identity, made.since = f"{user.name}/{number}", self.index
        else:
            made.identity, made.since = before.identity, before.since
            if before.home != made.home or (made.disabled and not before.disabled):
                made.since = self.index
        self.accounts[user.name] = made

    def check_trash(self, user: commands.User) -> None:
        """Who gets trash does not find there what an earlier account of its name has left."""
        before = self.accounts.get(user.name)
        if not user.trash_ns or (before is not None and before.trash_ns):
            return
        found: Directory | File | None = self.root
        for step in ("people", "@trash", user.name):
            found = found.entries.get(step) if isinstance(found, Directory) else None
        owner = before.identity if before is not None else ""
        if isinstance(found, Directory) and any(each.owner != owner for each in found.entries.values()):
            raise No("EXISTS")

    def remove_user(self, command: commands.RemoveUser) -> None:
        """Remove an account."""
        if self.accounts.pop(command.name, None) is None:
            raise No("NOT_FOUND")

    def change_replicas(self, command: commands.ChangeReplicas) -> None:
        """Add and remove stores of known chunks."""
        for change in command.added:
            if not self.proven([change.store], change.since):
                continue
            self.replicas.get(int.from_bytes(change.digest, "big"), set()).add(change.store)
        for change in command.removed:
            self.replicas.get(int.from_bytes(change.digest, "big"), set()).discard(change.store)

    def begin_sweep(self, command: commands.BeginSweep) -> None:
        """Note that a store removes what is not referred to."""
        if command.store not in (1, 2, 3):
            raise No("INVALID")
        if any(stamp + lease > self.now_ns for stamp, lease in self.holds.values()):
            raise No("CHANGED")
        self.holds.clear()
        self.swept[command.store] = self.index

    def hold_chunks(self, command: commands.HoldChunks) -> None:
        """Keep stores from removing."""
        if len(command.id) != 16 or not 0 < command.lease_ns <= 3600 * 10**9:
            raise No("INVALID")
        if command.id not in self.holds and command.renew:
            raise No("NOT_FOUND")
        stamp = min(max(self.time_ns, self.now_ns), self.now_ns + STEP)
        self.holds[command.id] = [stamp, command.lease_ns]

    def end_hold(self, command: commands.EndHold) -> None:
        """Let go."""
        self.holds.pop(command.id, None)

    def adopt_owner(self, command: commands.AdoptOwner) -> None:
        """Hand everything of an owner without an account over; the model does so at once."""
        account = self.accounts.get(command.name)
        if account is None:
            raise No("NOT_FOUND")
        if self.account(command.owner) is not None:
            raise No("INVALID")
        waiting = [self.root]
        while waiting:
            directory = waiting.pop()
            for name, owner in list(directory.partials):
                if owner == command.owner:
                    given = directory.partials.pop((name, owner))
                    given.owner = account.identity
                    directory.partials.setdefault((name, account.identity), given)
            for entry in directory.entries.values():
                if isinstance(entry, Directory):
                    waiting.append(entry)
                if entry.owner == command.owner:
                    entry.owner = account.identity


NEEDS = frozenset(
    {
        *("make_directory", "remove_directory", "put_file", "remove_file", "rename", "set_times"),
        *("put_partial", "drop_partial", "restore_trash", "empty_trash", "copy_file"),
    }
)
"""Commands that say whose they are."""
