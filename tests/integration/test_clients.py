"""docs/clients.md is what happens: each client of the table does each operation at a running cluster.

`make clients` writes the page anew from such a run.
"""

from __future__ import annotations

import ftplib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import clientpage
import pytest
from clientops import OPERATIONS, Bench, target
from harness import Cluster
from openssh import OpenSsh
from pictures import picture, retrieve
from realclients import HANDFUL, Client, NotHere, NotSupported, Target
from realclients_mounted import Sshfs
from realclients_python import Aioftp, AsyncSsh, Fsspec, Ftplib
from realclients_scripted import (
    BasicFtp,
    BusyBox,
    Dropbear,
    PerlFtp,
    PerlSftp,
    PhpFtp,
    PhpSftp,
    Plink,
    Psftp,
    RubyFtp,
    RubySftp,
    Ssh2,
)
from realclients_sftp import CurlSftp, LftpSftp, OldScp, OpenSshSftp, Paramiko, RcloneSftp, Scp
from realclients_shell import Curl, Lftp, Rclone, Wget
from realclients_typed import InetutilsFtp, Ncftp, Tnftp
from waiting import eventually

pytestmark = pytest.mark.integration

FTP: list[type[Client]] = [Curl, Lftp, Ncftp, Tnftp, InetutilsFtp, Wget, Rclone, Ftplib, Aioftp, Fsspec]
SFTP: list[type[Client]] = [OpenSshSftp, Scp, OldScp, LftpSftp, CurlSftp, RcloneSftp, Paramiko, Sshfs]
MORE: list[type[Client]] = [
    *(BasicFtp, PerlFtp, PhpFtp, RubyFtp, BusyBox),
    *(Dropbear, Psftp, Plink, AsyncSsh, Ssh2, PerlSftp, PhpSftp, RubySftp),
]
"""A handful of operations each."""
CLIENTS = [*FTP, *SFTP]
CELLS = [
    pytest.param(kind, operation, id=f"{kind.name}-{operation}")
    for kind in [*CLIENTS, *MORE]
    for operation in OPERATIONS
    if kind in CLIENTS or operation in HANDFUL
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("clients"), sftp=True) as running:
        yield running


@pytest.fixture(scope="module")
def reference(cluster: Cluster) -> Iterator[ftplib.FTP]:
    """A session at a node where no client is, in binary mode."""
    with cluster.login("n3") as session:
        session.voidcmd("TYPE I")
        yield session


@pytest.fixture(scope="module")
def pages() -> Iterator[dict[bool, clientpage.Page]]:
    """What the tables say, that of `MORE` as True; what was seen is written to them when that is asked for."""
    handful = [operation for operation in OPERATIONS if operation in HANDFUL]
    pages = {
        False: clientpage.Page([client.name for client in CLIENTS], list(OPERATIONS)),
        True: clientpage.Page([client.name for client in MORE], handful, clientpage.MORE),
    }
    yield pages
    if os.environ.get("PIXRAFT_WRITE_CLIENTS"):
        for page in pages.values():
            page.write()


def address(cluster: Cluster, node: str, protocol: str) -> Target:
    if protocol == "FTP":
        return target(*cluster.address(node))
    sftp = cluster.local.nodes[node].sftp
    assert sftp is not None
    return target(*sftp)


@pytest.mark.parametrize(("kind", "operation"), CELLS)
def test_cell(
    kind: type[Client],
    operation: str,
    cluster: Cluster,
    reference: ftplib.FTP,
    pages: dict[bool, clientpage.Page],
    tmp_path: Path,
) -> None:
    if not kind.installed():
        if os.environ.get("CI"):
            pytest.fail(f"{kind.program} is not installed")
        pytest.skip(f"{kind.program} is not installed")
    where = address(cluster, "n1" if len(operation) % 2 else "n2", kind.protocol)
    (tmp_path / "secure").mkdir()
    client, secure = kind(where, tmp_path), kind(where, tmp_path / "secure", secure=True)
    try:
        OPERATIONS[operation](Bench(client, secure, reference))
        seen = clientpage.Cell("ok", kind.notes.get(operation, ""))
    except NotHere as reason:
        pytest.skip(str(reason))
    except NotSupported as reason:
        seen = clientpage.Cell("no", str(reason))
    except Exception as error:
        if operation not in kind.exceptions:
            raise
        print(error)
        seen = clientpage.Cell("fails", kind.exceptions[operation])
    page = pages[kind in MORE]
    page.saw(kind.name, operation, seen, client.version)
    shutil.rmtree(tmp_path / "secure")
    if not os.environ.get("PIXRAFT_WRITE_CLIENTS"):
        assert page.says(kind.name, operation) == seen


