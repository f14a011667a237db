"""Real clients: curl and lftp."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ftpserver import PASSWORD, Server, certificate, serving
from waiting import DEADLINE

BIG = bytes(range(256)) * 12_000

TLS = "set ftp:ssl-allow yes; set ftp:ssl-force yes; set ftp:ssl-protect-data yes;"

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
needs_lftp = pytest.mark.skipif(shutil.which("lftp") is None, reason="lftp is not installed")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tls_certificate=certificate(tmp_path_factory.mktemp("tls"))) as running:
        yield running


def curl(server: Server, path: str, *options: str, good: bool = True) -> subprocess.CompletedProcess[bytes]:
    result = subprocess.run(
        [
            *("curl", "--silent", "--show-error", "--fail", "--insecure", "--max-time", str(DEADLINE)),
            *("--user", f"alice:{PASSWORD}", *options, f"ftp://127.0.0.1:{server.port}/{path}"),
        ],
        capture_output=True,
        timeout=2 * DEADLINE,
        check=False,
    )
    assert (result.returncode == 0) is good, (result.returncode, result.stderr)
    return result


def lftp(server: Server, script: str, *, good: bool = True) -> str:
    settings = (
        "set cmd:fail-exit yes; set net:max-retries 1; set net:timeout 20; set ssl:verify-certificate no; "
        "set ftp:ssl-allow no; "
    )
    result = subprocess.run(
        ["lftp", "-c", f"{settings} open -u 'alice,{PASSWORD}' ftp://127.0.0.1:{server.port}; {script}"],
        capture_output=True,
        timeout=4 * DEADLINE,
        check=False,
    )
    assert (result.returncode == 0) is good, (result.returncode, result.stderr)
    return (result.stdout if good else result.stderr).decode()


@needs_curl
@pytest.mark.parametrize("mode", [[], ["--ftp-port", "-"], ["--disable-epsv"], ["--ssl-reqd"]])
def test_curl_round_trip(server: Server, tmp_path: Path, mode: list[str]) -> None:
    source = tmp_path / "source"
    source.write_bytes(BIG)
    curl(server, "a%20b/c/photo.jpg", "--ftp-create-dirs", "--upload-file", str(source), *mode)
    assert server.run(server.store.read, "/a b/c/photo.jpg") == BIG
    assert curl(server, "a%20b/c/photo.jpg", *mode).stdout == BIG
    assert b"photo.jpg" in curl(server, "a%20b/c/", *mode).stdout
    assert curl(server, "a%20b/c/", "--list-only", *mode).stdout.split() == [b"photo.jpg"]
    assert b"Content-Length: 3072000" in curl(server, "a%20b/c/photo.jpg", "--head", *mode).stdout


@needs_curl
def test_curl_resumes(server: Server, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(BIG)
    server.store.partials["alice", "/photo.jpg"] = BIG[:1_000_000]
    curl(server, "photo.jpg", "--upload-file", str(source), "--continue-at", "-")
    assert server.run(server.store.read, "/photo.jpg") == BIG
    target.write_bytes(BIG[:500_000])
    curl(server, "photo.jpg", "--output", str(target), "--continue-at", "-")
    assert target.read_bytes() == BIG


@needs_curl
def test_curl_appends_quotes_and_ranges(server: Server, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"tail")
    server.run(server.store.put, "/a", BIG)
    curl(server, "a", "--append", "--upload-file", str(source))
    assert server.run(server.store.read, "/a") == BIG + b"tail"
    assert curl(server, "a", "--range", "100-199").stdout == BIG[100:200]
    curl(server, "", "--quote", "RNFR a", "--quote", "RNTO b", "--quote", "DELE b")
    assert not server.store.root.children
    assert curl(server, "missing", good=False).returncode == 78
    assert curl(server, "", "--user", "alice:wrong", good=False).returncode == 67


@needs_curl
def test_curl_time(server: Server, tmp_path: Path) -> None:
    server.run(lambda: server.store.put("/a", b"x", mtime_ns=1_000_000_000 * 10**9))
    target = tmp_path / "target"
    curl(server, "a", "--remote-time", "--output", str(target))
    assert target.stat().st_mtime == 1_000_000_000


def tree(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@needs_lftp
@pytest.mark.parametrize("settings", ["", TLS])
@pytest.mark.parametrize("sync", ["yes", "no"])
def test_lftp_mirrors_both_ways(server: Server, tmp_path: Path, settings: str, sync: str) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for index, name in enumerate(
        ("a.jpg", "ü ñ.jpg", "deep/er/b.jpg", "deep/-dash", "with space/c d.jpg", "e")
    ):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(BIG[: index * 100_000])
    settings += f"set ftp:sync-mode {sync};"
    lftp(server, f"{settings} mirror --reverse --parallel=3 {source} up")
    lftp(server, f"{settings} mirror --parallel=3 up {target}")
    assert tree(target) == tree(source)
    times = {path.name: int(path.stat().st_mtime) for path in source.rglob("*") if path.is_file()}
    assert times == {path.name: int(path.stat().st_mtime) for path in target.rglob("*") if path.is_file()}
    assert "put " not in lftp(server, f"{settings} mirror --reverse --dry-run {source} up"), (
        "nothing to do again"
    )


@needs_lftp
def test_lftp_commands(server: Server, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(BIG)
    server.store.partials["alice", "/a"] = BIG[:1_000_000]
    lftp(server, f"put -c {source} -o a")
    assert server.run(server.store.read, "/a") == BIG
    target.write_bytes(BIG[:7])
    lftp(server, f"get -c a -o {target}")
    assert target.read_bytes() == BIG
    listing = lftp(
        server, "mkdir d; mv a d/b; cls -1 d; du -s d; chmod 600 d/b; ls -lart d; find; cat d/b > /dev/null"
    )
    assert "d/b" in listing
    lftp(server, "rm -r d")
    assert not server.store.root.children
    assert "550" in lftp(server, f"get missing -o {target}", good=False)
    assert "530" in lftp(server, "user alice wrong; ls", good=False)


@needs_lftp
def test_lftp_segmented_download(server: Server, tmp_path: Path) -> None:
    server.run(server.store.put, "/a", BIG)
    lftp(server, f"pget -n 4 a -o {tmp_path / 'target'}")
    assert (tmp_path / "target").read_bytes() == BIG
