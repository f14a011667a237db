"""The TLS port, session resumption when it is required, and new certificates."""

from __future__ import annotations

import asyncio
import errno
import ftplib
import io
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ftpserver import PASSWORD, Client, Server, certificate, serving
from structlog.testing import capture_logs
from waiting import DEADLINE

from ftpgateway.ftp.data.masquerade import Masquerade
from ftpgateway.serving import certificates

DATA = bytes(range(256)) * 3000
LOCAL = ("127.0.0.1", 0)


def context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a TLS port, and resumption of TLS sessions required."""
    made = certificate(tmp_path_factory.mktemp("tls"))
    with serving(tls_certificate=made, implicit_tls_listen=LOCAL, require_tls_reuse=True) as running:
        yield running


def implicit_port(server: Server) -> int:
    return int(server.frontend.addresses[1][1])


class ImplicitTls(ftplib.FTP_TLS):
    """ftplib has no such thing by itself; data connections resume the session of the control connection."""

    def connect(self, host: str = "", port: int = 0, *_: Any, **__: Any) -> str:
        self.host = host
        self.sock = self.context.wrap_socket(socket.create_connection((host, port), timeout=self.timeout))
        self.af = self.sock.family
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        return self.welcome

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        assert isinstance(self.sock, ssl.SSLSocket)
        return self.context.wrap_socket(connection, session=self.sock.session), size


def test_tls_from_the_first_byte(server: Server) -> None:
    ftp = ImplicitTls(timeout=DEADLINE, context=context())
    assert ftp.connect("127.0.0.1", implicit_port(server)).startswith("220")
    ftp.login("alice", PASSWORD, secure=False)
    assert ftp.voidcmd("NOOP").startswith("200")
    # Data connections are encrypted without PROT P.
    ftp.storbinary("STOR implicit", io.BytesIO(DATA))
    got = io.BytesIO()
    ftp.retrbinary("RETR implicit", got.write)
    assert got.getvalue() == DATA
    with pytest.raises(ftplib.error_perm, match="503"):
        ftp.sendcmd("AUTH TLS")
    ftp.quit()


def test_who_does_not_speak_tls_there_is_dropped(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", implicit_port(server)), timeout=DEADLINE) as plain:
        plain.sendall(b"USER alice\r\n" * 100)
        heard = b""
        try:
            while part := plain.recv(1000):
                heard += part
        except ConnectionResetError:
            pass
        assert b"220" not in heard


def protected(server: Server, tls: ssl.SSLContext) -> Client:
    client = server.client(None)
    assert client.command("AUTH TLS") == 234
    client.sock = tls.wrap_socket(client.sock)
    lines = {"USER alice": 331, f"PASS {PASSWORD}": 230, "PBSZ 0": 200, "PROT P": 200}
    for line, code in lines.items():
        assert client.command(line) == code
    return client


def upload(client: Client, tls: ssl.SSLContext, name: str, session: ssl.SSLSession | None) -> int:
    raw = client.data()
    assert client.command(f"STOR {name}") == 150
    with tls.wrap_socket(raw, session=session, do_handshake_on_connect=False) as data:
        try:
            data.do_handshake()
            data.sendall(DATA)
            data.unwrap()
        except OSError:
            assert session is None
    return client.reply()


def test_a_new_tls_session_is_refused_where_resumption_is_required(server: Server) -> None:
    tls = context()
    with protected(server, tls) as client:
        assert upload(client, tls, "new", None) == 522
        assert "resume" in client.text
        assert client.command("MLST new") == 550, "nothing was stored"
        # The same when the handshake comes before the command.
        with (
            tls.wrap_socket(client.data(), do_handshake_on_connect=False) as data,
            pytest.raises(ssl.SSLError, match=r"(?i)access.denied"),
        ):
            data.do_handshake()
            data.recv(1)
        assert client.command("STOR new") == 522
        assert client.command("STOR new") == 425
        assert isinstance(client.sock, ssl.SSLSocket)
        assert upload(client, tls, "new", client.sock.session) == 226, "the session goes on"
        assert server.run(server.store.read, "/new") == DATA


def serial(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port))


def test_a_new_certificate_is_taken_and_a_bad_one_is_not(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    tls = context()
    settings = {"tls_certificate": made, "implicit_tls_listen": LOCAL, "certificate_interval": 0.02}

    def renew() -> None:
        # Another file in its place: what changes it cannot be missed, however fast it comes.
        (tmp_path / "next").mkdir(exist_ok=True)
        certificate(tmp_path / "next").replace(made)

    with serving(**settings, require_tls_reuse=True) as server:
        first, port = serial(implicit_port(server)), implicit_port(server)
        with protected(server, tls) as client:
            before = server.frontend.context
            renew()
            server.wait_for(lambda: server.frontend.context is not before)
            second = serial(port)
            assert second != first
            # A session from before goes on with what it knows, and can still resume.
            assert isinstance(client.sock, ssl.SSLSocket)
            assert upload(client, tls, "old", client.sock.session) == 226
        for bad in (b"", b"nonsense", made.read_bytes()[:300]):
            seen = server.frontend._certificate._seen  # type: ignore[union-attr]
            made.write_bytes(bad)
            server.wait_for(lambda seen=seen: server.frontend._certificate._seen != seen)
            assert serial(port) == second
        made.unlink()
        server.wait_for(lambda: server.frontend._certificate._seen is None)  # type: ignore[union-attr]
        assert serial(port) == second
        os.mkfifo(tmp_path / "pipe")  # whose reader would wait for ever
        (tmp_path / "pipe").replace(made)
        server.wait_for(lambda: server.frontend._certificate._seen is not None)  # type: ignore[union-attr]
        assert serial(port) == second
        before = server.frontend.context
        renew()
        server.wait_for(lambda: server.frontend.context is not before)
        assert serial(port) not in (first, second)
        with protected(server, tls) as client:
            assert isinstance(client.sock, ssl.SSLSocket)
            assert upload(client, tls, "fresh", client.sock.session) == 226


def test_what_could_not_be_read_is_tried_again_and_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        taken: list[certificates.ServerIdentity] = []
        watched = certificates.Certificate(certificate(tmp_path), 60.0, taken.append)
        (tmp_path / "next").mkdir()
        certificate(tmp_path / "next").replace(tmp_path / "ftps.pem")

        def refused(_: Path) -> certificates.ServerIdentity:
            raise OSError(errno.EMFILE, "Too many open files")

        with monkeypatch.context() as patch, capture_logs() as lines:
            patch.setattr(certificates, "ServerIdentity", refused)
            for _ in range(3):
                assert not await watched.look()
        assert [line["log_level"] for line in lines] == ["error"]
        assert await watched.look() and not await watched.look()
        assert len(taken) == 2
        await watched.stop()

    asyncio.run(test())


def test_settings_that_need_a_certificate() -> None:
    with pytest.raises(ValueError, match="certificate"), serving(implicit_tls_listen=LOCAL):
        pass


def test_a_masquerade_name_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[str | OSError] = [OSError("no name server"), "203.0.113.5", OSError("gone"), "203.0.113.9"]

    async def test() -> None:
        async def lookup(host: str, *_: object, **__: object) -> list[Any]:
            assert host == "home.example.org"
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, OSError):
                raise answer
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answer, 0))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
        masquerade = Masquerade("home.example.org", 0.01)
        await masquerade.start()
        assert masquerade.address is None
        seen = []
        async with asyncio.timeout(DEADLINE):
            while masquerade.address != "203.0.113.9":
                seen.append(masquerade.address)
                await asyncio.sleep(0)
        assert "203.0.113.5" in seen
        assert None not in seen[seen.index("203.0.113.5") :], "a failed look-up keeps the address"
        await masquerade.stop()
        fixed = Masquerade("192.0.2.1", 0.01)
        await fixed.start()
        assert fixed.address == "192.0.2.1"
        await fixed.stop()

    asyncio.run(test())


def test_passive_replies_while_the_name_is_unknown_and_active_mode_off() -> None:
    with (
        serving(masquerade_address="no..name", active_mode=False) as server,
        server.client() as client,
    ):
        assert client.command("PASV") == 425
        assert client.command("EPSV") == 229, "tells no address"
        assert client.command("PORT 127,0,0,1,200,200") == 502
        assert client.command("EPRT |1|127.0.0.1|51400|") == 502
        assert client.command("FEAT") == 211
        assert " EPRT" not in client.lines and " EPSV" in client.lines
        server.run(setattr, server.frontend.masquerade, "address", "192.0.2.7")
        assert client.command("PASV") == 227
        assert "(192,0,2,7," in client.text
