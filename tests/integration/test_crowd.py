"""Many sessions at once."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest
from harness import Cluster
from pictures import picture, retrieve

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SESSIONS = 200
MEMORY = 400 * 1024 * 1024


def peak_memory(pid: int) -> int:
    """Peak resident set of a process in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def test_200_sessions_upload_and_download_at_once(tmp_path):
    failures: list[BaseException] = []
    gate = threading.Barrier(SESSIONS)
    with Cluster(tmp_path / "cluster") as cluster:

        def session(number: int) -> None:
            try:
                node = cluster.names[number % 3]
                content = picture(number, 20_000 + 11_000 * (number % 100))
                with cluster.login(node) as ftp:
                    gate.wait(300)
                    for turn in range(3):
                        name = f"crowd-{number}-{turn}.jpg"
                        ftp.storbinary(f"STOR {name}", io.BytesIO(content))
                        assert retrieve(ftp, name) == content
                        if turn:
                            assert retrieve(ftp, f"crowd-{number}-{turn - 1}.jpg") == content
            except BaseException as error:
                failures.append(error)
                gate.abort()

        threads = [threading.Thread(target=session, args=(number,)) for number in range(SESSIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(900)
        assert not failures, failures[:3]
        peaks = {name: peak_memory(cluster.pid(name)) for name in cluster.names}
        assert max(peaks.values()) < MEMORY, {name: f"{peak >> 20} MiB" for name, peak in peaks.items()}
