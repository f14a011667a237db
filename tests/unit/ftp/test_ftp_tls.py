"""FTPS: explicit TLS on the control and on data connections."""

from __future__ import annotations

import ftplib
import io
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from ftpserver import PASSWORD, Client, Server, certificate, ftplib_client, read_all, serving
from waiting import DEADLINE

from ftpgateway.ftp.data import channels

BIG = bytes(range(256)) * 30_000


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tls_certificate=certificate(tmp_path_factory.mktemp("tls"))) as running:
        yield running


def context(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = made.maximum_version = version
    return made


def secure(client: Client, tls: ssl.SSLContext | None = None) -> None:
    assert client.command("AUTH TLS") == 234
    client.sock = (tls or context()).wrap_socket(client.sock)


def secured(server: Server, *, protect: bool = True, tls: ssl.SSLContext | None = None) -> Client:
    client = server.client(None)
    secure(client, tls)
    assert client.command("USER alice") == 331
    assert client.command(f"PASS {PASSWORD}") == 230
    if protect:
        assert client.command("PBSZ 0") == 200
        assert client.command("PROT P") == 200
    return client


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_ftplib_round_trip(server: Server, version: ssl.TLSVersion) -> None:
    class Ftps(ftplib.FTP_TLS):
        def __init__(self, timeout: float) -> None:
            super().__init__(timeout=timeout, context=context(version))

    with ftplib_client(server, Ftps) as ftp:
        for size in (0, 1, 16384, len(BIG)):
            assert ftp.storbinary("STOR a", io.BytesIO(BIG[:size])).startswith("226")
            assert server.run(server.store.read, "/a") == BIG[:size]
            got = io.BytesIO()
            assert ftp.retrbinary("RETR a", got.write).startswith("226")
            assert got.getvalue() == BIG[:size]
        assert [name for name, _ in ftp.mlsd()] == ["a"]
        ftp.quit()


def test_old_versions_are_refused(server: Server) -> None:
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old = context(ssl.TLSVersion.TLSv1_1)
    with server.client(None) as client, pytest.raises((ssl.SSLError, ConnectionError)):
        secure(client, old)
    with serving() as plain, plain.client(None) as client:
        assert client.command("AUTH TLS") == 500


def test_feat_and_sequence(server: Server) -> None:
    with server.client(None) as client:
        assert client.command("FEAT") == 211
        assert " AUTH TLS" in client.lines
        assert client.command("PBSZ 0") == 503
        assert client.command("PROT P") == 503, "there is no TLS yet"
        assert client.command("AUTH NONSENSE") == 504
        secure(client)
        assert client.command("AUTH TLS") == 503
        assert client.command("PROT P") == 200
        assert client.command("PBSZ 0") == 200
        assert client.command("PBSZ 0") == 200
        assert client.command("PROT S") == 536
        assert client.command("PROT S") == 536
        assert client.command("PROT X") == 504
        assert client.command("PROT C") == 200


def test_nothing_is_injected_before_tls(server: Server) -> None:
    """What a man in the middle puts behind AUTH TLS in clear must not run within TLS."""
    with server.client(None) as client:
        client.sock.sendall(b"AUTH TLS\r\nUSER mallory\r\nNOOP\r\n")
        assert client.reply() == 234
        client.sock = context().wrap_socket(client.sock)
        assert client.command("SYST") == 215


def test_clear_data_on_a_secure_session(server: Server) -> None:
    with secured(server, protect=False) as client:
        assert client.store("a", b"clear") == 226
        assert client.fetch("RETR a") == b"clear"


def upload(client: Client, command: str, data: bytes) -> ssl.SSLSocket:
    raw = client.data()
    assert client.command(command) == 150
    connection = context().wrap_socket(raw)
    connection.sendall(data)
    return connection


def test_data_cut_off_without_close_notify(server: Server) -> None:
    server.run(server.store.put, "/a", b"old")
    with secured(server) as client:
        connection = upload(client, "STOR a", BIG[:100_000])
        raw = socket.socket(fileno=connection.detach())
        raw.shutdown(socket.SHUT_WR)
        assert client.reply() == 426
        raw.close()
        assert server.run(server.store.read, "/a") == b"old"
        assert client.command("SIZE a") == 213
        assert client.text == "213 100000"
        connection = upload(client, "APPE a", BIG[100_000:])
        connection.unwrap().close()
        assert client.reply() == 226
        assert server.run(server.store.read, "/a") == BIG


def test_close_notify_then_close_without_reading(server: Server) -> None:
    with secured(server) as client:
        connection = upload(client, "STOR a", BIG)
        connection.settimeout(0.0)
        with pytest.raises(ssl.SSLError):
            connection.unwrap()
        connection.close()
        assert client.reply() == 226
        assert server.run(server.store.read, "/a") == BIG


def test_download_ends_with_close_notify(server: Server) -> None:
    server.run(server.store.put, "/a", BIG)
    with secured(server) as client:
        raw = client.data()
        assert client.command("RETR a") == 150
        connection = context().wrap_socket(raw, suppress_ragged_eofs=False)
        assert read_all(connection) == BIG
        assert client.reply() == 226
        connection.close()
        server.wait_for(lambda: len(server.frontend.loop.socket_map) == 2)


def test_handshake_before_the_command(server: Server) -> None:
    with secured(server) as client:
        with context().wrap_socket(client.data()) as connection:
            assert client.command("STOR a") == 150
            connection.sendall(b"x")
            connection.unwrap()
        assert client.reply() == 226


def test_no_handshake_on_the_data_connection(server: Server) -> None:
    with secured(server) as client:
        with client.data() as connection:
            assert client.command("STOR a") == 150
            connection.sendall(b"not TLS at all, by no means, but long enough")
            assert client.reply() == 522
        assert client.command("SIZE a") == 550


def test_active_mode(server: Server) -> None:
    server.run(server.store.put, "/a", BIG)
    with secured(server) as client, socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert client.command(f"PORT 127,0,0,1,{port >> 8},{port & 255}") == 200
        assert client.command("RETR a") == 150
        raw, _ = listener.accept()
        with context().wrap_socket(raw) as connection:
            assert read_all(connection) == BIG
        assert client.reply() == 226


def test_prot_holds_for_the_connection_that_is_agreed_on(server: Server) -> None:
    """Who sends PASV or PORT first, and then PROT P, must not be sent its pictures in clear."""
    server.run(server.store.put, "/a", b"private")
    with secured(server, protect=False) as client:
        for command in ("EPSV", "PORT"):
            assert client.command("PROT C") == 200
            with socket.create_server(("127.0.0.1", 0)) as listener:
                if command == "EPSV":
                    address = client.passive()
                else:
                    port = listener.getsockname()[1]
                    assert client.command(f"PORT 127,0,0,1,{port >> 8},{port & 255}") == 200
                assert client.command("PROT P") == 200
                assert client.command("RETR a") == 150
                raw = socket.create_connection(address) if command == "EPSV" else listener.accept()[0]
                with context().wrap_socket(raw) as connection:
                    assert read_all(connection) == b"private"
            assert client.reply() == 226
        address = client.passive()
        with socket.create_connection(address):
            server.wait_for(
                lambda: any(isinstance(s.link._maker, channels._Handshake) for s in server.frontend._sessions)
            )
            assert client.command("PROT C") == 200
            assert client.command("RETR a") == 425, "it stood already, to be encrypted"


def test_prot_without_pbsz_is_taken_and_told_once(server: Server) -> None:
    """RFC 4217 has PBSZ first, which can only say 0: devices leave it out."""
    with structlog.testing.capture_logs() as lines, server.client(None) as client:
        secure(client)
        assert client.command("PROT P") == 200
        assert client.command("USER alice") == 331
        assert client.command(f"PASS {PASSWORD}") == 230
        assert client.command("PROT C") == 200
        assert client.command("PROT P") == 200
        assert client.command("PBSZ 0") == 200
        assert client.command("PBSZ much") == 501
        with context().wrap_socket(client.data(), do_handshake_on_connect=False) as connection:
            assert client.command("STOR a") == 150
            connection.do_handshake()
            connection.sendall(b"encrypted")
            connection.unwrap()
        assert client.reply() == 226
        assert server.run(server.store.read, "/a") == b"encrypted"
    reported = [line for line in lines if line["event"] == "PROT without PBSZ accepted"]
    assert [(line["log_level"], line["peer"]) for line in reported] == [("info", "127.0.0.1")]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_session_resumption_works(server: Server, version: ssl.TLSVersion) -> None:
    tls = context(version)
    with secured(server, tls=tls) as client:
        assert isinstance(client.sock, ssl.SSLSocket)
        raw = client.data()
        assert client.command("STOR a") == 150
        with tls.wrap_socket(raw, session=client.sock.session) as connection:
            assert connection.session_reused
            connection.sendall(b"x")
            connection.unwrap()
        assert client.reply() == 226


def test_no_session_tickets_on_data_connections(server: Server) -> None:
    """A client that never reads them would reset the connection when it closes, and lose what it had sent."""
    with secured(server) as client:
        connection = upload(client, "STOR a", b"x")
        connection.settimeout(0.3)
        raw = socket.socket(fileno=connection.detach())
        raw.settimeout(0.3)
        with pytest.raises(TimeoutError):
            raw.recv(1)
        raw.close()
        assert client.reply() == 426


def test_the_client_is_lost(server: Server) -> None:
    client = secured(server)
    connection = upload(client, "STOR a", BIG[:50_000])
    server.wait_for(lambda: any(s.transfer and s.transfer.moved == 50_000 for s in server.frontend._sessions))
    raw = socket.socket(fileno=client.sock.detach())
    raw.close()
    server.wait_for(lambda: server.store.ended["suspend"] == 1)
    connection.close()


def test_require_tls(tmp_path: Path) -> None:
    with (
        serving(tls_certificate=certificate(tmp_path), require_tls=True) as server,
        server.client(None) as client,
    ):
        assert client.command("USER alice") == 530
        assert "AUTH TLS" in client.text
        secure(client)
        assert client.command("USER alice") == 331
        assert client.command(f"PASS {PASSWORD}") == 230
        for line in ("EPSV", "PASV", "PORT 127,0,0,1,200,200"):
            assert client.command(line) == 521
        assert client.command("PBSZ 0") == 200
        assert client.command("PROT P") == 200
        client.passive()
        assert client.command("PROT C") == 534, "else the connection that is agreed on would be in clear"
        with context().wrap_socket(client.data(), do_handshake_on_connect=False) as connection:
            assert client.command("STOR a") == 150
            connection.do_handshake()
            connection.unwrap()
        assert client.reply() == 226


def test_certificates_that_are_no_use(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("nonsense")
    with pytest.raises(ValueError, match="private key"), serving(tls_certificate=tmp_path / "bad.pem"):
        pass
    with pytest.raises(FileNotFoundError), serving(tls_certificate=tmp_path / "missing.pem"):
        pass
    with pytest.raises(ValueError, match="certificate"), serving(require_tls=True):
        pass


def test_plain_login_is_possible_where_tls_is_not_required(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE):
        pass
    with server.client() as client:
        assert client.store("a", b"x") == 226


@pytest.mark.parametrize("budget", [1, 16384, 65536, 10**9])
@pytest.mark.parametrize("window", [None, 1])
def test_the_end_is_seen_wherever_it_comes(
    server: Server, monkeypatch: pytest.MonkeyPatch, budget: int, window: int | None
) -> None:
    """close_notify can be read from the socket along with the last data, where the descriptor no longer shows it."""
    monkeypatch.setattr("ftpgateway.ftp.data.receiving.READ_BUDGET", budget)
    server.store.window = window
    with secured(server) as client:
        for size in (1, 16384, 65536, 300_000):
            upload(client, "STOR a", BIG[:size]).unwrap().close()
            assert client.reply() == 226
            assert server.run(server.store.read, "/a") == BIG[:size]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(
        tls_certificate=certificate(tmp_path_factory.mktemp("strict")), require_tls_reuse=True
    ) as running:
        yield running


def session_of(client: Client) -> ssl.SSLSession:
    assert isinstance(client.sock, ssl.SSLSocket)
    assert client.command("NOOP") == 200  # with TLS 1.3 tickets come behind the handshake
    assert client.sock.session is not None
    return client.sock.session


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_session_of_the_own_control_connection_is_taken(strict: Server, version: ssl.TLSVersion) -> None:
    strict.reset()
    tls = context(version)
    with secured(strict, tls=tls) as client:
        session = session_of(client)
        for number in range(3):
            raw = client.data()
            assert client.command("STOR a") == 150
            with tls.wrap_socket(raw, session=session) as connection:
                assert connection.session_reused
                connection.sendall(b"own %d" % number)
                connection.unwrap()
            assert client.reply() == 226
            raw = client.data()
            assert client.command("RETR a") == 150
            with tls.wrap_socket(raw, session=session) as connection:
                assert read_all(connection) == b"own %d" % number
            assert client.reply() == 226


def attack(raw: socket.socket, tls: ssl.SSLContext, session: ssl.SSLSession | None) -> ssl.SSLSession | None:
    """Try to take over a data connection; return the session that came of it."""
    with tls.wrap_socket(raw, session=session, do_handshake_on_connect=False) as connection:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            connection.do_handshake()
            connection.recv(1)
        try:
            return connection.session
        except ValueError:  # it is of no use
            return None


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("logged_in", [True, False])
def test_the_session_of_another_control_connection_is_refused(
    strict: Server, version: ssl.TLSVersion, logged_in: bool
) -> None:
    """A stranger at the victim's address would be sent its downloads, and upload in its place."""
    strict.reset()
    strict.run(strict.store.put, "/a", b"private")
    others = context(version)
    with secured(strict, tls=context(version)) as victim, strict.client(None) as attacker:
        secure(attacker, others)
        if logged_in:
            assert attacker.command("USER bob") == 331
            assert attacker.command(f"PASS {PASSWORD}") == 230
        stolen = session_of(attacker)
        for command in ("RETR a", "STOR b"):
            raw = victim.data()
            assert victim.command(command) == 150
            attack(raw, others, stolen)
            assert victim.reply() == 522
            assert "must resume the TLS session" in victim.text
    assert "b" not in strict.store.root.children


@pytest.mark.parametrize("version", VERSIONS)
def test_who_is_refused_is_given_no_session_for_the_next_time(strict: Server, version: ssl.TLSVersion) -> None:
    """A data connection that resumes nothing must not be given what it can resume on the victim's next one."""
    strict.reset()
    strict.run(strict.store.put, "/a", b"private")
    others, given = context(version), None
    with secured(strict, tls=context(version)) as victim:
        for _ in range(3):
            raw = victim.data()
            assert victim.command("RETR a") == 150
            given = attack(raw, others, given)
            assert victim.reply() == 522
