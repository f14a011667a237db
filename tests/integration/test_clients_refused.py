"""Real clients whose upload is refused on its way: they tell why, and none sees a broken connection."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import argon2
import pytest
from ftpserver import Server, certificate, serving
from realclients import TIMEOUT, Client, Refused, Target
from realclients_python import Ftplib
from realclients_shell import Curl, Lftp, Rclone
from realclients_typed import InetutilsFtp, Ncftp, Tnftp

from raftstore.errors import QuotaExceeded
from raftstore.types import User

pytestmark = pytest.mark.integration

SIZE = 24_000_000
"""Bytes of the upload: far more than sockets hold."""
TAKEN = 1_000_000
BROKEN = re.compile("reset by peer|broken pipe|send failure|426 ", re.IGNORECASE)


class TalkingLftp(Lftp):
    """By itself lftp tries again and again after a 4xx, longer the more was sent; with `debug` it shows the reply."""

    def put(self, local: Path, remote: str) -> None:
        self._lftp(f'debug 4; put "{local}" -o "{remote}"')

    def run(self, *command: str, text: str = "", check: bool = True) -> str:
        """Look on until the refusal is told."""
        said = ""
        environment = {**os.environ, "HOME": str(self.work), "LC_ALL": "C.UTF-8"}
        with subprocess.Popen(
            command, cwd=self.work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            enough = threading.Timer(TIMEOUT, process.kill)
            enough.start()
            for line in process.stdout:
                said += line
                if "<--- 452" in line:
                    process.kill()
            enough.cancel()
            enough.join()
        if process.returncode:
            raise Refused(said)
        return said


class TalkingNcftp(Ncftp):
    """By itself ncftpput only tells that it failed."""

    def put(self, local: Path, remote: str) -> None:
        self._ncftp("ncftpput", "-d", "stderr", "-r", "1", "-C", self.target.host, str(local), remote)


CLIENTS: list[type[Client]] = [
    *(Curl, TalkingLftp, TalkingNcftp, Tnftp, InetutilsFtp, Rclone, Ftplib),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tls_certificate=certificate(tmp_path_factory.mktemp("tls"))) as running:
        hashed = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("demo")
        running.store.accounts["demo"] = User("demo", hashed)
        moved: Counter[str] = Counter()

        def feed(path: str, size: int) -> None:
            moved[path] += size
            if path.startswith("/big") and moved[path] > TAKEN:
                raise QuotaExceeded("0")

        running.store.hooks["feed"] = feed
        yield running


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("kind", CLIENTS, ids=lambda kind: kind.name)
def test_the_client_tells_why(kind: type[Client], secure: bool, server: Server, tmp_path: Path) -> None:
    if not kind.installed():
        if os.environ.get("CI"):
            pytest.fail(f"{kind.program} is not installed")
        pytest.skip(f"{kind.program} is not installed")
    if secure and kind in (TalkingNcftp, Tnftp, InetutilsFtp):
        pytest.skip("no TLS")
    big, small = tmp_path / "big.jpg", tmp_path / "small.jpg"
    big.write_bytes(bytes(SIZE))
    small.write_bytes(b"small")
    client = kind(Target("127.0.0.1", server.port, "demo", "demo"), tmp_path, secure=secure)
    name = f"big-{kind.name[:4]}-{secure}.jpg"
    with pytest.raises(Exception, match="452") as refused:
        client.put(big, f"/{name}")
    if not isinstance(refused.value, Refused):
        assert type(refused.value).__module__ == "ftplib"
    assert not BROKEN.search(str(refused.value)), refused.value
    client.put(small, "/small.jpg")
    assert server.run(server.store.read, "/small.jpg") == b"small"
    assert name not in server.store.root.children
