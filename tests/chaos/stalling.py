"""The worst that clients and operators can ask of a node's loop, at a real node, and how long that held the loop.

What counts is processor time of the loop's thread between two looks of the stall watch, so that a busy machine does not
matter. Clients are threads of this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import ftplib
import io
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
from argon2 import PasswordHasher
from harness import Cluster
from largecatalog import build
from waiting import PATIENCE

from raftstore.cluster.calls import accounts as accounts_calls
from raftstore.cluster.calls import people as people_calls
from raftstore.cluster.calls import upgrade as upgrade_calls
from raftstore.peers.calls import Answered
from raftstore.rights.letters import ROLES
from raftstore.types import LoopStatus
from raftstore.util.stallwatch import BOUNDS
from raftstore.wire import admin_pb2

LIMIT = 0.1
"""Seconds of processor time: 99.9 % of the looks must find the loop free again within it."""

SHORT_LIMIT = 0.2
"""The same where a case lasts a second, so that a single look counts, and others use the processor's caches."""

LOOKS = 20
"""Milliseconds that the stall watch is set to: it looks twice as often."""

SETTINGS = {"PIXRAFT_LOG_STALLS": str(LOOKS), "PIXRAFT_LOG_LEVEL": "warning"}
RULED = "ruled"
SENDER, GROUP = "sender", "everybody"
DIRECTORY = "/0000"
"""Where the names are."""

ENOUGH = 20
"""Looks without which a case says nothing."""

LONGEST = 30.0
"""Seconds for which a case is done at most, and once more."""


@dataclass(frozen=True)
class Held:
    """What the stall watch has seen during one case: looks by processor time, as in LoopStatus."""

    case: str
    classes: tuple[int, ...]

    @classmethod
    def between(cls, case: str, before: LoopStatus, after: LoopStatus) -> Held:
        """Return what was seen between two states of a watch."""
        pairs = zip(before.classes, after.classes, strict=True)
        return cls(case, tuple(later - earlier for earlier, later in pairs))

    @property
    def looks(self) -> int:
        """How many looks there were."""
        return sum(self.classes)

    def above(self, seconds: float) -> int:
        """Return how many looks took more than `seconds`, one of BOUNDS."""
        return sum(self.classes[BOUNDS.index(seconds) + 1 :])

    def failure(self, limit: float = LIMIT) -> str:
        """Return what is wrong; "": nothing."""
        if self.looks < ENOUGH:
            return f"{self.case}: only {self.looks} looks, that says nothing"
        if self.above(limit) * 1000 > self.looks:
            return f"{self.case}: {self}"
        return ""

    def __str__(self) -> str:
        reported = ", ".join(f"{self.above(bound)} above {bound * 1000:g} ms" for bound in BOUNDS[:6])
        return f"{self.looks} looks: {reported}"


class Ground:
    """One node with a directory of many names, an account whose rules concern other directories, and a large group."""

    def __init__(self, cluster: Cluster, names: int, accounts: int) -> None:
        self.cluster = cluster
        self.names = names
        self.admin((upgrade_calls.finish_upgrade, admin_pb2.UpgradeRequest()))
        with contextlib.closing(self.ftp()) as session:
            session.mkd("/homes")
            session.mkd("/work")
        members = [f"p{number}" for number in range(accounts)]
        rules = [admin_pb2.Rule(path=f"/rules/{number}/x", rights="elr") for number in range(20)]
        puts = [
            # It renames a directory with others' homes.
            admin_pb2.UserPut(name="demo", rights=ROLES["admin"], update=True),
            _account(RULED, home="/", set_rules=rules),
            *(_account(f"user{number}", home=f"/homes/old/{number}") for number in range(accounts)),
            *(_account(name, person=True) for name in (SENDER, *members)),
        ]
        self.admin(*((accounts_calls.put_user, put) for put in puts))
        group = admin_pb2.GroupPut(name=GROUP, create=True, add=members, owner=SENDER)
        self.admin((people_calls.put_group, group))

    def admin(self, *calls: tuple[Answered[Any, Any, Any], object]) -> None:
        """Make some admin calls, one after the other."""

        async def asked() -> None:
            client = self.cluster.local.client()
            for call, request in calls:
                await client.ask(call, request, repeat=True)

        asyncio.run(asked())

    def ftp(self, user: str = "demo") -> ftplib.FTP:
        """Open a session."""
        return self.cluster.login("n1", user, timeout=PATIENCE)

    @contextlib.contextmanager
    def sftp(self) -> Iterator[paramiko.SFTPClient]:
        """Open an SFTP session."""
        transport = paramiko.Transport(socket.create_connection(self.cluster.sftp_address("n1"), PATIENCE))
        try:
            transport.connect(username="demo", password="demo")
            client = transport.open_sftp_client()
            assert client is not None
            yield client
        finally:
            transport.close()

    def loop(self) -> LoopStatus:
        """What the node's stall watch has seen."""
        (node,) = self.cluster.local.status("n1").nodes
        assert node.loop is not None
        return node.loop

    def run(self, name: str, seconds: float) -> Held:
        """Do a case for so long; return what that held."""
        before, until = self.loop(), time.monotonic() + seconds
        failures: list[BaseException] = []

        def work(one: Callable[[Ground, float], None]) -> None:
            try:
                one(self, until)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(one,), daemon=True) for one in CASES[name]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        if failures:
            raise failures[0]
        assert not any(thread.is_alive() for thread in threads), f"{name}: a client waits for ever"
        held = Held.between(name, before, self.loop())
        # On a machine that is busy otherwise there are fewer looks in a second.
        return held if held.looks >= ENOUGH or seconds > LONGEST else self.run(name, 2 * seconds)


