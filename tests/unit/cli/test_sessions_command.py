"""`pixraft sessions`: what it prints of answers."""

from __future__ import annotations

from ftpgateway.cli import output
from ftpgateway.cli.errors import NotReachable
from ftpgateway.cli.operating import sessions
from raftstore.errors import Refused
from raftstore.wire import admin_pb2 as admin

NOW = 1_700_000_300 * 10**9


def answer() -> admin.Sessions:
    made = admin.Sessions(count=3, time_ns=NOW)
    began = 1_700_000_000 * 10**9
    one = made.sessions.add(number=4, protocol="ftps", user="anna", address="192.0.2.1", began_ns=began)
    one.operations.add(what="upload", path="/a b.jpg", moved=3 * 1024**2, seconds=2.0)
    two = made.sessions.add(number=7, protocol="sftp", user="bob", address="192.0.2.2", began_ns=began)
    two.operations.add(what="rmdir", path="/old", seconds=1.25)
    two.operations.add(what="download", path="/n.jpg", moved=0, seconds=0.0)
    made.sessions.add(number=9, protocol="ftp", address="192.0.2.3", began_ns=NOW)
    return made


def test_the_table_says_what_each_does() -> None:
    lines = sessions.plain({"n1": answer()}, {"n2": NotReachable("no route")}).splitlines()
    assert lines[0].split() == list(sessions._TITLES)
    assert lines[1].endswith("upload /a b.jpg, 3.0 MiB at 1.5 MiB/s") and "  5m  " in lines[1]
    assert lines[2].endswith("rmdir /old, for 1.2 s; download /n.jpg, 0 B")
    assert lines[3].split()[:5] == ["n1", "9", "ftp", "(logs", "in)"]
    assert lines[4:] == ["3 sessions at 1 node.", "n2 does not answer: no route"]


def test_the_json_has_rates_and_nulls() -> None:
    one, two, three = (sessions.shape("n1", each) for each in answer().sessions)
    assert one == {
        "node": "n1",
        "session": 4,
        "protocol": "ftps",
        "user": "anna",
        "address": "192.0.2.1",
        "since": "2023-11-14T22:13:20Z",
        "operations": [
            {"what": "upload", "path": "/a b.jpg", "bytes": 3 << 20, "seconds": 2.0, "rate": 3 << 19}
        ],
    }
    assert two["operations"][0]["bytes"] is None  # type: ignore[index]
    assert three["user"] is None and three["operations"] == []


def test_only_those_of_a_user() -> None:
    found = sessions.of_user({"n1": answer()}, "bob")
    assert [one.number for one in found["n1"].sessions] == [7] and found["n1"].count == 1


def test_what_a_node_says_counts_more_than_that_none_answers() -> None:
    refused = Refused("no admin")
    assert sessions.no_answer({"n1": NotReachable("a"), "n2": refused}) is refused
    assert str(sessions.no_answer({"n1": NotReachable("a")})) == "No node of the cluster answers: n1: a"


def test_ages_for_people() -> None:
    shown = [output.age(seconds) for seconds in (-1, 0.4, 42, 60, 185, 3600, 7850, 86_400 * 4 + 7200, 90_000)]
    assert shown == ["0s", "0s", "42s", "1m", "3m 5s", "1h", "2h 10m", "4d 2h", "1d 1h"]
