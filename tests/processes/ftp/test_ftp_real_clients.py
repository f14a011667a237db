"""What real clients need that the protocol's own tests do not show: globbing by NLST, resuming TLS sessions."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ftpserver import PASSWORD, Server, certificate, serving

WANTED = {"a.jpg": b"the one that is wanted", "x y.jpg": b"with a blank"}


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture
def pictures(server: Server) -> Server:
    server.run(server.store.put, "/dir", None)
    for name, data in WANTED.items():
        server.run(server.store.put, f"/dir/{name}", data)
        server.run(server.store.put, f"/{name}", b"ANOTHER PICTURE")
    server.run(server.store.put, "/dir/b.txt", b"not this one")
    return server


def run(command: list[str], directory: Path, lines: list[str] = []) -> str:  # noqa: B006 - read only
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(
        command,
        cwd=directory,
        input="".join(f"{line}\n" for line in lines),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


def fetched(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("program", ["tnftp", "inetutils-ftp"])
@pytest.mark.parametrize("active", [False, True])
def test_typed_clients_get_the_files_of_the_directory_that_they_named(
    pictures: Server, tmp_path: Path, program: str, active: bool
) -> None:
    """They do NLST, and RETR of what it told, into the same place here."""
    (tmp_path / "dir").mkdir()
    passive = {"tnftp": "passive off" if active else "passive on", "inetutils-ftp": "" if active else "passive"}
    lines = [
        f"open 127.0.0.1 {pictures.port}",
        f'user alice "{PASSWORD}"',
        "binary",
        *([passive[program]] if passive[program] else []),
        "mget dir/*.jpg",
        "quit",
    ]
    said = run([program, "-n", "-i"], tmp_path, lines)
    assert fetched(tmp_path) == {f"dir/{name}": data for name, data in WANTED.items()}, said


def test_lftp_gets_by_pattern_and_mirrors(pictures: Server, tmp_path: Path) -> None:
    script = (
        "set net:max-retries 1; set ftp:ssl-allow no;"
        f"open -u alice,'{PASSWORD}' 127.0.0.1 -p {pictures.port}; mget dir/*.jpg; mirror dir copy; nlist dir"
    )
    said = run(["lftp", "-c", script], tmp_path)
    expected = dict(WANTED)
    expected |= {f"copy/{name}": data for name, data in WANTED.items()} | {"copy/b.txt": b"not this one"}
    assert fetched(tmp_path) == expected, said
    assert said.splitlines() == ["dir/a.jpg", "dir/b.txt", "dir/x y.jpg"]


def test_ncftp_gets_by_pattern(pictures: Server, tmp_path: Path) -> None:
    command = ["ncftpget", "-u", "alice", "-p", PASSWORD, "-P", str(pictures.port), "127.0.0.1", "."]
    said = run([*command, "dir/*.jpg"], tmp_path)
    assert fetched(tmp_path) == WANTED, said


def test_wget_gets_by_pattern(pictures: Server, tmp_path: Path) -> None:
    url = f"ftp://127.0.0.1:{pictures.port}/dir/*.jpg"
    said = run(["wget", "-q", "--user", "alice", "--password", PASSWORD, url], tmp_path)
    assert fetched(tmp_path) == WANTED, said


def test_curl_lists_names(pictures: Server, tmp_path: Path) -> None:
    for method, before in (("multicwd", ""), ("singlecwd", ""), ("nocwd", "dir/")):
        url = f"ftp://127.0.0.1:{pictures.port}/dir/"
        said = run(["curl", "-s", "-l", "--ftp-method", method, "-u", f"alice:{PASSWORD}", url], tmp_path)
        assert said.splitlines() == [f"{before}{name}" for name in ("a.jpg", "b.txt", "x y.jpg")], method


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"require_tls": True, "require_tls_reuse": True}
    with serving(tls_certificate=certificate(tmp_path_factory.mktemp("tls")), **settings) as running:
        yield running


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_lftp_works_where_its_own_session_has_to_be_resumed(
    strict: Server, tmp_path: Path, version: str
) -> None:
    strict.reset()
    (tmp_path / "up").write_bytes(bytes(300_000))
    only = "NORMAL:-VERS-ALL:+VERS-TLS" + version
    script = (
        f"set net:max-retries 1; set ssl:verify-certificate no; set ftp:ssl-force yes; set ssl:priority {only};"
        f"open -u alice,'{PASSWORD}' 127.0.0.1 -p {strict.port}; put up; get up -o down; put up -o two; cls"
    )
    said = run(["lftp", "-c", script], tmp_path)
    assert fetched(tmp_path) == {"up": bytes(300_000), "down": bytes(300_000)}, said
    assert strict.run(strict.store.read, "/two") == bytes(300_000)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl_works_where_its_own_session_has_to_be_resumed(
    strict: Server, tmp_path: Path, version: str
) -> None:
    strict.reset()
    (tmp_path / "up").write_bytes(bytes(300_000))
    tls = ["-s", "-S", "-k", "--ssl-reqd", f"--tlsv{version}", "--tls-max", version, "-u", f"alice:{PASSWORD}"]
    url = f"ftp://127.0.0.1:{strict.port}/"
    said = run(["curl", *tls, "-T", "up", f"{url}one"], tmp_path)
    said += run(["curl", *tls, "-o", "down", f"{url}one"], tmp_path)
    assert fetched(tmp_path) == {"up": bytes(300_000), "down": bytes(300_000)}, said
