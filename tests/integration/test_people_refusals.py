"""What cannot be done with persons' directories gets a clear reply, by FTP and SFTP, and nothing is lost by trying."""

from __future__ import annotations

import ftplib
from collections.abc import Callable, Iterator
from typing import Any

import paramiko
import pytest
from commandline import pixraft
from harness import Cluster
from persons import asked, close, fetched, names, put, put_person, put_persons, said, sftp, store

pytestmark = pytest.mark.integration

MOUNTS = ("/inbox", "/send", "/shared", "/trash")
PERSONS = ("anna", "bob", "full", "poor", "away")
TAKES_NOTHING = "550 {} takes no pictures from you."
LONG = "x" * 300


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("refusals"), sftp=True) as running:
        for name in PERSONS:
            put_person(running, name, trash_ns=86_400 * 10**9)
        put(running, "away", disabled=True, update=True)
        yield running


def status(call: Callable[..., Any], *arguments: Any) -> str:
    """Return what SFTP's server says to a request that it refuses; "" when it does not."""
    try:
        call(*arguments)
    except OSError as error:
        return str(error.strerror or error)
    return ""


def put_by_sftp(files: paramiko.SFTPClient, path: str, content: bytes = b"x") -> str:
    """Upload; return the refusal, or ""."""

    def whole() -> None:
        file = files.open(path, "w")
        file.write(content)
        close(file)

    return status(whole)


def test_who_cannot_get_it_is_told_and_nothing_is_left(cluster: Cluster) -> None:
    with cluster.login("n1", "anna") as anna, sftp(cluster, "n2", "anna") as files:
        assert store(anna, "/own.jpg", b"own").startswith("226")
        before = names(anna, "/send")
        for name in ("nobody", "away", "demo"):
            assert store(anna, f"/send/{name}/x.jpg", b"x") == TAKES_NOTHING.format(name)
            assert said(anna.mkd, f"/send/{name}/album") == TAKES_NOTHING.format(name)
            assert said(anna.sendcmd, f"SITE SEND /own.jpg {name}") == TAKES_NOTHING.format(name)
            assert f"{name} takes no pictures from you" in put_by_sftp(files, f"/send/{name}/x.jpg")
        assert "oneself" in store(anna, "/send/anna/x.jpg", b"x")
        assert "oneself" in put_by_sftp(files, "/send/anna/x.jpg")
        assert "oneself" in said(anna.sendcmd, "SITE SEND /own.jpg anna")
        assert said(anna.sendcmd, "SITE SEND /none.jpg bob").startswith("550")
        assert names(anna, "/send") == before
        assert asked(cluster, "sent", "anna")["sent"] == []


def test_names_that_are_too_long_are_refused_as_such(cluster: Cluster) -> None:
    with cluster.login("n1", "anna") as anna, sftp(cluster, "n2", "anna") as files:
        assert store(anna, "/send/bob/short.jpg", b"short").startswith("226")
        assert store(anna, "/draft", b"d").startswith("226")
        assert store(anna, "/send/bob/a.part", b"part").startswith("226")
        for path in (f"/send/bob/{LONG}", f"/send/bob/{LONG}/x.jpg", f"/send/bob/{'ü' * 150}"):
            reply = store(anna, path, b"x")
            assert reply.startswith("553") and "255 bytes" in reply, reply
            assert "255 bytes" in put_by_sftp(files, path)
        assert "255 bytes" in said(anna.mkd, f"/send/bob/{LONG}")
        assert "255 bytes" in said(anna.rename, "/send/bob/a.part", f"/send/bob/{LONG}")
        for reply in (store(anna, f"/send/{LONG}/x.jpg", b"x"), said(anna.sendcmd, f"SITE SEND /draft {LONG}")):
            assert reply[:1] == "5" and "nternal" not in reply, reply
        assert said(anna.sendcmd, f"SITE BLOCK {LONG}")[:1] in "25"
        assert sorted(names(anna, "/send/bob")) == ["a.part", "short.jpg"]
        anna.delete("/send/bob/a.part")
        # A name that just fits, and collides, keeps its ending.
        name = "y" * 251 + ".jpg"
        for content in (b"1", b"2"):
            assert store(anna, f"/send/bob/{name}", content).startswith("226")
        with cluster.login("n3", "bob") as bob:
            came = [each for each in names(bob, "/inbox/anna") if each.startswith("y")]
            assert len(came) == 2 and all(len(each) <= 255 and each.endswith(".jpg") for each in came)
            assert sorted(fetched(bob, f"/inbox/anna/{each}") for each in came) == [b"1", b"2"]


