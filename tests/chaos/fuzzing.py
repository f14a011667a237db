"""The fuzz campaign against real nodes: many sessions at a time, and what must hold all the while."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil
from fuzzftp import LARGE, Failure, FtpSession
from fuzzpeers import PeerConnection
from fuzzsftp import SftpSession
from harness import Cluster

from ftpgateway.node.config.reading import load_admin_config, load_node_config
from ftpgateway.node.config.sections import AdminSettings
from raftstore.peers.security.pki import Identity
from raftstore.peers.settings import PeersSettings

INPUTS = 40
"""Inputs of a session."""

AT_ONCE = 24
"""Sessions at a time."""

SETTINGS = {
    "PIXRAFT_LOG_LEVEL": "warning",
    "PIXRAFT_PEERS_ENCRYPTION": "bulk-auth",
    "PIXRAFT_FTP_LOGIN_TIMEOUT": "10",
    "PIXRAFT_FTP_IDLE_TIMEOUT": "10",
    "PIXRAFT_FTP_HANDSHAKE_TIMEOUT": "3",
    "PIXRAFT_FTP_DATA_TIMEOUT": "2",
    "PIXRAFT_FTP_STALL_TIMEOUT": "3",
    "PIXRAFT_SFTP_IDLE_TIMEOUT": "15",
}
"""Short timeouts: who is left hanging is let go before the campaign takes it for a hang. With `bulk-auth`, who dials
chooses whether chunks are encrypted: both are tried."""

WARM = 0.2
"""Share of the campaign after which everything is there that a node ever starts or keeps for use again."""
GROWTH = 1.3
SLACK = 48 * 1024 * 1024
"""In the last third, memory may be so many times what it was in the first third after that, and so many bytes."""


class Fuzzed(Protocol):
    """One session."""

    transcript: list[bytes]
    sent: int

    async def run(self) -> None:
        """Send the inputs and count them in `sent`. Raises Failure."""
        ...


@dataclass
class Result:
    """What came of a campaign."""

    inputs: int = 0
    sessions: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    memory: list[tuple[int, int]] = field(default_factory=list)
    """Inputs so far, bytes."""
    seconds: float = 0.0

    def memory_is_steady(self) -> bool:
        """Whether the nodes' memory did not grow once they were warm."""
        warm = [size for inputs, size in self.memory if inputs >= WARM * self.inputs]
        third = (len(warm) + 2) // 3
        return max(warm[-third:]) <= max(warm[:third]) * GROWTH + SLACK


