"""The one place that touches pysyncobj's inside: its SyncObj without sockets, threads, files and pickle.

`tests/unit/consensus/test_library.py` fails when the library is another than the one this was written for.
"""

from __future__ import annotations

import _socket
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pysyncobj.serializer
import pysyncobj.syncobj as library
from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf, replicated
from pysyncobj.node import Node
from pysyncobj.transport import Transport
from pysyncobj.version import VERSION

from raftstore.consensus.membership.watchedlog import WatchedLog
from raftstore.consensus.pysyncobj import codec
from raftstore.consensus.runtime import Runtime
from raftstore.consensus.settings import ConsensusSettings

Message = dict[str, Any]
"""A message as pysyncobj makes it."""

LIBRARY_VERSION = "0.3.17"

# The library's import replaces it, on every system, by a function that works on Windows only.
socket.inet_ntop = _socket.inet_ntop


NEVER = 1 << 62
QUEUE = 4096
"""Batches that may wait for a tick; each proposer has but a few under way."""
REFUSALS = frozenset(
    {
        FAIL_REASON.QUEUE_FULL,
        FAIL_REASON.MISSING_LEADER,
        FAIL_REASON.DISCARDED,
        FAIL_REASON.NOT_LEADER,
        FAIL_REASON.REQUEST_DENIED,
    }
)
"""Failures after which the proposal is surely not in the log and never will be; others leave it open."""
NOT_LEADER: int = FAIL_REASON.NOT_LEADER
DENIED: int = FAIL_REASON.REQUEST_DENIED
UNKNOWN: int = FAIL_REASON.UNKNOWN_OUTCOME
SUCCESS: int = FAIL_REASON.SUCCESS


class _Surroundings:
    """The library takes time and chance from names in its module; this is what they lead to.

    One engine runs at a time (all are on one loop), so it is enough to say whose turn it is.
    """

    runtime: Runtime
    time = 0.0

    @classmethod
    def now(cls) -> float:
        # Above zero on any clock: a deadline of zero means "at once" to the library.
        return cls.time + 1.0

    @classmethod
    def random(cls) -> float:
        return cls.runtime.random()


def enter(runtime: Runtime) -> None:
    """Say whose turn it is. Its time stands still until the next call."""
    _Surroundings.runtime = runtime
    _Surroundings.time = runtime.now()


class _NoPoller:
    """There are no sockets to poll."""

    def poll(self, timeout: float) -> None:
        """Do nothing."""


if VERSION != LIBRARY_VERSION:
    raise ImportError(f"pysyncobj {VERSION} is installed; this was written for {LIBRARY_VERSION}")
library.pickle = codec
pysyncobj.serializer.pickle = codec
library.monotonicTime = _Surroundings.now
library.random = _Surroundings
library.createPoller = lambda kind: _NoPoller()
library.createJournal = lambda journal: journal
library.PIPE_NOTIFIER_ENABLED = False


def conf(
    settings: ConsensusSettings,
    log: WatchedLog,
    marker: Path,
    deserialise: Callable[[str], Any],
    state_changed: Callable[[int, int], None],
) -> SyncObjConf:
    """Make the library's configuration: nothing of its own accord but heartbeats and stepping down."""
    return SyncObjConf(
        autoTick=False,
        journalFile=log,
        fullDumpFile=str(marker),
        serializer=codec.refuse,
        deserializer=deserialise,
        useFork=False,
        logCompactionMinEntries=NEVER,
        logCompactionMinTime=NEVER,
        appendEntriesPeriod=settings.heartbeat,
        raftMinTimeout=settings.election_min,
        raftMaxTimeout=settings.election_max,
        leaderFallbackTimeout=settings.leader_fallback,
        appendEntriesUseBatch=True,  # it sends when it is told to, see `send_appends`
        appendEntriesBatchSizeBytes=settings.append_bytes,
        commandsWaitLeader=False,
        commandsQueueSize=QUEUE,
        onStateChanged=state_changed,
    )


