"""Decisions without I/O: the gate, replies, listings, settings."""

from __future__ import annotations

import itertools

import pytest
from ftpserver import known as commands

import raftstore.errors
from ftpgateway.ftp import listings
from ftpgateway.ftp.gate import Phase, may_run, passes_queue
from ftpgateway.ftp.interface import Command
from ftpgateway.ftp.replies import quoted, refusal
from ftpgateway.ftp.settings import FtpSettings
from ftpgateway.serving.refusals import Doing
from raftstore.errors import StoreError
from raftstore.types import Entry, Kind, Order

AFTER_TRANSFER = {
    *("PASV", "EPSV", "PORT", "EPRT", "RETR", "STOR", "APPE", "STOU", "LIST", "NLST", "MLSD"),
    *("HOST", "USER", "PASS", "REIN", "AUTH", "PROT", "PBSZ", "QUIT"),
}
"""Commands that touch the data connection or the login."""


def meant(name: str, *, argument: bool = False) -> Command:
    found = commands(tls=True)[name]
    return found if argument or found.bare is None else found.bare


def runs(name: str, phase: Phase, *, waiting: bool = False, argument: bool = False) -> bool:
    return may_run(meant(name, argument=argument).beside, waiting=waiting, phase=phase)


def passes(name: str, phase: Phase, *, waiting: bool = False, argument: bool = False) -> bool:
    return passes_queue(meant(name, argument=argument).beside, waiting=waiting, phase=phase)


def test_while_a_command_waits_everything_queues() -> None:
    for command, phase in itertools.product(commands(tls=True), Phase):
        assert not runs(command, phase, waiting=True)
        assert not passes(command, phase, waiting=True)


def test_nothing_under_way() -> None:
    for command in commands(tls=True):
        assert runs(command, Phase.NONE)
        assert not passes(command, Phase.NONE)


def test_while_data_moves() -> None:
    for command in commands(tls=True):
        assert runs(command, Phase.MOVING) is (command not in AFTER_TRANSFER)
        assert passes(command, Phase.MOVING) is (command in ("ABOR", "STAT"))
    assert not passes("STAT", Phase.MOVING, argument=True)
    assert runs("STAT", Phase.MOVING, argument=True)


def test_while_a_commit_is_pending() -> None:
    for command in commands(tls=True):
        assert runs(command, Phase.SETTLING) is (command == "STAT")
        assert passes(command, Phase.SETTLING) is (command == "STAT")
    assert not runs("STAT", Phase.SETTLING, argument=True)


def test_commands_that_ask_the_store_run_in_greenlets() -> None:
    table = commands(tls=True)
    assert [name for name, found in table.items() if found.inline and found.right] == []
    assert not table["PASS"].inline
    assert table["PASV"].inline
    assert meant("STAT").inline


def all_errors(kind: type[StoreError] = StoreError) -> list[type[StoreError]]:
    return [kind, *(found for sub in kind.__subclasses__() for found in all_errors(sub))]


@pytest.mark.parametrize("doing", Doing)
@pytest.mark.parametrize(
    "kind", [kind for kind in all_errors() if kind.__module__ == raftstore.errors.__name__]
)
def test_every_error_has_a_reply(kind: type[StoreError], doing: Doing) -> None:
    reply = refusal(kind("detail\r\n226 injected"), doing)
    assert 400 <= int(reply[:3]) < 600
    assert reply[3] == " "
    assert "\r" not in reply
    assert "\n" not in reply
    assert len(reply) > 15


def test_quotes_are_doubled() -> None:
    assert quoted('/a "b"') == '"/a ""b"""'
    family = "/\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert quoted(family) == f'"{family}"', "a client sends it back as it is"


@pytest.mark.parametrize(
    ("argument", "path", "flags"),
    [
        ("", "", ""),
        ("-la", "", ""),
        ("-lart", "", "tr"),
        ("-lR", "", "R"),
        ("-ld sub", "sub", "d"),
        ("-a -l", "", ""),
        ("-la dir name", "dir name", ""),
        ("-t -r x", "x", "tr"),
        ("-S", "", "S"),
        ("dir -la", "dir -la", ""),
        ("-weird name", "-weird name", ""),
        ("-- -la", "-la", ""),
        ("-l -- -la", "-la", ""),
        ("./-la", "./-la", ""),
        ("-", "-", ""),
    ],
)
def test_requests(argument: str, path: str, flags: str) -> None:
    request = listings.parse_request(argument)
    order = Order.TIME if "t" in flags else Order.SIZE if "S" in flags else Order.NAME
    assert request == listings.Request(path, order, *(letter in flags for letter in "rRd"))


def entry(name: str = "a", size: int = 5, mtime: int = 0, *, directory: bool = False) -> Entry:
    return Entry(name, Kind.DIRECTORY if directory else Kind.FILE, 255, size, mtime * 10**9, "alice", 1)


def test_list_lines() -> None:
    now = 1_700_000_000.0
    assert listings.list_line(entry("x y", 12345, 1_699_999_999), now) == (
        "-rw-r--r--   1 ftp      ftp         12345 Nov 14 22:13 x y"
    )
    assert listings.list_line(entry("d", 0, 1_000_000_000, directory=True), now) == (
        "drwxr-xr-x   2 ftp      ftp             0 Sep  9  2001 d"
    )
    assert "Nov 19  2033" in listings.list_line(entry(mtime=2_016_000_000), now), "the future shows its year"
    assert "1970" in listings.list_line(entry(mtime=10**30), now), "a time that no calendar knows does no harm"
    assert listings.timestamp(10**40) == "19700101000000"


def test_facts_follow_the_rights() -> None:
    writer = listings.FactWriter(["type", "perm", "unique", "UNIX.mode"], "elr")
    assert writer.line(entry("a b")) == "type=file;perm=r;unique=ff;UNIX.mode=0644; a b"
    assert writer.line(entry("d", directory=True)) == "type=dir;perm=el;unique=ff;UNIX.mode=0755; d"
    assert listings.FactWriter([], "").line(entry("a")) == " a"


def test_lines_as_they_are_sent() -> None:
    assert listings.block(["a", "b c"]) == b"a\r\nb c\r\n"
    assert listings.block([]) == b""


def test_settings_are_checked() -> None:
    for ports in ((0, 5), (10, 5), (10, 70_000)):
        with pytest.raises(ValueError, match="passive_ports"):
            FtpSettings(passive_ports=ports)
