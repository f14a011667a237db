"""Persons at real nodes: what is put to one at any node is in its inbox at all nodes, and leaks to nobody."""

from __future__ import annotations

import ftplib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import pixraft
from harness import Cluster
from persons import asked, fetched, names, put, put_person, said, sftp, states, store
from waiting import eventually

pytestmark = pytest.mark.integration

PERSONS = ("anna", "bob", "carol", "dave")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    environment = {"PIXRAFT_FTP_ANONYMOUS": "true", "PIXRAFT_FTP_ANONYMOUS_ROOT": "/"}
    with Cluster(tmp_path_factory.mktemp("people"), environment=environment, sftp=True) as running:
        for name in PERSONS:
            put_person(running, name)
        yield running


def test_what_is_sent_is_there_at_once_and_its_sender_sees_what_becomes_of_it(cluster: Cluster) -> None:
    with cluster.login("n1", "anna") as anna, cluster.login("n3", "bob") as bob:
        assert {"inbox", "send", "shared"} <= set(names(anna, "/"))
        assert names(anna, "/send") == ["bob", "carol", "dave"] and names(anna, "/send/bob") == []
        assert anna.cwd("/send/bob").startswith("250")
        anna.cwd("/")
        assert store(anna, "/send/bob/hi.jpg", b"picture").startswith("226")
        assert names(bob, "/inbox") == ["anna"] and names(bob, "/inbox/anna") == ["hi.jpg"]
        anna.voidcmd("TYPE I")
        assert anna.size("/send/bob/hi.jpg") == 7 and names(anna, "/send/bob") == ["hi.jpg"]
        assert anna.sendcmd("MDTM /send/bob/hi.jpg").startswith("213")
        assert "size=7" in anna.sendcmd("MLST /send/bob/hi.jpg")
        assert said(anna.sendcmd, "MFMT 20200101000000 /send/bob/hi.jpg").startswith("213")
        assert states(cluster, "anna", "bob/hi.jpg") == [("bob", "delivered")]
        assert fetched(anna, "/send/bob/hi.jpg") == b"picture"
        assert fetched(bob, "/inbox/anna/hi.jpg") == b"picture"
        eventually(lambda: states(cluster, "anna", "bob/hi.jpg") == [("bob", "opened")])
        # Opened it is not recalled; the record alone is cleared.
        anna.delete("/send/bob/hi.jpg")
        assert names(anna, "/send/bob") == [] and names(bob, "/inbox/anna") == ["hi.jpg"]
        assert states(cluster, "anna", "bob/hi.jpg", "--ended") == [("bob", "opened")]
        assert store(anna, "/send/bob/oops.jpg", b"wrong one").startswith("226")
        anna.delete("/send/bob/oops.jpg")
        assert names(bob, "/inbox/anna") == ["hi.jpg"]
        assert states(cluster, "anna", "bob/oops.jpg", "--ended") == [("bob", "recalled")]
        # Moved out of the inbox it is kept.
        assert store(anna, "/send/bob/keep.jpg", b"kept").startswith("226")
        bob.rename("/inbox/anna/keep.jpg", "/keep.jpg")
        assert states(cluster, "anna", "bob/keep.jpg") == [("bob", "kept")]
        anna.delete("/send/bob/keep.jpg")
        assert fetched(bob, "/keep.jpg") == b"kept"
        assert asked(cluster, "inbox", "bob")["files"] == 2, "a directory and what was opened"


def test_a_repeated_upload_is_one_picture_and_another_content_a_second(cluster: Cluster) -> None:
    with cluster.login("n2", "anna") as anna, cluster.login("n1", "carol") as carol:
        for _ in range(3):
            assert store(anna, "/send/carol/a.jpg", b"one").startswith("226")
        assert names(carol, "/inbox/anna") == ["a.jpg"]
        assert store(anna, "/send/carol/a.jpg", b"two").startswith("226")
        assert names(carol, "/inbox/anna") == ["a (2).jpg", "a.jpg"]
        assert (
            fetched(carol, "/inbox/anna/a (2).jpg") == b"two" and fetched(carol, "/inbox/anna/a.jpg") == b"one"
        )
        assert fetched(anna, "/send/carol/a.jpg") == b"two"
        anna.mkd("/send/carol/trip")
        assert store(anna, "/send/carol/trip/b.jpg", b"b").startswith("226")
        assert names(carol, "/inbox/anna/trip") == ["b.jpg"]