def test_a_group_takes_a_thousand_and_no_more(cluster: Cluster) -> None:
    many = ["anna", "bob", *(f"m{number}" for number in range(999))]
    done = pixraft(
        "group", "add", "big", "--members", ",".join(many), "--cluster", str(cluster.local.directory)
    )
    assert done.exit_code and "1000" in done.output.replace(",", ""), done.output
    assert asked(cluster, "group", "list")["groups"] == []
    put_persons(cluster, many[2:])
    asked(cluster, "group", "add", "big", "--members", ",".join(many[:1000]))
    done = pixraft("group", "members", "big", "--add", "m998", "--cluster", str(cluster.local.directory))
    assert done.exit_code and "1000" in done.output.replace(",", ""), done.output
    with cluster.login("n1", "anna") as anna, cluster.login("n2", "bob") as bob:
        assert store(anna, "/send/big/g.jpg", b"to many").startswith("226")
        assert fetched(bob, "/inbox/anna/g.jpg") == b"to many"
        anna.delete("/send/big/g.jpg")
    asked(cluster, "group", "remove", "big")


def test_a_full_inbox_and_an_empty_quota_are_refused_before_anything_is_delivered(cluster: Cluster) -> None:
    put(cluster, "poor", quota_bytes=1000, update=True)
    with (
        cluster.login("n1", "anna") as anna,
        cluster.login("n2", "full") as full,
        cluster.login("n3", "poor") as poor,
    ):
        assert store(anna, "/send/full/1.jpg", b"x" * 100).startswith("226")
        put(cluster, "full", inbox_bytes=150, update=True)
        for _ in range(2):
            assert store(anna, "/send/full/2.jpg", b"y" * 100) == TAKES_NOTHING.format("full")
        with sftp(cluster, "n2", "anna") as files:
            assert "full takes no pictures from you" in put_by_sftp(files, "/send/full/2.jpg", b"y" * 100)
        assert names(full, "/inbox/anna") == ["1.jpg"] and names(anna, "/send/full") == ["1.jpg"]
        full.delete("/inbox/anna/1.jpg")
        assert store(anna, "/send/full/2.jpg", b"y" * 100).startswith("226")
        assert fetched(full, "/inbox/anna/2.jpg") == b"y" * 100
        assert store(poor, "/mine.jpg", b"m" * 600).startswith("226")
        for reply in (
            store(poor, "/send/bob/big.jpg", b"b" * 600),
            said(poor.sendcmd, "SITE SEND /mine.jpg bob"),
        ):
            assert reply.startswith(("452", "552")) and "your quota" in reply, reply
        assert store(poor, "/send/bob/fits.jpg", b"f" * 100).startswith("226")
        with cluster.login("n1", "bob") as bob:
            assert names(bob, "/inbox/poor") == ["fits.jpg"]
        assert fetched(poor, "/mine.jpg") == b"m" * 600


MOVES = {
    "home": {"home", "shared"},
    "shared": {"home", "shared"},
    "inbox": {"home", "shared"},
    "trash": {"home", "shared"},
    "send": set(),
}
"""From where to where something can be renamed. A draft within `/send/NAME` is another matter."""
PLACES = {
    "home": "/{}",
    "shared": "/shared/{}",
    "inbox": "/inbox/anna/{}",
    "trash": "/trash/{}",
    "send": "/send/bob/{}",
}


def filled(cluster: Cluster, ftp: ftplib.FTP, place: str, name: str) -> str:
    """Put a file into a place of bob's, or of whose session it is; return its path."""
    content = name.encode()
    if place == "inbox":
        with cluster.login("n2", "anna") as anna:
            assert store(anna, f"/send/poor/{name}", content).startswith("226")
    elif place == "trash":
        assert store(ftp, f"/{name}", content).startswith("226")
        ftp.delete(f"/{name}")
    else:
        assert store(ftp, PLACES[place].format(name), content).startswith("226")
    path = PLACES[place].format(name)
    assert fetched(ftp, path) == content
    return path


@pytest.mark.parametrize("source", MOVES)
def test_renames_across_mounts_are_done_whole_or_refused_with_what_to_do(cluster: Cluster, source: str) -> None:
    with cluster.login("n1", "poor") as ftp, sftp(cluster, "n3", "poor") as files:
        for target, form in PLACES.items():
            for how in ("ftp", "sftp"):
                name = f"{source} {target} {how}.jpg"
                path, to = filled(cluster, ftp, source, name), form.format(f"moved {name}")
                reply = said(ftp.rename, path, to) if how == "ftp" else status(files.posix_rename, path, to)
                if target in MOVES[source]:
                    assert reply.startswith("250") if how == "ftp" else not reply, (path, to, reply)
                    assert fetched(ftp, to) == name.encode()
                    assert said(ftp.sendcmd, f"MLST {path}").startswith("550")
                    ftp.delete(to)
                    continue
                assert len(reply) > 20 and "nternal" not in reply, (path, to, reply)
                assert how == "sftp" or reply.startswith("55"), (path, to, reply)
                assert fetched(ftp, path) == name.encode(), "it is where it was"
                assert said(ftp.sendcmd, f"MLST {to}").startswith("550"), "and nowhere else"
                ftp.delete(path)


