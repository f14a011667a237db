"""Real FTP clients against real nodes: curl and lftp, each command at another node."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import Cluster, eventually
from pictures import picture, retrieve

pytestmark = pytest.mark.integration


def need(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{program} is not installed")
        pytest.skip(f"{program} is not installed")
    return path


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("clients")) as running:
        yield running


def url(cluster: Cluster, node: str, path: str = "") -> str:
    host, port = cluster.address(node)
    return f"ftp://demo:demo@{host}:{port}/{path}"


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def lftp(cluster: Cluster, node: str, script: str, cwd: Path, *, secure: bool = False) -> str:
    settings = ["set net:max-retries 2", "set net:timeout 60", "set ssl:verify-certificate no"]
    settings.append(f"set ftp:ssl-force {'yes' if secure else 'no'}")
    settings.append(f"set ftp:ssl-protect-data {'yes' if secure else 'no'}")
    settings.append("set cmd:fail-exit yes")
    host, port = cluster.address(node)
    lines = [*settings, f"open -u demo,demo ftp://{host}:{port}", script, "bye"]
    return run(need("lftp"), "-c", "; ".join(lines), cwd=cwd)


def curl(*arguments: str, cwd: Path) -> str:
    return run(need("curl"), "--silent", "--show-error", "--max-time", "120", *arguments, cwd=cwd)


def test_curl_puts_at_one_node_and_gets_from_the_others(cluster, tmp_path):
    content = picture("curl", 2_500_000)
    (tmp_path / "in.jpg").write_bytes(content)
    curl("--ftp-create-dirs", "-T", "in.jpg", url(cluster, "n1", "curl/a%20picture.jpg"), cwd=tmp_path)
    for node in ("n2", "n3"):
        curl("-o", f"{node}.jpg", url(cluster, node, "curl/a%20picture.jpg"), cwd=tmp_path)
        assert (tmp_path / f"{node}.jpg").read_bytes() == content
    curl("-r", "1000000-1000099", "-o", "range", url(cluster, "n2", "curl/a%20picture.jpg"), cwd=tmp_path)
    assert (tmp_path / "range").read_bytes() == content[1_000_000:1_000_100]
    assert "a picture.jpg" in curl(url(cluster, "n3", "curl/"), cwd=tmp_path)


def test_curl_resumes_what_a_cut_left_at_another_node(cluster, tmp_path):
    content = picture("resume", 6_000_000)
    (tmp_path / "in.jpg").write_bytes(content)
    slow = ["--silent", "--limit-rate", "2M", "--max-time", "1.2"]
    # The server hears an abrupt end: curl gives up in mid-transfer.
    command = [need("curl"), *slow, "-T", "in.jpg", url(cluster, "n1", "cut.jpg")]
    half = subprocess.run(command, cwd=tmp_path, check=False)
    assert half.returncode != 0
    with cluster.login("n2") as ftp:
        ftp.voidcmd("TYPE I")
        kept = eventually(lambda: ftp.size("cut.jpg"))
        assert kept is not None
        assert 0 < kept < len(content)
        curl("-C", "-", "-T", "in.jpg", url(cluster, "n2", "cut.jpg"), cwd=tmp_path)
        assert retrieve(ftp, "cut.jpg") == content


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_lftp_mirrors_a_tree_both_ways(cluster, tmp_path, secure):
    tree = tmp_path / "album"
    for number, name in enumerate(["a.jpg", "sub/b c.jpg", "sub/deep/ü–😀.jpg", "sub/empty.jpg"]):
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if "empty" in name else picture(number, 150_000 + number))
    target = f"album-{'tls' if secure else 'plain'}"
    lftp(cluster, "n1", f"mirror -R --parallel=3 album {target}", tmp_path, secure=secure)
    lftp(cluster, "n3", f"mirror --parallel=3 {target} back", tmp_path, secure=secure)
    sent = {path.relative_to(tree): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    back = tmp_path / "back"
    assert {path.relative_to(back): path.read_bytes() for path in back.rglob("*") if path.is_file()} == sent
    # What is there already is not sent again: size and time are right in listings.
    again = lftp(cluster, "n2", f"mirror -R --verbose album {target}", tmp_path, secure=secure)
    assert "Transferring" not in again


def test_lftp_renames_removes_and_lists(cluster, tmp_path):
    (tmp_path / "x.jpg").write_bytes(picture("x", 5_000))
    script = "mkdir -p things/old; put -O things x.jpg; mv things/x.jpg things/old/y.jpg; cls -1 things/old/"
    assert "y.jpg" in lftp(cluster, "n1", script, tmp_path)
    assert "y.jpg" in lftp(cluster, "n2", "mv things/old things/new; cls -1 things/new/", tmp_path)
    lftp(cluster, "n3", "rm -r things; cls -1", tmp_path)
    with cluster.login("n1") as ftp:
        assert "things" not in ftp.nlst()