def test_names_for_writing_and_broken_uploads_are_delivered_once_when_they_are_whole(cluster: Cluster) -> None:
    with cluster.login("n1", "bob") as bob, cluster.login("n2", "dave") as dave:
        assert store(bob, "/send/dave/x.jpg.part", b"whole").startswith("226")
        assert names(bob, "/send/dave") == ["x.jpg.part"] and names(dave, "/inbox") == []
        bob.rename("/send/dave/x.jpg.part", "/send/dave/x.jpg")
        assert names(dave, "/inbox/bob") == ["x.jpg"] and names(bob, "/send/dave") == ["x.jpg"]
        assert store(bob, "/send/dave/._x.jpg", b"fork").startswith("226")
        assert store(bob, "/send/dave/empty.jpg", b"").startswith("226")
        assert names(dave, "/inbox/bob") == ["x.jpg"]
        assert store(bob, "/send/dave/empty.jpg", b"filled").startswith("226")
        assert fetched(dave, "/inbox/bob/empty.jpg") == b"filled"
        # An upload that breaks is gone on with.
        bob.voidcmd("TYPE I")
        data = bob.transfercmd("STOR /send/dave/long.jpg")
        data.sendall(b"0123456789" * 10_000)
        eventually(lambda: "100000 bytes moved" in bob.sendcmd("STAT"))
        bob.putcmd("ABOR")
        # Closed before that is answered, it could be the end of an upload.
        assert bob.getmultiline().startswith("4") and bob.getmultiline().startswith("226")
        data.close()
        assert "long.jpg" not in names(dave, "/inbox/bob")
        begun = bob.size("/send/dave/long.jpg")
        assert begun == 100_000
        assert bob.storbinary("STOR /send/dave/long.jpg", io.BytesIO(b"end"), rest=begun).startswith("226")
        assert fetched(dave, "/inbox/bob/long.jpg") == b"0123456789" * 10_000 + b"end"


def test_sftp_delivers_one_picture_when_it_is_closed(cluster: Cluster) -> None:
    with sftp(cluster, "n3", "carol") as carol, sftp(cluster, "n1", "dave") as dave:
        assert {"bob", "dave"} <= set(carol.listdir("/send")) and carol.listdir("/send/dave") == []
        with carol.open("/send/dave/slow.jpg", "w") as file:
            file.write(b"first ")
            assert "carol" not in dave.listdir("/inbox")
            file.write(b"second")
        assert dave.listdir("/inbox/carol") == ["slow.jpg"]
        with dave.open("/inbox/carol/slow.jpg") as file:
            assert file.read() == b"first second"
        assert carol.stat("/send/dave/slow.jpg").st_size == 12
        # As Windows does it: an empty file, closed, and written when it is opened again.
        carol.open("/send/dave/win.jpg", "w").close()
        assert dave.listdir("/inbox/carol") == ["slow.jpg"] and carol.stat("/send/dave/win.jpg").st_size == 0
        with carol.open("/send/dave/win.jpg", "r+") as file:
            file.write(b"window")
        assert sorted(dave.listdir("/inbox/carol")) == ["slow.jpg", "win.jpg"]
        # Under a name for writing, with its time set, written in two goes, renamed while it is open and after.
        with carol.open("/send/dave/y.jpg.filepart", "w") as file:
            file.write(b"y1")
        with carol.open("/send/dave/y.jpg.filepart", "r+") as file:
            file.seek(2)
            file.write(b"y2")
        assert "y.jpg.filepart" not in dave.listdir("/inbox/carol")
        carol.utime("/send/dave/y.jpg.filepart", (10**9, 10**9))
        carol.posix_rename("/send/dave/y.jpg.filepart", "/send/dave/y.jpg")
        assert (
            dave.stat("/inbox/carol/y.jpg").st_mtime == 10**9 and dave.stat("/inbox/carol/y.jpg").st_size == 4
        )
        with carol.open("/send/dave/z.jpg.part", "w") as file:
            file.write(b"z")
            carol.rename("/send/dave/z.jpg.part", "/send/dave/z.jpg")
        assert sorted(dave.listdir("/inbox/carol")) == ["slow.jpg", "win.jpg", "y.jpg", "z.jpg"]
        eventually(lambda: ("dave", "opened") in states(cluster, "carol", "dave/slow.jpg"))
        for wrong in ("/send/carol/x", "/send/x", "/inbox/x", "/send/nobody/x"):
            with pytest.raises(OSError):
                carol.open(wrong, "w").close()