class Ground:
    """Two nodes of a cluster of three; the third's identity is the fuzzer's."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.names = cluster.names[:2]
        absent = load_node_config(cluster.config(cluster.names[2]), {})[PeersSettings]
        self.node = Identity.load(absent.ca, absent.certificate, absent.key)
        admin = load_admin_config(cluster.local.directory / "admin" / "admin.toml", {})[AdminSettings]
        self.admin = Identity.load(admin.ca, admin.certificate, admin.key)

    def session(self, kind: str, seed: str, inputs: int = INPUTS) -> Fuzzed:
        """Make a session of that kind; to which node it goes follows from the seed, too."""
        name = self.names[sum(seed.encode()) % len(self.names)]
        if kind == "ftp":
            return FtpSession(seed, self.cluster.address(name), inputs)
        if kind == "sftp":
            return SftpSession(seed, self.cluster.sftp_address(name), inputs)
        return PeerConnection(seed, ("127.0.0.1", self.cluster.peer_port(name)), inputs, self.node, self.admin)

    def memory(self) -> int:
        """Resident bytes of the nodes, with the processes that do SSH for them."""
        nodes = [psutil.Process(self.cluster.pid(name)) for name in self.names]
        total = 0
        for process in [*nodes, *(child for node in nodes for child in node.children(recursive=True))]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total

    def check(self) -> None:
        """The nodes run, serve, and their logs hold no traceback. Raises Failure."""
        for name in self.names:
            code = self.cluster.exit_code(name)
            if code is not None:
                raise Failure(f"node {name} ended with {code}:\n{self.cluster.local.nodes[name].log_tail(40)}")
            log = self.cluster.log(name)
            if "Traceback (most recent call last)" in log:
                at = log.index("Traceback (most recent call last)")
                raise Failure(f"the log of node {name} has\n{log[max(0, at - 500) : at + 3000]}")
            with contextlib.closing(self.cluster.login_when_served(name)) as session:
                session.storbinary("STOR alive.jpg", io.BytesIO(b"alive"))


@contextlib.contextmanager
def ground(directory: Path) -> Iterator[Ground]:
    """Start the cluster, store what sessions fetch, stop the third node."""
    with Cluster(directory, environment=SETTINGS, sftp=True) as cluster:
        with contextlib.closing(cluster.login("n1")) as session:
            session.mkd(LARGE.partition("/")[0])
            session.storbinary(f"STOR {LARGE}", io.BytesIO(os.urandom(1 << 20) * 12))
            session.storbinary("STOR a.jpg", io.BytesIO(b"picture" * 3000))
            for name in ("d", "d/e"):
                session.mkd(name)
        cluster.kill("n3")
        with contextlib.closing(cluster.login_when_served("n1")) as session:
            session.storbinary("STOR d/e/f.jpg", io.BytesIO(b"picture"))
        yield Ground(cluster)


async def campaign(
    here: Ground,
    kinds: dict[str, int],
    seed: str,
    failures: Path,
    tell: Callable[[str], None],
    *,
    at_once: int = AT_ONCE,
) -> Result:
    """Feed the nodes so many inputs of each kind. What fails is written into `failures`, a file each."""
    result = Result()
    # It tells of each write to a connection that the node has dropped.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    begun = time.monotonic()
    left = dict(kinds)
    numbers = itertools.count()

    async def work() -> None:
        while any(count > 0 for count in left.values()) and len(result.failures) < 10:
            kind = max(left, key=lambda one: left[one] / max(1, kinds[one]))
            left[kind] -= INPUTS
            sent = await _one(here, kind, f"{seed}/{kind}/{next(numbers)}", failures, result)
            left[kind] += INPUTS - sent  # it may have ended before

    async def watch() -> None:
        while True:
            size = here.memory()
            result.memory.append((result.inputs, size))
            if len(result.memory) % 5 == 1:
                tell(f"{result.inputs} inputs, {sum(result.sessions.values())} sessions, {size >> 20} MiB")
            await asyncio.sleep(1.0)

    watching = asyncio.create_task(watch())
    try:
        await asyncio.gather(*(work() for _ in range(at_once)))
    finally:
        watching.cancel()
    result.memory.append((result.inputs, here.memory()))
    result.seconds = time.monotonic() - begun
    try:
        await asyncio.to_thread(here.check)
    except Failure as error:
        result.failures.append(f"after the campaign {seed}: {error}")
    return result


async def _one(here: Ground, kind: str, seed: str, failures: Path, result: Result) -> int:
    session = here.session(kind, seed)
    try:
        await session.run()
    except Failure as error:
        result.failures.append(f"{seed}: {error}\n  {_written(failures, kind, seed, session, error)}")
    except OSError as error:
        result.failures.append(f"{seed}: cannot connect: {error}")
    result.inputs += session.sent
    result.sessions[kind] += 1
    return session.sent


def _written(directory: Path, kind: str, seed: str, session: Fuzzed, error: Failure) -> str:
    """Write what is needed to do it again, and what was sent for people; return the line that does it."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / (seed.replace("/", "-") + ".json")
    sent = [repr(data) for data in session.transcript]
    file.write_text(json.dumps({"kind": kind, "seed": seed, "failure": str(error), "sent": sent}, indent=1))
    return f"make fuzz ARGS='--replay {file}'"
