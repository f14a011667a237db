"""A cluster that only answers admin calls: real certificates, real channel, made-up answers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from ftpgateway.cli.helpers import bundle
from ftpgateway.demo import ports
from ftpgateway.node.config.reading import load_node_config
from ftpgateway.node.config.whole import NODE_FILE
from raftstore.errors import AlreadyExists, Denied, EventsLost, Incompatible, NotFound
from raftstore.peers import Peer, PeerNetwork, Reply, Role
from raftstore.peers.security.pki import Identity
from raftstore.peers.settings import PeersSettings
from raftstore.util.addresses import Address
from raftstore.wire import admin_pb2
from raftstore.wire import commands_pb2 as commands

Status = Callable[[str], admin_pb2.ClusterStatus]


class FakeCluster:
    """What the fake nodes share: users, what they answer to a status, and an error to raise, by node."""

    def __init__(self, directory: Path, names: list[str]) -> None:
        self.directory = directory
        self.addresses = {
            name: Address("127.0.0.1", port)
            for name, port in zip(names, ports.free("127.0.0.1", len(names)), strict=True)
        }
        specs = [
            bundle.NodeSpec(name, address, address, Address("127.0.0.1", 0), "")
            for name, address in self.addresses.items()
        ]
        bundle.make_cluster(directory, bundle.ClusterSpec(nodes=specs))
        self.users: dict[str, admin_pb2.UserPut] = {}
        self.orphans: dict[str, int] = {}
        """Names that an owner without an account has; two are handed over at a time."""
        self.verdict = dict.fromkeys(names, "healthy")
        self.raises: dict[str, Exception] = {}
        self.silent: set[str] = set()
        self.jobs: dict[int, commands.Job] = {}
        self.short = 0
        self.lost = 0
        self.storeless: set[str] = set()
        """Nodes that get no job unless they are named."""
        self.outcome = commands.Job(state=commands.Job.DONE)
        """What becomes of every job at once."""
        self.calls: list[tuple[str, str, str]] = []
        self.upgrade = admin_pb2.Upgrade(level=1, before=1, target=1)
        """What is told of an upgrade; finishing it changes `level`."""
        self.partials: list[admin_pb2.PartialUpload] = []
        self.kept = 604_800
        self.groups: dict[str, admin_pb2.Group] = {}
        self.sent: list[admin_pb2.Sent] = []
        """What everybody has sent, newest first; told two at a time."""
        self.events: list[admin_pb2.Event] = []
        """Told two at a time."""
        self.waits: list[int] = []
        """How long each question for events would wait."""
        self.audit: list[admin_pb2.AuditEntry] = []
        """Told two at a time."""
        self.webhooks: dict[str, admin_pb2.WebhookState] = {}
        self.blocks: list[str] = []
        self.trash: list[admin_pb2.Trashed] = []
        """What is in everybody's trash; told two at a time."""
        self.left: dict[str, int] = {}
        """Names that former persons have left; two go at a time."""

    def status(self, asked: str) -> admin_pb2.ClusterStatus:
        verdict = self.verdict[asked]
        status = admin_pb2.ClusterStatus(
            verdict=verdict,
            asked=asked,
            leader="" if verdict == "no quorum" else "n1",
            term=4,
            files=2,
            bytes=3000,
            lost_count=self.lost,
            partials=len(self.partials),
            partial_bytes=sum(one.size for one in self.partials),
        )
        for name, address in self.addresses.items():
            up = verdict == "healthy" or name == asked or (verdict == "degraded" and name != "n3")
            node = status.nodes.add(name=name, address=str(address), role="unknown", voter=True, reachable=up)
            if up:
                node.role = "leader" if name == "n1" else "follower"
                node.term, node.commit_index, node.applied_index, node.lag = 4, 17, 16, 1
                node.pictures, node.bytes, node.free_disk = 2, 3000, 5 << 30
            else:
                node.error = "cannot be reached"
        if verdict == "degraded":
            status.short.extend(["/a.jpg", "/b.jpg"])
            status.short_count = 2
            status.error = "n3 cannot be reached"
        return status

    def serve(self, network: PeerNetwork, name: str) -> None:
        both = frozenset({Role.NODE, Role.ADMIN})

        def answer(method: str, function: Callable[[bytes], bytes]) -> None:
            async def handler(peer: Peer, body: bytes, _payload: memoryview) -> Reply:
                self.calls.append((name, method, peer.role.value))
                if name in self.silent:
                    await asyncio.Event().wait()
                if name in self.raises:
                    raise self.raises[name]
                return Reply(function(body))

            network.serve(f"admin.{method}", handler, roles=both)

        answer("status", lambda _body: self.status(name).SerializeToString())
        answer("users", lambda _body: self._users())
        answer("account", self._account)
        answer("user_put", self._put)
        answer("user_remove", self._remove)
        answer("user_orphans", lambda _body: self._orphans())
        answer("user_adopt", self._adopt)
        answer("jobs", lambda _body: self._jobs())
        answer("job_put", self._put_job)
        answer("job_cancel", self._cancel_job)
        answer("upgrade", lambda _body: self.upgrade.SerializeToString())
        answer("upgrade_finish", lambda _body: self._finish())
        answer("groups", self._groups)
        answer("group_put", self._put_group)
        answer("group_remove", self._remove_group)
        answer("block", self._block)
        answer("inbox", lambda _body: self._inbox().SerializeToString())
        answer("trash", self._tell_trash)
        answer("trash_empty", self._empty_trash)
        answer("sent", self._sent)
        answer("events", self._tell_events)
        answer("audit", self._tell_audit)
        answer("webhooks", self._list_webhooks)
        answer("webhook_add", self._add_webhook)
        answer("webhook_remove", self._remove_webhook)
        answer("webhook_retry", self._retry_webhook)
        answer("webhook_test", self._test_webhook)
        answer("person_purge", self._purge)
        answer("partials", self._partials)
        answer("partial_remove", self._remove_partial)

    def _groups(self, body: bytes) -> bytes:
        request = admin_pb2.GroupsRequest.FromString(body)
        if request.name:
            return admin_pb2.Groups(groups=[self.groups[request.name]]).SerializeToString()
        found = [self.groups[name] for name in sorted(self.groups) if name > request.after][:2]
        return admin_pb2.Groups(groups=found).SerializeToString()

    def _put_group(self, body: bytes) -> bytes:
        put = admin_pb2.GroupPut.FromString(body)
        if put.create == (put.name in self.groups):
            raise AlreadyExists(put.name) if put.create else NotFound(put.name)
        group = self.groups.setdefault(put.name, admin_pb2.Group(name=put.name, owner=put.owner))
        members = sorted({*group.members, *put.add} - set(put.remove))
        del group.members[:]
        group.members.extend(members)
        return b""

    def _remove_group(self, body: bytes) -> bytes:
        name = admin_pb2.GroupRemove.FromString(body).name
        if self.groups.pop(name, None) is None:
            raise NotFound(name)
        return b""

    def _block(self, body: bytes) -> bytes:
        put = admin_pb2.BlockPut.FromString(body)
        (self.blocks.remove if put.off else self.blocks.append)(put.name)
        return b""

    def _inbox(self) -> admin_pb2.Inbox:
        return admin_pb2.Inbox(bytes=5, files=2, blocks=self.blocks)

    def _account(self, body: bytes) -> bytes:
        name = admin_pb2.AccountRequest.FromString(body).name
        if name not in self.users:
            raise NotFound(f"user {name}")
        user = next(user for user in admin_pb2.Users.FromString(self._users()).users if user.name == name)
        return admin_pb2.Account(
            user=user,
            inbox=self._inbox() if user.person else None,
            trash_files=len(self.trash),
            trash_bytes=sum(each.size for each in self.trash),
            groups=[group.name for group in self.groups.values() if name in group.members],
        ).SerializeToString()

    def _tell_trash(self, body: bytes) -> bytes:
        request = admin_pb2.TrashRequest.FromString(body)
        if request.name not in self.users:
            raise NotFound(request.name)
        found = [each for each in self.trash if each.inode > request.after][:2]
        kept_ns = self.users[request.name].trash_ns
        return admin_pb2.TrashPage(trashed=found, kept_ns=kept_ns).SerializeToString()

    def _empty_trash(self, _body: bytes) -> bytes:
        removed, self.trash = len(self.trash), []
        return admin_pb2.TrashEmptied(removed=removed).SerializeToString()

    def _sent(self, body: bytes) -> bytes:
        request = admin_pb2.SentRequest.FromString(body)
        found = [
            one
            for one in self.sent
            if bool(one.ended_ns) is request.ended
            and (not request.HasField("before") or one.key.record < request.before.record)
        ]
        return admin_pb2.SentPage(sent=found[:2]).SerializeToString()

    def _tell_events(self, body: bytes) -> bytes:
        request = admin_pb2.EventsRequest.FromString(body)
        self.waits.append(request.wait_ms)
        after = request.after if request.HasField("after") else self.events[0].number - 1 if self.events else 0
        if self.events and not self.events[0].number - 1 <= after <= self.events[-1].number:
            raise EventsLost(f"behind {after}: there are {self.events[0].number} to {self.events[-1].number}")
        found = [event for event in self.events if event.number > after][:2]
        if not found and request.wait_ms and len(self.waits) > 3:
            raise Denied("enough")  # the end of a test that follows
        return admin_pb2.EventsPage(events=found, last=found[-1].number if found else after).SerializeToString()

    def _webhook(self, name: str) -> admin_pb2.WebhookState:
        if name not in self.webhooks:
            raise NotFound(f"webhook {name}")
        return self.webhooks[name]

    def _list_webhooks(self, body: bytes) -> bytes:
        name = admin_pb2.WebhooksRequest.FromString(body).name
        found = [self._webhook(name)] if name else [self.webhooks[each] for each in sorted(self.webhooks)]
        return admin_pb2.Webhooks(webhooks=found).SerializeToString()

    def _add_webhook(self, body: bytes) -> bytes:
        asked = admin_pb2.WebhookAdd.FromString(body)
        if asked.name in self.webhooks:
            raise AlreadyExists(f"webhook {asked.name}")
        self.webhooks[asked.name] = admin_pb2.WebhookState(
            name=asked.name, url=asked.url, kinds=asked.kinds, private=asked.private
        )
        return admin_pb2.WebhookAdded(secret="whsec_c2VjcmV0").SerializeToString()

    def _remove_webhook(self, body: bytes) -> bytes:
        del self.webhooks[self._webhook(admin_pb2.WebhookRemove.FromString(body).name).name]
        return b""

    def _retry_webhook(self, body: bytes) -> bytes:
        asked = admin_pb2.WebhookRetry.FromString(body)
        for letter in self._webhook(asked.name).letters:
            letter.asked = letter.asked or asked.letter in (0, letter.number)
        return b""

    def _test_webhook(self, body: bytes) -> bytes:
        state = self._webhook(admin_pb2.WebhookTest.FromString(body).name)
        error = state.attempts.error
        return admin_pb2.WebhookTested(
            status=0 if error else 204, error=error, took_ms=1500
        ).SerializeToString()

    def _tell_audit(self, body: bytes) -> bytes:
        request = admin_pb2.AuditRequest.FromString(body)
        self.waits.append(request.wait_ms)
        after = self.audit[0].number - 1
        if request.HasField("after"):
            after = request.after
        elif request.newest:
            after = max(after, self.audit[-1].number - request.newest)
        found = [entry for entry in self.audit if entry.number > after][:2]
        if not found and request.wait_ms and len(self.waits) > 3:
            raise Denied("enough")  # the end of a test that follows
        return admin_pb2.AuditPage(entries=found, last=found[-1].number if found else after).SerializeToString()

    def _purge(self, body: bytes) -> bytes:
        name = admin_pb2.PersonPurge.FromString(body).name
        there = self.left.pop(name, 0)
        if there > 2:
            self.left[name] = there - 2
        return admin_pb2.PersonPurged(removed=min(there, 2), finished=there <= 2).SerializeToString()

    def _finish(self) -> bytes:
        if self.upgrade.obstacles:
            raise Incompatible("; ".join(self.upgrade.obstacles))
        self.upgrade.level = self.upgrade.target
        return self.upgrade.SerializeToString()

    def _partials(self, body: bytes) -> bytes:
        after = admin_pb2.PartialsRequest.FromString(body).after.parent
        found = [one for one in self.partials if one.place.parent > after][:2]
        return admin_pb2.Partials(partials=found, kept=self.kept).SerializeToString()

    def _remove_partial(self, body: bytes) -> bytes:
        request = admin_pb2.PartialRemove.FromString(body)
        for one in self.partials:
            if (one.path, one.owner) == (request.path, request.owner):
                self.partials.remove(one)
                return b""
        raise NotFound(request.path)

    def _jobs(self) -> bytes:
        known = [job.SerializeToString() for job in self.jobs.values()]
        return admin_pb2.Jobs(jobs=known, short=self.short).SerializeToString()

    def _put_job(self, body: bytes) -> bytes:
        put = admin_pb2.JobPut.FromString(body)
        ids = []
        for node in put.nodes or [name for name in self.addresses if name not in self.storeless]:
            job = commands.Job(
                id=len(self.jobs) + 1,
                kind=put.kind.upper(),
                node=node,
                apply=put.apply,
                created_ns=10**18,
            )
            job.MergeFrom(self.outcome)
            self.jobs[job.id] = job
            ids.append(job.id)
        return admin_pb2.JobPutReply(ids=ids).SerializeToString()

    def _cancel_job(self, body: bytes) -> bytes:
        number = admin_pb2.JobCancel.FromString(body).id
        if number not in self.jobs:
            raise NotFound(f"job {number}")
        self.jobs[number].state = commands.Job.CANCELLED
        return b""

    def _users(self) -> bytes:
        made = admin_pb2.Users()
        for put in self.users.values():
            user = made.users.add(name=put.name, home=put.home, rights=put.rights, quota_bytes=put.quota_bytes)
            for field in (
                "person",
                "expires_ns",
                "trash_ns",
                "disabled",
                "max_sessions",
                "upload_rate",
                "quota_files",
            ):
                setattr(user, field, getattr(put, field))
            user.rules.extend(put.set_rules)
            user.authorized_keys.extend(key for key in put.add_keys if key not in put.drop_keys)
        return made.SerializeToString()

    def _orphans(self) -> bytes:
        made = admin_pb2.Orphans()
        for owner, count in self.orphans.items():
            made.orphans.add(owner=owner, files=count, bytes=count * 1024)
        return made.SerializeToString()

    def _adopt(self, body: bytes) -> bytes:
        adopt = admin_pb2.UserAdopt.FromString(body)
        if adopt.name not in self.users:
            raise NotFound(adopt.name)
        adopted = min(2, self.orphans[adopt.owner] - adopt.after)
        after = adopt.after + adopted
        finished = after == self.orphans[adopt.owner]
        if finished:
            del self.orphans[adopt.owner]
        return admin_pb2.UserAdopted(after=after, adopted=adopted, finished=finished).SerializeToString()

    def _put(self, body: bytes) -> bytes:
        put = admin_pb2.UserPut.FromString(body)
        if put.create and put.name in self.users:
            raise AlreadyExists(f"user {put.name}")
        if put.update and put.name not in self.users:
            raise NotFound(f"user {put.name}")
        self.users.setdefault(put.name, admin_pb2.UserPut()).MergeFrom(put)
        return b""

    def _remove(self, body: bytes) -> bytes:
        name = admin_pb2.UserRemove.FromString(body).name
        if self.users.pop(name, None) is None:
            raise NotFound(f"user {name}")
        return b""


@contextlib.contextmanager
def fake_cluster(directory: Path, *, up: list[str], names: list[str] | None = None) -> Iterator[FakeCluster]:
    """Serve the nodes in `up` from a thread with a loop of its own."""
    cluster = FakeCluster(directory, names or ["n1", "n2", "n3"])
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        networks = []
        for name in up:
            config = load_node_config(directory / name / NODE_FILE, {})
            peers = config[PeersSettings]
            identity = Identity.load(peers.ca, peers.certificate, peers.key)
            network = PeerNetwork(identity, peers.listen, {name: peers.listen})
            cluster.serve(network, name)
            await network.start()
            networks.append(network)
        started.set()
        await stop.wait()
        for network in networks:
            await network.stop()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(main())

    thread = threading.Thread(target=run, name="fake cluster")
    thread.start()
    try:
        assert started.wait(20)
        yield cluster
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
    assert not thread.is_alive()