def test_a_group_gets_it_at_once_and_its_sender_sees_who_did_not_take_it(cluster: Cluster) -> None:
    words = ["group", "add", "family", "--members", "anna,bob,carol,nobody"]
    refused = pixraft(*words, "--cluster", str(cluster.local.directory))
    assert refused.exit_code != 0 and "only persons are members: nobody" in refused.output
    put_person(cluster, "nobody")
    asked(cluster, *words)
    put(cluster, "nobody", disabled=True, update=True)
    with (
        cluster.login("n1", "anna") as anna,
        cluster.login("n2", "bob") as bob,
        cluster.login("n3", "carol") as carol,
    ):
        assert "family" in names(anna, "/send")
        assert store(anna, "/send/family/all.jpg", b"for all").startswith("226")
        for ftp in (bob, carol):
            assert fetched(ftp, "/inbox/anna/all.jpg") == b"for all"
        found = dict(states(cluster, "anna", "family/all.jpg"))
        assert found.pop("nobody") == "refused" and set(found) == {"bob", "carol"}
        failed = names(anna, "/send/.failed")
        assert len(failed) == 1 and re.fullmatch(r"family all\.jpg \(nobody\) \d+\.txt", failed[0])
        assert b"takes no pictures" in fetched(anna, f"/send/.failed/{failed[0]}")
        with cluster.login("n1", "dave") as dave:
            assert "family" not in names(dave, "/send")
            assert store(dave, "/send/family/x.jpg", b"x") == "550 family takes no pictures from you."
    members = asked(cluster, "group", "members", "family", "--add", "dave", "--remove", "nobody")["members"]
    assert members == ["anna", "bob", "carol", "dave"]
    assert [group["name"] for group in asked(cluster, "group", "list")["groups"]] == ["family"]
    asked(cluster, "group", "remove", "family")
    assert asked(cluster, "group", "list")["groups"] == []


def test_who_blocks_who_is_disabled_and_who_is_nobody_is_not_told_apart(cluster: Cluster) -> None:
    put_person(cluster, "erin")
    put_person(cluster, "frank")
    with cluster.login("n2", "erin") as erin, cluster.login("n3", "frank") as frank:
        assert frank.sendcmd("SITE BLOCK erin").startswith("200")
        assert " erin" in frank.sendcmd("SITE BLOCKS").splitlines()
        put(cluster, "dave", disabled=True, update=True)
        for name in ("frank", "dave", "nobody", "demo"):
            assert store(erin, f"/send/{name}/x.jpg", b"x") == f"550 {name} takes no pictures from you."
        assert {"frank", "dave"} <= set(names(erin, "/send")), "who is disabled is for nobody to see"
        assert said(erin.sendcmd, "SITE SEND /x.jpg frank").startswith("550")
        put(cluster, "dave", disabled=False, update=True)
        assert frank.sendcmd("SITE UNBLOCK erin").startswith("200")
        assert store(erin, "/send/frank/x.jpg", b"x").startswith("226")
        assert asked(cluster, "user", "block", "frank", "erin")["blocked"]
        assert store(erin, "/send/frank/y.jpg", b"y") == "550 frank takes no pictures from you."
        assert asked(cluster, "inbox", "frank")["blocks"] == ["erin"]
        asked(cluster, "user", "unblock", "frank", "erin")


def test_what_is_stored_is_sent_by_a_command_and_expires_as_the_session_says(cluster: Cluster) -> None:
    with cluster.login("n1", "anna") as anna, cluster.login("n2", "bob") as bob:
        assert store(anna, "/mine own.jpg", b"mine").startswith("226")
        assert said(anna.sendcmd, "SITE EXPIRES soon").startswith("501")
        assert anna.sendcmd("SITE EXPIRES 24h") == "200 What you send from now on is gone after 24h."
        assert anna.sendcmd("SITE SEND /mine own.jpg bob") == "200 Sent to bob."
        assert anna.sendcmd("SITE SEND /mine own.jpg bob") == "200 bob has it already."
        assert fetched(bob, "/inbox/anna/mine own.jpg") == b"mine"
        assert fetched(anna, "/send/bob/mine own.jpg") == b"mine"
        sent = next(one for one in asked(cluster, "sent", "anna")["sent"] if one["path"] == "bob/mine own.jpg")
        assert sent["expires"] is not None
        anna.sendcmd("SITE EXPIRES off")
        assert store(anna, "/send/bob/stays.jpg", b"s").startswith("226")
        sent = next(one for one in asked(cluster, "sent", "anna")["sent"] if one["path"] == "bob/stays.jpg")
        assert sent["expires"] is None


