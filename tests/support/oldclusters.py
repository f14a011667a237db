"""Clusters that earlier releases left, started again by real nodes."""

from __future__ import annotations

import contextlib
import ftplib
import io
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from harness import Cluster
from members import Failed, pixraft
from releases import expected, is_content, level, unpack
from waiting import eventually

from raftstore.metadata.database.database import SCHEMA_VERSION


class Old(Cluster):
    """The release's cluster under this version. Its accounts are its own."""

    def __init__(self, release: str, directory: Path) -> None:
        unpack(release, directory)
        super().__init__(directory)
        self.release = release

    def __enter__(self) -> Old:
        try:
            self.local.start()
            for name in self.names:
                self.wait_ready(name)
        except BaseException:
            self.close()
            raise
        return self

    def wait_ready(self, name: str) -> None:
        eventually(lambda: self.login(name, "anna", "anna-secret")).close()

    @property
    def options(self) -> tuple[str, ...]:
        return ("--config", str(self.local.directory / "admin" / "admin.toml"))

    def run(self, *words: str) -> Any:
        return eventually(lambda: [self._attempt(*words)])[0]

    def _attempt(self, *words: str) -> Any:
        try:
            return pixraft(*words, *self.options)
        except Failed as failure:
            if failure.code in (5, 30, 31):
                raise OSError(str(failure)) from failure
            raise

    def catalog(self, name: str) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.data(name) / 'catalog' / 'catalog.db'}?mode=ro", uri=True)

    def levels(self) -> set[int]:
        found = set()
        for name in self.names:
            with contextlib.closing(self.catalog(name)) as database:
                found.add(database.execute("PRAGMA user_version").fetchone()[0] - SCHEMA_VERSION + 1)
        return found


def check_everything(cluster: Old, name: str) -> None:
    """All that the release had is there at that node, byte for byte, for whom it was there."""
    was = expected(cluster.release)
    with contextlib.closing(cluster.login(name, "root", "root-secret")) as root:
        for path, file in was["files"].items():
            if "size" not in file:
                assert root.sendcmd(f"MLST {path}")
                continue
            content = io.BytesIO()
            root.retrbinary(f"RETR {path}", content.write)
            assert is_content(content.getvalue(), file), path
            assert root.size(path) == file["size"]
        root.voidcmd("TYPE I")
    with contextlib.closing(cluster.login(name, "anna", "anna-secret")) as anna:
        assert anna.sendcmd("MDTM 2024/summer/p0.jpg") == "213 20240102030405"
        anna.voidcmd("TYPE I")
        assert anna.size("broken.jpg") == 30_000  # of the upload that broke off
    with contextlib.closing(cluster.login(name, "bert", "bert-secret")) as bert:
        with pytest.raises(ftplib.error_perm):
            bert.retrbinary("RETR /anna/private/hidden.jpg", lambda _: None)
        with pytest.raises(ftplib.error_perm):
            bert.storbinary("STOR /team/no.jpg", io.BytesIO(b"x"))
    with pytest.raises(ftplib.error_perm, match="530"):
        cluster.login(name, "off", "off-secret")
    with pytest.raises(ftplib.error_perm, match="530"):
        cluster.login(name, "gone", "gone-secret")
    check_accounts(cluster)


def check_accounts(cluster: Old) -> dict[str, Any]:
    """Return the accounts by name: those that the release had."""
    accounts = {user["name"]: user for user in cluster.run("user", "list")["users"]}
    assert set(accounts) == set(expected(cluster.release)["users"])
    return accounts


def check_usage(cluster: Old, *, upgraded: bool = False) -> None:
    """What counts on each account's quotas is what counted there, as long as nobody has put anything since."""
    was = expected(cluster.release)
    accounts = check_accounts(cluster)
    for user, (files, size, *_) in was["usage"].items():
        if user in accounts:
            # Since level 2 directories count, too.
            own = [path for path, file in was["files"].items() if "size" not in file and file["owner"] == user]
            count = files + (len(own) if upgraded and level(cluster.release) == 1 else 0)
            assert (accounts[user]["used_files"], accounts[user]["used_bytes"]) == (count, size)
