"""Sessions of the web as operators list, end and drain them."""

from __future__ import annotations

import contextlib
import http.client

from waiting import DEADLINE
from webserver import WebServer, answered

from ftpgateway.serving.draining import REFUSAL
from ftpgateway.serving.opensessions import OpenSessions

LARGE = b"\xff\xd8\xff\xe0" + bytes(5_000_000)


def known(server: WebServer) -> OpenSessions:
    found: OpenSessions = server.frontend.sessions_._known
    return found


def test_a_session_is_listed_with_what_it_does(server: WebServer) -> None:
    server.store.put("/large.jpg", LARGE)
    browser = server.browser()
    (session,) = server.run(known(server).all)
    assert (session.protocol, session.user, session.peer, session.operations()) == (
        "web",
        "alice",
        "127.0.0.1",
        [],
    )
    with server.raw() as sock:
        sock.sendall(f"GET /files/large.jpg HTTP/1.1\r\nHost: a\r\nCookie: {browser.cookie}\r\n\r\n".encode())
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
        (operation,) = server.run(session.operations)
        assert (operation.what, operation.path) == ("download", "/large.jpg")
    server.wait_for(lambda: not session.operations())


def test_a_killed_session_is_over_for_good(server: WebServer) -> None:
    server.store.put("/large.jpg", LARGE)
    browser = server.browser()
    (session,) = server.run(known(server).all)
    with server.raw() as sock:
        sock.sendall(f"GET /files/large.jpg HTTP/1.1\r\nHost: a\r\nCookie: {browser.cookie}\r\n\r\n".encode())
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
        server.run(lambda: known(server).kill(number=session.number))
        answered(sock)
    server.wait_for(lambda: [each.complete for each in server.transfers] == [False])
    assert browser.get("/folders/").status == 303
    assert server.store.reported, "the other nodes hear of it"
    assert server.run(known(server).all) == []


def test_a_node_in_maintenance_lets_sessions_go_to_other_nodes(server: WebServer) -> None:
    browser = server.browser()
    sessions = known(server)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)

    def asked() -> tuple[int, bytes]:
        connection.request("GET", "/api/v1/session", headers={"Cookie": browser.cookie})
        reply = connection.getresponse()
        return reply.status, reply.read()

    with contextlib.closing(connection), contextlib.ExitStack() as stack:
        assert asked()[0] == 200
        server.run(setattr, sessions, "refusal", lambda: REFUSAL)
        stack.callback(server.run, setattr, sessions, "refusal", str)
        server.run(sessions.leave, REFUSAL)
        assert server.run(sessions.all) == []
        status, body = asked()  # on the connection that there is
        assert (status, REFUSAL.encode() in body) == (503, True)
        assert browser.get("/folders/").status == 503
    assert browser.get("/folders/").status == 200, "it holds, and is opened again"