def test_what_cannot_be_is_refused_clearly_and_nothing_is_lost(cluster: Cluster) -> None:
    with cluster.login("n3", "bob") as bob, cluster.login("n1", "anna") as anna:
        assert store(anna, "/send/bob/r.jpg", b"r").startswith("226")
        assert store(bob, "/home.jpg", b"home").startswith("226")
        assert "oneself" in store(bob, "/send/bob/x.jpg", b"x")
        assert "/send/NAME/" in store(bob, "/send/x.jpg", b"x")
        assert "/send/NAME/" in store(bob, "/inbox/anna/x.jpg", b"x")
        long = store(bob, f"/send/anna/{'x' * 300}", b"x")
        assert long.startswith("553")
        for path in ("/inbox", "/send", "/shared"):
            assert "always there" in said(bob.rmd, path)
            assert said(bob.rename, path, "/elsewhere").startswith("550")
        assert "SITE SEND" in said(bob.rename, "/home.jpg", "/send/anna/home.jpg")
        assert "SITE SEND" in said(bob.rename, "/inbox/anna/r.jpg", "/send/anna/r.jpg")
        assert said(bob.rename, "/home.jpg", "/inbox/anna/home.jpg").startswith("550")
        assert "stays here" in said(anna.rename, "/send/bob/r.jpg", "/r.jpg")
        assert said(anna.rename, "/send/bob/r.jpg", "/send/carol/r.jpg").startswith("550")
        assert said(anna.rename, "/send/bob/r.jpg", "/send/bob/s.jpg").startswith("550")
        assert fetched(bob, "/inbox/anna/r.jpg") == b"r" and fetched(bob, "/home.jpg") == b"home"


def test_what_is_shared_is_everybodys_to_read_and_its_owners_to_change(cluster: Cluster) -> None:
    with cluster.login("n1", "anna") as anna, cluster.login("n2", "bob") as bob:
        anna.mkd("/shared/party")
        assert store(anna, "/shared/party/a.jpg", b"a").startswith("226")
        assert fetched(bob, "/shared/party/a.jpg") == b"a" and store(
            bob, "/shared/party/b.jpg", b"b"
        ).startswith("226")
        assert said(bob.delete, "/shared/party/a.jpg").startswith("550")
        assert store(bob, "/shared/party/a.jpg", b"mine").startswith("550")
        assert anna.delete("/shared/party/a.jpg").startswith("250")


def _looks(ftp: ftplib.FTP, path: str, *, changes: bool) -> Iterator[tuple[str, str]]:
    """Yield what a client may try at somebody else's path, and the replies; `changes`: also what could make it."""
    for word in ("SIZE", "MDTM", "MLST", "XSHA", "XCRC", "HASH", "RNFR", "DELE", "RMD", "CWD"):
        yield word, said(ftp.sendcmd, f"{word} {path}")
    for word in ("LIST", "MLSD", "RETR"):
        lines: list[bytes] = []
        reply = said(ftp.retrbinary, f"{word} {path}", lines.append)
        yield word, reply if not lines else f"{reply} {b''.join(lines)!r}"
    if changes:
        yield "MKD", said(ftp.sendcmd, f"MKD {path}")
        for word in ("STOR", "APPE", "STOU"):
            yield word, store(ftp, path, b"x", word)
    yield "SITE UTIME", said(ftp.sendcmd, f"SITE UTIME 20200101000000 {path}")
    yield "STAT", said(ftp.sendcmd, f"STAT {path}")
    yield "SITE SEND", said(ftp.sendcmd, f"SITE SEND {path} carol")
    yield "RNTO", said(ftp.rename, "/nothing", path)


@pytest.mark.parametrize("account", ["demo", "carol", "anonymous"])
def test_nobody_else_sees_or_touches_an_inbox_or_what_was_sent(cluster: Cluster, account: str) -> None:
    with cluster.login("n1", "anna") as anna, cluster.login("n2", "bob") as bob:
        assert store(anna, "/send/bob/secret.jpg", b"secret picture").startswith("226")
        tried = [
            "/people/@inbox",
            "/people/@inbox/bob",
            "/people/@inbox/bob/anna",
            "/people/@inbox/bob/anna/secret.jpg",
            "/people/@sent/anna/bob/secret.jpg",
            "/people/bob/keep.jpg",
            "/inbox/../../@inbox/bob/anna/secret.jpg",
        ]
        missing = "/people/@inbox/bob/anna/missing.jpg"
        with cluster.login("n3", account) as other:
            assert "people" not in names(other, "/")
            # For a person these names lie in its own home, and mean nothing there.
            person = account == "carol"
            assert ({"inbox", "send"} <= set(names(other, "/"))) is person
            looks = _looks(other, missing, changes=not person)
            alike = {word: reply.replace("missing", "secret") for word, reply in looks}
            for path in tried:
                changes = not person and path.startswith("/people")
                for word, reply in _looks(other, path, changes=changes):
                    assert reply[:1] in ("4", "5") or word == "STAT", (word, path, reply)
                    assert "secret picture" not in reply and "14" not in reply.split()[1:], reply
                    if path == missing.replace("missing", "secret"):
                        assert reply == alike[word], "whether it is there is nobody's to know"
            assert said(other.sendcmd, "MLST /people").startswith("550")
            lines: list[str] = []
            other.retrlines("LIST -R /", lines.append)
            assert not any("secret" in line or "@inbox" in line for line in lines)
        assert fetched(bob, "/inbox/anna/secret.jpg") == b"secret picture"
        anna.delete("/send/bob/secret.jpg")
    if account == "anonymous":
        return
    with sftp(cluster, "n1", account) as files:
        assert "people" not in files.listdir("/")
        for path in tried:
            for attempt in (
                lambda path=path: files.stat(path),
                lambda path=path: files.open(path, "r"),
                lambda path=path: files.open(path, "r+"),
                lambda path=path: files.listdir(path),
                lambda path=path: files.remove(path),
                lambda path=path: files.posix_rename(path, "/stolen"),
                lambda path=path: files.utime(path, (1, 1)),
            ):
                with pytest.raises(OSError):
                    attempt()


