"""Persons send pictures to each other through random nodes, by FTP and SFTP, while leaders are killed.

Some clients are gone before they read the reply, and repeat the upload elsewhere; of those that get an error some
repeat it, and some give up. In the end each picture whose upload was acknowledged is in one inbox once, byte for byte;
one that was given up is nowhere, or it is whole, once, and its sender sees it. Run as a program (`make deliveries`) it
does 10,000 of them.
"""

from __future__ import annotations

import argparse
import ftplib
import io
import logging
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import paramiko
from harness import Cluster
from persons import asked, close, put_person, sftp
from pictures import picture, retrieve
from waiting import PATIENCE, eventually

PERSONS = ("anna", "bob", "carol", "dave", "erin")
CLIENTS = 6
"""Threads that send, each as one person; one person sends from two."""
GONE = 0.15
"""Of all uploads: the client is gone before it reads the reply, and repeats it."""
GIVES_UP = 0.3
"""Of all errors: the client does not repeat the upload."""
SAME = 0.05
"""Of all pictures: they have the same name."""

Broken = (ftplib.Error, OSError, EOFError, paramiko.SSHException)


@dataclass
class Delivery:
    """A picture on its way, and what its sender was told last."""

    number: int
    sender: str
    recipient: str
    name: str
    content: bytes
    acknowledged: bool = False
    tries: int = 0

    @property
    def path(self) -> str:
        """Where it is put."""
        return f"/send/{self.recipient}/{self.name}"


class Connections:
    """The sessions of one person, one a node and protocol, opened when they are needed."""

    def __init__(self, cluster: Cluster, person: str) -> None:
        self._cluster = cluster
        self._person = person
        self._open: dict[tuple[str, str], tuple[ExitStack, ftplib.FTP | paramiko.SFTPClient]] = {}

    def get(self, node: str, protocol: str) -> ftplib.FTP | paramiko.SFTPClient:
        """Return a session. Raises what its client raises."""
        if (node, protocol) not in self._open:
            with ExitStack() as stack:
                session: ftplib.FTP | paramiko.SFTPClient
                if protocol == "ftp":
                    session = self._cluster.login(node, self._person, timeout=60)
                    stack.callback(session.close)
                else:
                    session = stack.enter_context(sftp(self._cluster, node, self._person))
                self._open[node, protocol] = stack.pop_all(), session
        return self._open[node, protocol][1]

    def drop(self, node: str, protocol: str) -> None:
        """Use another one next time."""
        stack, _ = self._open.pop((node, protocol), (ExitStack(), None))
        with suppress(*Broken):  # nor can it say goodbye to a node that is gone
            stack.close()

    def close(self) -> None:
        """End all."""
        for key in list(self._open):
            self.drop(*key)


