"""A cluster of node processes on this machine: make, start, kill -9, cut off, watch, stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from ftpgateway.cli.access import find_admin_file, open_access
from ftpgateway.cli.client import ClusterClient
from ftpgateway.cli.errors import DemoFailed
from ftpgateway.cli.helpers import bundle
from ftpgateway.demo import interrupts, ports
from ftpgateway.demo.ftp import greets
from ftpgateway.node.config.reading import load_node_config
from ftpgateway.node.config.whole import NODE_FILE
from raftstore.cluster.calls import accounts as accounts_calls
from raftstore.cluster.calls import status as status_calls
from raftstore.errors import AlreadyExists, BadName, Invalid, StoreError
from raftstore.rights import ROLES
from raftstore.types import ClusterStatus
from raftstore.util.addresses import Address
from raftstore.util.settings.kinds import Member
from raftstore.wire import admin_pb2

STOP_TIME = 15.0
"""Seconds that a node has to stop by itself before it is killed."""

_POLL = 0.05


@dataclass(slots=True)
class Node:
    """One node: its addresses, its directory, and its process while there is one."""

    name: str
    peers: Address
    ftp: Address
    directory: Path
    sftp: Address | None = None
    metrics: Address | None = None
    web: Address | None = None
    process: subprocess.Popen[bytes] | None = None
    routes: dict[str, Address] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        """The node's configuration file."""
        return self.directory / NODE_FILE

    @property
    def log(self) -> Path:
        """The file that takes what the node logs, over all its starts."""
        return self.directory / "node.log"

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.poll() is None

    def services(self) -> dict[str, str]:
        """Return what clients can connect to, by its name, and where."""
        config = load_node_config(self.config, self.environment)
        return {name: str(address) for name, address in config.services().items()}

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of the log, for a message."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""


