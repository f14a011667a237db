"""Requests to webhooks: signed as others check it, within bounds, and to no address that is not meant."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from webhookserver import Receiver, status

from raftstore.cluster.webhooks import request
from raftstore.cluster.webhooks.backoff import pause
from raftstore.cluster.webhooks.message import events_body, headers, shape, shown_secret, signature
from raftstore.cluster.webhooks.request import NotAccepted, Requester, allowed, is_public, target_of
from raftstore.errors import Invalid
from raftstore.types import Event, EventKind
from raftstore.util.addresses import Address

SECRET = bytes(range(32))


def send(url: str, body: bytes = b"{}", *, private: bool = True, requester: Requester | None = None) -> int:
    signed = headers(SECRET, "msg_1", 1_614_265_330, body)
    return asyncio.run((requester or Requester()).send(url, signed, body, private=private))


def refusal(url: str, *, private: bool = True, requester: Requester | None = None) -> str:
    with pytest.raises(NotAccepted) as caught:
        send(url, private=private, requester=requester)
    return str(caught.value)


def test_the_signature_is_that_of_the_specification() -> None:
    """The example of the reference libraries of Standard Webhooks."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert shown_secret(secret) == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert (
        signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_what_arrives() -> None:
    event = Event(7, 70, 1_790_000_000_123_456_789, EventKind.DELIVERED, 2, 1, 1, "anna/1", "")
    body = events_body([shape(event, "bob/ä.jpg")], event.time_ns)
    with Receiver() as receiver:
        assert send(f"{receiver.url}?a=b", body) == 204
    (got,) = receiver.got
    assert got.path == "/hook?a=b"
    assert got.signed_by(shown_secret(SECRET))
    assert not got.signed_by(shown_secret(SECRET[::-1]))
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert got.headers["content-type"] == "application/json"
    assert json.loads(got.body) == {
        "type": "pixraft.events",
        "timestamp": "2026-09-21T14:13:20.123Z",
        "data": {
            "events": [
                {
                    "number": 7,
                    "index": 70,
                    "time": "2026-09-21T14:13:20.123Z",
                    "event": "delivered",
                    "actor": "anna",
                    "subject": None,
                    "files": 2,
                    "path": "bob/ä.jpg",
                }
            ]
        },
    }


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::"),
        *("2002:a00:1::1", "2001:0:53aa:64c:0:0:0:1", "::7f00:1"),
    ],
)
def test_addresses_that_are_not_public(host: str) -> None:
    assert not is_public(host)
    with pytest.raises(NotAccepted, match="not public"):
        allowed([Address(host, 443)], private=False)
    assert allowed([Address(host, 443)], private=True)


@pytest.mark.parametrize(
    "host",
    ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::"],
)
def test_addresses_that_are(host: str) -> None:
    assert is_public(host)


def test_of_several_addresses_only_the_public_ones_are_tried() -> None:
    found = [Address("10.0.0.1", 443), Address("1.1.1.1", 443)]
    assert allowed(found, private=False) == found[1:]


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.com/", "https://", "https:///x", "example.com", "http://example.com/", ""),
        *(
            "https://u:p@example.com/",
            "https://example.com/#x",
            "https://example.com:99999/",
            "https://ex ample.com:x/",
        ),
        *("https://[::1/", "https://example.com/ä", "https://user@example.com"),
    ],
)
def test_what_is_no_url_of_a_webhook(url: str) -> None:
    with pytest.raises(Invalid):
        target_of(url, private=False)


def test_urls_taken_apart() -> None:
    plain = target_of("https://Example.com/a?token=secret", private=False)
    assert (plain.secure, plain.host, plain.port, plain.path) == (True, "example.com", 443, "/a?token=secret")
    assert (plain.authority, plain.origin) == ("example.com", "https://example.com")
    local = target_of("http://[::1]:8080", private=True)
    assert (local.secure, local.authority, local.path) == (False, "[::1]:8080", "/")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f000001", "2130706433", "127.1"])
def test_a_private_address_is_not_connected_to_however_it_is_written(host: str) -> None:
    with Receiver() as receiver:
        said = refusal(f"https://{host}:{receiver.port}/", private=False)
    assert "not public" in said or "not known" in said
    assert receiver.got == []


