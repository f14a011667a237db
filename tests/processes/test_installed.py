"""What `.ci/run` tests is the installed wheel: in this process, and in those that tests start."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = "import ftpgateway, raftstore; print(ftpgateway.__file__); print(raftstore.__file__)"


@pytest.mark.skipif("PIXRAFT_TEST_INSTALLED" not in os.environ, reason="only where the wheel is installed")
def test_the_packages_come_from_site_packages() -> None:
    import ftpgateway
    import raftstore

    printed = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout
    for file in [str(ftpgateway.__file__), str(raftstore.__file__), *printed.split()]:
        assert "site-packages" in file
