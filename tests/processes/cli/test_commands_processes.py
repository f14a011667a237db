"""What only a process of its own shows of the command line: what it imports, and what goes to which stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_commands_are_imported_only_when_called() -> None:
    code = (
        "import sys, ftpgateway.cli; from click.testing import CliRunner; from ftpgateway.cli.main import group\n"
        "assert CliRunner().invoke(group, ['--version']).exit_code == 0\n"
        "heavy = {'cryptography', 'argon2', 'pyftpdlib', 'google.protobuf'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr


def test_a_key_that_others_can_read_is_told_beside_the_result(node: Path) -> None:
    key = node.parent.parent / "admin" / "node.key"
    command = [
        sys.executable,
        "-m",
        "ftpgateway.cli",
        "status",
        "--cluster",
        str(node.parent.parent),
        "-o",
        "json",
    ]
    for mode, reported in ((0o600, ""), (0o640, f"(mode 0640); chmod 600 {key}\n")):
        key.chmod(mode)
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
        assert json.loads(done.stdout)["verdict"] == "unreachable"
        assert done.stderr.endswith(reported)
        assert bool(done.stderr) == bool(reported)
