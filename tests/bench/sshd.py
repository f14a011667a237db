"""OpenSSH's own server (C) on a plain directory, as a further reference: what a server costs that is no cluster."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS = 20.0

CONFIGURATION = """\
ListenAddress 127.0.0.1:{port}
HostKey {place}/host_key
AuthorizedKeysFile {place}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
MaxStartups 100
MaxSessions 100
Subsystem sftp internal-sftp -d {place}/files
"""


@dataclass(frozen=True)
class Sshd:
    """Where it listens, who may log in with which key, its process id."""

    port: int
    user: str
    key: Path
    pid: int


@contextmanager
def sshd(place: Path) -> Iterator[Sshd | None]:
    """Run it with files in `place`; gives None where it is not installed (openssh-server)."""
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        yield None
        return
    (place / "files").mkdir(parents=True)
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name], check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(
            exist_ok=True
        )  # as root it wants an empty directory for the separation of privileges
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    configuration = place / "sshd_config"
    configuration.write_text(CONFIGURATION.format(port=port, place=place))
    process = subprocess.Popen([program, "-D", "-e", "-q", "-f", configuration])
    try:
        _wait(process, port)
        yield Sshd(port, getpass.getuser(), place / "key", process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"sshd has ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
