"""The commands in README.md that are marked to be run, run as they stand (only the ports are others)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ftpgateway.demo import ports, samples

pytestmark = pytest.mark.integration

README = Path(__file__).resolve().parents[2] / "README.md"
PORTS = ("7421", "7422", "7423", "2121", "2122", "2123")


def marked(text: str) -> list[str]:
    return re.findall(r"<!-- run -->\n```sh\n(.*?)```", text, re.DOTALL)


def script(directory: Path) -> str:
    """All marked blocks as one script, with free ports: peers' as they come, FTP's in a row."""
    text = README.read_text(encoding="utf-8")
    blocks = marked(text)
    assert len(blocks) == 4
    # Whoever reads it is slower than a machine: what is looked at is not the moment after the upload.
    commands = "pixraft status --cluster try --wait 120 > waited\n".join(f"{block}\n" for block in blocks)
    first = ports.consecutive("127.0.0.1", 3, None)[0]
    sftp = ports.free("127.0.0.1", 3)
    free = [*ports.free("127.0.0.1", 3), first, first + 1, first + 2]
    for port, other in zip(PORTS, free, strict=True):
        commands = commands.replace(f":{port}", f":{other}")
    # `init` gives nodes on one machine 2121, 2122, 2123 (SFTP: from 2022); here they are told to take others.
    serves = re.findall(r"^pixraft serve.*&$", commands, re.MULTILINE)
    assert len(serves) == 3
    for number, line in enumerate(serves):
        addresses = (
            f"PIXRAFT_FTP_LISTEN=127.0.0.1:{first + number} PIXRAFT_SFTP_LISTEN=127.0.0.1:{sftp[number]}"
        )
        commands = commands.replace(line, f"{addresses} {line}")
    shim = directory / "bin" / "pixraft"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ftpgateway.cli "$@"\n')
    shim.chmod(0o755)
    return f'set -euo pipefail\ntrap "kill \\$(jobs -p); wait" EXIT\n{commands}\n'


def test_the_readmes_commands_do_what_it_says(tmp_path: Path) -> None:
    commands = script(tmp_path)
    (tmp_path / "picture.jpg").write_bytes(samples.shipped()[0].file.read_bytes())
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    process = subprocess.Popen(
        ["bash", "-c", commands],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=180)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    logs = "".join(log.read_text() for log in sorted(tmp_path.glob("n*.log")))
    assert process.returncode == 0, out + err + logs
    assert out.count("healthy") >= 3
    assert "User 'anna' added." in out
    assert (tmp_path / "copy.jpg").read_bytes() == (tmp_path / "picture.jpg").read_bytes()
    assert (tmp_path / "got.jpg").read_bytes() == (tmp_path / "picture.jpg").read_bytes()
    assert "bob sent picture.jpg to carol" in out
