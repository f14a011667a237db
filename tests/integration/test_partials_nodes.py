"""What interrupted uploads left, at real nodes: counted, listed, removed by hand, and gone by itself after its time."""

from __future__ import annotations

import contextlib
import ftplib
import json
import socket
import struct
from pathlib import Path
from typing import Any

import pytest
from commandline import pixraft
from harness import Cluster
from waiting import eventually

pytestmark = pytest.mark.integration

WEEK = 7 * 86_400


def interrupt(cluster: Cluster, node: str, name: str, size: int) -> None:
    """Begin an upload, and have its data connection reset."""
    with cluster.login(node) as ftp:
        ftp.voidcmd("TYPE I")
        connection = ftp.transfercmd(f"STOR {name}")
        connection.sendall(bytes(size))
        eventually(lambda: f"{size} bytes moved" in ftp.sendcmd("STAT"))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        with contextlib.suppress(ftplib.error_temp):
            ftp.voidresp()


def test_partial_uploads_are_shown_removed_and_expire(tmp_path: Path) -> None:
    with Cluster(tmp_path / "cluster") as cluster:

        def asked(*words: str) -> Any:
            done = pixraft(*words, "--cluster", str(tmp_path / "cluster"), "-o", "json")
            assert done.exit_code == 0, done.output
            return json.loads(done.stdout)

        for number, node in enumerate(cluster.names):
            interrupt(cluster, node, f"cut{number}.jpg", 100_000 + number)
        status = asked("status")
        assert (status["partials"], status["partial_bytes"]) == (3, 300_003)
        listed = asked("partials", "list")
        assert [(one["path"], one["owner"], one["bytes"]) for one in listed["partials"]] == [
            (f"/cut{number}.jpg", "demo", 100_000 + number) for number in range(3)
        ]
        assert listed["kept"] == WEEK and all(0 < one["left"] <= WEEK for one in listed["partials"])
        removed = asked("partials", "remove", "/cut0.jpg", "--yes")
        assert [one["path"] for one in removed["removed"]] == ["/cut0.jpg"]
        with cluster.login("n2") as ftp:
            ftp.voidcmd("TYPE I")
            assert ftp.size("cut1.jpg") == 100_001, "its owner can go on with it"
            with pytest.raises(ftplib.error_perm, match="550"):
                ftp.size("cut0.jpg")
        for name in cluster.names:
            cluster.local.nodes[name].environment["PIXRAFT_JOBS_KEEP_PARTIALS"] = "1"
        cluster.kill_all()
        for name in cluster.names:
            cluster.start_node(name)
        cluster.wait_verdict("healthy")
        eventually(lambda: asked("status")["partials"] == 0)
        assert asked("partials", "list") == {"partials": [], "kept": 1, "bytes": 0}
        with cluster.login("n2") as ftp, pytest.raises(ftplib.error_perm, match="550"):
            ftp.size("cut1.jpg")
