"""Commands about names, and how arguments are taken."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from ftpserver import PASSWORD, Client, Server


def test_greeting_and_simple_commands(server: Server, client: Client) -> None:
    assert client.greeting == 220
    for line, code in {
        "SYST": 215,
        "NOOP": 200,
        "TYPE I": 200,
        "TYPE i": 200,
        "TYPE A": 200,
        "TYPE A N": 200,
        "TYPE L 8": 200,
        "TYPE E": 504,
        "MODE S": 200,
        "MODE B": 504,
        "MODE Q": 501,
        "STRU F": 200,
        "STRU R": 504,
        "OPTS UTF8 ON": 200,
        "opts utf8 on": 200,
        "OPTS UTF8 OFF": 504,
        "OPTS NLST x": 501,
        "HELP": 214,
        "HELP STOR": 214,
        "HELP NONSENSE": 501,
        "SITE HELP": 214,
        "STAT": 211,
        "PWD": 257,
        "XPWD": 257,
        "ALLO 100": 200,
        "ALLO 100 R 5": 200,
        "ALLO x": 501,
        "REST 5": 350,
        "REST -5": 501,
        "REST x": 501,
        "REST 0": 350,
        "ABOR": 225,
        "WAT": 500,
        "": 500,
        "SITE WAT": 500,
        "AUTH TLS": 500,
        "USER": 501,
        "PASV x": 501,
        "CWD": 250,
        "PASS x": 503,
        "RNTO x": 503,
        "MFMT x": 501,
        "MFMT 20240230000000 x": 501,
        "SITE CHMOD 644": 501,
        "SITE CHMOD 999 x": 501,
        "SITE CHMOD 644 missing": 550,
    }.items():
        assert client.command(line) == code, (line, client.text)
    assert "pixraft" in server.run(lambda: server.frontend.settings.banner)


def test_directories(client: Client) -> None:
    assert client.command('MKD a "quoted" name') == 257
    assert client.text.startswith('257 "/a ""quoted"" name"')
    assert client.command("MKD d") == 257
    assert client.command("MKD d") == 550
    assert "exists" in client.text
    assert client.command("MKD d/e") == 257
    assert client.command("MKD missing/e") == 550
    assert client.command("CWD d/e") == 250
    assert client.command("CDUP") == 250
    assert client.command("PWD") == 257
    assert '"/d"' in client.text
    assert client.command("CWD ../../../../..") == 250
    assert client.command("CDUP") == 250
    assert client.command("PWD") == 257
    assert '"/"' in client.text
    assert client.command("CWD missing") == 550
    assert client.command("RMD d") == 550
    assert "not empty" in client.text
    assert client.command("RMD d/e") == 250
    assert client.command("XRMD d") == 250
    assert client.command("RMD /") == 550
    assert client.command("RMD d") == 550
    assert client.command("MKD /") == 550


def test_files_and_directories_are_told_apart(server: Server, client: Client) -> None:
    server.run(server.store.put, "/f", b"12345")
    server.run(server.store.put, "/d", None)
    assert client.command("CWD f") == 550
    assert client.command("RMD f") == 550
    assert client.command("DELE d") == 550
    assert client.command("SIZE d") == 550
    assert client.command("MDTM d") == 550
    assert client.command("SIZE f/g") == 550
    client.data().close()
    assert client.command("RETR d") == 550
    assert client.command("STOR d") == 550
    assert client.command("STOR missing/f") == 550
    assert client.command("STOR f/g") == 550
    assert client.command("STOR /") == 550
    assert client.command("MLSD f") == 550
    assert client.command("MLSD missing") == 550
    assert client.command("LIST missing") == 550
    assert client.command("NLST missing") == 550
    assert client.command("SIZE f") == 213
    assert client.text == "213 5"


def test_delete_and_rename(server: Server, client: Client) -> None:
    server.run(server.store.put, "/f", b"f")
    server.run(server.store.put, "/g", b"g")
    server.run(server.store.put, "/d", None)
    assert client.command("RNFR missing") == 550
    assert client.command("RNTO x") == 503
    assert client.command("RNFR /") == 550
    assert client.command("RNFR f") == 350
    assert client.command("RNTO g") == 250
    assert server.run(server.store.read, "/g") == b"f"
    assert client.command("RNTO h") == 503
    assert client.command("RNFR d") == 350
    assert client.command("RNTO d/e") == 550
    assert client.command("RNFR g") == 350
    assert client.command("RNTO d") == 550
    assert client.command("DELE g") == 250
    assert client.command("DELE g") == 550
    assert client.command("DELE /") == 550


def test_times(server: Server, client: Client) -> None:
    server.run(server.store.put, "/name with  spaces", b"x")
    assert client.command("MFMT 20010203040506 name with  spaces") == 213
    assert client.text == "213 Modify=20010203040506; /name with  spaces"
    assert client.command("MDTM name with  spaces") == 213
    assert client.text == "213 20010203040506"
    assert client.command("MFMT 19691231235959.5 name with  spaces") == 213
    assert client.command("MDTM name with  spaces") == 213
    assert client.text == "213 19691231235959"
    assert client.command("MFMT 20010203040506 missing") == 550


@pytest.mark.parametrize(
    "name",
    [
        "ü ñ 写真.jpg",
        " leading and trailing ",
        "-la",
        "-",
        "a;b=c",
        "%s%d",
        "üü",
        "a'b\"c",
        "*?[x]",
        "~",
        "a\\b",
    ],
)
def test_odd_names_survive(server: Server, client: Client, name: str) -> None:
    assert client.store(name, b"abc") == 226
    assert server.run(server.store.read, "/" + name) == b"abc"
    assert client.fetch(f"RETR {name}") == b"abc"
    assert client.fetch("NLST").decode() == name + "\r\n"
    assert client.fetch("LIST").decode().rstrip("\r\n").endswith(" " + name)
    assert client.fetch("MLSD").decode().rstrip("\r\n").split("; ", 1)[1] == name
    assert client.command(f"MLST {name}") == 250
    assert client.lines[1].endswith(f"; /{name}")
    assert client.command(f"DELE {name}") == 250


def test_bad_names_are_refused(server: Server, client: Client) -> None:
    client.data().close()
    for line in (
        b"STOR a\nb",
        b"STOR a\rb",
        b"STOR a\0b",
        b"STOR a\x07b",
        b"STOR " + b"n" * 300,
        b"MKD " + b"n" * 256,
        b"STOR " + b"/".join([b"d"] * 200),
        b"STOR caf\xe9.jpg",
        b"MKD \xff\xfe",
        b"RETR a\nb",
        b"RNFR " + b"n" * 300,
    ):
        assert client.command(line) == 553, (line, client.text)
    assert client.command("NOOP") == 200
    assert server.store.root.children == {}
    assert client.command(b"NOOP \xff") == 501
    assert client.command(b"OPTS \xff") == 501


def test_the_home_directory_cannot_be_left(server: Server) -> None:
    server.run(server.store.put, "/home", None)
    server.run(server.store.put, "/home/carol", None)
    server.run(server.store.put, "/secret", b"secret")
    server.store.accounts["carol"] = replace(server.store.accounts["alice"], name="carol", home="/home/carol")
    with server.client("carol") as client:
        for path in ("../../secret", "/../../secret", "/secret", "x/../../../secret", "../../etc/passwd"):
            assert client.command(f"SIZE {path}") == 550
        assert client.command("CWD ../../..") == 250
        assert client.fetch("NLST") == b""
        assert client.store("../../up.jpg", b"up") == 226
        assert server.run(server.store.read, "/home/carol/up.jpg") == b"up"
        assert client.command("RNFR up.jpg") == 350
        assert client.command("RNTO /../../../secret") == 250
        assert server.run(server.store.read, "/secret") == b"secret"
        assert server.run(server.store.read, "/home/carol/secret") == b"up"


def test_a_missing_home_directory_is_made(server: Server) -> None:
    server.store.accounts["dave"] = replace(server.store.accounts["alice"], name="dave", home="/new/home")
    with server.client("dave") as client:
        assert client.store("a", b"a") == 226
        assert server.run(server.store.read, "/new/home/a") == b"a"


def test_listing_options_and_patterns(server: Server, client: Client) -> None:
    for index, name in enumerate(("c.jpg", "a.jpg", "b.txt", "[x].jpg")):
        server.run(
            lambda name=name, index=index: server.store.put("/" + name, b"x" * index, mtime_ns=index * 10**9)
        )
    server.run(server.store.put, "/sub dir", None)
    server.run(server.store.put, "/sub dir/inner", b"")

    def names(line: str) -> list[str]:
        return client.fetch(line).decode().split("\r\n")[:-1]

    everything = ["[x].jpg", "a.jpg", "b.txt", "c.jpg", "sub dir"]
    for options in ("", " -a", " -la", " -lart"[:3], " -T"[:0], " -al", " -1", " -aF", " -l -a"):
        assert names("NLST" + options) == everything, options
    assert names("NLST -lt")[1:] == ["[x].jpg", "b.txt", "a.jpg", "c.jpg"]
    assert names("NLST -lart")[:4] == ["c.jpg", "a.jpg", "b.txt", "[x].jpg"]
    assert names("NLST *.jpg") == ["[x].jpg", "a.jpg", "c.jpg"]
    assert names("NLST -l sub*") == ["sub dir"]
    assert names("NLST -la sub dir") == ["sub dir/inner"]
    assert names("NLST [x].jpg") == ["[x].jpg"]
    assert names("NLST a.jpg") == ["a.jpg"]
    assert names("NLST *.gif") == []
    assert len(names("LIST -lart")) == 5
    assert client.command("STAT *.jpg") == 213
    assert len(client.lines) == 5
    assert client.command("STAT -la sub dir") == 213
    assert client.lines[1].endswith(" inner")
    assert client.command("STAT missing") == 550


def test_facts(server: Server, client: Client) -> None:
    server.run(lambda: server.store.put("/f", b"12345", mtime_ns=1_000_000_000 * 10**9))
    server.run(server.store.put, "/d", None)
    directory, file = client.fetch("MLSD").decode().split("\r\n")[:2]
    assert file.startswith("type=file;size=5;modify=20010909014640;perm=adfrw;unique=")
    assert file.endswith("; f")
    assert directory.startswith("type=dir;size=0;modify=")
    assert "perm=cdeflmp;" in directory
    assert client.command("OPTS MLST unix.mode;type;nonsense;") == 200
    assert client.text == "200 MLST OPTS type;UNIX.mode;"
    assert client.fetch("MLSD").decode() == "type=dir;UNIX.mode=0755; d\r\ntype=file;UNIX.mode=0644; f\r\n"
    assert client.command("MLST") == 250
    assert client.lines[1] == " type=dir;UNIX.mode=0755; /"


def test_a_large_directory_is_listed_while_others_work(server: Server, client: Client) -> None:
    def fill() -> None:
        for index in range(20_000):
            server.store.put(f"/{index:06d}", b"")

    server.run(fill)
    lines = client.fetch("MLSD").decode().split("\r\n")[:-1]
    assert len(lines) == 20_000
    assert lines[-1].endswith("; 019999")
    assert client.command("STAT /") == 213
    assert len(client.lines) == 20_002


def test_rights_letters(server: Server) -> None:
    server.run(server.store.put, "/f", b"x")
    server.store.accounts["erin"] = replace(server.store.accounts["alice"], name="erin", rights="")
    with server.client("erin") as client:
        client.data().close()
        for line in [
            "CWD /",
            "CDUP",
            "LIST",
            "NLST",
            "MLSD",
            "MLST",
            "STAT /",
            "SIZE f",
            "MDTM f",
            "RETR f",
            "STOR g",
            "STOU",
            "APPE f",
            "DELE f",
            "RMD d",
            "MKD d",
            "RNFR f",
            "MFMT 20240101000000 f",
            "SITE CHMOD 644 f",
            "XMKD d",
            "XCWD /",
        ]:
            assert client.command(line) == 550, (line, client.text)
            assert "right" in client.text
        assert client.command("PWD") == 257
        server.store.accounts["erin"] = replace(server.store.accounts["erin"], rights="l")
        assert client.command("SIZE f") == 213
        server.store.accounts["erin"] = replace(server.store.accounts["erin"], disabled=True)
        assert client.command("SIZE f") == 421
        assert client.at_end()
    with server.client(None) as client:
        assert client.command("USER erin") == 331
        assert client.command(f"PASS {PASSWORD}") == 530


def test_commands_too_long_are_refused_whole(client: Client) -> None:
    client.send(b"NOOP " + b"x" * 100_000)
    client.send(b"NOOP")
    assert client.reply() == 500
    assert client.reply() == 200
    assert client.silent()


def test_what_comes_in_pieces_or_together(client: Client) -> None:
    for byte in b"NOOP\r\n":
        client.sock.sendall(bytes([byte]))
        time.sleep(0.001)
    assert client.reply() == 200
    client.sock.sendall(b"NOOP\r\nPWD\r\nMKD q\r\nNOOP\r\nRMD q\r\nSIZE q\r\n")
    assert [client.reply() for _ in range(6)] == [200, 257, 257, 200, 250, 550]


def test_commands_without_login(server: Server) -> None:
    with server.client(None) as client:
        for line, code in {
            "PWD": 530,
            "LIST": 530,
            "STOR x": 530,
            "STAT /": 530,
            "STAT": 211,
            "FEAT": 211,
        }.items():
            assert client.command(line) == code, line
        assert client.command("PASS x") == 503
        assert client.command("QUIT") == 221
        assert client.at_end()


def test_login_again_and_reinitialise(server: Server, client: Client) -> None:
    assert client.command("CWD /") == 250
    assert client.command("USER bob") == 331
    assert client.command("PWD") == 530
    assert client.command(f"PASS {PASSWORD}") == 230
    assert client.command("REIN") == 220
    assert client.command("PWD") == 530


def test_site_chmod_is_accepted(server: Server, client: Client) -> None:
    server.run(server.store.put, "/f", b"x")
    assert client.command("SITE CHMOD 644 f") == 200
    assert client.command("site chmod 0755 f") == 200


MISLEADING = ["\u202egpj.exe", "a\x85b", "a\x9b31mb", "\u2028", "bom\ufeff"]


@pytest.mark.parametrize("name", MISLEADING)
def test_new_names_that_control_or_hide_text_are_refused(server: Server, client: Client, name: str) -> None:
    server.run(server.store.put, "/fine", b"x")
    for line in (f"MKD {name}", f"STOR {name}", f"APPE {name}", f"STOU {name}"):
        client.passive()
        assert client.command(line) == 553, line
        assert "no characters that control, turn or hide text" in client.text
        assert client.text.isprintable()
    assert client.command("RNFR fine") == 350
    assert client.command(f"RNTO {name}") == 553
    assert list(server.store.root.children) == ["fine"]


@pytest.mark.parametrize("name", MISLEADING)
def test_such_names_from_before_are_read_renamed_and_removed(server: Server, client: Client, name: str) -> None:
    server.run(server.store.put, f"/{name}", b"old")
    server.run(server.store.put, f"/d{name}", None)
    assert client.fetch(f"RETR {name}") == b"old"
    assert name in client.fetch("NLST").decode().split("\r\n"), "exactly: the client sends it back"
    for line in (f"SIZE {name}", f"MDTM {name}", f"HASH {name}", f"MFMT 20240101000000 {name}"):
        assert client.command(line) == 213
        assert client.text.isprintable()
    assert client.command(f"CWD d{name}") == 250
    assert client.command("CWD /") == 250
    assert client.command(f"RNFR {name}") == 350
    assert client.command("RNTO fine") == 250
    assert client.command(f"RMD d{name}") == 250
    server.run(server.store.put, f"/{name}", b"old")
    assert client.command(f"DELE {name}") == 250
