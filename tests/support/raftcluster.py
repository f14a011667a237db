"""Clusters of Consensus instances in one process: journals that survive a crash up to their last sync, and a
state machine that counts. Every commit is checked against every other node's as it is applied."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fakenet import FakeNetwork
from virtualtime import VirtualRuntime
from waiting import T, until

from raftstore.consensus.engine import Consensus
from raftstore.consensus.settings import ConsensusSettings
from raftstore.errors import Damaged, DiskFailed
from raftstore.wire import commands_pb2, raft_pb2

Entry = tuple[bytes, int, int]


class MemoryJournal:
    """The journal's API over a list. `crash` gives the journal that would be found after a loss of power."""

    def __init__(
        self, entries: list[Entry] | None = None, hard: tuple[int, str | None] = (0, None), commit: int = 0
    ):
        self.entries: list[Entry] = list(entries or [])
        self.disk: list[Entry] = list(self.entries)
        self.hard = hard
        self.commit = commit
        self.disk_commit = commit
        self.durable_index = self._last()
        self.broken = False
        self.truncations = 0
        self._stable = self.durable_index
        self._resetting: list[Entry] | None = None
        self._dirty = False
        self._writing: tuple[list[Entry], int] | None = None

    def crash(self) -> MemoryJournal:
        return MemoryJournal(self.disk, self.hard, min(self.disk_commit, self.disk[-1][1] if self.disk else 0))

    def _last(self) -> int:
        return self.entries[-1][1] if self.entries else 0

    def _check(self) -> None:
        if self.broken:
            raise DiskFailed("the disk is broken")

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, item: Any) -> Any:
        return self.entries[item]

    def add(self, command: bytes, idx: int, term: int) -> None:
        self._check()
        assert isinstance(command, bytes)
        assert not self.entries or idx == self._last() + 1
        self.entries.append((command, idx, term))
        self._dirty = True
        if self._resetting is not None and len(self.entries) == 2:
            old, self._resetting = self._resetting, None
            assert self.entries[0][1] >= 1
            following = [e for e in old if e[1] > idx] if (command, idx, term) in old else []
            self.entries += following
            if self._last() < self.commit:
                raise Damaged("diverged")

    def clear(self) -> None:
        self._resetting, self.entries = self.entries, []
        self.durable_index = self._stable = 0

    def deleteEntriesFrom(self, position: int) -> None:
        self._check()
        if position < len(self.entries):
            if self.entries[position][1] <= self.commit:
                raise Damaged("asked to drop committed entries")
            self.truncations += 1
            del self.entries[position:]
            self.durable_index = min(self.durable_index, self._last())
            self._stable = min(self._stable, self._last())
            self._dirty = True

    def deleteEntriesTo(self, position: int) -> None:
        assert self.entries[position][1] <= self.commit
        del self.entries[:position]
        self._dirty = True

    def setRaftCommitIndex(self, index: int) -> None:
        self.commit = max(self.commit, min(index, self._last()))

    def getRaftCommitIndex(self) -> int:
        return max(self.commit, 1)

    def setCurrentTerm(self, term: int, vote: str | None) -> None:
        self._check()
        known, voted = self.hard
        assert term > known or (term == known and (voted is None or voted == vote)), "a vote was changed"
        self.hard = (term, vote)

    def getCurrentTerm(self) -> int:
        return self.hard[0]

    def getVotedForNodeId(self) -> str | None:
        return self.hard[1]

    def onOneSecondTimer(self) -> None:
        pass

    @property
    def dirty(self) -> bool:
        return self._dirty

    def sync(self) -> int:
        """At the end of the time that a sync takes: what was there at its beginning is durable."""
        self._check()
        if self._writing is None:
            self.begin_sync()
        assert self._writing is not None
        (self.disk, self.disk_commit), self._writing = self._writing, None
        self.durable_index = self._stable
        return self.durable_index

    def write(self) -> None:
        """There is no file: `sync` does it."""

    def filling(self) -> None:
        """Nor anything to fill."""

    def begin_sync(self) -> None:
        self._dirty = False
        entries = self.entries if self._resetting is None else self._resetting
        self._writing = (list(entries), self.commit)
        self._stable = self._last() if self._resetting is None else 0


