"""The peers of one node: who is a member, which connections are up, what is served to whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Literal
from weakref import WeakSet

import structlog

from raftstore.errors import Incompatible, Invalid, Refused, Removed, Unavailable
from raftstore.peers.calls import NODES, Call
from raftstore.peers.connections.channel import Shared
from raftstore.peers.connections.dial import Dialler
from raftstore.peers.connections.incoming import Incoming
from raftstore.peers.connections.link import Link
from raftstore.peers.connections.outgoing import Outgoing
from raftstore.peers.joining import Answer, Joins, Key
from raftstore.peers.known import KnownNetworks
from raftstore.peers.listener import Listener
from raftstore.peers.model import Handler, Lane, Limits, OneWay, Peer, Reply, Role
from raftstore.peers.security.grants import ID_SIZE, KEY_SIZE, Grants, Session
from raftstore.peers.security.pki import Identity
from raftstore.peers.security.seal import Seals
from raftstore.peers.security.tls import load_identity, server_context
from raftstore.peers.services import Services
from raftstore.peers.versions import Greetings, Versions
from raftstore.util.addresses import Address
from raftstore.util.buffers import Buffer
from raftstore.util.metrics import counter
from raftstore.wire import peer_pb2

log = structlog.get_logger()

Encryption = Literal["full", "bulk-auth"]

_SESSION = Call("peers.bulk-session", peer_pb2.BulkSessionRequest, peer_pb2.BulkSession)

MOST_PEERS = 64
"""Names of members in metrics."""

STOP_TIME = 10.0
"""Seconds that handlers have to end when the node stops."""


class PeerNetwork:
    """The channel between this node and the other members, one listening port and two lanes to each.

    `members` maps names to addresses; this node's own name in it is ignored. `versions` and `in_force`: see `versions`.
    Raises Invalid when the identity
    does not load or is not a node's. Everything runs on the loop on which `start` was called.
    """

    def __init__(
        self,
        identity: Identity,
        listen: Address,
        members: Mapping[str, Address],
        *,
        encryption: Encryption = "full",
        versions: Versions = Versions(),  # noqa: B008  # immutable
        in_force: Callable[[], int] = lambda: 0,
        limits: Limits = Limits(),  # noqa: B008  # immutable
    ) -> None:
        if identity.role is not Role.NODE:
            raise Invalid(f"{identity.name} has the certificate of an {identity.role.value}, not of a node")
        if encryption not in ("full", "bulk-auth"):
            raise Invalid(f"peer encryption is full or bulk-auth, not {encryption!r}")
        self.name = identity.name
        self._limits = limits
        self._encryption = encryption
        self._shared = Shared(limits)
        self._services = Services()
        _SESSION.serve(self, self._grant_session)
        self._greetings = Greetings(identity.name, versions, in_force)
        self._dialler = Dialler(identity, self._shared, self._greetings)
        self._grants: Grants | None = None  # for a running loop
        self._context = server_context(identity)
        self._listen = listen
        self._listener: Listener | None = None
        self._identity = identity
        self._joins: Joins | None = None
        self._members = dict(members)
        self._certificates: Mapping[str, Collection[bytes]] = {}
        self._removed: Mapping[str, int] = {}
        self.on_removed: Callable[[str, int], None] = lambda peer, entry: None
        """Called with (member, log entry) when a member says that this node was removed by that entry."""
        self._links: dict[tuple[str, Lane], Link] = {}
        self._lanes: dict[tuple[str, int], tuple[Incoming, peer_pb2.Hello]] = {}
        self._incoming: set[Incoming] = set()  # admitted
        self._accepted: WeakSet[Incoming] = WeakSet()  # any whose transport may still be there
        self._known = KnownNetworks()
        self._send_failures: dict[str, int] = {}
        self._watchers: list[tuple[Callable[[str], None], Callable[[str], None]]] = []
        self._stopping: set[asyncio.Task[None]] = set()

    # What this node answers. Register before `start`.

    def serve(
        self, method: str, handler: Handler, *, roles: frozenset[Role] = NODES, by_digest: bool = False
    ) -> None:
        """Answer calls of `method` from peers with one of `roles`; a second handler is a ValueError.

        `by_digest`: the handler compares each payload with a digest from the body.
        """
        self._services.serve(method, handler, roles, by_digest=by_digest)

    def on_message(self, method: str, handler: OneWay) -> None:
        """Take one-way messages of `method`, in order of arrival; a second handler is a ValueError."""
        self._services.on_message(method, handler)

    def on_refused(self, refused: Callable[[Peer, str, Refused], object]) -> None:
        """Be told of a peer that is refused a method for its role, with what it is told. It must not raise."""
        self._services.on_refused = refused

    def on_link(self, up: Callable[[str], None], down: Callable[[str], None]) -> None:
        """Be told when the outgoing consensus connection to a member is up, and when it is down again."""
        self._watchers.append((up, down))

    # Its certificate.

    @property
    def identity(self) -> Identity:
        """Who this node is, with the certificate that it shows now."""
        return self._identity

    def renew(self, identity: Identity) -> None:
        """Show another certificate in all that begins from now on. Raises Invalid when it does not load."""
        server_context(identity)  # so that what does not load changes nothing
        load_identity(self._context, identity)
        self._dialler.renew(identity)
        self._identity = identity
        if self._joins is not None:
            self._joins.identity = identity

    def serve_joins(self, is_open: Callable[[], bool], key: Key, answer: Answer) -> None:
        """Let machines with a token ask to join (`joining`)."""
        self._joins = Joins(self._identity, is_open, key, answer)

    # Life.

    @property
    def address(self) -> Address:
        """Where this node listens; the real port when port 0 was asked for."""
        return self._listener.address if self._listener else self._listen

    async def start(self) -> None:
        """Listen and start to dial all members; does not wait for them. Raises Invalid if it cannot listen."""
        loop = asyncio.get_running_loop()
        self._grants = Grants(self._limits.session_time, loop.time)
        listener = Listener(
            self._listen,
            self._context,
            self._grants,
            self._make_incoming,
            self._limits,
            self._shared.quiet,
            joins=self._joins,
            is_known=self._known.__contains__,
        )
        await listener.start()
        self._listener = listener
        members, self._members = self._members, {}
        self.set_members(members, self._certificates, self._removed)

    async def stop(self) -> None:
        """Close the port, hang up everywhere and wait until every handler and transport is gone."""
        if self._listener is not None:
            self._listen = self._listener.address
            await self._listener.stop()
            self._listener = None
        channels = list(self._accepted)
        tasks = [task for channel in channels for task in channel.tasks.values()]
        for channel in channels:
            channel.abort()
        links = list(self._links.values())
        self._links.clear()
        await asyncio.gather(*(link.stop() for link in links), *self._stopping)
        if tasks:
            _, stubborn = await asyncio.wait(tasks, timeout=STOP_TIME)
            if stubborn:
                log.warning("handlers do not end", tasks=sorted(task.get_name() for task in stubborn))
        await asyncio.gather(*(channel.finished.wait() for channel in channels))

    def set_members(
        self,
        members: Mapping[str, Address],
        certificates: Mapping[str, Collection[bytes]] | None = None,
        removed: Mapping[str, int] | None = None,
    ) -> None:
        """Change who is a member: dial new ones (and those that moved), hang up on those that are gone.

        `certificates` holds the hashes (Peer.certificate) of the only certificates that may be shown under a name, for
        members where they are known; `removed` the log entries that removed former members, for telling them.
        """
        fresh = {name: address for name, address in members.items() if name != self.name}
        before, self._certificates = self._certificates, dict(certificates or {})
        self._removed = dict(removed or {})
        if self._listener is None:
            self._members = fresh  # `start` dials them
            return
        for name in [
            known
            for known in self._members
            if fresh.get(known) != self._members[known] or self._may_be_another(known, before.get(known, ()))
        ]:
            for lane in Lane:
                link = self._links.pop((name, lane), None)
                if link is not None:
                    task = asyncio.get_running_loop().create_task(link.stop())
                    self._stopping.add(task)
                    task.add_done_callback(self._stopping.discard)
        self._members = fresh
        for host, _ in fresh.values():
            self._known.add(host)
        for channel in list(self._incoming):
            if channel.peer is not None and not self._is_member(channel.peer):
                channel.drop("no longer a member")
        for name, address in fresh.items():
            for lane in Lane:
                if (name, lane) not in self._links:
                    self._links[name, lane] = link = self._make_link(name, address, lane)
                    link.start()

    # Talking to members.

    def reachable(self, peer: str) -> bool:
        """Whether the outgoing consensus connection to that member is up."""
        link = self._links.get((peer, Lane.CONSENSUS))
        return link is not None and link.channel is not None

    def send(self, peer: str, method: str, body: bytes, *, urgent: bool = False) -> bool:
        """Send a one-way message on the consensus lane, an `urgent` one without waiting for others to go with it.

        False when it was dropped: not connected, or too much waits already. True promises nothing. Raises
        TooLarge for a message over the limit.
        """
        link = self._links.get((peer, Lane.CONSENSUS))
        channel = link.channel if link is not None else None
        if channel is not None and channel.message(method, body, urgent=urgent):
            return True
        self._failed_to_send(peer)
        return False

    @counter(
        "pixraft_peer_send_failures_total",
        "Messages to a member that were dropped, and calls that it did not answer in time.",
        label="peer",
        most=MOST_PEERS,
    )
    def send_failures(self) -> dict[str, int]:
        """By member; who is none any more is not named."""
        return {name: self._send_failures.get(name, 0) for name in self._members}

    def _failed_to_send(self, peer: str) -> None:
        if peer in self._members:
            self._send_failures[peer] = self._send_failures.get(peer, 0) + 1

    async def call(
        self,
        peer: str,
        method: str,
        body: bytes,
        payload: Buffer = b"",
        *,
        lane: Lane = Lane.BULK,
        timeout: float,
        by_digest: bool = False,
    ) -> Reply:
        """Ask a member and wait for its answer, at most `timeout` seconds.

        `by_digest`: the handler compares `payload`, and the caller the payload of the answer, with a digest that it
        has from the body or knows already. Then `bulk-auth` sends them as they are.

        `payload` must not be changed afterwards. Raises the remote StoreError as it was raised there;
        Unavailable for an unknown member, a connection that is down or gets lost (the call may have been
        carried out or not) and at the deadline; TooLarge for a payload over the limit.
        """
        link = self._links.get((peer, lane))
        if link is None:
            raise Unavailable(f"{peer} is not a member that this node is connected to")
        try:
            async with asyncio.timeout(timeout):
                channel = await link.connected()
                return await channel.call(method, body, payload, timeout, by_digest=by_digest)
        except TimeoutError:
            self._failed_to_send(peer)
            raise Unavailable(f"{peer} did not answer {method} in {timeout:g} s") from None

    # Dialling.

    def _make_link(self, name: str, address: Address, lane: Lane) -> Link:
        async def dial(on_drop: Callable[[Outgoing], None]) -> Outgoing:
            session = await self._bulk_session(name) if lane is Lane.BULK else None
            try:
                channel = await self._dialler.dial(
                    address,
                    _WIRE_LANES[lane],
                    expected=name,
                    certificates=self._certificates.get(name, ()),
                    session=session,
                    on_drop=on_drop,
                )
            except Removed as error:
                self.on_removed(name, _entry(error))
                raise
            self._known.add(channel.address)
            return channel

        if lane is not Lane.CONSENSUS:
            return Link(name, lane.name.lower(), dial, self._limits)
        return Link(
            name,
            lane.name.lower(),
            dial,
            self._limits,
            up=lambda: self._tell(name, 0),
            down=lambda: self._tell(name, 1),
        )

    def _tell(self, name: str, which: Literal[0, 1]) -> None:
        for watcher in self._watchers:
            try:
                watcher[which](name)
            except Exception:
                log.exception("link watcher failed", peer=name)

    async def _bulk_session(self, name: str) -> tuple[bytes, Seals]:
        """Ask a member for a bulk connection: encrypted, or as this node is configured if that member takes such."""
        if self._encryption == "bulk-auth":
            try:
                session = await self._session(name, plain_chunks=True)
            except Refused:
                self._shared.quiet.warning("peer takes only encrypted bulk connections", peer=name)
                session = await self._session(name, plain_chunks=False)
        else:
            session = await self._session(name, plain_chunks=False)
        return session.preamble(), session.dialler_seals()

    async def _session(self, name: str, *, plain_chunks: bool) -> Session:
        """Ask a member for a key. Raises Refused."""
        request = peer_pb2.BulkSessionRequest(plain_chunks=plain_chunks)
        granted = await _SESSION.ask(self, name, request, lane=Lane.CONSENSUS, timeout=self._limits.dial_time)
        if len(granted.id) != ID_SIZE or len(granted.key) != KEY_SIZE:
            raise Unavailable(f"{name} sent a bulk session that cannot be used")
        return Session(granted.id, granted.key, plain_chunks)

    # Accepting.

    async def _grant_session(self, peer: Peer, request: peer_pb2.BulkSessionRequest) -> peer_pb2.BulkSession:
        assert self._grants is not None
        if request.plain_chunks and self._encryption == "full":
            raise Refused("this node takes only encrypted connections")
        session = self._grants.grant(peer, plain_chunks=request.plain_chunks)
        return peer_pb2.BulkSession(id=session.id, key=session.key)

    def _make_incoming(self, peer: Peer | None, seals: Seals | None) -> Incoming:
        channel = Incoming(self._shared, self._services, self, seals=seals, peer=peer)
        self._accepted.add(channel)
        return channel

    def _is_member(self, peer: Peer) -> bool:
        if peer.role is not Role.NODE or peer.name == self.name:
            return True
        known = self._certificates.get(peer.name, ())
        return peer.name in self._members and (not known or peer.certificate in known)

    def _may_be_another(self, peer: str, before: Collection[bytes]) -> bool:
        """Whether who was let in as `peer` by one of the certificates `before` (none: any) may not be by now."""
        now = self._certificates.get(peer, ())
        return bool(now) and not (before and set(before) <= set(now))

    def admit(self, channel: Incoming, peer: Peer, hello: peer_pb2.Hello) -> None:
        """Take a connection into use (`incoming.Door`)."""
        if not self._is_member(peer):
            entry = self._removed.get(peer.name)
            if entry is not None:
                raise Removed(f"{peer.name} by log entry {entry}")
            raise Refused(f"{peer.name} is not a member")
        if hello.lane != peer_pb2.CLIENT:
            self._greetings.check(peer.name, hello)
        if hello.lane == peer_pb2.CLIENT:
            clients = sum(other.lane == peer_pb2.CLIENT for other in self._incoming)
            if clients >= self._limits.clients:
                raise Refused("too many clients")
        else:
            self._replace(channel, peer, hello)
        self._incoming.add(channel)
        self._known.add(channel.address)

    def greeting(self) -> peer_pb2.Hello:
        """Say what this node says of itself (`incoming.Door`)."""
        return self._greetings.add_to(peer_pb2.Hello())

    def level_changed(self) -> None:
        """Another level is in force: hang up on members that do not know it."""
        links = [link.channel for link in self._links.values()]
        for channel in [*self._incoming, *filter(None, links)]:
            if channel.peer is None or (isinstance(channel, Incoming) and channel.lane == peer_pb2.CLIENT):
                continue
            try:
                self._greetings.check(channel.peer.name, channel.theirs)
            except Incompatible as error:
                channel.drop(error.detail, warn="peer refused")

    def misfit(self, peer: str) -> str:
        """Return why a member's version does not fit this node's, "" when it does or nothing is known of it."""
        return self._greetings.refused.get(peer, "")

    def _replace(self, channel: Incoming, peer: Peer, hello: peer_pb2.Hello) -> None:
        if peer.name == self.name or hello.lane not in _WIRE_LANES.values():
            raise Refused(f"no lane {hello.lane} for {peer.name}")
        older = self._lanes.get((peer.name, hello.lane))
        if older is not None:
            if older[1].instance == hello.instance and older[1].sequence >= hello.sequence:
                raise Refused("a newer connection is in use")
            older[0].drop("replaced by a newer connection")
        self._lanes[peer.name, hello.lane] = (channel, hello)
        for lane in Lane:  # whoever dials is there to be dialled
            link = self._links.get((peer.name, lane))
            if link is not None:
                link.nudge()

    def left(self, channel: Incoming) -> None:
        """Forget a connection (`incoming.Door`)."""
        self._incoming.discard(channel)
        if channel.peer is not None:
            current = self._lanes.get((channel.peer.name, channel.lane))
            if current is not None and current[0] is channel:
                del self._lanes[channel.peer.name, channel.lane]


def _entry(error: Removed) -> int:
    """Read what `admit` has written; 0 for something else."""
    last = error.detail.rpartition(" ")[2]
    return int(last) if last.isascii() and last.isdigit() and len(last) < 20 else 0


_WIRE_LANES: dict[Lane, peer_pb2.LaneKind] = {Lane.CONSENSUS: peer_pb2.CONSENSUS, Lane.BULK: peer_pb2.BULK}
