"""Nodes that come and go in a running cluster, through the `pixraft` command as an operator would do it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness import Cluster
from waiting import PATIENCE, eventually

from ftpgateway.demo import ports
from ftpgateway.demo.cluster import Node
from raftstore.util.addresses import Address

REMOVED = 52


class Failed(Exception):
    """The command ended with an error; `said` is what it said of it, `printed` what it printed before."""

    def __init__(self, code: int, said: str, printed: str = "") -> None:
        super().__init__(f"exit code {code}: {said}")
        self.code = code
        self.said = said
        self.printed = printed


def pixraft(*arguments: str, timeout: float = PATIENCE) -> Any:
    """Run the command with -o json; return what it printed. Raises Failed."""
    command = [sys.executable, "-m", "ftpgateway.cli", *arguments, "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise Failed(done.returncode, done.stderr or done.stdout, done.stdout)
    return json.loads(done.stdout)


class Members:
    """Changes the membership of a harness cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.local = cluster.local
        self.options = ("--cluster", str(self.local.directory))
        self._seen: Any = None

    def run(self, *arguments: str) -> Any:
        """Run a command on this cluster, again while the cluster has no answer."""

        def attempt() -> list[Any] | None:
            try:
                return [pixraft(*arguments, *self.options)]
            except Failed as error:
                if error.code in (5, 30, 31):
                    return None
                raise

        return eventually(attempt)[0]

    def fsck(self) -> Any:
        """Wait until all nodes are checked and nothing is left to be collected; no copy may be damaged or missing."""

        def found() -> Any:
            try:
                seen = self.run("fsck")
            except Failed as error:
                if error.code not in (1, 7) or not error.printed:
                    raise
                seen = json.loads(error.printed)
            assert not seen["damaged"] and not seen["missing"], seen
            self._seen = seen
            return seen if seen["clean"] else None

        try:
            return eventually(found)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self._seen}") from None

    def token(self, name: str, replaces: str = "", *more: str) -> str:
        """Make a token for a node."""
        names = ("replace", replaces, name) if replaces else ("add", name)
        return str(self.run("node", *names, *more)["token"])

    def join(self, name: str, token: str, *, at: Node | None = None) -> None:
        """Have a new machine join, and start it; with the addresses of the node `at` that is gone, or with new ones."""
        directory = self.local.directory / name
        if directory.exists():
            shutil.rmtree(directory)
        if at is not None:
            peers, ftp = at.peers, at.ftp
        else:
            peers, ftp = (Address("127.0.0.1", port) for port in ports.free("127.0.0.1", 2))
        pixraft(
            *("join", token, "--dir", str(directory), "--name", name),
            *("--listen", str(peers), "--ftp", str(ftp), "--sftp", "", "--passive-ports", ""),
        )
        self.local.nodes[name] = Node(name, peers, ftp, directory)
        if name not in self.cluster.names:
            self.cluster.names.append(name)
        self.local.start(name)

    def voters(self) -> set[str]:
        """Who votes."""
        return {member["name"] for member in self.run("node", "list")["members"] if member["voter"]}

    def settled(self) -> bool:
        """Whether no used token or change is open any more."""
        return not self.run("node", "list")["open"]

    def add(self, name: str) -> None:
        """Add a node and wait until it votes."""
        self.join(name, self.token(name))
        eventually(lambda: name in self.voters() and self.settled())

    def remove(self, name: str, *more: str) -> int | None:
        """Remove a node; return its exit code if it was running."""
        running = self.local.nodes[name].running
        self.run("node", "remove", name, *more)
        return self.gone(name) if running else None

    def gone(self, name: str) -> int:
        """Wait until a removed node has ended; return its exit code, and forget it."""
        process = self.local.nodes[name].process
        assert process is not None
        eventually(lambda: process.poll() is not None)
        self.local.stop(name)
        self.forget(name)
        return process.returncode

    def forget(self, name: str) -> None:
        """It belongs to the test's cluster no more."""
        del self.local.nodes[name]
        self.cluster.names.remove(name)

    def log(self, name: str) -> str:
        """What a node has logged."""
        return Path(self.local.directory / name / "node.log").read_text(errors="replace")
