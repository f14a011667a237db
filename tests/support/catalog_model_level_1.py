"""The catalog's rules at level 1, as `catalog_model` of 35711ca had them: what old logs mean must never change."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from raftstore.wire import commands_pb2 as commands


@dataclass
class Content:
    """Chunk seeds of a file or a partial upload."""

    owner: str
    seeds: tuple[int, ...]
    size: int


@dataclass
class File(Content):
    """A published file."""

    inode: int = 0
    version: int = 0
    mtime_ns: int = 0


@dataclass
class Directory:
    """A directory with its entries, and partial uploads by name and owner."""

    entries: dict[str, Directory | File] = field(default_factory=dict)
    partials: dict[tuple[str, str], Content] = field(default_factory=dict)
    mtime_ns: int = 0


@dataclass
class Account:
    """An account: its quotas, and the directories that it names."""

    quota_bytes: int
    quota_files: int
    disabled: bool
    home: str
    rules: dict[str, str]


class No(Exception):
    """Refused with the status of that name."""


@dataclass
class Model:
    """The state that the commands applied so far make."""

    root: Directory = field(default_factory=Directory)
    accounts: dict[str, Account] = field(default_factory=dict)
    replicas: dict[int, set[int]] = field(default_factory=dict)
    swept: dict[int, int] = field(default_factory=dict)
    index: int = 0
    time_ns: int = 0
    length: int = 10

    def apply(self, command: commands.Command) -> str:
        """Apply one command at the current index and time; return the name of its status."""
        kind = command.WhichOneof("kind")
        assert kind is not None
        try:
            getattr(self, kind)(getattr(command, kind))
        except No as refusal:
            return str(refusal)
        # What nothing refers to any more is forgotten, with all that was known of its copies.
        self.replicas = {seed: self.replicas[seed] for seed in self.references()}
        return "OK"

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
                raise No("NOT_A_DIRECTORY")
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

    def contents(self) -> list[Content]:
        """Return every file and partial upload."""
        found: list[Content] = []
        waiting = [self.root]
        while waiting:
            directory = waiting.pop()
            found.extend(directory.partials.values())
            for entry in directory.entries.values():
                if isinstance(entry, File):
                    found.append(entry)
                else:
                    waiting.append(entry)
        return found

    def files(self) -> list[File]:
        """Return every published file."""
        return [content for content in self.contents() if isinstance(content, File)]

    def usage(self, owner: str) -> tuple[int, int]:
        """Return how many files an owner has, and their bytes."""
        sizes = [file.size for file in self.files() if file.owner == owner]
        return len(sizes), sum(sizes)

    def quota(self, owner: str) -> tuple[int, int]:
        """Return how many files, and bytes in them, an owner may have."""
        account = self.accounts.get(owner)
        bounds = (account.quota_files, account.quota_bytes) if account is not None else (0, 0)
        return bounds[0] or 10**9, bounds[1] or 10**9

    @staticmethod
    def owned(entry: Directory | File, owner: str) -> None:
        """Refuse unless it is a file of `owner`, if there is one."""
        if owner and (isinstance(entry, Directory) or entry.owner != owner):
            raise No("DENIED")

    def references(self) -> Counter[int]:
        """Count how often each chunk is referred to."""
        return Counter(seed for content in self.contents() for seed in content.seeds)

    # Commands.

    def make_directory(self, command: commands.MakeDirectory) -> None:
        """See proto/commands.proto, as for all commands."""
        parent, name = self.place(command.path, "EXISTS")
        if name in parent.entries:
            raise No("EXISTS")
        parent.entries[name] = Directory(mtime_ns=self.time_ns)
        parent.mtime_ns = self.time_ns

    def remove_directory(self, command: commands.RemoveDirectory) -> None:
        """Remove an empty directory."""
        parent, name, entry = self.found(command.path, "INVALID")
        if isinstance(entry, File):
            raise No("NOT_A_DIRECTORY")
        if entry.entries:
            raise No("NOT_EMPTY")
        del parent.entries[name]
        parent.mtime_ns = self.time_ns

    def proven(self, stores: list[int], since: int) -> set[int]:
        """Return those of `stores` that were not swept after log index `since`."""
        return {store for store in stores if self.swept.get(store, 0) <= since}

    def seeds(self, command: commands.PutFile | commands.PutPartial) -> tuple[int, ...]:
        """Check chunks; return their seeds."""
        chunks = list(command.chunks)
        if sum(chunk.length for chunk in chunks) != command.size:
            raise No("INVALID")
        for digest in dict.fromkeys(chunk.digest for chunk in chunks):
            named = [store for chunk in chunks if chunk.digest == digest for store in chunk.stores]
            known = self.replicas.get(int.from_bytes(digest, "big"))
            if not known and not self.proven(named, command.since):
                raise No("CHANGED")
        return tuple(int.from_bytes(chunk.digest, "big") for chunk in chunks)

    def learn(self, command: commands.PutFile | commands.PutPartial) -> None:
        """Note on which stores chunks are."""
        for chunk in command.chunks:
            proven = self.proven(list(chunk.stores), command.since)
            self.replicas.setdefault(int.from_bytes(chunk.digest, "big"), set()).update(proven)

    def put_file(self, command: commands.PutFile) -> None:
        """Publish."""
        parent, name = self.place(command.path, "IS_A_DIRECTORY")
        old = parent.entries.get(name)
        if isinstance(old, Directory):
            raise No("IS_A_DIRECTORY")
        if old is not None and command.exclusive:
            raise No("EXISTS")
        if old is not None and command.own_only:
            self.owned(old, command.owner)
        base = (command.base_inode, command.base_version)
        if base != (0, 0) and (old is None or base != (old.inode, old.version)):
            raise No("CHANGED")
        account = self.accounts.get(command.owner)
        if command.of_account and (account is None or account.disabled):
            raise No("DENIED")
        seeds = self.seeds(command)
        own = old is not None and old.owner == command.owner
        growth = command.size - (old.size if old is not None and own else 0)
        (files, size), (most, largest) = self.usage(command.owner), self.quota(command.owner)
        if (growth > 0 and size + growth > largest) or (not own and files + 1 > most):
            raise No("QUOTA")
        parent.entries[name] = File(
            command.owner,
            seeds,
            command.size,
            inode=old.inode if old is not None else 0,
            version=self.index,
            mtime_ns=command.mtime_ns or self.time_ns,
        )
        self.learn(command)
        parent.partials.pop((name, command.owner), None)
        parent.mtime_ns = self.time_ns

    def remove_file(self, command: commands.RemoveFile) -> None:
        """Remove a file."""
        parent, name, entry = self.found(command.path, "IS_A_DIRECTORY")
        if isinstance(entry, Directory):
            raise No("IS_A_DIRECTORY")
        self.owned(entry, command.only_of)
        del parent.entries[name]
        parent.mtime_ns = self.time_ns

    def rename(self, command: commands.Rename) -> None:
        """Move."""
        source, name, entry = self.found(command.source, "INVALID")
        if command.source == command.target:
            return
        if isinstance(entry, Directory) and command.target.startswith(command.source + "/"):
            raise No("CYCLE")
        self.owned(entry, command.source_of)
        target, new = self.place(command.target, "EXISTS")
        if new in target.entries:
            both = (entry, target.entries[new])
            if command.exclusive or any(isinstance(one, Directory) for one in both):
                raise No("EXISTS")
            self.owned(target.entries[new], command.target_of)
        del source.entries[name]
        target.entries[new] = entry
        if isinstance(entry, File):
            target.partials.pop((new, entry.owner), None)
        else:
            self.follow(command.source, command.target)
        source.mtime_ns = target.mtime_ns = self.time_ns

    def follow(self, source: str, target: str) -> None:
        """Homes and rules go with a directory; a rule that comes takes the place of one that is there."""

        def moved(path: str) -> str | None:
            return target + path[len(source) :] if f"{path}/".startswith(f"{source}/") else None

        for account in self.accounts.values():
            account.home = moved(account.home) or account.home
            stay = {path: rights for path, rights in account.rules.items() if moved(path) is None}
            come = {moved(path): rights for path, rights in account.rules.items() if moved(path) is not None}
            account.rules = stay | {str(path): rights for path, rights in come.items()}

    def set_times(self, command: commands.SetTimes) -> None:
        """Set the time of a file or directory."""
        entry = self.root if command.path == "/" else self.found(command.path, "INVALID")[2]
        if command.path != "/":
            self.owned(entry, command.only_of)
        entry.mtime_ns = command.mtime_ns

    def put_partial(self, command: commands.PutPartial) -> None:
        """Keep a partial upload."""
        parent, name = self.place(command.path, "IS_A_DIRECTORY")
        if isinstance(parent.entries.get(name), Directory):
            raise No("IS_A_DIRECTORY")
        seeds = self.seeds(command)
        old = parent.partials.get((name, command.owner))
        begun = [
            c for c in self.contents() if not isinstance(c, File) and c.owner == command.owner and c is not old
        ]
        growth = command.size - (old.size if old else 0)
        largest = self.quota(command.owner)[1]
        if growth > 0 and sum(content.size for content in begun) + command.size > largest:
            raise No("QUOTA")
        self.learn(command)
        parent.partials[name, command.owner] = Content(command.owner, seeds, command.size)

    def drop_partial(self, command: commands.DropPartial) -> None:
        """Drop a partial upload."""
        parent, name = self.place(command.path, "IS_A_DIRECTORY")
        if parent.partials.pop((name, command.owner), None) is None:
            raise No("NOT_FOUND")

    def put_user(self, command: commands.PutUser) -> None:
        """Make or change an account."""
        user = command.user
        if command.create and user.name in self.accounts:
            raise No("EXISTS")
        if command.update and user.name not in self.accounts:
            raise No("NOT_FOUND")
        rules = {rule.path: rule.rights for rule in user.rules}
        self.accounts[user.name] = Account(user.quota_bytes, user.quota_files, user.disabled, user.home, rules)

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
        self.swept[command.store] = self.index
