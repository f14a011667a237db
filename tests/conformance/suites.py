"""The third-party suites: where their code comes from, and how it is pointed at a live server.

Their code is used as the registry gives it. `plugins/for_*.py` put the live server in the place of the one that a
suite starts itself; what they change is written there.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build" / "conformance"
REQUIREMENTS = HERE / "requirements.txt"
LIMIT = 900.0
"""Seconds that one suite may take."""


@dataclass(frozen=True)
class Suite:
    """A suite: the package that has it, its tests, the account that it uses, and what a short run leaves out."""

    name: str
    user: str
    password: str
    tests: Sequence[str]
    """Below the unpacked source, or below this directory for a suite that is installed with its package."""
    sdist: bool = True
    plugin: bool = True
    mirrored: bool = False
    """Whether it looks at the server's files in its working directory."""
    short: Sequence[str] = ()
    """Options of pytest in a short run."""


SUITES = {
    suite.name: suite
    for suite in (
        Suite(
            "pyftpdlib",
            "user",
            "12345",
            ("tests/test_functional.py", "tests/test_functional_ssl.py"),
            mirrored=True,
            short=("-k", "not TLS and not CustomIO"),
        ),
        Suite(
            "aioftp",
            "demo",
            "demo",
            ("tests",),
            short=("-k", "127.0.0.1 and not (abort or timeout or closing)"),
        ),
        Suite("ftputil", "ftptest", "dummy", ("test/test_real_ftp.py",), short=("-m", "not slow")),
        Suite(
            "fsspec",
            "spec",
            "spec",
            ("fsspec_abstract.py",),
            sdist=False,
            plugin=False,
            short=("-k", "TestPut and not glob_edge_cases"),
        ),
    )
}


def prepare() -> Path:
    """Make the environment of the suites and unpack their code, unless that was done; return its Python."""
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    mark = BUILD / "prepared"
    python = BUILD / "venv" / "bin" / "python"
    if mark.exists() and mark.read_text() == wanted:
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(BUILD / "venv")], check=True)
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-r", str(REQUIREMENTS)], check=True)
    pinned = dict(line.split("==") for line in REQUIREMENTS.read_text().splitlines() if "==" in line)
    for suite in SUITES.values():
        if suite.sdist:
            where = BUILD / "sdists"
            package = f"{suite.name}=={pinned[suite.name]}"
            fetch = ["download", "--no-deps", "--no-binary", suite.name, "--dest", str(where), package]
            subprocess.run([*pip, *fetch], check=True)
            with tarfile.open(where / f"{suite.name}-{pinned[suite.name]}.tar.gz") as archive:
                archive.extractall(BUILD / "sources", filter="data")
    mark.write_text(wanted)
    return python


def source(suite: Suite) -> Path:
    """Return the directory of a suite's code."""
    if not suite.sdist:
        return HERE
    return next((BUILD / "sources").glob(f"{suite.name}-*"))


def start(
    suite: Suite, python: Path, server: str, addresses: Path, work: Path, options: Sequence[str]
) -> subprocess.Popen[bytes]:
    """Start a suite against the server at `addresses`; what it prints goes to a file beside its results."""
    code = source(suite)
    plugin = ["-pleaving_out", *([f"-pfor_{suite.name}"] if suite.plugin else [])]
    environment: Mapping[str, str] = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PIXRAFT"))},
        "LIVE_ADDRESSES": str(addresses),
        "LIVE_SUITE": str(code),
        "LIVE_REMOTE": "1" if suite.mirrored and server != "stock" else "",
        "PYTHONPATH": str(HERE / "plugins"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TZ": "UTC",
    }
    where = [f"--rootdir={code}", f"-c{HERE / 'pytest.ini'}", f"--junitxml={results_file(suite, server)}"]
    with (BUILD / f"{suite.name}-{server}.log").open("wb") as log:
        return subprocess.Popen(
            [str(python), "-m", "pytest", "-q", *where, *plugin, *options]
            + [str(code / test) for test in suite.tests],
            cwd=work,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def results_file(suite: Suite, server: str) -> Path:
    """Return where a run's results are."""
    return BUILD / f"{suite.name}-{server}.xml"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case: passed, failed or skipped, and what it said."""

    kind: str
    message: str = ""


def results(suite: Suite, server: str) -> dict[str, Outcome]:
    """Read a run's results, by case."""
    found: dict[str, Outcome] = {}
    for case in ElementTree.parse(results_file(suite, server)).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        outcome = Outcome("passed")
        for child in case:
            if child.tag in ("failure", "error"):
                outcome = Outcome("failed", child.get("message") or "")
                break
            if child.tag == "skipped":
                outcome = Outcome("skipped", child.get("message") or "")
        if name not in found or found[name].kind == "passed":
            found[name] = outcome
    return found
