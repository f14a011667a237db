"""What the demo shows, step by step: upload, read elsewhere, send to a person, lose the leader, go on, catch up."""

from __future__ import annotations

import asyncio
import ftplib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from ftpgateway.cli.errors import DemoFailed
from ftpgateway.cli.output import human_bytes
from ftpgateway.demo import ftp, interrupts
from ftpgateway.demo.cluster import LocalCluster, Node
from ftpgateway.demo.report import Reporter
from ftpgateway.demo.samples import Picture
from raftstore.cluster.calls import people as people_calls
from raftstore.errors import StoreError
from raftstore.util.addresses import Address
from raftstore.wire import admin_pb2

FAILOVER_TIME = 30.0
"""Seconds that the survivors have to agree on a new leader, and a client to be served again."""

CATCH_UP_TIME = 120.0
_RETRY = 0.1


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the demo logs in as; `password_hash` is argon2id."""

    name: str
    password: str
    password_hash: str


class Scenario:
    """The steps of the demo. Each raises DemoFailed (or what FTP or the store raised) when it goes wrong."""

    def __init__(
        self,
        cluster: LocalCluster,
        account: Account,
        people: list[Account],
        pictures: list[Picture],
        report: Reporter,
    ) -> None:
        """The first two of `people` are those who send and get."""
        self._cluster = cluster
        self._account = account
        self._people = people
        self._pictures = pictures
        self._report = report
        self._late = replace(pictures[0], name=f"while-a-node-was-down{pictures[0].file.suffix}")

    def run(self) -> None:
        """Run all steps."""
        try:
            self._run()
        except (ftplib.Error, EOFError, OSError) as error:
            raise DemoFailed(f"{type(error).__name__}: {error}") from error

    def _run(self) -> None:
        first, *others = self._cluster.nodes.values()
        bring_up(self._cluster, self._account, self._people, self._report)
        self._upload(first)
        for node in others[:2]:
            self._read(node, self._pictures)
        sent = self._send(first)
        dead = self._kill_leader()
        survivor = next(node for node in self._cluster.nodes.values() if node is not dead)
        self._receive(next(node for node in reversed(self._cluster.nodes.values()) if node is not dead), sent)
        self._recall(survivor)
        self._read(survivor, self._pictures)
        self._upload_late(survivor)
        self._restart(dead)
        self._read(dead, [*self._pictures, self._late])

    def _upload(self, node: Node) -> None:
        total = sum(picture.size for picture in self._pictures)
        with self._report.step(f"upload {count(self._pictures)} through {node.name}") as step:
            progress = step.progress(total)
            begin = time.monotonic()
            with ftp.session(node.ftp, self._account.name, self._account.password) as client:
                self._make_directories(client)
                for picture in self._pictures:
                    ftp.upload(client, picture.name, picture.file, progress)
            rate = human_bytes(int(total / max(time.monotonic() - begin, 1e-6)))
            step.note = f"{human_bytes(total)} at {rate}/s, each acknowledged when a majority had it on disk"

    def _make_directories(self, client: ftplib.FTP) -> None:
        parents = {parent for picture in self._pictures for parent in PurePosixPath(picture.name).parents}
        for parent in sorted(parents - {PurePosixPath(".")}):
            client.mkd(str(parent))

    def _read(self, node: Node, pictures: list[Picture]) -> None:
        """Read pictures at a node and compare every byte with the originals."""
        with self._report.step(f"read {count(pictures)} at {node.name}") as step:
            progress = step.progress(sum(picture.size for picture in pictures))
            with ftp.session(node.ftp, self._account.name, self._account.password) as client:
                different = [p.name for p in pictures if ftp.differs(client, p.name, p.file, progress)]
            if different:
                raise DemoFailed(f"{node.name} returned other bytes for {', '.join(different)}")
            step.note = "the same, byte for byte"

    def _send(self, node: Node) -> Picture:
        sender, recipient = self._people[:2]
        picture = replace(self._pictures[0], name=f"picture{self._pictures[0].file.suffix}")
        path = f"/send/{recipient.name}/{picture.name}"
        with self._report.step(f"{sender.name} puts {path} at {node.name}") as step:
            self._put(sender, node, path, picture)
            step.note = f"acknowledged: it is in {recipient.name}'s inbox, at every node"
        return picture

    def _put(self, account: Account, node: Node, path: str, picture: Picture) -> None:
        with ftp.session(node.ftp, account.name, account.password) as client:
            ftp.upload(client, path, picture.file, lambda _count: None)

    def _receive(self, node: Node, picture: Picture) -> None:
        """The recipient reads what came, at a node where nobody has put it; its sender sees that it was opened."""
        sender, recipient = self._people[:2]
        path = f"/inbox/{sender.name}/{picture.name}"
        with self._report.step(f"{recipient.name} reads {path} at {node.name}") as step:
            with ftp.session(node.ftp, recipient.name, recipient.password) as client:
                if ftp.differs(client, path, picture.file, lambda _count: None):
                    raise DemoFailed(f"{node.name} returned other bytes for {path}")
            way = f"{recipient.name}/{picture.name}"
            self._wait_for_state(sender, way, "opened")
            step.note = f"the same, byte for byte; `pixraft sent {sender.name}`: {way} opened"

    def _recall(self, node: Node) -> None:
        sender, recipient = self._people[:2]
        picture = replace(self._pictures[-1], name=f"mistake{self._pictures[-1].file.suffix}")
        way = f"{recipient.name}/{picture.name}"
        with self._report.step(f"{sender.name} puts /send/{way}, and deletes it again") as step:
            self._retried(lambda: self._put(sender, node, f"/send/{way}", picture))
            with ftp.session(node.ftp, sender.name, sender.password) as client:
                client.delete(f"/send/{way}")
            self._wait_for_state(sender, way, "recalled")
            with ftp.session(node.ftp, recipient.name, recipient.password) as client:
                left = client.nlst(f"/inbox/{sender.name}")
            if any(picture.name in name for name in left):
                raise DemoFailed(f"{picture.name} is still in the inbox of {recipient.name}")
            step.note = f"nobody had opened it; `pixraft sent {sender.name} --ended`: {way} recalled"

    def _wait_for_state(self, sender: Account, way: str, state: str) -> None:
        """Wait until `pixraft sent` says so: what was opened is noted in a moment."""
        request = admin_pb2.SentRequest(name=sender.name, ended=state == "recalled")

        def noticed() -> bool:
            try:
                page = asyncio.run(self._cluster.client().ask(people_calls.sent, request))
            except StoreError:
                return False
            return any((one.path, one.state) == (way, state) for one in page.sent)

        self._cluster.wait_until(noticed, f"{way} to be {state}", FAILOVER_TIME)

    def _kill_leader(self) -> Node:
        found: list[tuple[str, int]] = []

        def elected(after: int) -> bool:
            leader = self._cluster.leader()
            if leader is None or leader[1] <= after:
                return False
            found.append(leader)
            return True

        self._cluster.wait_until(lambda: elected(0), "a leader", FAILOVER_TIME)
        name, term = found.pop()
        process = self._cluster.nodes[name].process
        with self._report.step(f"kill -9 the leader, {name} (pid {process.pid if process else '-'})") as step:
            self._cluster.kill(name)
            begin = time.monotonic()
            self._cluster.wait_until(lambda: elected(term), "a new leader", FAILOVER_TIME)
            seconds = time.monotonic() - begin
            step.note = f"the new leader is {found[0][0]}, after {seconds:.2f} s (term {term} -> {found[0][1]})"
        return self._cluster.nodes[name]

    def _upload_late(self, node: Node) -> None:
        with self._report.step(f"upload one more through {node.name}") as step:
            refused = self._retried(lambda: self._store_late(node))
            step.note = "acknowledged" if not refused else f"acknowledged after {refused} refusal(s)"

    def _store_late(self, node: Node) -> None:
        with ftp.session(node.ftp, self._account.name, self._account.password) as client:
            ftp.upload(client, self._late.name, self._late.file, lambda _count: None)

    def _retried(self, attempt: Callable[[], None]) -> int:
        """Try again while the answer is "not now" (4xx), as a client would; return how often it was."""
        deadline = time.monotonic() + FAILOVER_TIME
        refused = 0
        while True:
            try:
                attempt()
            except ftplib.error_temp:
                refused += 1
                if time.monotonic() > deadline:
                    raise
                interrupts.sleep(_RETRY)
            else:
                return refused

    def _restart(self, dead: Node) -> None:
        with self._report.step(f"start {dead.name} again and wait until it has caught up") as step:
            self._cluster.start(dead.name)
            self._cluster.wait_until(self._caught_up, f"{dead.name} to catch up", CATCH_UP_TIME)
            step.note = "all nodes have applied the whole log, the cluster is healthy"

    def _caught_up(self) -> bool:
        status = self._cluster.status()
        return self._cluster.ready() and all(node.lag == 0 for node in status.nodes)


def bring_up(cluster: LocalCluster, account: Account, people: list[Account], report: Reporter) -> None:
    """Start all nodes, wait until they are ready and make the accounts."""
    with report.step(f"start {len(cluster.nodes)} nodes on this machine") as step:
        cluster.start()
        cluster.wait_ready()
        leader = cluster.leader()
        pids = ", ".join(f"{n.name} is pid {n.process.pid}" for n in cluster.nodes.values() if n.process)
        step.note = f"{pids}; the leader is {leader[0] if leader else 'being elected'}"
    names = " and ".join(person.name for person in people)
    with report.step(f"make the user {account.name}, and the persons {names}"):
        cluster.put_user(account.name, account.password_hash)
        for person in people:
            cluster.put_user(person.name, person.password_hash, person=True)


def count(pictures: list[Picture]) -> str:
    """Say how many pictures there are."""
    return f"{len(pictures)} picture{'' if len(pictures) == 1 else 's'}"


def how_to_connect(cluster: LocalCluster, account: Account, people: list[Account], name: str) -> str:
    """Return lines that say how to reach the cluster with common clients; `name` is a picture in it."""
    nodes = list(cluster.nodes.values())
    addresses: list[Address] = [node.ftp for node in nodes]
    one, two, three = addresses[0], addresses[1 % len(addresses)], addresses[2 % len(addresses)]
    login = f"{account.name}:{account.password}"
    sender, recipient = people[:2]
    quiet = "set ssl:verify-certificate no"  # the demo's certificate is self-signed
    return "\n".join(
        [
            f"Connect as {account.name}, password {account.password}:",
            f"  ftp {one.host} {one.port}",
            f"  curl -T PICTURE.jpg ftp://{login}@{two}/",
            f"  curl -o copy.jpg ftp://{login}@{three}/{name}",
            *(f"  sftp -P {node.sftp.port} {account.name}@{node.sftp.host}" for node in nodes[:1] if node.sftp),
            *(f"  a browser: http://{node.web}" for node in nodes[:1] if node.web),
            f"  lftp -e '{quiet}; ls' -u {account.name},{account.password} ftp://{one}",
            f"Or as {sender.name}, password {sender.password}, and send to {recipient.name}:",
            f"  curl -T PICTURE.jpg ftp://{sender.name}:{sender.password}@{one}/send/{recipient.name}/",
            f"  curl ftp://{recipient.name}:{recipient.password}@{three}/inbox/{sender.name}/",
        ]
    )
