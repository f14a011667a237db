"""Who means harm, or is slow: over raw sockets."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import webserver
from ftpserver import ACCOUNTS, PASSWORD, certificate
from waiting import eventually
from webserver import WebServer, answered

from ftpgateway.access.login.guard import Slowness
from ftpgateway.web.settings import WebSettings
from raftstore.util.addresses import Address
from raftstore.util.settings import kinds

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20


@pytest.fixture(scope="module")
def hasty() -> Iterator[WebServer]:
    with webserver.running(head_timeout=0.3, idle_timeout=1, stall_timeout=0.5, max_signing_in=40) as server:
        yield server


def asked(server: WebServer, head: str, body: bytes = b"") -> bytes:
    """Send a request as it is; return all that is answered."""
    with server.raw() as sock:
        sock.sendall(head.replace("\n", "\r\n").encode("latin-1") + body)
        return answered(sock)


# Heads.


@pytest.mark.parametrize(
    "head",
    [
        "POST /sign-in HTTP/1.1\nHost: a\nContent-Length: 5\nTransfer-Encoding: chunked\n\n",
        "POST /sign-in HTTP/1.1\nHost: a\nContent-Length: 5\nContent-Length: 6\n\n",
        "POST /sign-in HTTP/1.1\nHost: a\nContent-Length: +5\n\n",
        "POST /sign-in HTTP/1.1\nHost: a\nTransfer-Encoding: gzip, chunked\n\n",
        "POST /sign-in HTTP/1.1\nHost: a\nTransfer-Encoding : chunked\n\n",
        "GET /sign-in HTTP/1.1\n\n",
        "GET /sign-in HTTP/1.1\nHost: a\nHost: b\n\n",
        "GET /sign-in HTTP/1.1\nHost: a\n Folded: b\nX\n\n",
        "GET /sign-in HTTP/1.1\nHost: a\nContent-Length: 3\nConnection: close\n\n",
        "GET http://evil.example/ HTTP/1.1\nHost: a\nConnection: close\n\n",
        "GET /%ff HTTP/1.1\nHost: a\nConnection: close\n\n",
        "GET /sign-in?next=%ff HTTP/1.1\nHost: a\nConnection: close\n\n",
        "GET /sign-in HTTP/9.9\nHost: a\n\n",
        "\x16\x03\x01\x02\n\n",
        "GET /sign-in HTTP/1.1\nHost: a\nX: " + "x" * 70_000 + "\n\n",
    ],
)
def test_a_malformed_request_is_refused_and_the_connection_ended(server: WebServer, head: str) -> None:
    smuggled = b"0\r\n\r\nGET /static/x/app.css HTTP/1.1\r\nHost: a\r\n\r\n"
    answer = asked(server, head, smuggled)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1, "nothing behind it is taken for a request"


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /sign-in HTTP/1.1\nHost: a\r\n\r\n",
        b"GET /sign-in HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        b"GET /sign-in HTTP/1.1\r\nHost: a\n\nGET /static/x/app.css HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_lines_of_a_head_end_in_one_way(server: WebServer, request_: bytes) -> None:
    good = b"GET /sign-in HTTP/1.1\r\nHost: a\r\n\r\n"
    for before, count in ((b"", 1), (good, 2), (good + good, 3)):
        for cut in (0, len(before) + 5):
            with server.raw() as sock:
                for piece in ((before + request_)[:cut], (before + request_)[cut:]):
                    sock.sendall(piece)
                answer = answered(sock)
            assert answer.count(b"HTTP/1.1 ") == count
            assert answer.count(b"HTTP/1.1 400 ") == 1


def test_methods_that_are_not_there(server: WebServer) -> None:
    for method in ("OPTIONS", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get"):
        answer = asked(server, f"{method} /sign-in HTTP/1.1\nHost: a\n\n")
        assert answer.startswith(b"HTTP/1.1 405 "), answer
        assert b"\r\nallow: DELETE, GET, HEAD, POST, PUT\r\n" in answer
    assert server.browser(None).ask("DELETE", "/sign-in").status == 405


def test_requests_in_a_row_are_answered_in_their_order(server: WebServer) -> None:
    one = "GET /sign-in HTTP/1.1\nHost: a\n\n"
    answer = asked(server, one + one + one.replace("\n\n", "\nConnection: close\n\n"))
    assert answer.count(b"HTTP/1.1 200 OK") == 3


# Headers on every reply.


@pytest.mark.parametrize("path", ["/sign-in", "/folders/", "/nothing", "/static/x/app.css", "/api/v1/session"])
def test_browsers_are_told_what_to_keep_to(server: WebServer, path: str) -> None:
    found = server.browser(None).get(path).headers
    assert found["X-Content-Type-Options"] == "nosniff"
    assert found["X-Frame-Options"] == "DENY"
    assert found["Referrer-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in found["Content-Security-Policy"]
    assert "Server" not in found
    assert found["Date"]


def test_no_page_has_script_or_style_of_its_own(server: WebServer) -> None:
    for path in ("/sign-in", "/folders/", "/account"):
        text = server.browser().get(path).text.lower()
        assert (
            "<script>" not in text and " style=" not in text and "<style" not in text and " onclick" not in text
        )


# Requests from elsewhere.


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "", "Sec_Fetch_Site": "same-origin"},
    ],
)
def test_other_sites_change_nothing(server: WebServer, headers: dict[str, str]) -> None:
    server.store.put("/1.jpg", JPEG)
    browser = server.browser()
    for method, path, body in [
        ("POST", "/do/delete", b"path=%2F1.jpg"),
        ("DELETE", "/api/v1/files/1.jpg", b""),
        ("PUT", "/api/v1/files/1.jpg", b"other"),
        ("POST", "/upload/", b"--q--"),
        ("POST", "/sign-out", b""),
        ("POST", "/sign-in", f"name=bob&password={PASSWORD}".encode()),
    ]:
        found = browser.ask(
            method, path, body, **{"Content_Type": "application/x-www-form-urlencoded", **headers}
        )
        assert found.status == 403, (method, path)
        assert "nothing was changed" in found.text
        if path.startswith("/api/"):
            assert found.headers["Content-Type"] == "application/problem+json"
            assert found.json()["detail"].endswith("nothing was changed.")
    assert browser.get("/folders/").status == 200
    assert server.store.read("/1.jpg") == JPEG


@pytest.mark.parametrize(
    "path",
    [
        "/do/delete?path=/1.jpg",
        "/do/send",
        "/sign-out",
        "/account/block?name=bob",
        "/upload/",
        "/api/v1/rename",
    ],
)
def test_nothing_is_changed_by_get(server: WebServer, path: str) -> None:
    server.store.put("/1.jpg", JPEG)
    browser = server.browser()
    assert browser.get(path).status in (404, 405)
    assert browser.get("/folders/").status == 200
    assert server.store.read("/1.jpg") == JPEG


# Paths.


@pytest.mark.parametrize(
    "way",
    [
        "../secret.jpg",
        "..%2fsecret.jpg",
        "%2e%2e/secret.jpg",
        "x/../../secret.jpg",
        "/..//../secret.jpg",
        "%2fsecret.jpg",
        "..%5csecret.jpg",
        "....//secret.jpg",
        "secret.jpg%00.jpg",
    ],
)
def test_no_path_leads_out_of_the_home(server: WebServer, way: str) -> None:
    server.store.put("/home", None)
    server.store.put("/home/mine.jpg", JPEG)
    server.store.put("/secret.jpg", JPEG)
    server.store.accounts["alice"] = replace(ACCOUNTS["alice"], home="/home")
    browser = server.browser()
    for prefix in ("/files/", "/view/", "/folders/", "/api/v1/files/", "/api/v1/stat/", "/api/v1/list/"):
        assert browser.get(prefix + way).status in (400, 404), prefix
    plain = way.replace("%2f", "/").replace("%2e", ".").replace("%5c", "\\").replace("%00", "\0")
    assert browser.form("/do/delete", ("path", "/" + plain)).status in (400, 404)
    assert browser.form("/do/move", ("path", "/" + plain), ("folder", "/")).status in (400, 404)
    assert browser.form("/do/folder", ("in", "/../" + plain), ("name", "a")).status in (400, 404)
    browser.form("/do/move", ("path", "/mine.jpg"), ("folder", "/../.."))
    browser.form("/do/rename", ("path", "/mine.jpg"), ("name", "../other.jpg"))
    browser.call("POST", "/rename", {"from": "/mine.jpg", "to": "/../../other.jpg"})
    assert sorted(server.store.root.children) == ["home", "secret.jpg"]
    assert len(server.store.find("/home").children) == 1


def test_no_name_becomes_a_header(server: WebServer) -> None:
    server.store.put('/a"; x=y\u202e\u00fc.jpg', JPEG)
    found = server.browser().get("/files/a%22%3B%20x%3Dy%E2%80%AE%C3%BC.jpg")
    assert found.status == 200
    assert found.headers["Content-Disposition"].startswith('inline; filename="a_; x=y__.jpg"; filename*=UTF-8')
    injected = server.browser().form("/do/folder", ("in", "/"), ("name", "a\r\nSet-Cookie: b=c"))
    assert injected.status == 400
    back = server.browser().form("/do/delete", ("path", '/a"; x=y\u202e\u00fc.jpg'), ("back", "/\r\nX-Y: z"))
    assert (back.status, back.headers["Location"]) == (303, "/folders/?done=deleted")


# Slow ones.


def test_a_head_has_to_be_whole_in_time(hasty: WebServer) -> None:
    with hasty.raw() as silent, hasty.raw() as slow:
        begun = time.monotonic()
        with contextlib.suppress(OSError):
            for letter in b"GET /sign-in HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 500:
                slow.send(bytes([letter]))
                time.sleep(0.02)
        assert time.monotonic() - begun < 9
        assert not answered(silent)


def test_so_has_a_second_one_on_the_same_connection(hasty: WebServer) -> None:
    with hasty.raw() as sock:
        sock.sendall(b"GET /static/x/app.css HTTP/1.1\r\nHost: a\r\n\r\nGET /")
        assert answered(sock).count(b"HTTP/1.1") == 1


def test_an_idle_connection_ends(hasty: WebServer) -> None:
    with hasty.raw() as sock:
        sock.sendall(b"GET /static/x/app.css HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answered(sock).startswith(b"HTTP/1.1 200")


def test_a_body_has_to_go_on(hasty: WebServer) -> None:
    browser = hasty.browser()
    with hasty.raw() as sock:
        head = (
            f"PUT /api/v1/files/slow.jpg HTTP/1.1\r\nHost: 127.0.0.1:{hasty.port}\r\nOrigin: {hasty.origin}\r\n"
            f"Cookie: {browser.cookie}\r\nContent-Length: 100000\r\n\r\n"
        )
        sock.sendall(head.encode())
        with contextlib.suppress(OSError):
            for _ in range(500):
                sock.send(b"x")
                time.sleep(0.02)
        assert not answered(sock)
    hasty.wait_for(lambda: hasty.store.ended["abort"] == 1)
    assert hasty.store.published("/slow.jpg") is None
    assert hasty.run(hasty.access.ledger.figures)["memory"].used == 0


def test_a_body_that_nobody_reads_does_not_hold_the_connection(hasty: WebServer) -> None:
    with hasty.raw() as sock:
        sock.sendall(
            f"POST /nothing HTTP/1.1\r\nHost: 127.0.0.1:{hasty.port}\r\nOrigin: {hasty.origin}\r\n"
            "Content-Length: 1000000\r\n\r\n".encode()
        )
        assert answered(sock).startswith(b"HTTP/1.1 404")


def test_who_reads_nothing_is_let_go(hasty: WebServer) -> None:
    hasty.store.put("/large.jpg", JPEG * 4000)
    hasty.transfers.clear()
    browser = hasty.browser()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", hasty.port))
        sock.sendall(f"GET /files/large.jpg HTTP/1.1\r\nHost: a\r\nCookie: {browser.cookie}\r\n\r\n".encode())
        hasty.wait_for(lambda: hasty.store.ended["download"] == 1)
        hasty.wait_for(lambda: [each.complete for each in hasty.transfers] == [False])
        assert hasty.run(hasty.access.ledger.figures)["memory"].used == 0


def test_a_client_that_leaves_in_the_midst_of_an_upload_stores_nothing(server: WebServer) -> None:
    browser = server.browser()
    with server.raw() as sock:
        sock.sendall(
            f"PUT /api/v1/files/a.jpg HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nOrigin: {server.origin}\r\n"
            f"Cookie: {browser.cookie}\r\nContent-Length: 100000\r\n\r\nabc".encode()
        )
        server.wait_for(lambda: server.store.opened["upload"] == 1)
    server.wait_for(lambda: server.store.ended["abort"] == 1)
    assert server.store.published("/a.jpg") is None


def test_a_download_ends_with_its_session(server: WebServer) -> None:
    server.store.put("/large.jpg", JPEG * 4000)
    browser = server.browser()
    with server.raw() as sock:
        sock.sendall(f"GET /files/large.jpg HTTP/1.1\r\nHost: a\r\nCookie: {browser.cookie}\r\n\r\n".encode())
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
        browser.form("/sign-out")
        server.wait_for(lambda: server.store.ended["download"] == 1)
        answered(sock)
    server.wait_for(lambda: [each.complete for each in server.transfers] == [False])


def test_a_large_form_is_not_read(server: WebServer) -> None:
    found = server.browser(None).form("/sign-in", ("name", "a" * 300_000))
    assert found.status == 413
    assert server.browser().call("POST", "/send", {"path": "x" * 300_000}).status == 413


# Many.


def test_a_thousand_idle_connections_keep_nobody_out() -> None:
    with webserver.running() as server, contextlib.ExitStack() as stack:
        browser = server.browser()
        for _ in range(1000):
            stack.enter_context(contextlib.closing(server.raw()))
        assert browser.get("/folders/").status == 200
        assert server.browser("bob").get("/folders/").status == 200
        most = WebSettings().max_signing_in
        server.wait_for(lambda: len(server.frontend.connections) <= most)


def test_wrong_passwords_slow_the_address_down_and_not_the_words() -> None:
    with webserver.running(slowness=Slowness(free=3, first=600.0)) as server:
        browser = server.browser(None)
        texts = {browser.sign_in("alice", f"wrong {number}").text for number in range(6)}
        assert len(texts) == 1
        assert browser.sign_in("alice").status == 401, "the right one has to wait, too"
        assert server.access.refused
        server.wait_for(lambda: server.store.reported)


# TLS and proxies.


def test_over_tls_the_cookie_is_one_that_no_other_page_can_set(tmp_path: Path) -> None:
    file = certificate(tmp_path)
    with webserver.running(tls_certificate=file) as server:
        server.wait_for(lambda: server.frontend.sessions_.ready)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with server.raw() as sock, context.wrap_socket(sock) as secure:
            body = f"name=alice&password={PASSWORD.replace(' ', '+')}"
            secure.sendall(
                f"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
                f"Origin: https://127.0.0.1:{server.port}\r\nConnection: close\r\n"
                f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            answer = b""
            while more := secure.recv(10_000):
                answer += more
        assert b"HTTP/1.1 303" in answer
        assert b"set-cookie: __Host-pixraft=" in answer and b"; Secure\r\n" in answer
        assert b"strict-transport-security: max-age=" in answer
        with server.raw() as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"HTTP" not in answered(plain)


def test_plain_http_is_for_this_machine_and_what_proxies_say_is_believed() -> None:
    networks = kinds.NETWORKS.from_text("127.0.0.0/8")
    with webserver.running(trusted_proxies=networks) as server:
        browser = server.browser(None)
        assert browser.get("/sign-in", X_Forwarded_For="203.0.113.9").status == 403
        found = browser.get("/sign-in", X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="https")
        assert found.status == 200
        assert "Strict-Transport-Security" in found.headers
        server.wait_for(lambda: server.frontend.sessions_.ready)
        secure = f"https://127.0.0.1:{server.port}"
        done = browser.form(
            "/sign-in",
            ("name", "alice"),
            ("password", PASSWORD),
            Origin=secure,
            X_Forwarded_For="203.0.113.9",
            X_Forwarded_Proto="https",
        )
        assert done.cookie.startswith("__Host-pixraft=")
        (session,) = server.frontend.sessions_._open.values()
        assert session.session.holder.network == "203.0.113.9"


def test_an_address_for_all_needs_tls_or_a_proxy() -> None:
    everywhere = Address("0.0.0.0", 80)
    assert [mistake.key for mistake in WebSettings(listen=everywhere).mistakes()] == ["listen"]
    assert not list(WebSettings(listen=everywhere, tls_certificate=Path("x")).mistakes())
    assert not list(WebSettings(listen=Address("127.0.0.1", 80)).mistakes())


def test_connections_are_counted_for_their_account(server: WebServer) -> None:
    browser = server.browser()
    with server.raw() as sock:
        sock.sendall(f"GET /api/v1/session HTTP/1.1\r\nHost: a\r\nCookie: {browser.cookie}\r\n\r\n".encode())
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
        assert server.run(server.frontend.connections.by_state) == {"logged_in": 1, "logging_in": 0}
    eventually(lambda: server.run(len, server.frontend.connections) == 0)
