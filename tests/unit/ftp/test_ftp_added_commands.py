"""An FTP command is added in one file: whoever gives that to the front-end has all of it."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import addedcommands
import pytest
from ftpserver import Server, known, serving

from ftpgateway.ftp import compatibility
from ftpgateway.ftp.commands import MODULES
from ftpgateway.ftp.interface import command, declared

ALL = (*MODULES, addedcommands)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(modules=ALL) as running:
        running.run(running.store.put, "/pic", b"x" * 10, "bob")
        yield running


def test_what_was_added_runs(server: Server) -> None:
    with server.client() as client:
        assert client.command("SITE OWNER pic") == 200
        assert client.text == "200 bob"
        assert client.command("SITE OWNER missing") == 550
        assert client.command("SITE OWNER") == 501
        assert client.command("XNAMES") == 425
        assert client.fetch("XNAMES") == b"pic\n"


def test_it_needs_a_login_unless_it_says_otherwise(server: Server) -> None:
    with server.client(None) as client:
        assert [client.command(line) for line in ("XCOUNT", "SITE OWNER pic", "XNAMES")] == [530] * 3


def test_it_remembers_until_the_user_logs_out(server: Server) -> None:
    with server.client() as client, server.client() as other:
        assert client.command("XCOUNT") == 200
        assert client.command("XTALLY") == 200
        assert client.text == "200 2"
        assert other.command("XCOUNT") == 200
        assert other.text == "200 1"
        assert client.command("REIN") == 220
        assert client.command("USER alice") == 331
        assert client.command("PASS correct horse") == 230
        assert client.command("XCOUNT") == 200
        assert client.text == "200 1"


def test_help_feat_opts_and_the_page_know_it(server: Server) -> None:
    with server.client() as client:
        assert client.command("HELP xcount") == 214
        assert client.text == "214 Syntax: XCOUNT (count)."
        assert client.command("SITE HELP") == 214
        assert "OWNER" in " ".join(client.lines).split()
        assert client.command("OPTS XCOUNT 5") == 200
        assert client.command("FEAT") == 211
        assert {" XCOUNT 5", " SITE OWNER"} <= set(client.lines)
        assert client.command("OPTS XNAMES") == 501
    row = "| `SITE OWNER <path>` | a test | l | whose a file is |"
    assert row in compatibility.page(ALL).splitlines()
    assert row not in compatibility.page().splitlines()


def test_only_what_touches_the_data_connection_waits_for_a_transfer(server: Server) -> None:
    with server.client() as client:
        data = client.data()
        assert client.command("STOR up") == 150
        assert client.command("SITE OWNER pic") == 200
        client.send("XNAMES")
        client.send("XCOUNT")
        assert client.silent()
        data.close()
        assert [client.reply() for _ in range(3)] == [226, 425, 200]


def test_who_was_not_given_it_does_not_know_it() -> None:
    with serving() as plain, plain.client() as client:
        assert client.command("XCOUNT") == 500


def test_two_commands_of_one_name_are_refused() -> None:
    module = ModuleType("module")
    module.same = addedcommands.xcount  # type: ignore[attr-defined]
    assert declared([addedcommands, module], tls=False) == declared([addedcommands], tls=False), "imported, too"
    module.other = command("XTALLY", "an older name of XCOUNT")(lambda session, argument: None)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="XTALLY"):
        declared([addedcommands, module], tls=False)


def test_a_command_without_a_certificate_is_none() -> None:
    assert set(known(tls=True)) - set(known(tls=False)) == {"AUTH", "PBSZ", "PROT", "CCC"}
