"""Pages and API over real sockets: signing in, looking, uploading, changing, sending."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ftpserver import ACCOUNTS, PASSWORD
from webserver import WebServer

from ftpgateway.web.sessions import WebSession
from raftstore.rights.reserved import Area
from raftstore.types import Rule, User

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20
PNG = b"\x89PNG\r\n\x1a\n" + bytes(500)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def person(server: WebServer, name: str) -> None:
    user = replace(ACCOUNTS["alice"], name=name, home=f"/people/{name}", person=True, trash_ns=10**15)
    server.store.accounts[name] = user
    for path in (
        "/people",
        f"/people/{name}",
        *(area.of("")[:-1] for area in (Area.INBOX, Area.SENT, Area.TRASH)),
    ):
        if server.store.published(path) is None:
            server.store.put(path, None)
    for area in (Area.INBOX, Area.SENT, Area.TRASH):
        server.store.put(area.of(name), None)


def open_sessions(server: WebServer) -> list[WebSession]:
    return list(server.frontend.sessions_._open.values())


# Signing in.


def test_a_stranger_is_led_to_the_page_to_sign_in(server: WebServer) -> None:
    browser = server.browser(None)
    found = browser.get("/folders/a%20b?sort=new")
    assert found.status == 303
    assert found.headers["Location"] == "/sign-in?next=%2Ffolders%2Fa%2520b%3Fsort%3Dnew"
    assert browser.get("/api/v1/stat/a").status == 401
    assert browser.form("/do/delete", ("path", "/a")).status == 303
    assert browser.get("/files/a").status == 303


def test_who_has_signed_in_goes_on_to_where_it_wanted(server: WebServer) -> None:
    browser = server.browser(None)
    done = browser.form("/sign-in", ("name", "alice"), ("password", PASSWORD), ("next", "/folders/x?sort=new"))
    assert (done.status, done.headers["Location"]) == (303, "/folders/x?sort=new")
    assert "HttpOnly; SameSite=Lax" in done.headers["Set-Cookie"]
    assert browser.get("/folders/").status == 200
    away = browser.form("/sign-in", ("name", "alice"), ("password", PASSWORD), ("next", "//evil.example/"))
    assert away.headers["Location"] == "/"


def test_a_wrong_password_is_refused_in_the_words_of_ftp(server: WebServer) -> None:
    browser = server.browser(None)
    for name in ("alice", "nobody", "<b>x</b>"):
        found = browser.form("/sign-in", ("name", name), ("password", "wrong"))
        assert found.status == 401
        assert "Wrong user name or password; after many wrong ones from an address" in found.text
        assert "<b>x" not in found.text
        assert "Set-Cookie" not in found.headers


def test_signing_out_ends_the_session_for_its_token(server: WebServer) -> None:
    browser = server.browser()
    kept = browser.cookie
    assert browser.form("/sign-out").status == 303
    assert browser.get("/folders/").status == 303
    assert browser.get("/folders/", Cookie=kept).status == 303
    assert server.store.reported[-1][0] == "web signed out"


def test_what_another_node_tells_of_ends_it_here(server: WebServer) -> None:
    browser, other = server.browser(), server.browser()
    browser.form("/sign-out")
    heard = server.store.listeners["web signed out"]
    server.run(heard, "n2", b"nonsense")
    assert other.get("/folders/").status == 200
    (token,) = (each.token for each in open_sessions(server))
    server.run(heard, "n2", token.number + token.expires.to_bytes(8, "big"))
    assert other.get("/folders/").status == 303


def test_a_session_is_new_at_each_sign_in(server: WebServer) -> None:
    """Whatever cookie somebody was given: it is not the one that counts afterwards, and a session that it was ends."""
    attacker = server.browser("bob")
    victim = server.browser(None)
    victim.cookie = attacker.cookie
    assert victim.sign_in("alice").status == 303
    assert victim.cookie != attacker.cookie
    assert victim.call("GET", "/session").json()["name"] == "alice"
    assert attacker.call("GET", "/session").status == 401
    for planted in ("pixraft=x", f"{victim.cookie}; {attacker.cookie}"):
        assert server.browser(None).get("/folders/", Cookie=planted).status == 303


@pytest.mark.parametrize(
    "changes",
    [{"password_hash": "$other"}, {"disabled": True}, {"home": "/elsewhere"}, {"identity": "alice/2"}],
)
def test_a_session_ends_with_its_account(server: WebServer, changes: dict[str, object]) -> None:
    browser = server.browser()
    assert browser.get("/folders/").status == 200
    server.run(server.store.change_account, "alice", replace(ACCOUNTS["alice"], **changes))  # type: ignore[arg-type]
    assert browser.get("/folders/").status == 303


def test_a_session_holds_where_nobody_knows_it_yet(server: WebServer) -> None:
    browser = server.browser()
    sessions = server.frontend.sessions_
    server.run(lambda: [sessions.close(each) for each in open_sessions(server)])
    assert browser.get("/folders/").status == 200
    assert server.run(server.access.sessions_of, "alice") == 1


def test_sessions_are_bounded_as_everywhere(server: WebServer) -> None:
    server.store.accounts["alice"] = replace(ACCOUNTS["alice"], max_sessions=1)
    server.browser()
    found = server.browser(None).sign_in("alice")
    assert found.status == 429
    assert "You have as many sessions as you may have; end one of them first." in found.text


def test_the_api_signs_in(server: WebServer) -> None:
    browser = server.browser(None)
    assert browser.call("POST", "/session", {"name": "alice", "password": "wrong"}).status == 401
    assert browser.call("POST", "/session", {"name": "alice"}).status == 400
    assert browser.call("POST", "/session", {"name": "alice", "password": PASSWORD}).status == 201
    assert browser.call("GET", "/session").json()["name"] == "alice"
    assert browser.call("DELETE", "/session").status == 204
    assert browser.call("GET", "/session").status == 401


# Looking.


def test_a_folder_shows_what_is_in_it(server: WebServer) -> None:
    server.store.put("/a", None)
    server.store.put("/a/<b>&.jpg", JPEG)
    server.store.put("/a/note.txt", b"x")
    server.store.put("/a/sub", None)
    text = server.browser().get("/folders/a").text
    assert "&lt;b&gt;&amp;.jpg" in text and "<b>" not in text
    assert 'src="/files/a/%3Cb%3E%26.jpg"' in text
    assert 'href="/folders/a/sub"' in text
    assert 'src="/files/a/note.txt"' not in text


@pytest.mark.parametrize("sort", ["name", "name-down", "new", "old", "large", "small"])
def test_pages_of_a_large_folder_have_each_entry_once(server: WebServer, sort: str) -> None:
    server.store.page = 7
    names = [f"{number:03}.jpg" for number in range(40)]
    for number, name in enumerate(names):
        server.store.put(f"/{name}", bytes(number + 1), mtime_ns=number * 10**9)
    browser, seen, after = server.browser(), [], ""
    for _ in range(20):
        page = browser.call("GET", f"/list/?sort={sort}&after={after}").json()
        seen += [entry["name"] for entry in page["entries"]]
        after = page["after"]
        if not after:
            break
    assert seen == (names if sort in ("name", "old", "small") else names[::-1])


def test_mounts_are_listed_once_however_many_pages_there_are(server: WebServer) -> None:
    person(server, "carol")
    server.store.page = 3
    for number in range(10):
        server.store.put(f"/people/carol/{'inbox'[: number % 5 + 1]}{number}.jpg", JPEG)
    browser, seen, after = server.browser("carol"), [], ""
    while True:
        page = browser.call("GET", f"/list/?after={after}").json()
        seen += [entry["name"] for entry in page["entries"]]
        after = page["after"]
        if not after:
            break
    assert len(seen) == len(set(seen))
    assert {"inbox", "send", "trash"} <= set(seen)


def test_the_pictures_beside_one(server: WebServer) -> None:
    for name in ("1.jpg", "2.txt", "3.jpg", "4.png"):
        server.store.put(f"/{name}", PNG, mtime_ns=int(name[0]) * 10**9)
    browser = server.browser()
    text = browser.get("/view/3.jpg").text
    assert 'rel="prev" href="/view/1.jpg?sort=name"' in text
    assert 'rel="next" href="/view/4.png?sort=name"' in text
    text = browser.get("/view/3.jpg?sort=new").text
    assert 'rel="prev" href="/view/4.png?sort=new"' in text
    assert 'rel="next" href="/view/1.jpg?sort=new"' in text
    assert 'rel="prev"' not in browser.get("/view/1.jpg").text


@pytest.mark.parametrize(
    "place", ["/folders/nothing", "/view/nothing.jpg", "/files/nothing", "/nothing", "/static/x/y"]
)
def test_what_is_not_there(server: WebServer, place: str) -> None:
    assert server.browser().get(place).status == 404


def test_a_refusal_has_the_words_of_ftp(server: WebServer) -> None:
    server.store.put("/a", None)
    server.store.put("/a/b", JPEG)
    server.store.accounts["alice"] = replace(ACCOUNTS["alice"], rules=(Rule("/a", "el"),))
    browser = server.browser()
    found = browser.call("GET", "/stat/c")
    assert (found.status, found.json()["detail"]) == (404, "No such file or directory.")
    assert found.headers["Content-Type"] == "application/problem+json"
    assert browser.call("GET", "/files/a/b").json()["detail"] == "You do not have the right to do that here."
    assert "You do not have the right to do that here." in browser.get("/files/a/b").text
    assert browser.call("DELETE", "/folders/a").json()["detail"] == "You do not have the right to do that here."


# Bytes.


def test_a_picture_is_shown_and_anything_else_is_an_attachment(server: WebServer) -> None:
    for name, data, kind, shown in [
        ("a.jpg", JPEG, "image/jpeg", "inline"),
        ("a.svg", SVG, "application/octet-stream", "attachment"),
        ("b.jpg", SVG, "application/octet-stream", "attachment"),
        ("c.html", b"<script>alert(1)</script>", "application/octet-stream", "attachment"),
        ("d.txt", PNG, "image/png", "inline"),
        ("e.jpg", b"", "application/octet-stream", "attachment"),
    ]:
        server.store.put(f"/{name}", data)
        browser = server.browser()
        for method in ("GET", "HEAD"):
            found = browser.ask(method, f"/files/{name}")
            assert found.status == 200
            assert found.headers["Content-Type"] == kind
            assert found.headers["Content-Disposition"].startswith(f"{shown};")
            assert found.headers["X-Content-Type-Options"] == "nosniff"
            assert found.headers["Content-Security-Policy"].endswith("sandbox")
            assert found.headers["Content-Length"] == str(len(data))
            assert found.body == (data if method == "GET" else b"")
    assert browser.get("/files/a.jpg?download=1").headers["Content-Disposition"].startswith("attachment;")


def test_parts_and_tags(server: WebServer) -> None:
    server.store.put("/a.jpg", JPEG)
    browser = server.browser()
    tag = browser.get("/files/a.jpg").headers["ETag"]
    part = browser.get("/files/a.jpg", Range="bytes=100-199")
    assert (part.status, part.body) == (206, JPEG[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(JPEG)}"
    assert part.headers["Content-Type"] == "image/jpeg"
    assert browser.get("/files/a.jpg", Range="bytes=-5").body == JPEG[-5:]
    assert browser.get("/files/a.jpg", Range="bytes=1-2", If_Range='"other"').status == 200
    past = browser.get("/files/a.jpg", Range=f"bytes={len(JPEG)}-")
    assert (past.status, past.headers["Content-Range"]) == (416, f"bytes */{len(JPEG)}")
    same = browser.get("/files/a.jpg", If_None_Match=tag)
    assert (same.status, same.body, same.headers["ETag"]) == (304, b"", tag)
    server.store.put("/a.jpg", JPEG + b"x")
    assert browser.get("/files/a.jpg", If_None_Match=tag).status == 200


def test_downloads_are_let_go_of_and_logged(server: WebServer) -> None:
    server.store.put("/a.jpg", JPEG)
    browser = server.browser()
    for headers in ({}, {"Range": "bytes=3-4"}, {"Range": "bytes=99999-"}, {"If_None_Match": "*"}):
        browser.get("/files/a.jpg", **headers)
    browser.ask("HEAD", "/files/a.jpg")
    server.wait_for(lambda: server.store.ended["download"] == 5)
    server.wait_for(lambda: len(server.transfers) == 2)
    one = server.transfers[0]
    assert (one.path, one.size, one.complete, one.upload, one.user, one.service) == (
        "/a.jpg",
        len(JPEG),
        True,
        False,
        "alice",
        "web",
    )
    figures = server.run(server.access.ledger.figures)
    assert figures["memory"].used == 0


# Uploads.


def test_put_stores(server: WebServer) -> None:
    browser = server.browser()
    made = browser.ask("PUT", "/api/v1/files/a%20b.jpg?modified=1700000000.5", JPEG)
    assert (made.status, made.json()["path"], made.headers["Location"]) == (
        201,
        "/a b.jpg",
        "/api/v1/files/a%20b.jpg",
    )
    assert server.store.read("/a b.jpg") == JPEG
    assert server.store.find("/a b.jpg").mtime_ns == 1_700_000_000_500_000_000
    assert browser.ask("PUT", "/api/v1/files/a%20b.jpg", PNG).status == 200
    taken = browser.ask("PUT", "/api/v1/files/a%20b.jpg", JPEG, If_None_Match="*")
    assert (taken.status, taken.json()["detail"]) == (409, "It exists already; choose another name.")
    beside = browser.ask("PUT", "/api/v1/files/a%20b.jpg?beside=1", JPEG)
    assert (beside.status, beside.json()["path"]) == (201, "/a b (2).jpg")
    assert server.store.read("/a b.jpg") == PNG
    assert [each.complete for each in server.transfers] == [True, True, False, True]


def test_put_in_parts_without_a_length(server: WebServer) -> None:
    parts: Any = iter([JPEG[:10], JPEG[10:]])  # http.client sends them as chunks
    assert server.browser().ask("PUT", "/api/v1/files/a.jpg", parts).status == 201
    assert server.store.read("/a.jpg") == JPEG


def test_a_form_stores_files_beside_what_is_there(server: WebServer) -> None:
    server.store.put("/a", None)
    server.store.put("/a/b.jpg", PNG)
    body = b"".join(
        b'--q\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n%s\r\n' % (name, JPEG)
        for name in (b"b.jpg", b"..\\..\\c.jpg", b"../../../d.jpg")
    )
    done = server.browser().ask(
        "POST", "/upload/a", body + b"--q--\r\n", Content_Type="multipart/form-data; boundary=q"
    )
    assert (done.status, done.headers["Location"]) == (303, "/folders/a?done=stored")
    assert sorted(server.store.find("/a").children) == ["b (2).jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert server.store.read("/a/b.jpg") == PNG


@pytest.mark.parametrize("end", [b"", b"\r\n--q", b"\r\n--qx"])
def test_a_form_that_breaks_off_stores_nothing_of_its_last_file(server: WebServer, end: bytes) -> None:
    head = b'--q\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n'
    body = head % b"1.jpg" + JPEG + b"\r\n" + head % b"2.jpg" + JPEG + end
    found = server.browser().ask("POST", "/upload/", body, Content_Type="multipart/form-data; boundary=q")
    assert found.status == 400
    assert list(server.store.root.children) == ["1.jpg"]
    assert server.store.ended["abort"] == 1


def test_quotas_and_rights_are_judged_before_a_byte(server: WebServer) -> None:
    server.store.accounts["alice"] = replace(ACCOUNTS["alice"], quota_bytes=100)
    found = server.browser().ask("PUT", "/api/v1/files/a.jpg", JPEG)
    assert (found.status, found.json()["title"]) == (507, "QuotaExceeded")
    assert found.json()["detail"].startswith("It does not fit into your quota;")
    server.store.accounts["bob"] = replace(ACCOUNTS["bob"], rights="elr")
    found = server.browser("bob").ask("PUT", "/api/v1/files/a.jpg", JPEG)
    assert found.status == 403
    assert not server.store.root.children


# Changing.


def test_names_are_changed_by_forms(server: WebServer) -> None:
    store, browser = server.store, server.browser()
    assert (
        browser.form("/do/folder", ("in", "/"), ("name", "a b")).headers["Location"]
        == "/folders/a%20b?done=made"
    )
    store.put("/1.jpg", JPEG)
    store.put("/2.jpg", PNG)
    done = browser.form(
        "/do/rename", ("path", "/1.jpg"), ("name", "3.jpg"), ("back", "/folders/?sort=new&done=sent")
    )
    assert done.headers["Location"] == "/folders/?sort=new&done=renamed"
    done = browser.form("/do/move", ("path", "/2.jpg"), ("path", "/3.jpg"), ("folder", "/a b"))
    assert done.headers["Location"] == "/folders/?done=moved"
    assert sorted(store.find("/a b").children) == ["2.jpg", "3.jpg"]
    refused = browser.form("/do/delete", ("path", "/a b"))
    assert (refused.status, "The directory is not empty; delete what is in it first." in refused.text) == (
        409,
        True,
    )
    browser.form("/do/delete", ("path", "/a b/2.jpg"), ("path", "/a b/3.jpg"), ("path", "/a b"))
    assert not store.root.children


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a\x00b", "a\r\nb", "x" * 300])
def test_names_that_cannot_be(server: WebServer, name: str) -> None:
    server.store.put("/a", None)
    server.store.put("/a/1.jpg", JPEG)
    browser = server.browser()
    assert browser.form("/do/rename", ("path", "/a/1.jpg"), ("name", name)).status == 400
    assert browser.form("/do/folder", ("in", "/a"), ("name", name)).status == 400
    assert list(server.store.find("/a").children) == ["1.jpg"]


def test_nothing_is_replaced_by_a_move(server: WebServer) -> None:
    server.store.put("/a", None)
    server.store.put("/1.jpg", JPEG)
    server.store.put("/a/1.jpg", PNG)
    browser = server.browser()
    assert browser.form("/do/move", ("path", "/1.jpg"), ("folder", "/a")).status == 409
    assert browser.form("/do/move", ("path", "/a"), ("folder", "/a")).status == 409
    assert browser.call("POST", "/rename", {"from": "/1.jpg", "to": "/a/1.jpg"}).status == 409
    assert server.store.read("/a/1.jpg") == PNG
    assert browser.call("POST", "/rename", {"from": "/1.jpg", "to": "/a/1.jpg", "replace": True}).status == 200
    assert server.store.read("/a/1.jpg") == JPEG


# Persons.


def test_unopened_pictures_are_not_read_by_a_page(server: WebServer) -> None:
    person(server, "carol")
    inbox = Area.INBOX.of("carol")
    server.store.put(f"{inbox}/bob", None)
    sealed = server.store.put(f"{inbox}/bob/new.jpg", JPEG)
    server.store.put(f"{inbox}/bob/seen.jpg", JPEG)
    server.store.people.sealed = {sealed.inode}
    browser = server.browser("carol")
    assert "1 new" in browser.get("/inbox").text
    text = browser.get("/folders/inbox/bob").text
    assert 'src="/files/inbox/bob/seen.jpg"' in text
    assert 'src="/files/inbox/bob/new.jpg"' not in text
    assert browser.call("GET", "/list/inbox/bob").json()["unopened"] == ["new.jpg"]
    assert not server.store.opened["download"]


def test_pictures_are_sent(server: WebServer) -> None:
    person(server, "carol")
    person(server, "dave")
    server.store.put("/people/carol/1.jpg", JPEG)
    browser = server.browser("carol")
    assert browser.call("GET", "/recipients").json() == {"recipients": ["dave"]}
    assert browser.form("/do/send", ("path", "/1.jpg"), ("to", "dave"), ("expires", "24h")).status == 303
    assert browser.call("POST", "/send", {"path": "/1.jpg", "to": "dave"}).json()["accepted"] == 1
    assert server.store.people.sends == [
        ("/people/carol/1.jpg", "dave", 24 * 3600 * 10**9),
        ("/people/carol/1.jpg", "dave", 0),
    ]
    assert server.run(lambda: [each.session.files._sending.expires_ns for each in open_sessions(server)]) == [0]
    refused = browser.call("POST", "/send", {"path": "/1.jpg", "to": "nobody"})
    assert (refused.status, refused.json()["detail"]) == (404, "nobody takes no pictures from you.")
    assert browser.form("/do/send", ("path", "/1.jpg"), ("to", "dave"), ("expires", "soon")).status == 400


def test_blocks(server: WebServer) -> None:
    person(server, "carol")
    browser = server.browser("carol")
    assert browser.form("/account/block", ("name", "dave")).status == 303
    assert "dave" in browser.get("/account").text
    assert browser.form("/account/unblock", ("name", "dave")).status == 303
    assert server.store.people.blocked == {"carol": set()}


def test_the_trash_is_shown_and_restored(server: WebServer) -> None:
    person(server, "carol")
    server.store.put(f"{Area.TRASH.of('carol')}/1.jpg", JPEG, "carol")
    browser = server.browser("carol")
    assert 'value="/trash/1.jpg"' in browser.get("/trash").text
    assert browser.form("/do/restore", ("path", "/trash/1.jpg"), ("back", "/trash")).status == 303
    assert server.store.read("/people/carol/1.jpg") == JPEG


def test_a_folder_of_the_home_may_have_the_name_of_a_mount(server: WebServer) -> None:
    """Who is no person has no inbox; a folder of that name is a folder."""
    for name in ("inbox", "send", "trash"):
        server.store.put(f"/{name}", None)
        server.store.put(f"/{name}/1.jpg", PNG)
    browser = server.browser()
    text = browser.get("/folders/").text
    assert all(f'href="/folders/{name}"' in text for name in ("inbox", "send", "trash"))
    assert 'src="/files/inbox/1.jpg"' in browser.get("/folders/inbox").text
    body = b'--q\r\nContent-Disposition: form-data; name="file"; filename="1.jpg"\r\n\r\n' + JPEG + b"\r\n--q--"
    assert (
        browser.ask("POST", "/upload/send", body, Content_Type="multipart/form-data; boundary=q").status == 303
    )
    assert server.store.read("/send/1.jpg") == PNG
    assert server.store.read("/send/1 (2).jpg") == JPEG


@pytest.mark.parametrize("place", ["/inbox", "/sent", "/trash"])
def test_who_is_no_person_has_no_such_pages(server: WebServer, place: str) -> None:
    assert server.browser().get(place).status == 404


@pytest.mark.parametrize(
    "place", ["/inbox", "/sent", "/sent?ended=1", "/trash", "/account", "/folders/", "/folders/send"]
)
def test_pages_of_a_new_person(server: WebServer, place: str) -> None:
    person(server, "carol")
    assert server.browser("carol").get(place).status == 200


def test_a_read_only_account_is_offered_nothing_that_it_may_not(server: WebServer) -> None:
    server.store.accounts["bob"] = User("bob", ACCOUNTS["bob"].password_hash, rights="elr")
    server.store.put("/1.jpg", JPEG)
    text = server.browser("bob").get("/folders/").text
    assert "/upload/" not in text and "/do/folder" not in text and "formaction" not in text
    assert server.browser("bob").form("/do/folder", ("in", "/"), ("name", "a")).status == 403
