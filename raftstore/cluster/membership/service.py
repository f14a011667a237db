"""The membership of a node: roster, steward, tokens, and the admin calls about them, put together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol

import structlog

from raftstore.chunks.placement.topology import ClusterView
from raftstore.cluster.membership.roster import Roster
from raftstore.cluster.membership.steward import CHANGE_TIMEOUT, Situation, Step, Steward, leaving
from raftstore.cluster.settings import StoreSettings
from raftstore.consensus.engine import Consensus
from raftstore.consensus.membership.configuration import Configuration
from raftstore.errors import Damaged, DiskFailed, Invalid, NoQuorum, NotFound, Removed, Unavailable
from raftstore.metadata import Catalog
from raftstore.metadata.tables.cluster.maintenance import Maintenance
from raftstore.peers import PeerNetwork
from raftstore.types import Wanted
from raftstore.wire import admin_pb2 as admin
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

ALIVE = 1.5
"""Seconds since a member was last heard for which it counts as alive."""

GRACE = 2.0
"""Seconds that uploads begun before have to end before a node that is to leave may be taken out."""

JOINED = "joined"
"""File in the data directory of a node that has joined: the log entry of the configuration it knew then."""

REMOVED = "removed"
"""File in the data directory of a node that was removed: the log entry that did it."""

Intent = commands.Intent

_DONE_TO = {
    Intent.JOIN: "taken in",
    Intent.REMOVE: "removed",
    Intent.MOVE: "moved",
    Intent.RENEW: "known by another certificate",
}


def check_not_removed(settings: StoreSettings) -> None:
    """Raise Removed when this node was removed from the cluster, and has been told; DiskFailed, Damaged."""
    _read_number(settings.data / JOINED)
    marker = settings.data / REMOVED
    if marker.exists():
        raise Removed(_removed_text(settings.name, marker.read_text().strip()))


class Node(Protocol):
    """What this part needs of the others."""

    async def propose(self, command: commands.Command) -> commands.Result:
        """Replicate a command."""
        ...

    async def barrier(self) -> None:
        """Wait until everything acknowledged is applied here."""
        ...


class Membership:
    """Who the members are, for one node, and what is to become of them.

    `changed` is called when the members, or who of them is to leave, have changed.
    """

    def __init__(
        self,
        settings: StoreSettings,
        network: PeerNetwork,
        catalog: Catalog,
        node: Node,
        changed: Callable[[], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._settings = settings
        self._network = network
        self._node = node
        self._tell = changed
        self._on_fatal = on_fatal
        self.roster = Roster(settings.name, settings.members, self._roster_changed)
        self._catalog = catalog
        self._consensus: Consensus | None = None
        self._steward: Steward | None = None
        self._applied: tuple[int, Configuration] = (0, Configuration.of(settings.members))
        self._committed_before: int = 0
        self._joined = _read_number(settings.data / JOINED)
        self._leaving_since: dict[str, float] = {}
        self._agreed = asyncio.Event()
        """The cluster has agreed on its first members: before, it would take none of them for one."""
        self._news = asyncio.Event()
        """Set whenever more is known of the members."""
        network.on_removed = self._removed

    # Life.

    def begin(self) -> None:
        """Go by what the catalog knows, once all are there who are told of it."""
        index, configuration = self.applied()
        if index:
            self.roster.offer(index, configuration)

    def take_part(self, consensus: Consensus) -> None:
        """Follow what consensus knows, and lead changes where it leads. Call before it starts."""
        self._consensus = consensus
        consensus.membership.introduce(self.roster.configuration.names)
        consensus.membership.watch(self._follow)

    def start(self) -> None:
        """Start the steward on the running loop."""
        self._follow()
        self._steward = Steward(
            leads=lambda: self._running().is_leader,
            initial=self._initial,
            intents=self._intents,
            situation=self._situation,
            write=self._write,
            transfer=lambda target: self._running().transfer_leadership(target),
            finish=self._finish,
        )
        self._steward.start()

    async def stop(self) -> None:
        """Stop the steward."""
        if self._steward is not None:
            await self._steward.stop()

    # What is known.

    def applied(self) -> tuple[int, Configuration]:
        """Return the configuration that is applied here, with its log entry; 0: that of the configuration files."""
        index, data = self._catalog.configuration
        if index and index != self._applied[0]:
            self._applied = (index, Configuration.decode(data))
        return self._applied

    def voters(self) -> frozenset[str]:
        """The members whose stores get pictures."""
        return self.applied()[1].voters

    def leaving(self) -> frozenset[str]:
        """Those among the members that are to go."""
        return leaving(self.applied()[1], self._intents())

    def others(self) -> list[str]:
        """The other members, as far as this node has heard."""
        return sorted(self.roster.configuration.names - {self._settings.name})

    @property
    def own_address(self) -> str:
        """Where the others reach this node, as they know it."""
        address = self.roster.addresses.get(self._settings.name, self._settings.peers.listen)
        return str(address)

    def hear(self, report: admin.NodeReport) -> None:
        """Take what another node knows of the membership."""
        if report.configuration:
            self.roster.offer(report.configuration_index, Configuration.decode(report.configuration))

    def _intents(self) -> list[Intent]:
        return self._catalog.intents()

    @property
    def waiting(self) -> tuple[str, ...]:
        """On the leader: why what is wanted is not done yet."""
        return self._steward.waiting if self._steward is not None else ()

    def under_way(self) -> list[str]:
        """Say what of the membership is being changed now. A token that nobody has used yet changes nothing."""
        return [
            f"{intent.node} is being {_DONE_TO[intent.kind]}"
            for intent in self._intents()
            if not intent.done and (intent.kind != Intent.JOIN or intent.nonce)
        ]

    def _running(self) -> Consensus:
        if self._consensus is None:
            raise NoQuorum("this node does not take part yet")
        return self._consensus

    # What changes.

    def _follow(self) -> None:
        membership = self._running().membership
        index, configuration = membership.committed
        if index:
            self.roster.offer(index, configuration)
            self._agreed.set()
        self.roster.follow(membership.configuration)
        self._news.set()
        self._tell()

    def _roster_changed(self) -> None:
        roster = self.roster
        if self._consensus is not None:
            self._consensus.membership.introduce(roster.configuration.names)
        self._network.set_members(roster.addresses, roster.certificates, roster.removed)
        gone = roster.committed[1].removal(self._settings.name)
        if gone is not None:
            self._removed("the cluster", gone.index)
        self._news.set()
        self._tell()

    def _known_since(self) -> int:
        """Return the newest log entry as of which this node was a member, as it knows itself."""
        configurations = [self.applied()]
        if self._consensus is not None:
            configurations.append(self._consensus.membership.configuration)
        return max([self._joined, *(index for index, c in configurations if self._settings.name in c.names)])

    def _removed(self, peer: str, entry: int) -> None:
        """A member says that this node was removed by log entry `entry`."""
        known = self._known_since()
        if entry <= known or (self._joined and known == self._joined):
            # An earlier life of this name: this one came with a token and has been in no configuration yet. A node
            # is replaced in two steps, and it may hear of the first one before the second one is committed.
            return
        try:
            (self._settings.data / REMOVED).write_text(f"{entry}\n")
        except OSError as error:
            # It is told again at the next start.
            log.warning("cannot note that this node was removed", error=str(error))
        self._on_fatal(Removed(_removed_text(self._settings.name, str(entry))))

    async def until(self, agreed: Callable[[Configuration], bool]) -> None:
        """Wait until the members have agreed on a configuration, as far as this node knows, of which that is true."""
        while not agreed(self.roster.committed[1]):
            self._news.clear()
            await self._news.wait()

    # The steward's view.

    def _initial(self) -> Configuration | None:
        """Return what the first leader writes: the files' members become the cluster's own."""
        membership = self._running().membership
        index, configuration = membership.configuration
        return None if index else configuration

    def _situation(self) -> Situation:
        consensus = self._running()
        configuration = consensus.membership.configuration[1]
        matched, before = consensus.match_indexes, self._committed_before
        # A learner has caught up when it has what was committed at the last look.
        self._committed_before = consensus.commit_index
        now = time.monotonic()
        going = self.leaving()
        self._leaving_since = {name: self._leaving_since.get(name, now) for name in going}
        return Situation(
            leader=self._settings.name,
            configuration=configuration,
            alive=consensus.membership.heard_lately(ALIVE),
            caught_up=lambda name: 0 < before <= matched.get(name, 0),
            drained=lambda name: (
                name in going and now - self._leaving_since[name] >= GRACE and self._drained(going)
            ),
        )

    def _drained(self, going: frozenset[str]) -> bool:
        """Whether the nodes that stay have as many copies of every chunk as an upload must have to be acknowledged.

        Not all that are wanted: under load some upload's last copy is always still under way.
        """
        stay = self.applied()[1].voters - going
        live = [store.number for store in self._catalog.stores() if store.current and store.node in stay]
        view = ClusterView((), max(1, len(stay)), self._settings.replicas)
        return not self._catalog.short_chunks(Wanted(view.quorum, view.majority), live, 1)

    async def _write(self, step: Step) -> None:
        membership = self._running().membership
        await membership.change(step, after=membership.configuration[0], timeout=CHANGE_TIMEOUT)

    async def _finish(self, intent: Intent) -> None:
        await self._node.propose(commands.Command(finish_intent=commands.FinishIntent(id=intent.id)))

    # What admins ask.

    async def intend(self, intent: Intent) -> None:
        """Take what an admin wants. Raises Invalid, AlreadyExists, NoQuorum."""
        if intent.kind == Intent.MOVE:
            self.roster.check_free(intent.address, intent.node)
        try:
            await asyncio.wait_for(self._agreed.wait(), self._settings.command_timeout)
        except TimeoutError:
            raise NoQuorum("the cluster has not agreed on its first members yet; try again") from None
        await self._node.propose(commands.Command(put_intent=commands.PutIntent(intent=intent)))
        self._tell()

    async def cancel(self, node: str) -> None:
        """Give up the open change of `node`, or its token. Raises NotFound when there is none."""
        await self._node.barrier()
        for intent in self._intents():
            if intent.node == node and not intent.done:
                finish = commands.FinishIntent(id=intent.id, cancel=True)
                await self._node.propose(commands.Command(finish_intent=finish))
                self._tell()
                return
        raise NotFound(f"a token or change that is open for node {node}")

    def transfer(self, target: str) -> str | None:
        """On the leader: ask `target`, or any voter, to take over; return whom, or None: this node does not lead.

        Raises NotFound (no member), Invalid (not a voter), Unavailable (none has the whole log now).
        """
        consensus = self._running()
        if not consensus.is_leader:
            return None
        configuration = consensus.membership.configuration[1]
        voters = configuration.voters
        if target == self._settings.name:
            return ""
        if target and target not in configuration.names:
            raise NotFound(NotFound.node(target, configuration.names))
        if target and target not in voters:
            raise Invalid(f"{target} has no vote")
        alive = consensus.membership.heard_lately(ALIVE)
        if target and target not in alive:
            raise Unavailable(
                f"{target} cannot take over: it is down, or cannot be reached from {self._settings.name}"
            )
        resting = self._resting()
        if target in resting:
            raise Invalid(f"{target} is in maintenance; `pixraft maintenance off {target}` ends that")
        # Those in maintenance last: they hand over again.
        others = sorted((voters & alive) - {self._settings.name}, key=lambda name: (name in resting, name))
        for name in [target] if target else others:
            if consensus.transfer_leadership(name):
                return name
        if target:
            raise Unavailable(f"{target} cannot take over now: it does not have the whole log yet; try again")
        raise Unavailable("no other node can take over now: they are down, or do not have the whole log yet")

    def _resting(self) -> Collection[str]:
        """Return the nodes in maintenance."""
        return self._catalog.ask(Maintenance, lambda table: table.nodes)

    def add_to(self, report: admin.NodeReport, known: int) -> None:
        """Add what this node knows beyond log entry `known`."""
        report.waiting.extend(self.waiting)
        index, configuration = self.roster.committed
        if index > known:
            report.configuration_index, report.configuration = index, configuration.encode()

    def describe(self, waiting: Sequence[str]) -> admin.Membership:
        """Return the members and what is open, as applied here; `waiting` is what the leader has said."""
        index, configuration = self.applied()
        going = self.leaving()
        addresses = self.roster.addresses
        return admin.Membership(
            index=index,
            members=[
                admin.Member(
                    name=member.name,
                    address=str(addresses[member.name]) if member.name in addresses else "",
                    voter=member.voter,
                    leaving=member.name in going,
                )
                for member in configuration.members
            ],
            open=[
                admin.Change(
                    id=intent.id,
                    kind=Intent.Kind.Name(intent.kind).lower(),
                    node=intent.node,
                    replaces=intent.replaces,
                    address=intent.address,
                    used=bool(intent.nonce),
                    expires_ns=intent.expires_ns,
                )
                for intent in self._intents()
                if not intent.done
            ],
            waiting=waiting,
        )


def _read_number(file: Path) -> int:
    """Return the log entry that `file` names, 0 when there is no such file.

    Raises DiskFailed when it cannot be read, Damaged when it holds something else: taken for 0, a node would believe
    that it was removed.
    """
    try:
        text = file.read_text(errors="replace").strip()
    except FileNotFoundError:
        return 0
    except PermissionError:
        raise DiskFailed(
            f"{file}: this user cannot read it; give the data directory to the user that runs the node (chown -R)"
        ) from None
    except OSError as error:
        raise DiskFailed(f"{file}: {error.strerror}") from error
    if not text.isascii() or not text.isdigit():
        raise Damaged(f"{file} should hold a number")
    return int(text)


def _removed_text(name: str, entry: str) -> str:
    return (
        f"{name} by log entry {entry}. To bring it back, remove its data directory and let it join with a new token "
        "(pixraft node add)"
    )