class Sender(threading.Thread):
    """One client of one person. It sends what it is given, one after the other."""

    def __init__(self, run: Deliveries, number: int) -> None:
        super().__init__(daemon=True)
        self.run_of = run
        self.person = PERSONS[number % len(PERSONS)]
        self.random = random.Random(f"{run.seed}/{number}")
        self.number = number
        self.connections = Connections(run.cluster, self.person)
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Send until all is sent."""
        try:
            while (number := self.run_of.next()) is not None:
                delivery = self._new(number)
                self.run_of.add(delivery)
                self._send(delivery)
        except BaseException as error:
            self.failure = error
        finally:
            self.connections.close()
            self.run_of.progress()

    def _new(self, number: int) -> Delivery:
        recipient = self.random.choice([name for name in PERSONS if name != self.person])
        same = self.random.random() < SAME
        name = f"same {self.number}.jpg" if same else f"{number}.jpg"
        size = self.random.choice((1, 20_000, 20_000, 20_000, 20_000, 300_000))
        return Delivery(number, self.person, recipient, name, f"{number} ".encode() + picture(number, size))

    def _send(self, delivery: Delivery) -> None:
        deadline = time.monotonic() + PATIENCE
        gone = self.random.random() < GONE
        while not delivery.acknowledged:
            assert time.monotonic() < deadline, f"{delivery.path} was not taken within {PATIENCE} s"
            node = self.random.choice(self.run_of.cluster.names)
            protocol = self.random.choice(("ftp", "sftp"))
            try:
                session = eventually(partial(self.run_of.session, self.connections, node, protocol))
                delivery.tries += 1
                put = _put_ftp if isinstance(session, ftplib.FTP) else _put_sftp
                put(session, delivery, gone=gone)
            except Broken as error:
                self.connections.drop(node, protocol)
                self.run_of.count(f"{type(error).__name__}: {str(error)[:60]}")
                if self.random.random() < GIVES_UP:
                    return
                continue
            if gone:
                self.connections.drop(node, protocol)
                self.run_of.count("gone before the reply")
                gone = False
                continue
            delivery.acknowledged = True
        self.run_of.progress()


def _put_ftp(ftp: ftplib.FTP, delivery: Delivery, *, gone: bool) -> None:
    if not gone:
        ftp.storbinary(f"STOR {delivery.path}", io.BytesIO(delivery.content))
        return
    ftp.voidcmd("TYPE I")
    with ftp.transfercmd(f"STOR {delivery.path}") as data:
        data.sendall(delivery.content)


def _put_sftp(files: paramiko.SFTPClient, delivery: Delivery, *, gone: bool) -> None:
    file = files.open(delivery.path, "w")
    file.write(delivery.content)
    if gone:
        file._close(async_=True)  # the request alone: nobody waits for its status
    else:
        close(file)


class Deliveries:
    """A run of `count` deliveries, from `seed`."""

    def __init__(self, cluster: Cluster, count: int, *, seed: int) -> None:
        self.cluster = cluster
        self.seed = seed
        self.count_of = count
        self.sent: list[Delivery] = []
        self.troubles: Counter[str] = Counter()
        self.kills = 0
        self._next = 0
        self._changed = threading.Condition()
        for name in PERSONS:
            put_person(cluster, name)
        self._senders = [Sender(self, number) for number in range(CLIENTS)]

    # For senders.

    def next(self) -> int | None:
        """Return the number of a delivery to do; None when all are begun."""
        with self._changed:
            if self._next == self.count_of:
                return None
            self._next += 1
            return self._next

    def add(self, delivery: Delivery) -> None:
        """A delivery begins."""
        with self._changed:
            self.sent.append(delivery)

    def count(self, trouble: str) -> None:
        """An upload has ended without a reply that its client has read, or with an error."""
        with self._changed:
            self.troubles[trouble] += 1

    def progress(self) -> None:
        """A delivery is acknowledged, or a sender ends."""
        with self._changed:
            self._changed.notify_all()

    def session(
        self, connections: Connections, node: str, protocol: str
    ) -> ftplib.FTP | paramiko.SFTPClient | None:
        """Return a session at that node; None while it is not served there."""
        try:
            return connections.get(node, protocol)
        except paramiko.SSHException:
            return None

    # For who runs it.

    def run(self, every: int, tell: Callable[[str], None] = print) -> None:
        """Send all; kill the leader after each `every` acknowledgements, and start it when others have gone on."""
        chance = random.Random(self.seed)
        for sender in self._senders:
            sender.start()
        while self._wait(chance.randrange(every // 2, every * 3 // 2)):
            leader = self.cluster.leader()
            self.cluster.kill(leader)
            self.kills += 1
            self._wait(1)
            self.cluster.start_node(leader)
            self.cluster.wait_ready(leader)
            tell(f"{self._acknowledged()} of {self.count_of} acknowledged, {self.kills} leaders killed")
        for sender in self._senders:
            sender.join()
            if sender.failure is not None:
                raise sender.failure

    def _acknowledged(self) -> int:
        return sum(delivery.acknowledged for delivery in self.sent)

    def _wait(self, more: int) -> bool:
        """Wait until so many more are acknowledged; return whether anybody still sends."""
        with self._changed:
            aim = self._acknowledged() + more
            assert self._changed.wait_for(
                lambda: self._acknowledged() >= aim or not any(each.is_alive() for each in self._senders),
                PATIENCE * max(1, more // 100),
            ), f"{self._acknowledged()} acknowledged, {self.troubles}"
        return any(each.is_alive() for each in self._senders)

    # What must be true in the end.

    def check(self) -> dict[str, object]:
        """Look into all inboxes and at what senders see; return what was counted."""
        self.cluster.wait_verdict("healthy")
        inboxes = {name: self._inbox(name) for name in PERSONS}
        arrived: Counter[tuple[str, str, bytes]] = Counter()
        for name, found in inboxes.items():
            arrived.update((sender, name, content) for sender, _, content in found)
        late = 0
        for one in self.sent:
            times = arrived.pop((one.sender, one.recipient, one.content), 0)
            assert times <= 1, f"{one.path} of {one.sender} came {times} times"
            assert times or not one.acknowledged, (
                f"{one.path} of {one.sender} was acknowledged and is not there"
            )
            late += times and not one.acknowledged
        assert not arrived, f"nobody has sent these: {[(*key[:2], key[2][:20]) for key in arrived]}"
        for name in PERSONS:
            self._check_sender(name, inboxes)
        return {
            "deliveries": len(self.sent),
            "acknowledged": self._acknowledged(),
            "of them repeated": sum(one.acknowledged and one.tries > 1 for one in self.sent),
            "given up": len(self.sent) - self._acknowledged(),
            "of them delivered": late,
            "leaders killed": self.kills,
            "troubles": dict(self.troubles.most_common(8)),
        }

    def _inbox(self, person: str) -> list[tuple[str, str, bytes]]:
        """Read an inbox whole at one node, and list it at all: (sender, name, content)."""
        listed = []
        for node in self.cluster.names:
            with self.cluster.login(node, person) as ftp:
                senders = [name for name, facts in ftp.mlsd("/inbox") if facts["type"] == "dir"]
                listed.append(
                    sorted(
                        (sender, name, int(facts["size"]))
                        for sender in senders
                        for name, facts in ftp.mlsd(f"/inbox/{sender}")
                        if facts["type"] == "file"
                    )
                )
        assert listed[0] == listed[1] == listed[2], "nodes list different things"
        found = []
        with self.cluster.login(self.cluster.names[0], person) as ftp:
            for sender, name, size in listed[0]:
                content = retrieve(ftp, f"/inbox/{sender}/{name}")
                assert len(content) == size, f"{name} of {sender}: {len(content)} bytes, not {size}"
                found.append((sender, name, content))
        return found

    def _check_sender(self, person: str, inboxes: dict[str, list[tuple[str, str, bytes]]]) -> None:
        """What a sender sees in /send, and what `pixraft sent` tells, is what has come."""
        came = Counter(name for name, found in inboxes.items() for sender, *_ in found if sender == person)
        recorded = Counter(
            one["recipient"]
            for more in ((), ("--ended",))
            for one in asked(self.cluster, "sent", person, *more)["sent"]
        )
        assert recorded == came, f"{person} sees {recorded}, and {came} have come"
        with self.cluster.login(self.cluster.names[-1], person) as ftp:
            for recipient, found in inboxes.items():
                if recipient == person:
                    continue
                listed = {name for name, facts in ftp.mlsd(f"/send/{recipient}") if facts["type"] == "file"}
                there = {
                    one.name
                    for one in self.sent
                    if (one.sender, one.recipient) == (person, recipient)
                    and any(content == one.content for sender, _, content in found if sender == person)
                }
                assert listed == there, f"{person} to {recipient}: {listed ^ there}"


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument(
        "--every", type=int, default=200, help="acknowledgements from one kill of a leader to the next"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # connections break all the time
    print(f"seed {options.seed}", flush=True)
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)

    with (
        tempfile.TemporaryDirectory(prefix="pixraft-deliveries-") as scratch,
        Cluster(Path(scratch) / "cluster", sftp=True) as cluster,
    ):
        deliveries = Deliveries(cluster, options.count, seed=options.seed)
        deliveries.run(options.every, tell)
        tell("all is sent; looking into the inboxes")
        for what, number in deliveries.check().items():
            tell(f"{what}: {number}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
