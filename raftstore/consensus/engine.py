"""One member of the cluster: the rooms of this package put together."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import structlog

from raftstore.consensus.applier import Applier
from raftstore.consensus.driver import Driver
from raftstore.consensus.elections import Elections
from raftstore.consensus.links import Links
from raftstore.consensus.log.raftlog import RaftLog
from raftstore.consensus.log.records import Entry
from raftstore.consensus.membership.changes import Membership
from raftstore.consensus.membership.configuration import Configuration
from raftstore.consensus.opening import Opening
from raftstore.consensus.proposer import OVERHEAD, Proposer
from raftstore.consensus.pysyncobj.raft import Raft, Role
from raftstore.consensus.replication.envelopes import ENVELOPE, EnvelopeSender
from raftstore.consensus.replication.follower import FollowerReplication
from raftstore.consensus.replication.leader import LeaderReplication
from raftstore.consensus.replication.mailbox import Mailbox
from raftstore.consensus.replication.reads import Confirmation, Reads
from raftstore.consensus.runtime import AsyncioRuntime, Runtime
from raftstore.consensus.settings import ConsensusSettings
from raftstore.consensus.snapshots.shortlog import ShortLog
from raftstore.consensus.startup import base_configuration, check_start
from raftstore.consensus.statemachine import StateMachine
from raftstore.errors import Damaged, DiskFull, Invalid
from raftstore.peers.model import Peer
from raftstore.util.limits.ratelimitedlog import RateLimitedLog
from raftstore.util.metrics import Metrics, counter
from raftstore.util.space import Space
from raftstore.wire import raft_pb2

log, dropped = structlog.get_logger(), RateLimitedLog.per_peer()


class Consensus:
    """Replicates commands to the state machines of all members; see the package.

    `members` is what a new cluster starts with: names, all of them voters, or a configuration. What log or state
    machine have of membership goes before it (`membership`). A node that is not a voter there gets the log and waits.
    `boot` must be larger than in every earlier start of this node. `rejoining`: the node has lost its log, so it
    neither votes nor stands for election until a leader has brought it up to date; then `on_rejoined` is called.
    `held`: nor does it until `release`.
    `on_fatal` is called once, when this node must stop: the disk failed, the state machine raised, or something
    contradicts what is committed; nothing is acknowledged from then on. The journal stays the caller's, to be
    closed after `stop`. Everything is on one loop.

    Raises Damaged when journal and state machine do not fit together.
    """

    def __init__(
        self,
        *,
        node: str,
        members: Sequence[str] | Configuration,
        machine: StateMachine,
        journal: RaftLog,
        links: Links,
        boot: int,
        snapshot_dir: Path,
        on_fatal: Callable[[BaseException], None],
        settings: ConsensusSettings | None = None,
        runtime: Runtime | None = None,
        rejoining: bool = False,
        held: bool = False,
        on_rejoined: Callable[[], None] | None = None,
    ) -> None:
        initial = members if isinstance(members, Configuration) else Configuration.of(members)
        check_start(node, initial, machine, journal, rejoining=rejoining)
        snapshot_dir.mkdir(parents=True, exist_ok=True)
        self._settings = settings or ConsensusSettings()
        self._runtime = runtime or AsyncioRuntime()
        self._journal = journal
        self._machine = machine
        self._links = links
        self._boot = boot
        self._on_rejoined = on_rejoined
        self._leader: str | None = None
        self._leader_changes = 0
        self._leading = False
        self._space = Space.ENOUGH
        self._last = False
        self.successors: Callable[[], bool] = lambda: False
        """Whether another node could lead that has space: without one, a leader with a full disk stays, for reads."""
        self._watchers: list[Callable[[str | None], None]] = []
        self._driver = Driver(self._runtime, journal, self._settings.heartbeat / 2, on_fatal)
        self._raft = Raft(
            node=node,
            base=lambda: base_configuration(machine, initial),
            journal=journal,
            runtime=self._runtime,
            settings=self._settings,
            marker=snapshot_dir / "log-is-compacted",
            send=lambda peer, message: self._mailbox.outgoing(peer, message),
            committed=lambda index, batch: self._applier.take(index, batch),
            configured=lambda index, configuration: self._applier.take_configuration(index, configuration),
            role_changed=self._role_changed,
            members_changed=lambda: self._leader_side.reconfigured(),
        )
        self._envelope_sender = EnvelopeSender(links, self._raft)
        self._build_log(observer=rejoining, held=held)
        self._build_snapshots(snapshot_dir)
        self._build_callers()
        self._driver.tick, self._driver.timer = self._tick, self._on_timer
        self._driver.synced, self._driver.halted = self._synced, self._halted
        ENVELOPE.take(links, self._receive)
        links.on_link(self._link_up, self._link_down)

    # The rooms.

    def _build_log(self, *, observer: bool, held: bool) -> None:
        raft, envelope_sender, runtime, settings = (
            self._raft,
            self._envelope_sender,
            self._runtime,
            self._settings,
        )
        self._applier = Applier(
            self._machine,
            runtime,
            settings.apply_slice,
            lambda: raft.handed_over,
            self._more_applied,
            self._driver.soon,
        )
        self._leader_side = LeaderReplication(
            raft, self._journal, envelope_sender, runtime, settings, self._driver.sync, self._driver.soon
        )
        self.membership = Membership(raft, self._leader_side, runtime, self._tick)
        """Who the members are; the leader changes them there."""
        self._elections = Elections(
            raft, envelope_sender, runtime, settings, self._stand, observer=observer, held=held
        )
        self._follower_side = FollowerReplication(
            raft,
            envelope_sender,
            lambda: self._journal.durable_index,
            lambda leader: self._shortlog.need(leader),
            self._up_to_date,
        )

    def _build_snapshots(self, directory: Path) -> None:
        self._shortlog = ShortLog(
            links=self._links,
            runtime=self._runtime,
            settings=self._settings,
            machine=self._machine,
            journal=self._journal,
            directory=directory,
            is_member=self.membership.knows,
            committed=lambda: self._raft.commit_index,
            applied_index=lambda: self._applier.applied_index,
            compacted=self._leader_side.compacted,
            install=self._install,
            failed=self._driver.fail,
        )

    def _build_callers(self) -> None:
        raft, runtime, settings = self._raft, self._runtime, self._settings
        self._confirmation = Confirmation(raft, self._envelope_sender, runtime, settings.read_attempt)
        self._reads = Reads(
            raft=raft,
            envelope_sender=self._envelope_sender,
            runtime=runtime,
            confirmation=self._confirmation,
            leader=self._elections.leader,
            applied_index=lambda: self._applier.applied_index,
            boot=self._boot,
            attempt=settings.read_attempt,
            guard=self._driver.guard,
        )
        self._proposer = Proposer(
            raft=raft,
            applier=self._applier,
            runtime=runtime,
            settings=settings,
            leader=self._elections.leader,
            boot=self._boot,
            tick=self._tick,
            guard=self._driver.guard,
            refusal=self._machine.refusal,
            weight=self._machine.weight,
            holds=lambda: self._elections.handing_over,
        )
        self._opening = Opening(self._machine, self._proposer.propose, lambda: self.is_leader, runtime)
        self._mailbox = Mailbox(
            raft=raft,
            envelope_sender=self._envelope_sender,
            leader_side=self._leader_side,
            follower_side=self._follower_side,
            elections=self._elections,
            confirmation=self._confirmation,
            reads=self._reads,
            boot=self._boot,
            largest=self._settings.max_command + self._settings.batch_bytes + OVERHEAD,
            refusal=self._machine.batch_refusal,
            soon=self._driver.soon,
        )

    def meter(self, metrics: Metrics) -> None:
        """Have what it counts collected."""
        for component in (self, self._driver, self._proposer):
            metrics.add(component)

    @counter("pixraft_leader_changes_total", "How often this node saw another leader, or one again after none.")
    def leader_changes(self) -> float:
        """The first one counts."""
        return self._leader_changes

    @property
    def working(self) -> bool:
        """Whether it runs, and its journal has no sync under way that takes longer than `disk_patience`.

        A disk that is full is no reason to start the node anew.
        """
        return self._driver.running and not self._driver.hangs(self._settings.disk_patience)

    # Life.

    async def start(self) -> None:
        """Begin to take part. Returns at once; `read_barrier` waits for a working cluster."""
        for peer in self._raft.peers | self.membership.introduced:
            if self._links.reachable(peer):
                self._link_up(peer)
        self._shortlog.start()
        self._driver.start()

    async def stop(self) -> None:
        """Take part no more; callers that wait get NoQuorum or OutcomeUnknown. Idempotent."""
        await self._driver.stop()
        await self._shortlog.stop()
        await self._runtime.close()

    def _halted(self, reason: str) -> None:
        self._shortlog.halt()
        self._opening.stop(reason)
        self._proposer.stop(reason)
        self._reads.stop()
        self.membership.stop(reason)

    # What callers want.

    def propose(self, command: bytes, *, timeout: float) -> Coroutine[Any, Any, bytes]:
        """Return, when awaited, the serialised Result of `command`, applied exactly once, and here before this returns.

        TooLarge; Invalid: not a command of now; NoQuorum: it is not done and never will be; OutcomeUnknown: it may or
        may not be done, as it may when the call is cancelled; DiskFull: it is not done, this leader cannot write.
        """
        if self._space is Space.NONE and self.is_leader:
            raise DiskFull("the disk of the leader is full: free space on it")
        return (self._proposer if self._opening.over else self._opening).propose(command, timeout)

    async def read_barrier(self, *, timeout: float) -> None:
        """Return when the state machine here has all that was acknowledged before the call, anywhere.

        NoQuorum if no majority confirms it within `timeout` seconds.
        """
        await self._reads.barrier(timeout)

    def transfer_leadership(self, target: str) -> bool:
        """Ask `target` to take over; False unless this node leads and `target` is up and has the whole log."""
        if not self._driver.running or target not in self._envelope_sender.linked:
            return False
        if not self._raft.transfer(target):
            return False
        self._elections.hand_over()
        return True

    def release(self) -> None:
        """See `held`: it is certain now that this node has not been replaced, so it votes and stands for election."""
        self._elections.held = False

    @property
    def space(self) -> Space:
        """How full the disk is, as consensus was told; see `Space` for what follows from it."""
        return self._space

    @space.setter
    def space(self, space: Space) -> None:
        self._space = space
        paused = space is Space.NONE
        self._follower_side.paused = self._elections.paused = self._mailbox.paused = paused
        self._be_reluctant()

    def stand_last(self, last: bool) -> None:
        """Whether this node should lead only when no other can: it waits longer before it stands for election."""
        self._last = last
        self._be_reluctant()

    def _be_reluctant(self) -> None:
        self._elections.reluctant = self._last or self._space is not Space.ENOUGH

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
        return self._journal.durable_index

    @property
    def match_indexes(self) -> dict[str, int]:
        """On a leader: up to which entry the others are known to have the log. Empty elsewhere."""
        return {peer: follower.match_index for peer, follower in self._leader_side.followers.items()}

    # What happens.

    def _on_timer(self) -> None:
        if not self._stuck():
            self._elections.check()
            self._leader_side.heartbeats()
        self._applier.check()
        self._shortlog.check()
        self._tick()

    def _stuck(self) -> bool:
        """Whether the disk hangs, or is full and another node could lead.

        Nothing can be committed here, and no call fails: only silence makes the others look for another leader.
        """
        patience = self._settings.disk_patience
        if self._driver.hangs(patience):
            return True
        return self._raft.role == "leader" and self._driver.starves(patience) and self.successors()

    def _tick(self) -> None:
        if not self._unsynced_alone():
            self._raft.tick()
            self._after()

    def _unsynced_alone(self) -> bool:
        """Whether the engine must not work yet: without other nodes it commits at once. `_synced` ticks."""
        if not self._raft.alone or self._journal.durable_index >= self._journal[-1][1]:
            return False
        self._driver.sync()
        return True

    def _after(self) -> None:
        """Do what may be due after the engine has worked."""
        self._leader_side.flush()
        self._driver.sync()
        self._applier.run()
        self._leader_side.tell()
        self._reads.check()
        self._confirmation.check()
        self.membership.check()
        self._opening.check()
        leader = self._elections.leader()
        if leader != self._leader:
            self._leader = leader
            self._leader_changes += leader is not None
            log.info("leader", leader=leader, term=self._raft.term)
            self._proposer.leader_changed()
            self._reads.leader_changed()
            for watcher in self._watchers:
                watcher(leader)

    def _more_applied(self) -> None:
        self._reads.check()
        self._opening.check()

    def _synced(self) -> None:
        self._follower_side.release()
        counted = self._leader_side.release()
        self._driver.sync()
        if counted or self._raft.alone:
            self._tick()

    def _receive(self, sender: Peer, envelope: raft_pb2.Envelope) -> None:
        peer = sender.name
        if not self._driver.running or not self.membership.knows(peer):
            return
        try:
            work = self._mailbox.incoming(peer, envelope)
            self._driver.sync()
            if work:  # after the reply to an append something is to be committed: callers wait for it
                (self._tick if envelope.HasField("append_reply") else self._driver.tick_soon)()
        except Invalid as error:
            dropped.warning("message dropped", peer=peer, error=str(error))
        except Exception as error:
            self._driver.fail(error)

    def _link_up(self, peer: str) -> None:
        # Also to one who is no member yet, in this log: it may be one in the leader's.
        self._envelope_sender.linked.add(peer)
        self._driver.run(lambda: self._leader_side.link_up(peer))
        self._driver.tick_soon()

    def _link_down(self, peer: str) -> None:
        self._envelope_sender.linked.discard(peer)
        self._driver.run(lambda: self._leader_side.link_down(peer))
        if peer == self._raft.leader:
            self._elections.lost_leader()
            self._driver.tick_soon()

    def _role_changed(self, role: Role) -> None:
        led, self._leading = self._leading, role == "leader"
        if self._leading:
            self._leader_side.lead()
        elif led:
            self._leader_side.retire()
            self._elections.stepped_down()

    def _stand(self, transfer: bool) -> None:
        if self._unsynced_alone():
            return
        self._mailbox.transferring = transfer
        try:
            self._raft.campaign(self._envelope_sender.linked)
        finally:
            self._mailbox.transferring = False
        self._after()

    def _up_to_date(self) -> None:
        if self._elections.observer:
            self._elections.observer = False
            log.info("caught up with the log that the others have", index=self._raft.commit_index)
            if self._on_rejoined is not None:
                self._on_rejoined()

    def _install(self, path: Path, before: Entry, last: Entry) -> None:
        """Take a snapshot into use. Damaged: the file is not whole, and nothing has changed."""
        leader, index = self._raft.leader, last[1]
        if not self._driver.running or leader in (None, self._raft.node) or index <= self._raft.commit_index:
            return  # nobody to follow, or overtaken by the log
        applied = self._machine.applied_index
        if applied < index:
            applied = self._machine.install_snapshot(path)

        def use() -> None:
            if applied < index:
                raise Damaged(f"the snapshot is of entry {applied}, not {index}")
            self._raft.install(leader, self._raft.term, before, last)
            log.info("snapshot installed", index=index, applied=applied)
            self._follower_side.promise(leader, index + 1)
            self._driver.sync()
            self._driver.tick_soon()

        self._driver.run(use)
