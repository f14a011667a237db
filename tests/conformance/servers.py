"""The servers that the suites are pointed at: stock pyftpdlib on a plain directory, and a cluster of pixraft nodes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from argon2 import PasswordHasher
from harness import Cluster
from suites import HERE, SUITES
from waiting import eventually

from raftstore.cluster.calls import accounts as accounts_calls
from raftstore.util.addresses import Address
from raftstore.wire import admin_pb2

PATIENCE = 60.0


class Stock:
    """Stock pyftpdlib in a process of its own, serving one directory that is made empty."""

    def __init__(self, directory: Path, python: Path, certificate: Path) -> None:
        self.directory = directory
        self.addresses = directory.parent / "addresses.json"
        self._command = [
            str(python),
            str(HERE / "stock.py"),
            str(directory),
            str(certificate),
            str(self.addresses),
        ]

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True)
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE)
        deadline = time.monotonic() + PATIENCE
        while not self.addresses.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError("stock pyftpdlib did not start")
            time.sleep(0.05)
        return self

    def close(self) -> None:
        """Stop it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Nodes:
    """Three pixraft nodes, one of which serves FTP at ::1, with an account and a home for each suite."""

    def __init__(self, directory: Path) -> None:
        self._cluster = Cluster(directory)
        self.addresses = directory / "addresses.json"
        self.certificate = directory / "n1" / "ftps.pem"
        for node in self._cluster.local.nodes.values():
            # As the stock server has it.
            node.environment.update(PIXRAFT_FTP_ANONYMOUS="true", PIXRAFT_FTP_ANONYMOUS_ROOT="/")
        third = self._cluster.local.nodes["n3"]
        third.ftp = Address("::1", third.ftp.port)
        third.environment["PIXRAFT_FTP_LISTEN"] = str(third.ftp)

    def __enter__(self) -> Self:
        self._cluster.__enter__()
        try:
            for suite in SUITES.values():
                self._make_account(suite.user, suite.password)
        except BaseException:
            self._cluster.close()
            raise
        plain, tls, six = (list(self._cluster.address(name)) for name in ("n1", "n2", "n3"))
        self.addresses.write_text(json.dumps({"plain4": plain, "tls4": tls, "plain6": six, "tls6": six}))
        return self

    def _make_account(self, name: str, password: str) -> None:
        quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        request = admin_pb2.UserPut(name=name, password_hash=quick.hash(password), home="/" + name)
        eventually(
            lambda: asyncio.run(self._cluster.local.client().ask(accounts_calls.put_user, request, repeat=True))
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cluster.__exit__(kind, error, trace)
