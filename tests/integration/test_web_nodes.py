"""The web of real nodes: what FTP has stored is there, sessions hold at each node, and end everywhere."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote, urlencode

import persons
import pytest
from browser import CHROMIUM, Browser
from harness import Cluster
from waiting import PATIENCE, eventually

from ftpgateway.demo.samples import shipped

pytestmark = pytest.mark.integration

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 8


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("web"), web=True) as started:
        for name in ("anna", "bob"):
            persons.put_person(started, name)
        yield started


class Client:
    """Asks the web of whichever node, with one cookie."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.cookie = ""

    def ask(self, node: str, method: str, path: str, body: Any = None, kind: str = "") -> tuple[int, bytes]:
        """Return status and body."""
        host, port = self.cluster.web_address(node)
        headers = {"Origin": f"http://{host}:{port}", "Cookie": self.cookie, "Content-Type": kind}
        headers = {name: value for name, value in headers.items() if value}
        with closing(http.client.HTTPConnection(host, port, timeout=PATIENCE)) as connection:
            connection.request(method, quote(path, safe="/?=&%"), body, headers)
            reply = connection.getresponse()
            if (given := reply.headers["Set-Cookie"]) is not None:
                self.cookie = given.partition(";")[0]
            return reply.status, reply.read()

    def call(self, node: str, method: str, path: str, document: object = None) -> tuple[int, Any]:
        """Ask the API."""
        body = None if document is None else json.dumps(document)
        status, text = self.ask(node, method, f"/api/v1{path}", body, "application/json")
        return status, json.loads(text) if text else None

    def sign_in(self, node: str, name: str, password: str = "") -> int:
        """Sign in by the page's form, as soon as the node has the key for it."""
        fields = urlencode({"name": name, "password": password or name})

        def attempt() -> int:
            status, _ = self.ask(node, "POST", "/sign-in", fields, "application/x-www-form-urlencoded")
            return status if status != 503 else 0

        return eventually(attempt)


@pytest.fixture
def anna(cluster: Cluster) -> Client:
    made = Client(cluster)
    assert made.sign_in("n1", "anna") == 303
    return made


def test_what_ftp_has_stored_is_at_every_nodes_web_at_its_226(cluster: Cluster, anna: Client) -> None:
    with cluster.login("n1", "anna") as ftp:
        ftp.mkd("/fresh")
        for number in range(30):
            path, data = f"/fresh/{number}.jpg", JPEG + bytes([number])
            assert persons.store(ftp, path, data).startswith("226")
            node = ("n2", "n3")[number % 2]
            assert anna.ask(node, "GET", f"/files{path}") == (200, data)
            status, page = anna.ask(node, "GET", "/folders/fresh")
            assert status == 200
            assert f"/fresh/{number}.jpg".encode() in page
            ftp.delete(path)
            assert anna.ask(node, "GET", f"/files{path}")[0] == 404


def test_what_the_web_has_stored_is_everywhere_with_its_reply(cluster: Cluster, anna: Client) -> None:
    with cluster.login("n3", "anna") as ftp:
        for number in range(10):
            status, text = anna.ask("n2", "PUT", f"/api/v1/files/put {number}.jpg", JPEG)
            assert (status, json.loads(text)["path"]) == (201, f"/put {number}.jpg")
            assert persons.fetched(ftp, f"/put {number}.jpg") == JPEG


def test_a_session_holds_at_each_node_and_ends_at_all(cluster: Cluster) -> None:
    client = Client(cluster)
    assert client.sign_in("n1", "bob") == 303
    for node in cluster.names:
        assert client.call(node, "GET", "/session")[1]["name"] == "bob"
    kept = client.cookie
    assert client.ask("n2", "POST", "/sign-out")[0] == 303
    for node in cluster.names:
        client.cookie = kept
        eventually(lambda node=node: client.call(node, "GET", "/session")[0] == 401)


def test_a_new_password_ends_sessions_at_every_node(cluster: Cluster) -> None:
    persons.put_person(cluster, "carol")
    client = Client(cluster)
    assert client.sign_in("n1", "carol") == 303
    assert client.call("n2", "GET", "/session")[0] == 200
    assert client.call("n3", "GET", "/list/")[0] == 200
    persons.put(cluster, "carol", password_hash=persons.QUICK.hash("other"), update=True)
    for node in cluster.names:
        eventually(lambda node=node: client.call(node, "GET", "/list/")[0] == 401)
    assert client.sign_in("n2", "carol", "other") == 303
    persons.put(cluster, "carol", disabled=True, update=True)
    for node in cluster.names:
        eventually(lambda node=node: client.call(node, "GET", "/list/")[0] == 401)