class Changing:
    """A name service whose answer changes with each question."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    async def find(self, host: str, port: int) -> list[Address]:
        return [Address(self.answers.pop(0), port)]


def test_an_answer_that_changes_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that was looked at is the one that is connected to; it is asked for once a request."""
    connected: list[str] = []

    async def reach(found: list[Address]) -> socket.socket:
        connected.extend(place.host for place in found)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(request, "reach", reach)
    names = Changing("1.1.1.1", "127.0.0.1", "127.0.0.1")
    requester = Requester(names)  # type: ignore[arg-type]
    assert refusal("https://rebound.example/", private=False, requester=requester) == "connection refused"
    assert (connected, len(names.answers)) == (["1.1.1.1"], 2)
    assert "not public (127.0.0.1)" in refusal("https://rebound.example/", private=False, requester=requester)
    assert connected == ["1.1.1.1"]


def test_a_redirect_is_not_followed() -> None:
    with Receiver() as target, Receiver() as receiver:
        receiver.answer = status(307, location=target.url)
        assert "redirect (307)" in refusal(receiver.url)
    assert len(receiver.got) == 1
    assert target.got == []


def test_what_is_not_2xx_is_not_accepted() -> None:
    with Receiver() as receiver:
        receiver.answer = status(503, retry_after="17")
        with pytest.raises(NotAccepted) as caught:
            send(receiver.url)
        assert (str(caught.value), caught.value.after) == ("it answers with 503", 17.0)
        receiver.answer = status(200)
        assert send(receiver.url) == 200


def test_a_body_without_end_is_not_read() -> None:
    going = threading.Event()

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"5\r\nhello\r\n")
        except OSError:
            going.set()

    with Receiver() as receiver:
        receiver.answer = endless
        assert send(receiver.url) == 200
        assert going.wait(30)


def raw(*parts: bytes, wait: threading.Event | None = None) -> tuple[str, threading.Thread]:
    """Serve one connection with these bytes, and then wait for the event; return the URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(1024)
            for part in parts:
                connection.sendall(part)
            if wait is not None:
                wait.wait(60)

    thread = threading.Thread(target=serve)
    thread.start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/", thread


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 2", "closed the connection"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 abc\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * request.HEAD * 2 + b"\r\n\r\n", "longer than"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 11, "without end"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 x\r\n\r\n", "answers with 500"),
    ],
)
def test_answers_that_are_none(answer: bytes, said: str) -> None:
    url, thread = raw(answer)
    assert said in refusal(url) or (said == "longer than" and "connection" in refusal(url))
    thread.join()


def test_who_does_not_answer_takes_no_longer_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "TIMEOUT", 0.2)
    over = threading.Event()
    url, thread = raw(b"HTTP/1.1 200 OK\r\n", wait=over)
    assert refusal(url) == "no answer within 0.2 s"
    over.set()
    thread.join()


def test_an_unknown_name() -> None:
    assert refusal("https://no-such-name.invalid/") == "its name is not known"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key of localhost, which is its own authority, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return path


def test_certificates_are_verified(authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    with Receiver(context) as receiver:
        url = f"https://localhost:{receiver.port}/hook"
        assert "its certificate is not good" in refusal(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        assert send(url) == 204
        assert "its certificate is not good" in refusal(f"https://127.0.0.1:{receiver.port}/hook")
    assert len(receiver.got) == 1


def test_pauses_double_up_to_the_longest_and_differ() -> None:
    class Middle:
        def uniform(self, low: float, high: float) -> float:
            return (low + high) / 2

    chance = Middle()
    found = [pause(failures, 60.0, 0.0, chance) for failures in range(1, 9)]  # type: ignore[arg-type]
    assert found == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pause(1, 60.0, 17.0, chance) == 17.0  # type: ignore[arg-type]
    assert pause(1, 60.0, 10**6, chance) == 60.0  # type: ignore[arg-type]
    assert pause(10**6, 60.0, 0.0, chance) == 60.0  # type: ignore[arg-type]