def events_of(cluster: Cluster, *words: str) -> list[dict[str, object]]:
    done = pixraft("events", *words, "-o", "json", "--cluster", str(cluster.local.directory))
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_one_account_is_shown_and_a_group_of_its_name_is_refused_with_what_was_meant(cluster: Cluster) -> None:
    put_person(cluster, "hugo", quota_bytes=1 << 20)
    with cluster.login("n1", "anna") as anna, cluster.login("n2", "hugo") as hugo:
        assert store(anna, "/send/hugo/a.jpg", b"came").startswith("226")
        for content in (b"first", b"second"):
            assert store(hugo, "/own.jpg", content).startswith("226")
    asked(cluster, "group", "add", "friends", "--members", "anna", "--owner", "hugo")
    shown = asked(cluster, "user", "show", "hugo")
    assert (shown["role"], shown["home"], shown["quota_bytes"]) == ("person", "/people/hugo", 1 << 20)
    assert shown["used_bytes"] == len(b"first" + b"second") and shown["groups"] == ["friends"]
    assert (shown["trash_files"], shown["trash_bytes"]) == (1, len(b"first"))
    assert (shown["inbox"]["files"], shown["inbox"]["bytes"]) == (2, len(b"came"))
    refused = pixraft("group", "add", "hugo", "--cluster", str(cluster.local.directory))
    assert refused.exit_code == 11 and "hugo is an account" in refused.output
    assert "pixraft group members GROUP --add hugo" in refused.output
    late = pixraft("events", "--after", "1000000", "--cluster", str(cluster.local.directory))
    last = events_of(cluster)[-1]["number"]
    assert late.exit_code == 57 and f"1000000 is yet to come: the last one is {last}" in late.output


def test_who_is_no_person_any_more_is_bounced_and_purged(cluster: Cluster, tmp_path: Path) -> None:
    done = pixraft(
        *("user", "add", "gina", "--role", "person", "--expires", "30d", "--password-stdin"),
        *("--cluster", str(cluster.local.directory)),
        stdin="gina\n",
    )
    assert done.exit_code == 0, done.output
    shown = next(user for user in asked(cluster, "user", "list")["users"] if user["name"] == "gina")
    assert shown["person"] and shown["role"] == "person" and shown["home"] == "/people/gina"
    assert shown["expires"] == 30 * 86_400
    with cluster.login("n1", "anna") as anna, cluster.login("n2", "gina") as gina:
        assert store(anna, "/send/gina/late.jpg", b"late").startswith("226")
        assert store(gina, "/own.jpg", b"own").startswith("226")
    refused = pixraft("user", "set", "gina", "--no-people", "--cluster", str(cluster.local.directory))
    assert refused.exit_code == 51 and "home" in refused.output
    done = asked(cluster, "user", "set", "gina", "--no-people", "--home", "/gina", "--purge", "--yes")
    assert done["purged"] >= 2
    assert states(cluster, "anna", "gina/late.jpg") == [("gina", "bounced")]
    events = [event for event in events_of(cluster) if event["subject"] == "gina"]
    assert [event["event"] for event in events] == ["delivered", "bounced"]
    with cluster.login("n3", "gina") as gina:
        assert names(gina, "/") == ["trash"]
    asked(cluster, "user", "set", "gina", "--people")
    with cluster.login("n3", "gina") as gina:
        assert names(gina, "/") == ["inbox", "send", "shared", "trash"] and names(gina, "/inbox") == []
