"""`make flood`: floods at every port of a node, while a client that behaves logs in, transfers and asks for the status.

It must succeed each time, however long that takes; the node's memory and log stay within their bounds; and when the
flood is over, nothing of it is left. Attackers come from addresses of their own and, in turn, from the client's. Then
an account that has logged in holds as much as it can (`hoards`).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import floods
import hoards
import paramiko
import psutil
from commandline import pixraft
from harness import Cluster
from waiting import eventually

from ftpgateway.serving.logs.clientlines import BURST

STRANGERS = [f"127.0.0.{number}" for number in range(2, 10)]
PATIENCE = 60.0
MOST_MEMORY = 200 * 1024 * 1024
"""Bytes that a flood of strangers may add to a node and its workers."""
MEMORY = 256 * 1024 * 1024
"""`clients.memory`: an account has a quarter."""
OVERHEAD = 110 * 1024 * 1024
"""What a hoarder's sessions take beside that: of SSH in the workers, of TCP, of Python's own objects."""
LINES = 20
"""`log.client_lines`."""
LINE = 600
"""Bytes of the longest lines that strangers cause."""

SETTINGS = {
    "PIXRAFT_LOG_CLIENT_LINES": str(LINES),
    "PIXRAFT_CLIENTS_MEMORY": str(MEMORY),
    "PIXRAFT_FTP_PASSIVE_PORTS": "",
    "PIXRAFT_FTP_LOGIN_TIMEOUT": "30",
    "PIXRAFT_FTP_HANDSHAKE_TIMEOUT": "10",
}


OURS = ("idle", "lines", "deaf")
"""What does not keep out others at the same address either. A flood of logins does: they cannot be told apart."""


class Trouble(AssertionError):
    """What the client that behaves met, or a bound that was passed."""


class Ground:
    """A cluster, whose node `name` is flooded."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.name = "n1"
        self._count = 0

    def ports(self) -> dict[str, int]:
        """The ports that strangers can reach."""
        return {
            "ftp": self.cluster.address(self.name)[1],
            "sftp": self.cluster.sftp_address(self.name)[1],
            "peers": self.cluster.peer_port(self.name),
        }

    def behave(self) -> None:
        """Put and get a picture over FTP and over SFTP, and ask for the status. Raises whatever fails."""
        self._count += 1
        data = os.urandom(20_000)
        with contextlib.closing(self.cluster.login(self.name, timeout=PATIENCE)) as ftp:
            ftp.storbinary(f"STOR f{self._count}.jpg", io.BytesIO(data))
            got = io.BytesIO()
            ftp.retrbinary(f"RETR f{self._count}.jpg", got.write)
        if got.getvalue() != data:
            raise Trouble("FTP: other bytes")
        transport = paramiko.Transport(socket.create_connection(self.cluster.sftp_address(self.name), PATIENCE))
        transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = PATIENCE
        try:
            transport.connect(username="demo", password="demo")
            client = paramiko.SFTPClient.from_transport(transport)
            assert client is not None
            client.get_channel().settimeout(PATIENCE)  # type: ignore[union-attr]
            with client.open(f"s{self._count}.jpg", "wb") as file:
                file.write(data)
            with client.open(f"f{self._count}.jpg", "rb") as file:
                if file.read() != data:
                    raise Trouble("SFTP: other bytes")
        finally:
            transport.close()
        members = self.cluster.status(self.name)
        if members["leader"] not in self.cluster.names:
            raise Trouble(f"status: {members}")

    def memory(self) -> int:
        """Resident bytes of the node and of the processes that do SSH for it."""
        node = psutil.Process(self.cluster.pid(self.name))
        total = 0
        for process in (node, *node.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total

    def log_size(self) -> int:
        """Bytes of the node's log."""
        return len(self.cluster.log(self.name).encode("utf-8", "surrogateescape"))

    def connections(self) -> int:
        """Sockets of clients that the node and its workers have."""
        node = psutil.Process(self.cluster.pid(self.name))
        ports = set(self.ports().values())
        return sum(
            there.status == psutil.CONN_ESTABLISHED and there.laddr.port in ports and _strange(there.raddr)
            for process in (node, *node.children(recursive=True))
            for there in process.net_connections("tcp")
        )

    @contextlib.contextmanager
    def flooded(self, kind: str, sources: Sequence[str]) -> Iterator[None]:
        """Have a flood of that kind come from these addresses; it is in full swing at the beginning."""
        ports = ",".join(f"{service}={port}" for service, port in self.ports().items())
        flood = subprocess.Popen(
            [sys.executable, floods.__file__, kind, ports, ",".join(sources)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert flood.stdout is not None
            if (standing := flood.stdout.readline().strip()) != "standing":
                raise Trouble(f"the flood {kind} did nothing: {standing}")
            yield
        finally:
            reported, _ = flood.communicate(timeout=PATIENCE)
        if flood.returncode:
            raise Trouble(f"the flood {kind} failed: {reported}")
        self.reported = reported.strip()


def _strange(address: tuple[str, int] | tuple[()]) -> bool:
    return bool(address) and address[0] in STRANGERS


@contextlib.contextmanager
def ground(directory: Path) -> Iterator[Ground]:
    """Start a cluster."""
    with Cluster(directory, environment=SETTINGS, sftp=True) as cluster:
        here = Ground(cluster)
        cluster.wait_verdict("healthy")
        here.behave()
        yield here


def campaign(
    here: Ground,
    kinds: Sequence[str],
    seconds: float,
    tell: Callable[[str], None],
    *,
    ours: Sequence[str] = OURS,
) -> int:
    """Flood with each kind for so long, and with those in `ours` once more from the client's own address.

    Returns how often the client did all its work. Raises Trouble.
    """
    done = 0
    for kind in kinds:
        for sources in (STRANGERS, ["127.0.0.1"]) if kind in ours else (STRANGERS,):
            memory, log, begun, turns = here.memory(), here.log_size(), time.monotonic(), 0
            with here.flooded(kind, sources):
                while time.monotonic() < begun + seconds or not turns:
                    if sources is STRANGERS:
                        _behaves(here, kind)
                    else:
                        _comes_again(here, kind)
                    turns += 1
                grown = here.memory() - memory
                lines = here.log_size() - log
            took = time.monotonic() - begun
            reported = f"{kind} from {sources[0]}: {here.reported}; client {turns} times"
            tell(f"{reported}; {grown >> 20} MiB, {lines >> 10} KiB of log")
            if grown > MOST_MEMORY:
                raise Trouble(f"{kind}: {grown >> 20} MiB of memory for strangers")
            # Twice: what the client does comes on top, and is bounded more widely.
            if lines > 2 * LINES * LINE * (BURST + took) + turns * 10_000:
                raise Trouble(f"{kind}: {lines >> 10} KiB of log in {took:.0f} s")
            eventually(lambda: here.connections() == 0, timeout=PATIENCE)
            done += turns
    return done


def hoarding(here: Ground, kinds: Sequence[str], tell: Callable[[str], None]) -> None:
    """Have an account hold as much as it can, in each way; others are served beside it. Raises Trouble."""
    cluster = str(here.cluster.local.directory)
    added = pixraft(
        "user", "add", hoards.HOARDER, "--password-stdin", "--cluster", cluster, stdin=hoards.HOARDER + "\n"
    )
    if added.exit_code:
        raise Trouble(added.output)
    with contextlib.closing(here.cluster.login(here.name)) as ftp:
        ftp.storbinary(f"STOR {hoards.LARGE}", io.BytesIO(os.urandom(6 << 20)))
    ports = ",".join(f"{service}={port}" for service, port in here.ports().items())
    for kind in kinds:
        memory = here.memory()
        hoard = subprocess.Popen(
            [sys.executable, hoards.__file__, kind, ports, "127.0.0.2"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert hoard.stdout is not None
            standing = hoard.stdout.readline().strip()
            if not standing.startswith("standing") or int(standing.split()[1]) < 10:
                raise Trouble(f"{kind}: the hoarder holds nothing: {standing}")
            grown = here.memory() - memory
            tell(f"{kind}: {standing}, {grown >> 20} MiB")
            if grown > MEMORY // 4 + OVERHEAD:
                raise Trouble(f"{kind}: {grown >> 20} MiB of memory for one account")
            _behaves(here, kind)
        finally:
            hoard.communicate(timeout=PATIENCE)
        eventually(lambda: here.connections() == 0, timeout=PATIENCE)


def _behaves(here: Ground, kind: str) -> None:
    try:
        here.behave()
    except Exception as error:
        raise Trouble(
            f"{kind}: the client that behaves was not served: {type(error).__name__}: {error}"
        ) from error


def _comes_again(here: Ground, kind: str) -> None:
    """Behave at the flood's own address: nobody can tell who of those that have said nothing yet is about to.

    A newcomer pushes out the oldest of them: that is our client where it has no processor for a few milliseconds, so
    that it is promised no more than that it gets through before long.
    """
    until = time.monotonic() + PATIENCE
    while True:
        try:
            _behaves(here, kind)
            return
        except Trouble:
            if time.monotonic() > until:
                raise


def main() -> int:
    """Run the campaign; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each flood")
    parser.add_argument("--kinds", nargs="*", default=floods.KINDS, choices=floods.KINDS)
    parser.add_argument("--hoards", nargs="*", default=hoards.KINDS, choices=hoards.KINDS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pixraft-flood-") as place, ground(Path(place) / "c") as here:
        try:
            done = campaign(here, arguments.kinds, arguments.seconds, lambda text: print(text, flush=True))
            hoarding(here, arguments.hoards, lambda text: print(text, flush=True))
        except Trouble as trouble:
            print(f"{trouble}\n{here.cluster.log(here.name)[-3000:]}")
            return 1
    print(f"the client did its work {done} times")
    return 0


if __name__ == "__main__":
    sys.exit(main())