def test_directories_are_moved_across_mounts_no_more_than_files_are(cluster: Cluster) -> None:
    with (
        cluster.login("n1", "anna") as anna,
        cluster.login("n2", "bob") as bob,
        sftp(cluster, "n3", "bob") as files,
    ):
        anna.mkd("/send/bob/trip")
        bob.mkd("/send/anna/walk")
        bob.mkd("/mine")
        for ftp, path in ((anna, "/send/bob/trip/t.jpg"), (bob, "/send/anna/walk/w.jpg"), (bob, "/mine/m.jpg")):
            assert store(ftp, path, b"whole").startswith("226")
        moves = (
            ("/inbox/anna/trip", "/trip"),
            ("/inbox/anna", "/of anna"),
            ("/inbox/anna/trip", "/inbox/anna/tour"),
            ("/inbox/anna", "/shared/of anna"),
            ("/send/anna/walk", "/walk"),
            ("/send/anna", "/sent"),
            ("/send/anna/walk", "/send/anna/tour"),
            ("/send/anna", "/send/away"),
            ("/mine", "/send/anna/mine"),
            ("/mine", "/inbox/mine"),
            ("/mine", "/trash/mine"),
        )
        for path, to in moves:
            for reply in (said(bob.rename, path, to), f"550 {status(files.posix_rename, path, to)}"):
                assert reply.startswith("550") and len(reply) > 24 and "nternal" not in reply, (path, to, reply)
        for path in ("/inbox/anna/trip/t.jpg", "/send/anna/walk/w.jpg", "/mine/m.jpg"):
            assert fetched(bob, path) == b"whole"
        assert not {"trip", "of anna", "walk", "sent"} & set(names(bob, "/"))


def test_mounts_are_neither_removed_nor_replaced_nor_written_to(cluster: Cluster) -> None:
    with cluster.login("n1", "anna") as anna, sftp(cluster, "n2", "anna") as files:
        for path in ("/a.jpg", "/send/bob/stays.jpg", "/binned.jpg", "/shared/stays.jpg"):
            assert store(anna, path, b"a").startswith("226")
        anna.delete("/binned.jpg")
        anna.mkd("/album")
        replies = {}
        for mount in MOUNTS:
            for word in ("RMD", "DELE", "RMDA", "MKD"):
                replies[f"{word} {mount}"] = said(anna.sendcmd, f"{word} {mount}")
            for word in ("STOR", "APPE"):
                replies[f"{word} {mount}"] = store(anna, mount, b"x", word)
            replies[f"rename {mount} by FTP"] = said(anna.rename, mount, "/elsewhere")
            replies[f"RETR {mount}"] = said(anna.retrbinary, f"RETR {mount}", print)
            for path in ("/a.jpg", "/album"):
                replies[f"RNTO {path} {mount}"] = said(anna.rename, path, mount)
                replies[f"rename {path} {mount}"] = f"5 {status(files.rename, path, mount)}"
                replies[f"posix-rename {path} {mount}"] = f"5 {status(files.posix_rename, path, mount)}"
            replies[f"remove {mount}"] = f"5 {status(files.remove, mount)}"
            replies[f"rmdir {mount}"] = f"5 {status(files.rmdir, mount)}"
            replies[f"mkdir {mount}"] = f"5 {status(files.mkdir, mount)}"
            replies[f"rename {mount}"] = f"5 {status(files.posix_rename, mount, '/elsewhere')}"
            replies[f"open {mount}"] = f"5 {put_by_sftp(files, mount)}"
        for path in ("/inbox/new", "/inbox/bob/new", "/trash/new", "/send/nobody"):
            replies[f"MKD {path}"] = said(anna.mkd, path)
            replies[f"mkdir {path}"] = f"5 {status(files.mkdir, path)}"
        for path in ("/inbox/x.jpg", "/inbox/bob/x.jpg", "/trash/x.jpg", "/send/x.jpg", "/send/.failed/x.txt"):
            for word in ("STOR", "APPE"):
                replies[f"{word} {path}"] = store(anna, path, b"x", word)
            replies[f"open {path}"] = f"5 {put_by_sftp(files, path)}"
        for sent, reply in replies.items():
            assert reply.startswith("5") and len(reply) > 12 and "nternal" not in reply, (sent, reply)
        assert set(names(anna, "/")) >= {"a.jpg", "album", "inbox", "send", "shared", "trash"}
        for path in ("/a.jpg", "/send/bob/stays.jpg", "/trash/binned.jpg", "/shared/stays.jpg"):
            assert fetched(anna, path) == b"a"
        assert "elsewhere" not in names(anna, "/")
