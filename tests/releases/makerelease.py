"""Make the release of the version in pyproject.toml: `make release`, then commit the folder that it makes.

tests/releases/VERSION/ has the wheel, the lock file, the descriptors of all protobuf messages, and what three real
nodes of that very wheel left on their disks, with what must be readable there afterwards (`fillcluster.py`). The tests
of all later versions run against it. Nothing is made of a work tree that has changes, or without a dated section in
CHANGELOG.md; wheel and sdist are checked first.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

RELEASES = Path(__file__).resolve().parent
ROOT = RELEASES.parents[1]
LARGEST = 4 * 1024**2
"""Bytes that a release may add to the repository; half of it is the wheel with the demo's pictures."""
PACKAGES = ("raftstore/", "ftpgateway/")
NOT_IN_SDIST = (".ci/",)
MADE_BY_SDIST = {"PKG-INFO"}


class Refused(Exception):
    """No release can be made; says why."""


def dated(changelog: str, version: str) -> datetime.date | None:
    """Return the date of the version's section in a changelog in Keep a Changelog's form; None without one."""
    found = re.search(
        rf"^## \[{re.escape(version)}\] - (\d{{4}}-\d{{2}}-\d{{2}})$", changelog, re.MULTILINE | re.ASCII
    )
    try:
        return datetime.date.fromisoformat(found.group(1)) if found else None
    except ValueError:
        return None


def obstacles(version: str, changelog: str, changes: Collection[str], *, exists: bool) -> list[str]:
    """Return what keeps the version from being released; `changes`: lines of `git status --porcelain`."""
    found = []
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        found.append(f"pyproject.toml has version {version}; a release has three numbers")
    if dated(changelog, version) is None:
        found.append(f'CHANGELOG.md has no section "## [{version}] - YYYY-MM-DD"')
    if changes:
        found.append(f"the work tree has changes: {', '.join(line[3:] for line in sorted(changes)[:5])}")
    if exists:
        found.append(f"tests/releases/{version} is there already: what was released stays as it is")
    return found


def wrong_files(kind: str, has: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Return a line for each file that a distribution lacks or should not have."""
    there, should = set(has), set(wanted)
    return [f"{kind} lacks {name}" for name in sorted(should - there)] + [
        f"{kind} has {name}, which is not in git" for name in sorted(there - should)
    ]


def run(*words: str | Path, **options: Any) -> str:
    """Run a program that must succeed; return what it printed. Nothing of this environment's Python is seen by it."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIXRAFT_"))
    }
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [str(word) for word in words],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        **{"cwd": ROOT, "env": environment, **options},
    )
    if done.returncode:
        raise Refused(f"{' '.join(map(str, words))} failed (exit code {done.returncode}):\n{done.stdout}")
    return done.stdout


def build(scratch: Path, version: str, tracked: Collection[str]) -> Path:
    """Build wheel and sdist and check both; return the wheel."""
    builder = (sys.executable, "-m", "build", "--no-isolation")
    run(*builder, "--wheel", "--outdir", scratch / "dist")
    run(*builder, "--outdir", scratch / "again")  # the sdist, and a wheel that is built from it
    wheel = scratch / "dist" / f"pixraft-{version}-py3-none-any.whl"
    sdist = scratch / "again" / f"pixraft-{version}.tar.gz"
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(scratch / "again" / wheel.name) as second:
        contents = {name: first.read(name) for name in first.namelist()}
        if contents != {name: second.read(name) for name in second.namelist()}:
            raise Refused("the wheel that is built from the sdist differs from that of the work tree")
    metadata = f"pixraft-{version}.dist-info/"
    faults = wrong_files(
        "the wheel",
        (name for name in contents if not name.startswith(metadata)),
        (name for name in tracked if name.startswith(PACKAGES)),
    )
    with tarfile.open(sdist) as archive:
        prefix = f"pixraft-{version}/"
        has = {member.name.removeprefix(prefix) for member in archive if not member.isdir()}
    wanted = {name for name in tracked if not name.startswith(NOT_IN_SDIST)} | MADE_BY_SDIST
    faults += wrong_files("the sdist", has, wanted)
    if faults:
        raise Refused("\n".join(faults))
    return wheel