def test_refusals_are_those_of_ftp(cluster: Cluster, anna: Client) -> None:
    with cluster.login("n2", "anna") as ftp:
        ftp.mkd("/full")
        persons.store(ftp, "/full/1.jpg", JPEG)
        for said, (status, document) in [
            (persons.said(ftp.sendcmd, "DELE /nothing.jpg"), anna.call("n1", "DELETE", "/files/nothing.jpg")),
            (persons.said(ftp.sendcmd, "RMD /full"), anna.call("n1", "DELETE", "/folders/full")),
            (persons.said(ftp.sendcmd, "RMD /inbox"), anna.call("n1", "DELETE", "/folders/inbox")),
            (persons.said(ftp.sendcmd, "MKD /full"), anna.call("n1", "PUT", "/folders/full")),
            (persons.said(ftp.sendcmd, "MKD /trash/x"), anna.call("n1", "PUT", "/folders/trash/x")),
            (
                persons.said(ftp.sendcmd, "SITE SEND /full/1.jpg nobody"),
                anna.call("n1", "POST", "/send", {"path": "/full/1.jpg", "to": "nobody"}),
            ),
            (persons.store(ftp, "/inbox/x.jpg", JPEG), anna.call("n1", "PUT", "/files/inbox/x.jpg", 5)),
            (persons.store(ftp, "/nowhere/x.jpg", JPEG), anna.call("n1", "PUT", "/files/nowhere/x.jpg", 5)),
        ]:
            assert status >= 400
            assert document["detail"] == re.sub(r"^\d{3} ", "", said)


def test_what_is_sent_is_unopened_until_it_is_looked_at(cluster: Cluster, anna: Client) -> None:
    with cluster.login("n1", "anna") as ftp:
        persons.store(ftp, "/send/bob/gift.jpg", JPEG)
    bob = Client(cluster)
    assert bob.sign_in("n2", "bob") == 303
    page = bob.ask("n2", "GET", "/folders/inbox/anna")[1]
    assert b'href="/view/inbox/anna/gift.jpg' in page
    assert b'src="/files/inbox/anna/gift.jpg' not in page
    assert ("bob", "delivered") in persons.states(cluster, "anna", "bob/gift.jpg")
    assert b"Delivered" in anna.ask("n3", "GET", "/sent")[1]
    assert bob.ask("n3", "GET", "/files/inbox/anna/gift.jpg") == (200, JPEG)
    eventually(lambda: ("bob", "opened") in persons.states(cluster, "anna", "bob/gift.jpg"))
    assert b"Opened" in anna.ask("n3", "GET", "/sent")[1]
    assert b'src="/files/inbox/anna/gift.jpg' in bob.ask("n1", "GET", "/folders/inbox/anna")[1]


def test_trash_is_restored_to_where_it_was(cluster: Cluster, anna: Client) -> None:
    with cluster.login("n1", "anna") as ftp:
        ftp.mkd("/kept")
        persons.store(ftp, "/kept/only.jpg", JPEG)
    assert anna.call("n2", "DELETE", "/files/kept/only.jpg")[0] == 204
    (entry,) = [each for each in anna.call("n3", "GET", "/trash")[1]["entries"] if each["name"] == "only.jpg"]
    assert anna.call("n1", "POST", "/trash/restore", {"name": entry["name"]}) == (
        200,
        {"path": "/kept/only.jpg"},
    )
    assert anna.ask("n2", "GET", "/files/kept/only.jpg") == (200, JPEG)


@pytest.mark.skipif(not CHROMIUM, reason="there is no chromium on this machine")
def test_a_browser_shows_turns_chooses_and_uploads(cluster: Cluster) -> None:
    pictures = [picture for picture in shipped() if picture.name.endswith(".jpg")][:3]
    with cluster.login("n1", "anna") as ftp:
        ftp.mkd("/album")
        for picture in pictures:
            persons.store(ftp, f"/album/{picture.name}", picture.file.read_bytes())
    host, port = cluster.web_address("n2")
    with Browser() as browser:
        browser.size(1200, 800)
        browser.go(f"http://{host}:{port}/folders/album")
        browser.value(
            "(() => { document.querySelector('[name=name]').value = 'anna';"
            "document.querySelector('[name=password]').value = 'anna';"
            "document.querySelector('form').requestSubmit(); })()"
        )
        shown = (
            "[...document.querySelectorAll('.tile img')].filter((i) => i.complete && i.naturalWidth > 0).length"
        )
        eventually(lambda: browser.value(shown) == len(pictures))
        browser.value("document.querySelectorAll('.pick input')[1].click()")
        assert browser.value("getComputedStyle(document.querySelector('#bar')).display") == "flex"
        assert browser.value("document.querySelector('#bar .count').textContent") == "1 chosen"
        browser.go(f"http://{host}:{port}/view/album/{pictures[0].name}")
        for picture in pictures[1:]:
            browser.press("ArrowRight", 39)
            eventually(lambda picture=picture: browser.value("location.pathname").endswith(picture.name))
            browser.settled()
        browser.press("Escape", 27)
        eventually(lambda: browser.value("location.pathname") == "/folders/album")
        browser.settled()
        browser.value(
            "(() => { const data = new DataTransfer();"
            "data.items.add(new File([new Uint8Array([255, 216, 255, 1])], 'dropped.jpg', {type: 'image/jpeg'}));"
            "dispatchEvent(new DragEvent('drop', {dataTransfer: data, cancelable: true})); })()"
        )
        with cluster.login("n3", "anna") as ftp:
            eventually(lambda: "dropped.jpg" in persons.names(ftp, "/album"))
        assert browser.problems == []
