"""docs/clients.md is what happens: each client of the table does each operation at a running cluster.

`make clients` writes the page anew from such a run.
"""

from __future__ import annotations

import ftplib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import clientpage
import pytest
from clientops import OPERATIONS, Bench, target
from harness import Cluster, eventually
from pictures import picture, retrieve
from realclients import Client, NotHere, NotSupported, Target
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
from realclients_sftp import CurlSftp, LftpSftp, OpenSshSftp, Paramiko, RcloneSftp
from realclients_shell import Curl, Lftp, Rclone, Wget
from realclients_typed import InetutilsFtp, Ncftp, Tnftp

pytestmark = pytest.mark.integration

FTP: list[type[Client]] = [Curl, Lftp, Ncftp, Tnftp, InetutilsFtp, Wget, Rclone, Ftplib, Aioftp, Fsspec]
SFTP: list[type[Client]] = [OpenSshSftp, LftpSftp, CurlSftp, RcloneSftp, Paramiko, Sshfs]
MORE: list[type[Client]] = [
    *(BasicFtp, PerlFtp, PhpFtp, RubyFtp, BusyBox),
    *(Dropbear, Psftp, Plink, AsyncSsh, Ssh2, PerlSftp, PhpSftp, RubySftp),
]
"""A handful of operations each."""
CLIENTS = [*FTP, *SFTP, *MORE]
CELLS = [
    pytest.param(kind, operation, id=f"{kind.name}-{operation}")
    for kind in CLIENTS
    for operation in OPERATIONS
    if kind.tried is None or operation in kind.tried
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
def page() -> Iterator[clientpage.Page]:
    """What the page says; what was seen is written to it when that is asked for."""
    page = clientpage.Page([client.name for client in CLIENTS], list(OPERATIONS))
    yield page
    if os.environ.get("PIXRAFT_WRITE_CLIENTS"):
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
    page: clientpage.Page,
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
    page.saw(kind.name, operation, seen, client.version)
    shutil.rmtree(tmp_path / "secure")
    if not os.environ.get("PIXRAFT_WRITE_CLIENTS"):
        assert page.says(kind.name, operation) == seen


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