def install(scratch: Path, wheel: Path, version: str) -> Path:
    """Install the wheel, with the versions of the lock file, into an environment of its own; return its Python."""
    venv.create(scratch / "venv", with_pip=True)
    python = scratch / "venv" / "bin" / "python"
    pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    run(*pip, "-r", ROOT / "requirements.lock")
    run(*pip, "--no-deps", wheel)
    run(python, "-m", "pip", "check")
    says = run(python.with_name("pixraft"), "--version", cwd=scratch)
    if version not in says.split():
        raise Refused(f"pixraft --version says {says!r}")
    return python


def descriptors(target: Path) -> None:
    """Write the FileDescriptorSet of all of proto/."""
    sources = sorted(str(path) for path in (ROOT / "proto").glob("*.proto"))
    includes = ("--include_imports", f"-I{ROOT / 'proto'}", f"--descriptor_set_out={target}")
    run(sys.executable, "-m", "grpc_tools.protoc", *includes, *sources)


def page(version: str, commit: str, expected: dict[str, Any]) -> str:
    """Return the README of the folder."""
    counts = (
        f"{len(expected['users'])} accounts, {len(expected['files'])} names, {len(expected['partials'])} uploads that "
        f"broke off, {len(expected['jobs'])} open jobs"
    )
    return f"""# {version} ({commit[:7]})

Made by `make release` of commit {commit}. `data.tar.xz` holds the directories of three
nodes (`n1` to `n3`: configuration, certificates and data) and of an admin, as the real program left them, without logs.
The keys are for tests only. `expected.json` says what must be readable there: what was put (`sha256`) and what that
program's own catalog said of it. `descriptors.pb` is a FileDescriptorSet of its protobuf messages; `requirements.lock`
and the wheel install that very version.

In it: {counts}. The log of each node begins after entry 1, at level {expected["level"]}.
"""


def release(version: str, scratch: Path) -> Path:
    """Make the folder; nothing is there when it fails."""
    commit = run("git", "rev-parse", "HEAD").strip()
    tracked = run("git", "ls-files", "-z").split("\0")[:-1]
    shutil.rmtree(scratch, ignore_errors=True)
    (folder := scratch / version).mkdir(parents=True)
    wheel = build(scratch, version, tracked)
    print(f"built and checked: {wheel.name} and the sdist", flush=True)
    python = install(scratch, wheel, version)
    print("installed; three nodes of it are filled now", flush=True)
    run(python, "-I", RELEASES / "fillcluster.py", folder, cwd=scratch)
    descriptors(folder / "descriptors.pb")
    shutil.copy(wheel, folder)
    shutil.copy(ROOT / "requirements.lock", folder)
    expected = {"version": version, "commit": commit} | json.loads((folder / "expected.json").read_text())
    (folder / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
    (folder / "README.md").write_text(page(version, commit, expected))
    size = sum(path.stat().st_size for path in folder.iterdir())
    if size > LARGEST:
        raise Refused(f"{size:,} bytes are too many to keep; they are in {folder}")
    shutil.move(folder, RELEASES / version)
    print(f"made tests/releases/{version}: {size:,} bytes")
    return RELEASES / version


def main(arguments: list[str]) -> int:
    """Make the release, or only say what is in its way (`--check`); return the exit code."""
    parser = argparse.ArgumentParser(description="Make the release of the version in pyproject.toml.")
    parser.add_argument("--check", action="store_true", help="only say what is in its way")
    options = parser.parse_args(arguments)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    found = obstacles(
        version,
        (ROOT / "CHANGELOG.md").read_text(),
        run("git", "status", "--porcelain").splitlines(),
        exists=(RELEASES / version).exists(),
    )
    for obstacle in found:
        print(f"not released: {obstacle}", file=sys.stderr)
    if found or options.check:
        return 1 if found else 0
    try:
        folder = release(version, ROOT / "build" / "release")
    except Refused as refused:
        print(f"not released: {refused}", file=sys.stderr)
        return 1
    print(f"now: make test; git add {folder.relative_to(ROOT)}; git commit")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
