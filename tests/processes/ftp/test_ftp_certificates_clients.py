"""The TLS port and resumption of sessions with real clients, and a key that OpenSSL would ask a password for."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from ftpserver import PASSWORD, Server, certificate, serving
from waiting import DEADLINE

DATA = bytes(range(256)) * 3000
LOCAL = ("127.0.0.1", 0)


def client_program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a TLS port, and resumption of TLS sessions required."""
    made = certificate(tmp_path_factory.mktemp("tls"))
    with serving(tls_certificate=made, implicit_tls_listen=LOCAL, require_tls_reuse=True) as running:
        yield running


def implicit_port(server: Server) -> int:
    return int(server.frontend.addresses[1][1])


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_curl(server: Server, tmp_path: Path, implicit: bool) -> None:
    (tmp_path / "in").write_bytes(DATA)
    where = f"ftps://127.0.0.1:{implicit_port(server)}" if implicit else f"ftp://127.0.0.1:{server.port}"
    base = [client_program("curl"), "-sS", "--insecure", "--ssl-reqd", "-u", f"alice:{PASSWORD}", "-m", "60"]
    subprocess.run([*base, "-T", str(tmp_path / "in"), f"{where}/curl"], check=True, timeout=3 * DEADLINE)
    done = subprocess.run([*base, f"{where}/curl"], check=True, stdout=subprocess.PIPE, timeout=3 * DEADLINE)
    assert done.stdout == DATA


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_lftp(server: Server, tmp_path: Path, implicit: bool) -> None:
    (tmp_path / "in").write_bytes(DATA)
    where = f"ftps://127.0.0.1:{implicit_port(server)}" if implicit else f"ftp://127.0.0.1:{server.port}"
    script = (
        "set cmd:fail-exit yes; set net:max-retries 1; set net:timeout 20; set ssl:verify-certificate no; "
        f"set ftp:ssl-force yes; set ftp:ssl-protect-data yes; open -u 'alice,{PASSWORD}' {where}; "
        f"put {tmp_path}/in -o lftp; get lftp -o {tmp_path}/out; cls -1"
    )
    done = subprocess.run([client_program("lftp"), "-c", script], check=False, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_bytes() == DATA


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl(server: Server, implicit: bool, version: str) -> None:
    port = implicit_port(server) if implicit else server.port
    command = [client_program("openssl"), "s_client", "-quiet", version, "-connect", f"127.0.0.1:{port}"]
    command += [] if implicit else ["-starttls", "ftp"]
    done = subprocess.run(
        command, input=b"SYST\r\nQUIT\r\n", stdout=subprocess.PIPE, check=False, timeout=3 * DEADLINE
    )
    answers = done.stdout.splitlines()
    if implicit:
        assert answers.pop(0).startswith(b"220")
    assert [answer[:3] for answer in answers] == [b"215", b"221"]


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    key = serialization.load_pem_private_key(made.read_bytes(), None)
    pem, format = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    encrypted = key.private_bytes(pem, format, serialization.BestAvailableEncryption(b"secret"))
    made.write_bytes(encrypted + made.read_bytes().partition(b"-----END PRIVATE KEY-----\n")[2])
    # Within a terminal of its own: there OpenSSL would ask.
    code = (
        "import pathlib, sys; from ftpgateway.serving.certificates import server_context\n"
        "try: server_context(pathlib.Path(sys.argv[1]))\n"
        "except ValueError as error: print('refused:', error)"
    )
    leader, terminal = pty.openpty()
    try:
        done = subprocess.run(
            ["setsid", "--ctty", "--wait", sys.executable, "-c", code, made],
            stdin=terminal,
            capture_output=True,
            timeout=DEADLINE,
            text=True,
            check=True,
        )
    finally:
        os.close(leader)
        os.close(terminal)
    assert done.stdout.startswith("refused:") and "not encrypted" in done.stdout