def needed(program: str) -> None:
    """Skip where a program is not; not in CI."""
    if shutil.which(program) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{program} is not installed")
        pytest.skip(f"{program} is not installed")


def backed_up(tmp_path: Path) -> tuple[Path, dict[str, bytes]]:
    """Write a directory to back up; return it and what is in it."""
    source = tmp_path / "source"
    content = {f"{n}/a b{n}.jpg": picture(n, 40_000 * n) for n in range(6)}
    for name, data in content.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    return source, content


def restored(directory: Path) -> dict[str, bytes]:
    return {str(one.relative_to(directory)): one.read_bytes() for one in directory.rglob("*.jpg")}


def test_restic_backs_up_and_restores(cluster: Cluster, tmp_path: Path) -> None:
    needed("restic")
    source, content = backed_up(tmp_path)
    place = address(cluster, "n2", "SFTP")
    ssh = OpenSsh(tmp_path / "ssh", place.port, place.user, place.password)
    command = shlex.join(
        ["ssh", "-p", str(place.port), *ssh.options(), f"{place.user}@{place.host}", "-s", "sftp"]
    )
    environment = {**ssh.environment, "RESTIC_PASSWORD": "x", "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def restic(*arguments: str) -> None:
        base = ["restic", "-q", "-r", "sftp:there:/restic", "-o", f"sftp.command={command}"]
        done = subprocess.run(
            [*base, *arguments], env=environment, cwd=source, capture_output=True, timeout=120
        )
        assert done.returncode == 0, done.stderr

    restic("init")
    restic("backup", ".")
    restic("check", "--read-data")
    restic("restore", "latest", "--target", str(tmp_path / "restored"))
    assert restored(tmp_path / "restored") == content


def test_duplicity_backs_up_and_restores(cluster: Cluster, tmp_path: Path) -> None:
    needed("duplicity")
    source, content = backed_up(tmp_path)
    place = address(cluster, "n2", "SFTP")
    url = f"paramiko+sftp://{place.user}@{place.host}:{place.port}//duplicity"
    environment = {**os.environ, "FTP_PASSWORD": place.password, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").touch()
    options = ["--no-encryption", "--archive-dir", str(tmp_path / "archive")]
    for command in (
        [str(source), url],
        ["verify", url, str(source)],
        ["restore", url, str(tmp_path / "restored")],
    ):
        done = subprocess.run(
            ["duplicity", *options, *command],
            env=environment,
            capture_output=True,
            timeout=120,
            input=b"yes\n" * 5,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert restored(tmp_path / "restored") == content


def test_curl_gets_a_part(cluster: Cluster, tmp_path: Path) -> None:
    content = picture("part", 2_500_000)
    curl = Curl(target(*cluster.address("n1")), tmp_path)
    (tmp_path / "in.jpg").write_bytes(content)
    curl.put(tmp_path / "in.jpg", "/part.jpg")
    host, port = cluster.address("n2")
    part = curl.run(
        "curl", "-sS", "-r", "1000000-1000099", "-o", "part", f"ftp://demo:demo@{host}:{port}/part.jpg"
    )
    assert (tmp_path / "part").read_bytes() == content[1_000_000:1_000_100], part


def test_curl_resumes_at_another_node_what_it_was_killed_at(cluster: Cluster, tmp_path: Path) -> None:
    content = picture("resume", 16_000_000)
    (tmp_path / "in.jpg").write_bytes(content)
    host, port = cluster.address("n1")
    command = ["curl", "--silent", "-T", "-", f"ftp://demo:demo@{host}:{port}/cut.jpg"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as half:
        assert half.stdin is not None
        # More than pipe and sockets hold: so a part has arrived.
        half.stdin.write(content[:12_000_000])
        half.kill()
        half.wait()
    with cluster.login("n2") as ftp:
        ftp.voidcmd("TYPE I")
        kept = eventually(lambda: ftp.size("cut.jpg"))
        assert kept is not None
        assert 0 < kept <= 12_000_000
        assert "cut.jpg" not in ftp.nlst()
        Curl(target(*cluster.address("n2")), tmp_path).resume_up(tmp_path / "in.jpg", "/cut.jpg")
        assert retrieve(ftp, "cut.jpg") == content
