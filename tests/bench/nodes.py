"""The two that are measured: a pixraft cluster, and the reference server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from argon2 import PasswordHasher
from load import Server

from ftpgateway.demo.cluster import LocalCluster
from raftstore.peers.security.pki import self_signed_server_pem

USER = PASSWORD = "demo"
READY_TIMEOUT = 120.0


class BenchCluster:
    """Three nodes on this machine, and what they use of it."""

    def __init__(
        self,
        directory: Path,
        *,
        encryption: str,
        replicas: int = 3,
        environment: Mapping[str, str] = MappingProxyType({}),
        sftp: bool = False,
    ) -> None:
        self._cluster = LocalCluster(directory, encryption=encryption, replicas=replicas, sftp=sftp)
        for node in self._cluster.nodes.values():
            node.environment.update(environment)
        self.servers: list[Server] = []

    def __enter__(self) -> Self:
        try:
            self._cluster.start()
            self._cluster.wait_ready(READY_TIMEOUT)
            self._cluster.put_user(USER, PasswordHasher().hash(PASSWORD))
        except BaseException:
            self._cluster.stop_all()
            raise
        self.servers = [Server(*node.ftp, USER, PASSWORD) for node in self._cluster.nodes.values()]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cluster.stop_all()

    @property
    def local(self) -> LocalCluster:
        """The cluster itself."""
        return self._cluster

    def add_user(self, name: str) -> None:
        """Make an account whose password is its name, with a hash as `pixraft user add` makes it."""
        self._cluster.put_user(name, PasswordHasher().hash(name))

    def sftp_ports(self) -> list[int]:
        """Where the nodes offer SFTP."""
        return [node.sftp.port for node in self._cluster.nodes.values() if node.sftp is not None]

    def pids(self) -> list[int]:
        """Process ids of the nodes."""
        return [node.process.pid for node in self._cluster.nodes.values() if node.process is not None]

    def cpu_seconds(self) -> list[float]:
        """User and system seconds that each node has used so far."""
        return [user + system for user, system in self.cpu_times()]

    def cpu_times(self) -> list[tuple[float, float]]:
        """Seconds that each node has used so far as (user, system)."""
        tick = os.sysconf("SC_CLK_TCK")
        used = []
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            used.append((int(fields[11]) / tick, int(fields[12]) / tick))
        return used

    def peak_memory(self) -> list[int]:
        """Peak resident set of each node in bytes."""
        peaks = []
        for pid in self.pids():
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            peaks += [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
        return peaks


@contextmanager
def reference(directory: Path) -> Iterator[Server]:
    """Stock pyftpdlib in a process of its own on a plain directory, with FTPS."""
    directory.mkdir(parents=True)
    script = Path(__file__).with_name("reference.py")
    certificate = directory.with_suffix(".pem")
    # Of the kind that `pixraft init` makes for the nodes.
    certificate.write_bytes(self_signed_server_pem(["localhost"]))
    command = [sys.executable, str(script), str(directory), "--certificate", str(certificate)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Server("127.0.0.1", int(process.stdout.readline()), USER, PASSWORD)
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
