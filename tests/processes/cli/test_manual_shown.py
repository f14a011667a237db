"""The manual as groff sets it, and completion as bash does it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commandline import pixraft

from ftpgateway.cli import manpages

PAGES = manpages.manual()


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_has_nothing_to_say_of_any_page() -> None:
    for name, text in PAGES.items():
        done = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", "-Wbreak"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), name
        shown = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)
        assert "NAME" in shown and "\\f" not in shown


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pixraft sess", {"sessions"}),
        ("pixraft sessions ", {"kill", "list"}),
        ("pixraft maintenance on --gr", {"--grace"}),
        ("pixraft completion ", {"bash", "fish", "zsh"}),
    ],
)
def test_bash_completes(tmp_path: Path, line: str, expected: set[str]) -> None:
    program = tmp_path / "pixraft"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ftpgateway.cli "$@"\n')
    program.chmod(0o755)
    words = line.split(" ")
    script = "\n".join(
        (
            pixraft("completion", "bash").stdout,
            f"COMP_WORDS=({' '.join(words[:-1])} {words[-1] or chr(34) * 2}); COMP_CWORD={len(words) - 1}",
            "_pixraft_completion pixraft",
            'printf "%s\\n" "${COMPREPLY[@]}"',
        )
    )
    done = subprocess.run(
        ["bash", "-c", f'PATH="{tmp_path}:$PATH"\n{script}'], capture_output=True, text=True, check=False
    )
    assert set(done.stdout.split()) == expected, done.stderr