class CountingMachine:
    """Remembers every command once, in order, with the results of operations; survives as `durable` says."""

    def __init__(self, check: Callable[[int, bytes], None] = lambda index, batch: None):
        self.check = check
        self.applied_index = 0
        self.commands: list[bytes] = []
        self.results: dict[tuple[str, int], dict[int, bytes]] = {}
        self.acknowledged: dict[tuple[str, int], int] = {}
        self.boots: dict[str, int] = {}
        self.configuration = (0, b"")
        self.repeated = 0
        self.prepared = ""
        self.saved = self._state()

    opening: bytes | None = None

    def refusal(self, command: bytes) -> str | None:
        return None

    def weight(self, command: bytes) -> int:
        return 0

    def batch_refusal(self, batch: bytes) -> str | None:
        return None

    def crash(self) -> CountingMachine:
        """The machine that is found after a loss of power."""
        machine = CountingMachine(self.check)
        machine._restore(self.saved)
        machine.saved = self.saved
        return machine

    def apply(self, index: int, batch: bytes) -> list[bytes]:
        operations = commands_pb2.Batch.FromString(batch).operations
        new = index > self.applied_index
        if new:
            self.check(index, batch)
            self.applied_index = index
        return [self._one(operation, new) for operation in operations]

    def configure(self, index: int, configuration: bytes) -> None:
        assert index > self.applied_index
        self.check(index, configuration)
        self.applied_index = index
        self.configuration = (index, configuration)

    def _one(self, operation: commands_pb2.Operation, new: bool) -> bytes:
        identity = operation.id
        key = (identity.node, identity.boot)
        results = self.results.setdefault(key, {})
        if identity.sequence in results:
            self.repeated += new
            return results[identity.sequence]
        if not new:
            return b""
        if identity.boot < self.boots.get(identity.node, 0) or identity.sequence <= self.acknowledged.get(
            key, 0
        ):
            return commands_pb2.Result(status=commands_pb2.STALE).SerializeToString()
        self.boots[identity.node] = identity.boot
        self.acknowledged[key] = max(identity.acknowledged, self.acknowledged.get(key, 0))
        for sequence in [s for s in results if s <= self.acknowledged[key]]:
            del results[sequence]
        self.commands.append(operation.command)
        result = commands_pb2.Result(detail=operation.command.decode(), inode=len(self.commands))
        results[identity.sequence] = result.SerializeToString()
        return results[identity.sequence]

    def _state(self) -> str:
        return json.dumps(
            [
                self.applied_index,
                [command.decode() for command in self.commands],
                [[*key, {s: r.hex() for s, r in results.items()}] for key, results in self.results.items()],
                [[*key, value] for key, value in self.acknowledged.items()],
                self.boots,
                [self.configuration[0], self.configuration[1].hex()],
            ]
        )

    def _restore(self, state: str) -> None:
        applied, commands, results, acknowledged, boots, (index, configuration) = json.loads(state)
        self.configuration = (index, bytes.fromhex(configuration))
        self.applied_index = applied
        self.commands = [command.encode() for command in commands]
        self.results = {(n, b): {int(s): bytes.fromhex(r) for s, r in rs.items()} for n, b, rs in results}
        self.acknowledged = {(n, b): value for n, b, value in acknowledged}
        self.boots = boots

    behind = False

    def catch_up(self) -> None:
        """Nothing is ever undone."""

    def make_durable(self) -> int:
        self.saved = self._state()
        return self.applied_index

    def write_snapshot(self, target: Path) -> int:
        target.write_text(self._state())
        return self.applied_index

    def prepare_snapshot(self, source: Path) -> int:
        self.prepared = source.read_text()
        return self.applied_index

    def discard_prepared(self) -> None:
        self.prepared = ""

    def install_snapshot(self, source: Path) -> int:
        assert self.prepared == source.read_text(), "what takes long was not done in a thread"
        self._restore(source.read_text())
        self.saved = self._state()
        return self.applied_index


def has_on_disk(journal: Any, index: int, batch: bytes) -> bool:
    """Whether a loss of power now would leave this entry (or a log that starts after it)."""
    disk = getattr(journal, "disk", None)
    if disk is None:
        return bool(journal.durable_index >= index)
    if not disk or index > disk[-1][1]:
        return False
    return bool(index <= disk[0][1] or disk[index - disk[0][1]][0].endswith(batch))


class Node:
    """One member, over its crashes and restarts."""

    def __init__(self, cluster: Cluster, name: str):
        self.cluster = cluster
        self.name = name
        self.boot = 0
        self.journal: Any = cluster.make_journal(name)
        self.machine = CountingMachine(cluster.check)
        self.fatal: list[BaseException] = []
        self.consensus: Consensus
        self.runtime: VirtualRuntime
        self.up = False

    async def start(self, **options: Any) -> None:
        self.boot += 1
        self.runtime = VirtualRuntime(
            zlib.crc32(f"{self.name} {self.boot} {self.cluster.seed}".encode()), self.cluster.skew(self.name)
        )
        self.runtime.slowness = lambda worker: self.cluster.disk(self.name, worker)
        self.fatal = []
        self.consensus = Consensus(
            node=self.name,
            members=self.cluster.names,
            machine=self.machine,
            journal=self.journal,
            links=self.cluster.network.links(self.name),
            boot=self.boot,
            snapshot_dir=self.cluster.directory / self.name,
            on_fatal=self.fatal.append,
            settings=self.cluster.settings,
            runtime=self.runtime,
            **options,
        )
        self.cluster.network.join(self.name)
        await self.consensus.start()
        self.up = True

    async def kill(self, *, power: bool = False) -> None:
        """End without a word; with `power`, what was not synced is gone."""
        if not self.up:
            return
        self.up = False
        self.cluster.network.leave(self.name)
        journal, machine = self.journal.crash(), self.machine.crash()
        await self.consensus.stop()
        if power:
            self.journal, self.machine = journal, machine
        else:
            # The process is gone, the page cache is not: but what was never written is gone all the same.
            self.journal = journal

    async def stop(self) -> None:
        if self.up:
            self.up = False
            self.cluster.network.leave(self.name)
            await self.consensus.stop()

    async def propose(self, text: str, timeout: float = 10.0) -> commands_pb2.Result:
        result = await self.consensus.propose(text.encode(), timeout=timeout)
        return commands_pb2.Result.FromString(result)


