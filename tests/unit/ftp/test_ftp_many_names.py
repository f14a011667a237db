"""Commands that read or change much: RMDA, LIST -R, STAT of large directories, checksums. All bounded."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
from dataclasses import replace
from typing import Any

import pytest
from ftpserver import Client, Server, serving

from ftpgateway.ftp import removal
from ftpgateway.ftp.commands import listing
from raftstore.errors import NoQuorum
from raftstore.types import Rule


def tree(server: Server, files: int = 200) -> None:
    def make() -> None:
        for directory in ("/t", "/t/a", "/t/a/deep", "/t/b", "/t/empty", "/other"):
            server.store.put(directory, None)
        for number in range(files):
            for directory in ("/t", "/t/a", "/t/a/deep", "/t/b"):
                server.store.put(f"{directory}/{number:04}.jpg", b"x")
        server.store.put("/other/stays", b"x")

    server.run(make)


def test_a_tree_is_removed_and_nothing_else(server: Server, client: Client) -> None:
    tree(server)
    server.store.partials["alice", "/t/a/0001.jpg"] = b"begun"
    assert client.command("RMDA t") == 250
    assert client.text.startswith("250 805 names"), client.text
    assert set(server.store.root.children) == {"other"}
    assert not server.store.partials
    assert client.command("RMDA t") == 550
    assert client.command("RMDA other/stays") == 550
    assert client.command("RMDA /") == 550
    assert server.run(server.store.read, "/other/stays") == b"x"


def test_a_removal_that_fails_says_how_far_it_came_and_can_be_sent_again(
    server: Server, client: Client
) -> None:
    tree(server)
    calls = 0

    def hook(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls > 300:
            raise NoQuorum

    server.store.hooks["remove"] = hook
    assert client.command("RMDA t") == 451
    assert re.search(r" 30[01] names were removed, the next was not: Too few nodes", client.text)
    server.heal()
    assert client.command("RMDA t") == 250
    assert set(server.store.root.children) == {"other"}


def test_a_removal_ends_with_its_session_and_respects_rights(server: Server, client: Client) -> None:
    tree(server)
    server.store.accounts["alice"] = replace(server.store.accounts["alice"], rights="elraw")
    assert client.command("RMDA t") == 550
    assert len(server.store.find("/t/a/deep").children) == len(server.store.find("/t/b").children) == 200
    server.store.accounts["alice"] = replace(server.store.accounts["alice"], rights="elradfmwMT")
    with server.client() as other:
        gate = server.gate("remove")
        other.send("RMDA t")
        gate.wait_until_held(removal.AT_ONCE)
        assert gate.waiting == removal.AT_ONCE, "so many at a time"
    server.wait_for(lambda: gate.cancelled == removal.AT_ONCE)
    server.heal()
    assert sum(name.endswith(".jpg") for name in server.store.find("/t").children) == 200


def test_a_removal_is_bounded(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "LIMIT", 400)
    monkeypatch.setattr(removal, "PORTION", 0.0)
    tree(server, 100)
    assert client.command("RMDA t") == 450
    assert "names were removed" in client.text
    assert client.command("RMDA t") == 250


def test_everything_below_as_ls_shows_it(server: Server, client: Client) -> None:
    for path, data in {
        "/a": None,
        "/a/x y": b"1",
        "/a/sub": None,
        "/a/sub/z": b"22",
        "/b": None,
        "/f": b"333",
    }.items():
        server.run(server.store.put, path, data)

    def listed(line: str) -> list[str]:
        return client.fetch(line).decode().split("\r\n")[:-1]

    assert listed("NLST -R") == ["a", "b", "f", "a/sub", "a/x y", "a/sub/z"]
    assert listed("NLST -rR /a") == ["/a/x y", "/a/sub", "/a/sub/z"]
    assert listed("NLST -R a/") == ["a/sub", "a/x y", "a/sub/z"]
    assert [line.rpartition(" ")[2] for line in listed("LIST -R")] == [
        *(".:", "a", "b", "f", "", "./a:", "sub", "y", "", "./a/sub:", "z", "", "./b:"),
    ]
    full = listed("LIST -lR a")
    assert full[0] == "a:"
    assert full[1].startswith("drwxr-xr-x") and full[1].endswith(" sub")
    assert full[2].startswith("-rw-r--r--") and full[2].endswith(" x y")
    assert full[3:5] == ["", "a/sub:"]
    assert listed("LIST -R f") == listed("LIST f")
    assert listed("NLST -d a") == ["a"]
    assert listed("NLST -d") == ["."]
    assert listed("NLST -d *") == ["a", "b", "f"]
    assert listed("NLST -R *") == ["a", "b", "f"]
    client.data().close()
    assert client.command("LIST -R missing") == 550


NAMES_OF = {
    "": ["a.jpg", "d", "same.jpg"],
    ".": ["a.jpg", "d", "same.jpg"],
    "d": ["d/e", "d/same.jpg", "d/x y.jpg"],
    "d/": ["d/e", "d/same.jpg", "d/x y.jpg"],
    "./d": ["./d/e", "./d/same.jpg", "./d/x y.jpg"],
    "/d": ["/d/e", "/d/same.jpg", "/d/x y.jpg"],
    "/": ["/a.jpg", "/d", "/same.jpg"],
    "d/..": ["d/../a.jpg", "d/../d", "d/../same.jpg"],
    "d/*.jpg": ["d/same.jpg", "d/x y.jpg"],
    "/d/*.jpg": ["/d/same.jpg", "/d/x y.jpg"],
    "d//s*": ["d//same.jpg"],
    "d/*.jpg/.": ["/d/same.jpg", "/d/x y.jpg"],
    "d/*.jpg/": ["d/same.jpg", "d/x y.jpg"],
    "*.jpg": ["a.jpg", "same.jpg"],
    "d/same.jpg": ["d/same.jpg"],
    "d/e/../same.jpg": ["d/e/../same.jpg"],
    "-1a d": ["d/e", "d/same.jpg", "d/x y.jpg"],
    "-t d/*.jpg": ["d/same.jpg", "d/x y.jpg"],
    "-d d/*.jpg": ["d/same.jpg", "d/x y.jpg"],
    "-d d/": ["d/"],
    "d/no*": [],
}


@pytest.mark.parametrize(("argument", "names"), NAMES_OF.items())
def test_what_nlst_tells_can_be_sent_back(
    server: Server, client: Client, argument: str, names: list[str]
) -> None:
    """RFC 1123, 4.1.2.7. As vsftpd and ProFTPD have it: the directory is put before the name as it was written."""
    for path in ("/d", "/d/e"):
        server.run(server.store.put, path, None)
    for path in ("/a.jpg", "/same.jpg", "/d/same.jpg", "/d/x y.jpg"):
        server.run(lambda path=path: server.store.put(path, path.encode(), mtime_ns=0))
    reported = client.fetch(f"NLST {argument}".strip()).decode().split("\r\n")[:-1]
    assert reported == names
    for name in reported:
        if name.endswith(".jpg"):
            assert client.fetch(f"RETR {name}").decode() == f"/{name}".replace("/./", "/").replace(
                "/d/e/..", "/d"
            ).replace("/d/..", "").replace("//", "/")
        else:
            assert client.command(f"CWD {name}") == 250
            assert client.command("CWD /") == 250


def test_large_directories_are_sorted_and_searched_page_by_page(server: Server, client: Client) -> None:
    server.store.page = 2
    server.run(lambda: [server.store.put(f"/{n}", b"x" * n, mtime_ns=-n * 10**9) for n in range(9)])
    everything = [b"%d" % n for n in range(9)]
    assert client.fetch("NLST").split() == everything
    assert client.fetch("NLST -r").split() == everything[::-1]
    assert client.fetch("NLST -t").split() == everything
    assert client.fetch("NLST -tr").split() == everything[::-1]
    assert client.fetch("NLST -S").split() == everything[::-1]
    assert client.fetch("NLST -S [2-4]").split() == [b"4", b"3", b"2"]
    assert client.fetch("NLST *[78]").split() == [b"7", b"8"]
    assert client.fetch("NLST *x") == b""
    assert client.command("STAT -t [67]") == 213
    assert [line[-1] for line in client.lines[1:-1]] == ["6", "7"]
    assert server.store.packing.taken == 0, "what was sorted is let go of"


@pytest.mark.parametrize("page", [1, 2, 3, 256])
def test_everything_below_page_by_page(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(listing, "SUBDIRECTORIES", 2)
    server.store.page = page
    names = [f"/{letter}" for letter in "abcdefg"]
    for name in names:
        server.run(server.store.put, name, None)
        server.run(server.store.put, f"{name}/1", b"")
        server.run(server.store.put, f"{name}/2", None)
    expected = [".:", *"abcdefg"]
    for name in "abcdefg":
        expected += ["", f"./{name}:", "1", "2", "", f"./{name}/2:"]

    def listed(line: str) -> list[str]:
        return [shown.rpartition(" ")[2] for shown in client.fetch(line).decode().split("\r\n")[:-1]]

    assert listed("LIST -R") == expected
    backwards = [".:", *"gfedcba"]
    for name in "gfedcba":
        backwards += ["", f"./{name}:", "2", "1", "", f"./{name}/2:"]
    assert listed("LIST -rR") == backwards
    assert sorted(listed("LIST -tR")) == sorted(expected)
    assert listed("NLST -R") == [*"abcdefg", *(f"{name}/{below}" for name in "abcdefg" for below in "12")]
    assert server.store.packing.taken == 0


def test_names_come_once_whatever_changes_around_them(server: Server, client: Client) -> None:
    """Each page is of its own moment; what nobody touches comes exactly once, also when the directory is moved."""
    server.store.page = 5
    server.run(lambda: [server.store.put(f"/{n:03}", b"") for n in range(0, 100, 2)])
    pages = 0

    def changed(*_: object) -> None:
        nonlocal pages
        pages += 1
        server.store.put(f"/{pages * 7 % 100 | 1:03}", b"new")
        server.store.root.children.pop(f"{pages * 13 % 100 | 1:03}", None)

    server.store.hooks["next_page"] = changed
    shown = [int(name) for name in client.fetch("NLST").split()]
    assert pages >= 9
    assert shown == sorted(set(shown)), "by name, none twice"
    assert [number for number in shown if number % 2 == 0] == list(range(0, 100, 2))


def test_a_large_directory_of_which_nothing_is_to_be_seen(server: Server, client: Client) -> None:
    server.store.page = 2
    server.run(lambda: [server.store.put(f"/{n}", b"") for n in range(9)])
    hidden = tuple(Rule(f"/{n}", "") for n in range(9))
    server.store.accounts["alice"] = replace(server.store.accounts["alice"], rules=hidden)
    assert [client.fetch(line) for line in ("LIST", "LIST -t", "NLST -rS", "MLSD")] == [b""] * 4
    assert server.store.packing.taken == 0


def test_rights_are_judged_for_each_page(server: Server, client: Client) -> None:
    server.store.page = 5
    server.run(server.store.put, "/d", None)
    server.run(lambda: [server.store.put(f"/d/{n:03}", b"") for n in range(100)])

    def take_away(*_: object) -> None:
        (session,) = sessions_of(server)
        user = session.files.account.user
        server.store.accounts[user.name] = replace(user, rules=(Rule("/d", ""),))

    server.store.hooks["next_page"] = take_away
    with client.data() as data:
        assert client.command("NLST d") == 150
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while part := data.recv(65536):
                received += part
    assert client.reply() == 550
    assert received.count(b"\n") <= 5, "nothing of what was read when the right was gone"


def test_a_directory_that_is_moved_or_removed_while_it_is_listed(server: Server, client: Client) -> None:
    server.store.page = 5
    server.run(server.store.put, "/d", None)
    server.run(lambda: [server.store.put(f"/d/{n:03}", b"") for n in range(20)])

    def move(*_: object) -> None:
        server.store.root.children["e"] = server.store.root.children.pop("d", server.store.find("/"))
        server.store.hooks.pop("next_page")

    server.store.hooks["next_page"] = move
    assert client.fetch("NLST d").count(b"\n") == 20
    server.store.hooks["next_page"] = lambda *_: server.store.root.children.clear()
    assert client.fetch("NLST e").count(b"\n") == 5, "what is gone is not listed, and is no failure"


def sessions_of(server: Server) -> list[Any]:
    """The sessions that are open."""
    return list(server.frontend._sessions)


def test_a_listing_that_is_cut_short_is_no_success(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "TREE_LIMIT", 500)
    tree(server)
    with client.data() as data:
        assert client.command("LIST -R t") == 150
        with pytest.raises(ConnectionResetError):
            while data.recv(65536):
                pass
    assert client.reply() == 450
    assert client.command("NOOP") == 200


def test_a_client_that_reads_no_replies_holds_no_memory() -> None:
    with serving(stall_timeout=0.5) as server:
        server.run(lambda: [server.store.put(f"/{'n' * 200}{number:06}", b"") for number in range(30_000)])
        with server.client() as client:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.send("STAT /")
            most = 0

            def over() -> bool:
                nonlocal most
                most = max([most, *(session.unsent for session in server.frontend._sessions)])
                return server.frontend.sessions == 0

            server.wait_for(over)
            assert 0 < most < 2_000_000


def test_a_checksum_holds_up_nobody_and_ends_with_its_session(server: Server, client: Client) -> None:
    data = bytes(range(256)) * 20_000
    server.run(server.store.put, "/pic", data)
    assert client.command("HASH pic") == 213
    assert hashlib.sha256(data).hexdigest() in client.text
    gate = server.gate("block")
    with server.client() as other:
        other.send("HASH pic")
        gate.wait_until_held()
        assert client.command("NOOP") == 200
        assert client.store("up", b"x") == 226
        assert other.silent(0.05)
    server.wait_for(lambda: gate.cancelled == 1)
    server.heal()
    server.wait_for(lambda: server.store.ended["download"] == server.store.opened["download"])
    # A failure in the middle is an answer, and the session goes on.
    server.fail("block", NoQuorum())
    assert client.command("XCRC pic") == 451
    server.heal()
    assert client.command("XCRC pic") == 250
    server.wait_for(lambda: server.store.ended["download"] == server.store.opened["download"])


def test_a_long_checksum_is_computed_in_portions(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftpgateway.ftp.hashing.PORTION", 0.0)
    data = bytes(range(256)) * 20_000
    server.run(server.store.put, "/pic", data)
    assert client.command("HASH pic") == 213
    assert hashlib.sha256(data).hexdigest() in client.text


OF_PERSONS = Rule("/people", "elr")
"""Without it nobody sees what persons have."""


@pytest.mark.parametrize(
    ("change", "exact"),
    [
        ({}, False),
        ({"rules": (OF_PERSONS,)}, True),
        ({"home": "/home"}, False),
        ({"rights": "emwo"}, False),
        ({"rights": "elwm"}, False),
        ({"rules": (OF_PERSONS, Rule("/private", ""))}, False),
        ({"rules": (OF_PERSONS, Rule("/people/@inbox/bob", ""))}, False),
        ({"rules": (OF_PERSONS, Rule("/public", "elr"))}, True),
        ({"rights": "elradfmwMTA", "rules": (OF_PERSONS, Rule("/private", ""))}, True),
        ({"rights": "elradfmwMTA"}, False),
    ],
)
def test_how_much_is_free_is_told_exactly_to_who_sees_all(
    server: Server, change: dict[str, Any], exact: bool
) -> None:
    """A picture that is there already takes no room: an exact figure tells others whether it is."""
    server.run(server.store.put, "/home", None)
    server.store.accounts["alice"] = replace(server.store.accounts["alice"], **change)
    server.store.free_space = 10_999
    with server.client() as client:
        assert client.command("AVBL") == 213
        assert client.text == ("213 10999" if exact else "213 10000")
        assert client.command("ALLO 10500") == (200 if exact else 452)
        assert client.command("ALLO 10000") == 200
        assert f"{10_999 if exact else 10_000} bytes are free" in client.text
        server.store.free_space = 9_999
        client.passive()
        assert client.command("STOR a") == 452, "judged once more, by the same figure"


def test_what_is_left_of_the_quota(server: Server, client: Client) -> None:
    server.store.accounts["alice"] = replace(server.store.accounts["alice"], rules=(OF_PERSONS,))
    assert client.command("AVBL") == 213
    assert client.text == f"213 {1 << 62}"
    server.store.accounts["alice"] = replace(server.store.accounts["alice"], quota_bytes=1000)
    server.run(server.store.put, "/mine", b"x" * 600, "alice")
    server.run(server.store.put, "/others", b"x" * 600, "bob")
    assert client.command("AVBL") == 213
    assert client.text == "213 400"
    assert client.command("ALLO 1001") == 452
    assert client.command("ALLO 900") == 200, "it may replace what is there"
    server.store.accounts["alice"] = replace(server.store.accounts["alice"], quota_files=1)
    assert client.command("AVBL") == 213
    assert client.text == "213 0"
    server.store.accounts["alice"] = replace(server.store.accounts["alice"], quota_files=0)
    server.store.free_space = 300
    assert client.command("AVBL") == 213
    assert client.text == "213 300"
    assert client.command("ALLO 301") == 452
    assert client.command(f"ALLO {1 << 60}") == 552
    assert client.command("NOOP") == 200