class LocalCluster:
    """Node processes n1, n2, ... with everything in `directory`, which may hold a cluster made here before.

    A context manager: at its end nothing runs any more. `node.routes` gives another address for a member as
    seen by that node (to put a proxy between them), `node.environment` other settings; both count from the
    node's next start. Not for use by several threads at once.
    """

    def __init__(
        self,
        directory: Path,
        *,
        nodes: int = 3,
        ftp_port: int | None = None,
        host: str = "127.0.0.1",
        encryption: str = "full",
        replicas: int = 3,
        sftp: bool = False,
        metrics: bool = False,
        web: bool = False,
    ) -> None:
        self.directory = directory.absolute()
        specs = self._make(nodes, ftp_port, host, encryption, replicas, sftp, metrics, web)
        self.nodes = {
            spec.name: Node(
                spec.name, spec.address, spec.ftp, self.directory / spec.name, spec.sftp, spec.metrics, spec.web
            )
            for spec in specs
        }
        self.access = open_access(find_admin_file(self.directory))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_all()

    def _make(
        self,
        count: int,
        ftp_port: int | None,
        host: str,
        encryption: str,
        replicas: int,
        sftp: bool,
        metrics: bool,
        web: bool,
    ) -> list[bundle.NodeSpec]:
        """Make the cluster's files, or find those of an earlier start; only the ports for clients may differ."""
        names = [f"n{number}" for number in range(1, count + 1)]
        if bundle.exists(self.directory):
            members = open_access(find_admin_file(self.directory)).members
            if [member.name for member in members] != names:
                raise DemoFailed(f"{self.directory} holds a cluster of {len(members)} nodes, not {count}")
            peers = [member.address for member in members]
        else:
            peers = [Address(host, port) for port in ports.free(host, count)]
        ftp = [Address(host, port) for port in ports.consecutive(host, count, ftp_port)]
        offered: list[Address | None] = [None] * count
        if sftp:
            usual = ftp_port is None
            found = ports.consecutive(host, count, None, bundle.SFTP_PORT) if usual else ports.row(host, count)
            offered = [Address(host, port) for port in found]
        monitored: list[Address | None] = [None] * count
        if metrics:
            monitored = [Address(host, port) for port in ports.free(host, count)]
        looked_at: list[Address | None] = [None] * count
        if web:
            usual = ftp_port is None
            found = ports.consecutive(host, count, None, bundle.WEB_PORT) if usual else ports.row(host, count)
            looked_at = [Address(host, port) for port in found]
        specs = [
            bundle.NodeSpec(
                name, address, address, at, passive_ports="", sftp=secure, metrics=monitor, web=look
            )
            for name, address, at, secure, monitor, look in zip(
                names, peers, ftp, offered, monitored, looked_at, strict=True
            )
        ]
        cluster = bundle.ClusterSpec(nodes=specs, name="demo", encryption=encryption, replicas=replicas)
        if not bundle.exists(self.directory):
            bundle.make_cluster(self.directory, cluster)
        for spec in specs:
            file = self.directory / spec.name / NODE_FILE
            fresh = file.with_suffix(".new")
            fresh.write_text(bundle.node_file(cluster, spec))
            os.replace(fresh, file)
        return specs

    def start(self, *names: str) -> None:
        """Start these nodes, all when none is named; does not wait until they are ready."""
        for name in names or self.nodes:
            node = self.nodes[name]
            if node.running:
                continue
            with node.log.open("ab") as log:
                node.process = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "ftpgateway.cli"),
                        *("serve", "--supervised", "--config", str(node.config)),
                    ],
                    stdin=subprocess.PIPE,  # closed when this process ends: then the node stops
                    stdout=log,
                    stderr=log,
                    env=self._environment(node),
                    start_new_session=True,  # Ctrl-C is for the supervisor, which stops the nodes
                )

    def _environment(self, node: Node) -> Mapping[str, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PIXRAFT_")}
        environment["PYTHONUNBUFFERED"] = "1"
        if node.routes:
            members = {other.name: node.routes.get(other.name, other.peers) for other in self.nodes.values()}
            environment["PIXRAFT_CLUSTER_MEMBERS"] = ",".join(f"{n}={a}" for n, a in members.items())
        return environment | node.environment

    def kill(self, *names: str) -> None:
        """Kill these nodes with SIGKILL, all at once, and wait until they are gone."""
        for name in names:
            process = self.nodes[name].process
            if process is not None and process.poll() is None:
                process.kill()
        for name in names:
            self._reap(self.nodes[name], None)

    def stop(self, *names: str) -> dict[str, int]:
        """Stop these nodes with SIGTERM; return their exit codes. One that takes too long is killed."""
        running = [self.nodes[name] for name in names if self.nodes[name].process is not None]
        for node in running:
            if node.process is not None and node.process.poll() is None:
                node.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIME
        return {node.name: self._reap(node, deadline) for node in running}

    def stop_all(self) -> dict[str, int]:
        """Stop all nodes."""
        return self.stop(*self.nodes)

    def _reap(self, node: Node, deadline: float | None) -> int:
        process, node.process = node.process, None
        if process is None:
            return 0
        try:
            timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
        except BaseException:
            node.process = process
            raise
        finally:
            if process.stdin is not None and process.returncode is not None:
                process.stdin.close()

    def wait_for_an_end(self) -> dict[str, int]:
        """Wait until a running node has ended by itself; return the exit codes of those that have."""
        running = {n.name: n.process for n in self.nodes.values() if n.process is not None}
        with contextlib.ExitStack() as stack:
            waiting = select.poll()
            for process in running.values():
                try:
                    handle = os.pidfd_open(process.pid)
                except ProcessLookupError:
                    continue
                stack.callback(os.close, handle)
                waiting.register(handle, select.POLLIN)
            if all(process.poll() is None for process in running.values()):
                with interrupts.allowed():
                    waiting.poll()
        return {name: self._reap(self.nodes[name], None) for name, p in running.items() if p.poll() is not None}

    def client(self, name: str | None = None, timeout: float = 5.0) -> ClusterClient:
        """Return an admin's client that asks the node `name`, or any."""
        members = tuple(Member(node.name, node.peers) for node in self.nodes.values())
        return ClusterClient(replace(self.access, members=members, node=name, timeout=timeout))

    def status(self, name: str | None = None) -> ClusterStatus:
        """Ask the node `name`, or any that answers, for the cluster's status."""
        return asyncio.run(self.client(name).status())

    def leader(self) -> tuple[str, int] | None:
        """Return (name, term) of the node that leads and that a majority of the cluster follows, or None.

        Asks each running node for itself only, so that it is quick while others are down.
        """
        return asyncio.run(self._leader())

    async def _leader(self) -> tuple[str, int] | None:
        names = [name for name, node in self.nodes.items() if node.running]
        reports = [r for r in await asyncio.gather(*(self._report(name) for name in names)) if r is not None]
        for report in reports:
            followers = [other for other in reports if other.leader == report.node.name]
            if report.node.role == "leader" and len(followers) > len(self.nodes) // 2:
                return report.node.name, report.node.term
        return None

    async def _report(self, name: str) -> admin_pb2.NodeReport | None:
        member = Member(name, self.nodes[name].peers)
        try:
            return await self.client(timeout=2.0).call(
                member, status_calls.node_report, admin_pb2.NodeRequest()
            )
        except StoreError:
            return None

    def put_user(self, name: str, password_hash: str, timeout: float = 30.0, *, person: bool = False) -> None:
        """Make an account with all rights, or give it this password; retried until `timeout` (s) is over.

        Raises AlreadyExists, BadName, Invalid: of a name that cannot be had.
        """
        request = admin_pb2.UserPut(name=name, password_hash=password_hash)
        if person:
            request.rights, request.person = ROLES["member"], True

        def put() -> bool:
            try:
                asyncio.run(self.client().ask(accounts_calls.put_user, request, repeat=True))
            except (AlreadyExists, BadName, Invalid):
                raise
            except StoreError:
                return False
            return True

        self.wait_until(put, f"user {name}", timeout)

    def ready(self) -> bool:
        """Whether all nodes are up: the cluster healthy and every FTP server greeting."""
        status = self.status()
        return status.verdict == "healthy" and all(greets(node.ftp) for node in self.nodes.values())

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until all nodes are up; DemoFailed says how the cluster is when they do not come up."""
        try:
            self.wait_until(self.ready, "the cluster to be ready", timeout)
        except DemoFailed as error:
            status = self.status()
            raise DemoFailed(
                f"{error.detail}; it is {status.verdict}: {status.error or 'no FTP greeting'}"
            ) from None

    def wait_until(self, condition: Callable[[], bool], what: str, timeout: float = 60.0) -> None:
        """Poll until `condition` holds; DemoFailed after `timeout` seconds or when a started node is gone."""
        deadline = time.monotonic() + timeout
        while not condition():
            self.check_running()
            if time.monotonic() > deadline:
                raise DemoFailed(f"waited {timeout:g} s for {what}; logs are in {self.directory}")
            interrupts.sleep(_POLL)

    def check_running(self) -> None:
        """Raise DemoFailed, with the end of its log, when a node that was started has stopped by itself."""
        for node in self.nodes.values():
            if node.process is not None and node.process.poll() is not None:
                code = node.process.returncode
                raise DemoFailed(f"node {node.name} stopped by itself ({ended(code)}):\n{node.log_tail()}")


def ended(code: int) -> str:
    """Say how a process ended."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"