class Cluster:
    """Nodes n1, n2, ... over a FakeNetwork, to be used with `async with`."""

    def __init__(
        self,
        size: int,
        directory: Path,
        *,
        seed: int = 0,
        settings: ConsensusSettings | None = None,
        make_journal: Callable[[str], Any] = lambda name: MemoryJournal(),
    ):
        self.names = [f"n{number}" for number in range(1, size + 1)]
        self.directory = directory
        self.seed = seed
        self.settings = settings or ConsensusSettings()
        self.make_journal = make_journal
        self.network = FakeNetwork(seed)
        self.network.sent = self._sent
        self.watch: Callable[[str, str, raft_pb2.Envelope], None] = lambda source, target, envelope: None
        """Told of every message that is sent."""
        self.disk: Callable[[str, str], float] = lambda name, worker: 0.001
        self.skew: Callable[[str], float] = lambda name: 0.0
        self.committed: dict[int, bytes] = {}
        self.nodes = {name: Node(self, name) for name in self.names}

    def _sent(self, source: str, target: str, method: str, body: bytes) -> None:
        """What a follower acknowledges is on its disk."""
        envelope = raft_pb2.Envelope.FromString(body)
        reply = envelope.append_reply
        if reply.outcome == raft_pb2.AppendReply.MATCHED:
            disk = getattr(self[source].journal, "disk", None)
            if disk is not None:
                assert disk[-1][1] >= reply.next_index - 1, f"{source} promises what is not on its disk"
        self.watch(source, target, envelope)

    def lose(self, kind: str, source: str | None = None, target: str | None = None) -> None:
        """Lose all messages of a kind from now on (of one node, to one node)."""

        def keep(from_: str, to: str, method: str, body: bytes) -> bool:
            found = raft_pb2.Envelope.FromString(body).WhichOneof("kind")
            return found != kind or source not in (None, from_) or target not in (None, to)

        self.network.filter = keep

    def lose_nothing(self) -> None:
        self.network.filter = lambda *message: True

    def deliver(self, source: str, target: str, term: int, **message: Any) -> None:
        """Hand a made-up message to a node."""
        body = raft_pb2.Envelope(term=term, **message).SerializeToString()
        self.network.nodes[target].receive(source, "raft", body)

    def check(self, index: int, batch: bytes) -> None:
        """What one node applies at an index, every node applies there, and a majority has it on disk."""
        if index not in self.committed:
            self.committed[index] = batch
            safe = sum(has_on_disk(node.journal, index, batch) for node in self.nodes.values())
            assert safe > len(self.nodes) // 2, f"entry {index} is committed, but {safe} nodes have it on disk"
        assert self.committed[index] == batch, f"two different entries {index} were applied"

    async def __aenter__(self) -> Cluster:
        for node in self.nodes.values():
            await node.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        for node in self.nodes.values():
            await node.stop()
        if error[0] is None:
            for node in self.nodes.values():
                assert not node.fatal, f"{node.name}: {node.fatal}"

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    @property
    def running(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.up]

    async def until(self, condition: Callable[[], T | None], within: float = 30.0) -> T:
        """Wait (on the virtual clock) until a condition holds."""
        return await until(condition, within=within)

    async def leader(self, among: list[str] | None = None, within: float = 30.0) -> Node:
        """Wait until the running nodes (or these) agree on a leader of theirs that has a majority."""

        def agreed() -> Node | None:
            nodes = [self[name] for name in among] if among else self.running
            leaders = {node.consensus.leader for node in nodes}
            if len(leaders) != 1 or None in leaders:
                return None
            leader = self[leaders.pop() or ""]
            same = len({node.consensus.term for node in nodes}) == 1
            return leader if leader in nodes and leader.consensus.is_leader and same else None

        return await self.until(agreed, within)

    async def converged(self, within: float = 30.0) -> None:
        """Wait until all running nodes have applied the same."""

        def same() -> bool:
            states = [(node.consensus.applied_index, node.machine.commands) for node in self.running]
            commits = [node.consensus.commit_index for node in self.running]
            return all(state == states[0] for state in states) and all(
                commit == states[0][0] for commit in commits
            )

        await self.until(same, within)
