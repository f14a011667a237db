"""One member of the cluster: the rooms of this package put together, and what drives them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog
from google.protobuf.message import DecodeError

from raftstore.consensus.acceptor import Acceptor
from raftstore.consensus.applier import Applier
from raftstore.consensus.compaction import Compaction
from raftstore.consensus.elections import Elections
from raftstore.consensus.links import Links
from raftstore.consensus.mailbox import Mailbox
from raftstore.consensus.normalise import Entry
from raftstore.consensus.post import METHOD, Post
from raftstore.consensus.proposer import OVERHEAD, Proposer
from raftstore.consensus.raft import Message, Raft, Role
from raftstore.consensus.reads import Confirmation, Reads
from raftstore.consensus.replicator import Replicator
from raftstore.consensus.runtime import AsyncioRuntime, Runtime, Timer
from raftstore.consensus.settings import ConsensusSettings
from raftstore.consensus.snapshots import SnapshotClient, SnapshotServer
from raftstore.consensus.statemachine import StateMachine
from raftstore.errors import Damaged, Invalid
from raftstore.peers.model import Peer
from raftstore.wire import raft_pb2

log = structlog.get_logger()


class Consensus:
    """Replicates commands to the state machines of all members; see the package.

    `boot` must be larger than in every earlier start of this node. `rejoining`: the node has lost its log, so it
    neither votes nor stands for election until a leader has brought it up to date; then `on_rejoined` is called.
    `on_fatal` is called once, when this node must stop: the disk failed, the state machine
    raised, or something contradicts what is committed; nothing is acknowledged from then on. The journal stays
    the caller's, to be closed after `stop`. Everything is on one loop.

    Raises Damaged when journal and state machine do not fit together.
    """

    def __init__(
        self,
        *,
        node: str,
        members: Sequence[str],
        machine: StateMachine,
        journal: Any,
        links: Links,
        boot: int,
        snapshot_dir: Path,
        on_fatal: Callable[[BaseException], None],
        settings: ConsensusSettings | None = None,
        runtime: Runtime | None = None,
        rejoining: bool = False,
        on_rejoined: Callable[[], None] | None = None,
    ) -> None:
        if node not in members:
            raise Invalid(f"{node} is not a member of {', '.join(members)}")
        self._settings = settings = settings or ConsensusSettings()
        self._runtime = runtime = runtime or AsyncioRuntime()
        self._journal = journal
        self._machine = machine
        self._links = links
        self._on_fatal = on_fatal
        self._running = self._failed = False
        self._tick_scheduled = False
        self._syncing: asyncio.Future[int] | None = None
        self._timer: Timer | None = None
        self._leader: str | None = None
        self._leading = False
        self._watchers: list[Callable[[str | None], None]] = []
        snapshot_dir.mkdir(parents=True, exist_ok=True)
        if not rejoining:
            _check_start(node, members, machine, journal)

        self._raft = Raft(
            node=node,
            members=members,
            journal=journal,
            runtime=runtime,
            settings=settings,
            marker=snapshot_dir / "log-is-compacted",
            send=self._outgoing,
            committed=self._committed,
            role_changed=self._role_changed,
        )
        raft = self._raft
        self._post = post = Post(links, lambda: raft.term)
        self._applier = Applier(
            machine, runtime, settings.apply_slice, lambda: raft.handed_over, self._applied, self._guard
        )
        self._replicator = Replicator(raft, journal, post, runtime, settings, self._sync)
        self._elections = Elections(raft, post, runtime, settings, self._stand, observer=rejoining)
        self._confirmation = Confirmation(raft, post, runtime, self._elections.majority, settings.read_attempt)
        self._reads = Reads(
            raft,
            post,
            runtime,
            self._confirmation,
            self._elections.leader,
            lambda: self._applier.applied_index,
            boot,
            settings.read_attempt,
            self._guard,
        )
        self._proposer = Proposer(
            raft, self._applier, runtime, settings, self._elections.leader, boot, self._tick, self._guard
        )
        self._server = SnapshotServer(
            links=links,
            runtime=runtime,
            settings=settings,
            machine=machine,
            journal=journal,
            directory=snapshot_dir,
            members=raft.peers,
        )
        self._client = SnapshotClient(
            links=links,
            runtime=runtime,
            settings=settings,
            directory=snapshot_dir,
            committed=lambda: raft.commit_index,
            install=self._install,
            failed=self._fail,
        )
        self._acceptor = Acceptor(
            raft, post, lambda: journal.durable_index, self._client.need, self._up_to_date
        )
        self._on_rejoined = on_rejoined
        self._mailbox = Mailbox(
            raft=raft,
            post=post,
            replicator=self._replicator,
            acceptor=self._acceptor,
            elections=self._elections,
            confirmation=self._confirmation,
            reads=self._reads,
            boot=boot,
            largest=settings.max_command + settings.batch_bytes + OVERHEAD,
            soon=lambda action: void(runtime.call_soon(self._guard(action))),
        )
        self._compaction = Compaction(
            runtime=runtime,
            settings=settings,
            machine=machine,
            journal=journal,
            applied_index=lambda: self._applier.applied_index,
            floor=lambda: self._server.floor,
            compacted=self._replicator.compacted,
            failed=self._fail,
        )
        links.on_message(METHOD, self._receive)
        links.on_link(self._link_up, self._link_down)

    # Life.

    async def start(self) -> None:
        """Begin to take part. Returns at once; `read_barrier` waits for a working cluster."""
        for peer in self._raft.peers:
            if self._links.reachable(peer):
                self._link_up(peer)
        self._running = self._server.started = True
        self._on_timer()
        self._guard(self._tick)()

    async def stop(self) -> None:
        """Take part no more; callers that wait get NoQuorum or OutcomeUnknown. Idempotent."""
        self._halt("the node is stopping")
        await self._client.stop()
        await self._compaction.stop()
        if self._syncing is not None:
            await asyncio.wait([self._syncing])
        self._server.drop()
        await self._runtime.close()

    def _halt(self, reason: str) -> None:
        self._running = self._server.started = False
        if self._timer is not None:
            self._timer.cancel()
        self._proposer.stop(reason)
        self._reads.stop()

    def _fail(self, error: BaseException) -> None:
        """Stop for good: what the engine or the disk would do next cannot be trusted."""
        if self._failed or not self._running:
            return  # a node that is stopping, or has failed already
        self._failed = True
        log.critical("consensus failed", error=repr(error), exc_info=error)
        self._halt(f"the node failed: {error}")
        self._on_fatal(error)

    # What callers want.

    async def propose(self, command: bytes, *, timeout: float) -> bytes:
        """Return the serialised Result of `command`, applied exactly once, and here before this returns.

        TooLarge; NoQuorum: it is not done and never will be; OutcomeUnknown: it may or may not be done. Cancelled:
        it may or may not be done.
        """
        return await self._proposer.propose(command, timeout)

    async def read_barrier(self, *, timeout: float) -> None:
        """Return when the state machine here has all that was acknowledged before the call, anywhere.

        NoQuorum if no majority confirms it within `timeout` seconds.
        """
        await self._reads.barrier(timeout)

    def transfer_leadership(self, target: str) -> bool:
        """Ask `target` to take over; False unless this node leads and `target` is up and has the whole log."""
        if not self._running or target not in self._post.linked:
            return False
        return self._raft.transfer(target)

    def on_leader_change(self, callback: Callable[[str | None], None]) -> None:
        """Call with the name of the leader, or None, when this node sees another one than before."""
        self._watchers.append(callback)

    @property
    def is_leader(self) -> bool:
        """Whether this node takes itself for the leader. Proves nothing: see `read_barrier`."""
        return self._raft.role == "leader"

    @property
    def role(self) -> Role:
        """What this node takes itself for: leader, follower or candidate."""
        return self._raft.role

    @property
    def leader(self) -> str | None:
        """The leader that this node follows, or is; None when it has not heard of one for a while."""
        return self._elections.leader()

    @property
    def term(self) -> int:
        """Current term."""
        return self._raft.term

    @property
    def commit_index(self) -> int:
        """Highest log entry that this node knows to be committed."""
        return self._raft.commit_index

    @property
    def applied_index(self) -> int:
        """Highest log entry that the state machine here has."""
        return self._applier.applied_index

    @property
    def durable_index(self) -> int:
        """Highest log entry that is synced here."""
        return int(self._journal.durable_index)

    @property
    def match_indexes(self) -> dict[str, int]:
        """On a leader: up to which entry the others are known to have the log. Empty elsewhere."""
        return {peer: follower.match_index for peer, follower in self._replicator.followers.items()}

    # What drives it.

    def _guard(self, action: Callable[[], None]) -> Callable[[], None]:
        """Make an action that does nothing on a stopped node, and stops it for good if it fails."""

        def guarded() -> None:
            if self._running:
                try:
                    action()
                except Exception as error:
                    self._fail(error)

        return guarded

    def _on_timer(self) -> None:
        self._timer = self._runtime.call_later(self._settings.heartbeat / 2, self._guard(self._on_timer))
        self._elections.check()
        self._replicator.heartbeats()
        self._compaction.check(self._applier.bytes_taken)
        self._server.check()
        self._tick()

    def _schedule_tick(self) -> None:
        if not self._tick_scheduled:
            self._tick_scheduled = True
            self._runtime.call_soon(self._guard(self._tick))

    def _tick(self) -> None:
        self._tick_scheduled = False
        if self._unsynced_alone():
            return
        self._raft.tick()
        self._after()

    def _unsynced_alone(self) -> bool:
        """Whether the engine must not work yet: without other nodes it commits at once; `_synced` ticks."""
        if not self._raft.alone or self._journal.durable_index >= self._journal[-1][1]:
            return False
        self._sync()
        return True

    def _after(self) -> None:
        """Do what may be due after the engine has worked."""
        self._replicator.flush()
        self._sync()
        self._applier.run()
        self._reads.check()
        self._confirmation.check()
        leader = self._elections.leader()
        if leader != self._leader:
            self._leader = leader
            log.info("leader", leader=leader, term=self._raft.term)
            self._proposer.leader_changed()
            self._reads.leader_changed()
            for watcher in self._watchers:
                watcher(leader)

    def _sync(self) -> None:
        """Sync the journal in its thread, if it needs it; one at a time, the next takes all that came meanwhile."""
        if self._syncing is None and self._journal.dirty:
            self._syncing = self._runtime.blocking("journal", self._journal.sync)
            self._syncing.add_done_callback(self._synced)

    def _synced(self, future: asyncio.Future[int]) -> None:
        self._syncing = None
        error = None if future.cancelled() else future.exception()
        if error is not None:
            self._fail(error)
        self._guard(self._release)()

    def _release(self) -> None:
        self._acceptor.release()
        self._replicator.release()
        self._sync()
        self._tick()

    # Links.

    def _receive(self, sender: Peer, body: bytes) -> None:
        peer = sender.name
        if not self._running or peer not in self._raft.peers:
            return
        try:
            self._mailbox.incoming(peer, raft_pb2.Envelope.FromString(body))
            self._sync()
            self._schedule_tick()
        except (DecodeError, Invalid) as error:
            log.warning("message dropped", peer=peer, error=str(error))
        except Exception as error:
            self._fail(error)

    def _link_up(self, peer: str) -> None:
        if peer in self._raft.peers:
            self._post.linked.add(peer)
            self._guard(lambda: self._replicator.link_up(peer))()
            self._schedule_tick()

    def _link_down(self, peer: str) -> None:
        self._post.linked.discard(peer)
        self._guard(lambda: self._replicator.link_down(peer))()
        if peer == self._raft.leader:
            self._elections.lost_leader()

    # What the engine calls.

    def _outgoing(self, peer: str, message: Message) -> None:
        self._mailbox.outgoing(peer, message)

    def _committed(self, index: int, batch: bytes) -> None:
        self._applier.take(index, batch)

    def _applied(self) -> None:
        self._reads.check()

    def _role_changed(self, role: Role) -> None:
        if role == "leader":
            self._leading = True
            self._replicator.lead()
        elif self._leading:
            self._leading = False
            self._replicator.retire()
            self._elections.stepped_down()

    def _stand(self, transfer: bool) -> None:
        if self._unsynced_alone():
            return
        self._mailbox.transferring = transfer
        try:
            self._raft.campaign(self._post.linked)
        finally:
            self._mailbox.transferring = False
        self._after()

    def _up_to_date(self) -> None:
        if self._elections.observer:
            self._elections.observer = False
            log.info("caught up after the loss of the log: voting again", index=self._raft.commit_index)
            if self._on_rejoined is not None:
                self._on_rejoined()

    def _install(self, path: Path, before: Entry, last: Entry) -> None:
        """Take a snapshot into use. Damaged: the file is not whole, and nothing has changed."""
        leader, index = self._raft.leader, last[1]
        if not self._running or leader is None or leader == self._raft.node:
            return
        if index <= self._raft.commit_index or index <= self._applier.applied_index:
            return  # overtaken by the log
        applied = self._machine.applied_index
        if applied < index:
            applied = self._machine.install_snapshot(path)

        def use() -> None:
            if applied < index:
                raise Damaged(f"the snapshot is of entry {applied}, not {index}")
            self._raft.install(leader, self._raft.term, before, last)
            log.info("snapshot installed", index=index, applied=applied)
            self._acceptor.promise(leader, index + 1)
            self._sync()
            self._schedule_tick()

        self._guard(use)()


def void(_value: object) -> None:
    """Forget a value."""


def _check_start(node: str, members: Sequence[str], machine: StateMachine, journal: Any) -> None:
    """Raise Damaged if the state machine cannot be brought up to date by this log."""
    applied = machine.applied_index
    if not len(journal):
        if applied:
            raise Damaged(
                f"the log of {node} is empty, but its state is of entry {applied}: the log was lost. "
                "Remove the whole data directory to let the node fetch everything anew."
            )
        return
    first, last = journal[0][1], journal[-1][1]
    if first > 1 and applied < first + 1:
        raise Damaged(f"the state of {node} is of entry {applied}, but its log starts at entry {first}")
    if applied > last and set(members) == {node}:
        raise Damaged(f"the state of {node} is of entry {applied}, but its log ends at entry {last}")
    if journal.getRaftCommitIndex() > last:
        raise Damaged(f"the log of {node} ends at {last}, before {journal.getRaftCommitIndex()} was committed")