class Member(int, Node):  # type: ignore[misc]
    """A node as the library's sets and tables have it: a number above zero, unique within one engine.

    So that it is looked up without a call of Python code, and stands in the same order in every run.
    """

    name: str

    def __new__(cls, number: int, name: str) -> Member:
        """Make node `name` the one of this number."""
        return super().__new__(cls, number)

    def __init__(self, number: int, name: str) -> None:
        Node.__init__(self, name)
        self.name = name


class Wire(Transport):  # type: ignore[misc]
    """Hands what pysyncobj sends to the engine, and tells it who is connected."""

    def __init__(self, send: Callable[[str, Message], None]) -> None:
        super().__init__(None, None, [])
        self._send = send

    def send(self, node: Node, message: Message) -> bool:
        """Called by the library."""
        self._send(node.id, message)
        return True

    def deliver(self, node: Node | None, message: Message) -> None:
        """Have the library take a message of `node`."""
        self._onMessageReceived(node, message)

    def connected(self, node: Node) -> None:
        """Tell the library that there is a connection to `node`."""
        self._onNodeConnected(node)

    def disconnected(self, node: Node) -> None:
        """Tell the library that there is none."""
        self._onNodeDisconnected(node)


class Library(SyncObj):  # type: ignore[misc]
    """pysyncobj with our two replicated methods, and its private names that are needed."""

    def __init__(
        self,
        committed: Callable[[int, bytes], int],
        configured: Callable[[int, bytes], int],
        *arguments: Any,
        **options: Any,
    ) -> None:
        self._committed = committed
        self._configured = configured
        super().__init__(*arguments, **options)

    # Asked for often: read where they are, without the library's own properties in between.

    @property
    def leader_node(self) -> Member | None:
        """Whom it takes for the leader."""
        leader: Member | None = self._SyncObj__raftLeader
        return leader

    @property
    def term(self) -> int:
        """Its current term."""
        term: int = self._SyncObj__raftCurrentTerm
        return term

    @property
    def commit_index(self) -> int:
        """Highest entry that it knows to be committed."""
        commit: int = self._SyncObj__raftCommitIndex
        applied: int = self._SyncObj__raftLastApplied
        return commit if commit > applied else applied

    @replicated  # type: ignore[untyped-decorator]
    def batch(self, data: bytes) -> int:
        """Called on every node when the batch is committed; on the proposer without `_doApply`, to propose."""
        # `raftLastApplied` is counted up after the entry.
        return self._committed(self.raftLastApplied + 1, data)

    @replicated  # type: ignore[untyped-decorator]
    def configuration(self, data: bytes) -> int:
        """Take a committed configuration; codec.CONFIGURE is this method's number."""
        return self._configured(self.raftLastApplied + 1, data)

    def set_others(self, voters: set[Node], learners: set[Node], next_index: int) -> None:
        """Make these the other nodes; who is new gets the log from `next_index` on."""
        before: set[Node] = self._SyncObj__otherNodes | self._SyncObj__readonlyNodes
        self._SyncObj__otherNodes: set[Node] = voters
        self._SyncObj__readonlyNodes: set[Node] = learners
        for node in before - voters - learners:
            self._SyncObj__connectedNodes.discard(node)
            for table in (
                self._SyncObj__raftNextIndex,
                self._SyncObj__raftMatchIndex,
                self._SyncObj__lastResponseTime,
            ):
                table.pop(node, None)
        for node in (voters | learners) - before:
            self._SyncObj__raftNextIndex[node] = next_index
            self._SyncObj__raftMatchIndex[node] = 0
            self._SyncObj__lastResponseTime[node] = _Surroundings.now()
            self._SyncObj__connectedNodes.discard(node)

    def _SyncObj__tryLogCompaction(self) -> None:
        """Asked at every tick whether it is time to compact the log, which is ours to do: never."""

    def send_appends(self) -> None:
        """Make an append for every connected follower, now."""
        self._SyncObj__sendAppendEntries()
