"""A cluster of real node processes for integration tests, with proxies between the nodes where wanted."""

from __future__ import annotations

import contextlib
import ftplib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from argon2 import PasswordHasher
from tcpproxy import TcpProxy
from waiting import PATIENCE, eventually

from ftpgateway.demo import ports
from ftpgateway.demo.cluster import LocalCluster
from raftstore.util.addresses import Address

USERS = ("demo", "guest")

UNHURRIED = {
    "PIXRAFT_FTP_IDLE_TIMEOUT": "3600",
    "PIXRAFT_FTP_LOGIN_TIMEOUT": "600",
    "PIXRAFT_FTP_DATA_TIMEOUT": "300",
    "PIXRAFT_FTP_STALL_TIMEOUT": "3600",
    "PIXRAFT_NODE_BALLAST_BYTES": str(1024**2),
}
"""Nobody is let go because the machine is slow, or the test waits for something else; and no disk is used up for what
a node keeps for a full one.
"""


class Cluster:
    """A started cluster n1, n2, ... with the users demo:demo and guest:guest; everything stops at its end."""

    def __init__(
        self,
        directory: Path,
        *,
        nodes: int = 3,
        proxied: bool = False,
        data: Mapping[str, str] | None = None,
        encryption: str = "full",
        environment: Mapping[str, str] | None = None,
        sftp: bool = False,
        metrics: bool = False,
        web: bool = False,
    ) -> None:
        # Not where people's own demos are, nor where another test is.
        base = ports.row("127.0.0.1", nodes)[0]
        self.local = LocalCluster(
            directory, nodes=nodes, encryption=encryption, ftp_port=base, sftp=sftp, metrics=metrics, web=web
        )
        self.names = list(self.local.nodes)
        self._proxies: dict[tuple[str, str], TcpProxy] = {}
        for name, place in (data or {}).items():
            self.local.nodes[name].environment["PIXRAFT_NODE_DATA"] = place
        for node in self.local.nodes.values():
            node.environment.update(UNHURRIED | dict(environment or {}))
        if proxied:
            self._insert_proxies()

    def _insert_proxies(self) -> None:
        for name, node in self.local.nodes.items():
            for other, target in self.local.nodes.items():
                if other != name:
                    proxy = self._proxies[name, other] = TcpProxy(target.peers)
                    node.routes[other] = Address(*proxy.address)

    def __enter__(self) -> Self:
        try:
            self.local.start()
            self.local.wait_ready(PATIENCE)
            quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
            for user in USERS:
                self.local.put_user(user, quick.hash(user), PATIENCE)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for node in self.local.nodes.values():
                print(f"--- {node.name}\n{node.log_tail(40)}")
        self.close()

    def close(self) -> None:
        """Stop all nodes and proxies."""
        codes = self.local.stop_all()
        for proxy in self._proxies.values():
            proxy.close()
        assert all(code in (0, -9) for code in codes.values()), codes

    def address(self, name: str) -> tuple[str, int]:
        """Where the node's FTP server listens."""
        return self.local.nodes[name].ftp

    def sftp_address(self, name: str) -> tuple[str, int]:
        """Where the node's SFTP server listens, with `sftp`."""
        address = self.local.nodes[name].sftp
        assert address is not None
        return address

    def web_address(self, name: str) -> tuple[str, int]:
        """Where the node's web server listens, with `web`."""
        address = self.local.nodes[name].web
        assert address is not None
        return address

    def peer_port(self, name: str) -> int:
        """Port of the node's peers channel."""
        return self.local.nodes[name].peers.port

    def config(self, name: str) -> Path:
        """The node's configuration file."""
        return self.local.nodes[name].config

    def data(self, name: str) -> Path:
        """The node's data directory."""
        node = self.local.nodes[name]
        return Path(node.environment.get("PIXRAFT_NODE_DATA", node.directory / "data"))

    def disk_bytes(self, name: str) -> int:
        """Bytes that the node's volumes take on its disk."""
        total = 0
        for path in (self.data(name) / "volumes").glob("*.vol*"):
            with contextlib.suppress(FileNotFoundError):  # compacted meanwhile
                total += path.stat().st_size
        return total

    def log(self, name: str) -> str:
        """What the node has logged, over all its starts."""
        return self.local.nodes[name].log.read_text(errors="replace")

    def pid(self, name: str) -> int:
        """The node's process."""
        process = self.local.nodes[name].process
        assert process is not None
        return process.pid

    def exit_code(self, name: str) -> int | None:
        """The exit code of a node that has ended by itself; None while it runs."""
        process = self.local.nodes[name].process
        assert process is not None
        return process.poll()

    def login(self, name: str, user: str = "demo", password: str = "", *, timeout: float = 120.0) -> ftplib.FTP:
        """Open a session; raises what ftplib raises."""
        ftp = ftplib.FTP(timeout=timeout)
        try:
            ftp.connect(*self.address(name))
            ftp.login(user, password or user)
        except BaseException:
            ftp.close()
            raise
        return ftp

    def login_when_served(self, name: str) -> ftplib.FTP:
        """Open a session as soon as the node serves the store again."""
        return eventually(lambda: self.login(name))

    def kill(self, *names: str) -> None:
        """Kill with SIGKILL."""
        self.local.kill(*names)

    def kill_all(self) -> None:
        """Kill all nodes at once with SIGKILL."""
        self.local.kill(*self.names)

    def start_node(self, name: str) -> None:
        """Start a node; see `wait_ready`."""
        self.local.start(name)

    def wait_ready(self, name: str) -> None:
        """Wait until the node serves a session."""
        self.login_when_served(name).close()

    def leader(self) -> str:
        """The node that leads, as soon as there is one."""
        found = eventually(self.local.leader)
        return found[0]

    def follower(self, besides: str = "") -> str:
        """A node that does not lead and is not `besides`."""
        leader = self.leader()
        return next(name for name in reversed(self.names) if name not in (leader, besides))

    def status(self, name: str) -> dict[str, Any]:
        """The cluster's status as the node sees it."""
        status = self.local.status(name)
        return {field: getattr(status, field) for field in status.__slots__}

    def wait_verdict(self, verdict: str) -> dict[str, Any]:
        """Wait until every node gives that verdict; return the last one's status."""

        def agreed() -> dict[str, Any] | None:
            found = [self.status(name) for name in self.names]
            self.last = found
            return found[-1] if all(one["verdict"] == verdict for one in found) else None

        try:
            return eventually(agreed)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.last}") from None

    def cut_off(self, name: str) -> None:
        """Cut every connection between the node and the others, both ways."""
        for pair, proxy in self._proxies.items():
            if name in pair:
                proxy.cut()

    def cut_after(self, source: str, size: int) -> None:
        """Cut each line on which `source` calls another node as soon as so many bytes more have come through it."""
        for (caller, _), proxy in self._proxies.items():
            if caller == source:
                proxy.cut_after(size)

    def cut_one_way(self, source: str, target: str) -> None:
        """Let nothing from `source` reach `target`, while what `target` sends arrives."""
        self._proxies[source, target].hold(forward=True)
        self._proxies[target, source].hold(backward=True)

    def pause(self, name: str) -> None:
        """Stop the node's process where it is (SIGSTOP)."""
        os.kill(self.pid(name), signal.SIGSTOP)

    def wake(self, name: str) -> None:
        """Let a paused node go on (SIGCONT)."""
        os.kill(self.pid(name), signal.SIGCONT)

    def heal(self) -> None:
        """Let everything through again."""
        for proxy in self._proxies.values():
            proxy.heal()
