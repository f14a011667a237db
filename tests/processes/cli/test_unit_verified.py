"""What systemd itself says of the unit."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from commandline import pixraft


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_has_no_complaint_about_the_unit(node: Path, tmp_path: Path) -> None:
    result = pixraft("unit", "-c", str(node), "--user", "camera")
    assert result.exit_code == 0, result.output
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(result.stdout)
    service = unit["Service"]
    service["ExecStart"] = "/bin/true"  # what it calls now may not be installed where systemd looks
    service["User"] = "root"
    file = tmp_path / "pixraft.service"
    with file.open("w") as out:
        unit.write(out, space_around_delimiters=False)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(file)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    complaints = [line for line in done.stderr.splitlines() if "pixraft.service" in line]
    assert not complaints, done.stderr
