"""What systemd hears of a real node: state by state on a socket, signs of life, and what it does at SIGHUP."""

from __future__ import annotations

import ftplib
import io
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting import eventually

from ftpgateway.cli.helpers.bundle import ClusterSpec, NodeSpec, make_cluster
from ftpgateway.demo import ports

pytestmark = pytest.mark.integration

PATIENCE = 120.0


def test_a_node_under_systemd(tmp_path: Path) -> None:
    peers, ftp = ports.free("127.0.0.1", 2)
    make_cluster(
        tmp_path / "c", ClusterSpec(nodes=[NodeSpec.parse(f"n1=127.0.0.1:{peers},ftp=127.0.0.1:{ftp},sftp=")])
    )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(f"\0pixraft-test-{os.getpid()}-{peers}")
    # As systemd does: a state that finds the queue full is lost.
    reported: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(listener, reported.put), daemon=True).start()
    heard: list[str] = []

    def hear(state: str) -> None:
        while not heard or state not in heard[-1].split("\n"):
            heard.append(reported.get(timeout=PATIENCE))

    log, transfers = tmp_path / "logs" / "node.log", tmp_path / "logs" / "xferlog"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "ftpgateway.cli",
            "serve",
            "--config",
            str(tmp_path / "c" / "n1" / "pixraft.toml"),
        ],
        stdin=subprocess.DEVNULL,
        env={
            **os.environ,
            "NOTIFY_SOCKET": f"@pixraft-test-{os.getpid()}-{peers}",
            "WATCHDOG_USEC": "600000",
            "PIXRAFT_LOG_FILE": str(log),
            "PIXRAFT_LOG_TRANSFERS": str(transfers),
            "PIXRAFT_FTP_HANDSHAKE_TIMEOUT": "1",
        },
    )
    try:
        hear("READY=1")
        assert heard[0].startswith("STATUS=starting") or heard[0] == "WATCHDOG=1"
        assert f"READY=1\nSTATUS=serves FTP on 127.0.0.1:{ftp}" in heard
        heard.clear()
        for _ in range(3):
            heard.append("")
            hear("WATCHDOG=1")
        with (
            socket.create_connection(("127.0.0.1", ftp), timeout=PATIENCE) as slow,
            slow.makefile("rb") as replies,
        ):
            slow.sendall(b"AUTH TLS\r\n")
            assert [line[:4] for line in replies] == [b"220 ", b"234 "], (
                "as configured, the node ended the session"
            )
        _add_user(tmp_path / "c")
        with ftplib.FTP(timeout=PATIENCE) as session:
            session.connect("127.0.0.1", ftp)
            session.login("anna", "secret")
            session.storbinary("STOR a b.jpg", io.BytesIO(b"picture"))
            eventually(lambda: transfers.stat().st_size)
            log.rename(tmp_path / "logs" / "node.log.1")
            transfers.rename(tmp_path / "logs" / "xferlog.1")
            process.send_signal(signal.SIGHUP)
            eventually(lambda: _download(session) and log.exists() and transfers.exists())
        process.send_signal(signal.SIGTERM)
        hear("STOPPING=1")
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        listener.shutdown(socket.SHUT_RDWR)
    first = (tmp_path / "logs" / "xferlog.1").read_text()
    assert re.search(
        r"^\S{3} \S{3} \d\d [\d:]{8} \d{4} \d+ 127.0.0.1 7 /a_b.jpg b _ i r anna ftp 0 \* c$", first, re.M
    )
    assert " /a_b.jpg b _ o r anna ftp 0 * c\n" in transfers.read_text()
    assert "node ready" in (tmp_path / "logs" / "node.log.1").read_text()
    assert "node stopped" in log.read_text()


def _listen(listener: socket.socket, tell: Callable[[str], None]) -> None:
    """Take what comes at once, until the socket is shut down."""
    with listener:
        while state := listener.recv(4096):
            tell(state.decode())


def _add_user(cluster: Path) -> None:
    subprocess.run(
        [
            sys.executable,
            "-m",
            "ftpgateway.cli",
            "user",
            "add",
            "anna",
            "--cluster",
            str(cluster),
            "--password-stdin",
        ],
        input="secret\n",
        text=True,
        check=True,
        capture_output=True,
        timeout=PATIENCE,
    )


def _download(session: ftplib.FTP) -> bool:
    parts: list[bytes] = []
    session.retrbinary("RETR a b.jpg", parts.append)
    return b"".join(parts) == b"picture"