def _account(name: str, **fields: Any) -> admin_pb2.UserPut:
    """Return the request for an account, whose password is its name."""
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    return admin_pb2.UserPut(name=name, password_hash=quick.hash(name), **fields)


def listing(*commands: str, user: str = RULED) -> Callable[[Ground, float], None]:
    """Return a client that lists, with one command after the other."""

    def work(ground: Ground, until: float) -> None:
        with contextlib.closing(ground.ftp(user)) as session:
            while time.monotonic() < until:
                for command in commands:
                    if command.startswith("STAT"):
                        session.sendcmd(command)
                        continue
                    with session.transfercmd(command) as data:
                        while data.recv(1 << 20):
                            pass
                    session.voidresp()

    return work


def readdir(ground: Ground, until: float) -> None:
    """List over SFTP, with several directories open."""
    with ground.sftp() as client:
        while time.monotonic() < until:
            for _ in client.listdir_iter(DIRECTORY):
                if time.monotonic() > until:
                    break


def islands(ground: Ground, until: float) -> None:
    """Write single bytes with gaps between them, as fast as the line takes them."""
    with ground.sftp() as client:
        channel = client.get_channel()
        assert channel is not None
        file = client.open(f"/work/islands{threading.get_ident()}", "wb")
        handle = file.handle
        drain = threading.Thread(target=_drain, args=(channel,), daemon=True)
        drain.start()
        count = 0
        while time.monotonic() < until:
            packets = b""
            for _ in range(256):
                count += 1
                body = struct.pack("!BI", 6, count) + struct.pack("!I", len(handle)) + handle
                body += struct.pack("!QI", 2 * (count % 100_000 + 1), 1) + b"x"
                packets += struct.pack("!I", len(body)) + body
            channel.sendall(packets)


def _drain(channel: paramiko.Channel) -> None:
    with contextlib.suppress(OSError, EOFError):
        while channel.recv(1 << 16):
            pass


def removing(ground: Ground, until: float) -> None:
    """Fill directories and remove them with all that is in them, and name by name without waiting for replies."""
    top = f"/work/{threading.get_ident()}"
    with contextlib.closing(ground.ftp()) as session:
        while time.monotonic() < until:
            session.mkd(top)
            for number in range(60):
                session.storbinary(f"STOR {top}/{number}", io.BytesIO(b""))
            assert session.sock is not None
            session.sock.sendall(b"".join(b"DELE %s/%d\r\n" % (top.encode(), number) for number in range(30)))
            for _ in range(30):
                session.getresp()
            session.sendcmd(f"RMDA {top}")


def recalling(ground: Ground, until: float) -> None:
    """Put pictures to a group of all accounts and recall them, name by name. Others may be faster."""
    with contextlib.closing(ground.ftp(SENDER)) as session:
        while time.monotonic() < until:
            names = [f"/send/{GROUP}/{threading.get_ident()}-{number}" for number in range(3)]
            for name in names:
                with contextlib.suppress(ftplib.error_perm):
                    session.storbinary(f"STOR {name}", io.BytesIO(b"x" * 100))
            for name in names:
                with contextlib.suppress(ftplib.error_perm):
                    session.delete(name)


def recalling_all(ground: Ground, until: float) -> None:
    """Remove what is sent to a group, with its directory, again and again."""
    with contextlib.closing(ground.ftp(SENDER)) as session:
        while time.monotonic() < until:
            with contextlib.suppress(ftplib.error_perm):
                session.mkd(f"/send/{GROUP}")
            with contextlib.suppress(ftplib.error_perm):
                session.sendcmd(f"RMDA /send/{GROUP}")


def moving(ground: Ground, until: float) -> None:
    """Rename the directory in which the homes of all accounts are."""
    with contextlib.closing(ground.ftp()) as session:
        with contextlib.suppress(ftplib.error_perm):
            session.mkd("/homes/old")
        names = ["/homes/old", "/homes/new"]
        while time.monotonic() < until or names[0] != "/homes/old":
            session.rename(*names)
            names.reverse()


def administering(ground: Ground, until: float) -> None:
    """Ask for all accounts and for the status, again and again."""
    while time.monotonic() < until:
        ground.admin((accounts_calls.users, admin_pb2.UsersRequest()))
        ground.loop()


CASES: dict[str, tuple[Callable[[Ground, float], None], ...]] = {
    "listings by an account with 20 rules": (
        *[listing(f"LIST {DIRECTORY}", f"MLSD {DIRECTORY}", f"NLST {DIRECTORY}")] * 4,
        listing(f"STAT {DIRECTORY}"),
    ),
    "listings that are sorted, searched, or of all below": (
        *[listing(f"LIST -t {DIRECTORY}", f"NLST -rS {DIRECTORY}", user="demo")] * 2,
        *[listing(f"NLST {DIRECTORY}/*[!a]*[!b]*[!c]*[!d]*[!e]*x", user="demo")] * 2,
        listing("LIST -R /", user="demo"),
    ),
    "directories open over SFTP": (readdir,) * 3,
    "single bytes with gaps": (islands,) * 2,
    "names removed in numbers": (removing,) * 3,
    "pictures recalled from a large group": (*[recalling] * 14, recalling_all),
    "a directory with the homes of all accounts renamed": (moving,),
    "accounts and status": (administering,) * 2,
}


@contextlib.contextmanager
def ground(directory: Path, names: int, accounts: int) -> Iterator[Ground]:
    """Start a node that has a directory of so many names, and make so many accounts."""
    cluster = Cluster(directory, nodes=1, environment=SETTINGS, sftp=True)
    build(cluster.data("n1"), names, names, empty=True)
    with cluster:
        yield Ground(cluster, names, accounts)
