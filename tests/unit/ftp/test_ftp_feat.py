"""FEAT tells the truth: what each of its lines promises is done here; and what is not there is refused as told."""

from __future__ import annotations

import ftplib
import hashlib
import re
import socket
import ssl
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ftpserver import PASSWORD, Client, Server, certificate, known, read_all, serving

from ftpgateway.ftp import compatibility
from raftstore.types import User

DATA = bytes(range(256)) * 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tls_certificate=certificate(tmp_path_factory.mktemp("feat"))) as running:
        yield running


def secure(client: Client) -> None:
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    client.sock = tls.wrap_socket(client.sock)


def auth_tls(server: Server, client: Client) -> None:
    with server.client(None) as other:
        assert other.command("AUTH TLS") == 234
        secure(other)
        assert other.command("NOOP") == 200


def protected(server: Server, client: Client) -> None:
    with server.client(None) as other:
        assert other.command("AUTH TLS") == 234
        secure(other)
        assert [other.command(line) for line in ("USER alice", f"PASS {PASSWORD}", "PBSZ 0", "PROT P")] == [
            *(331, 230, 200, 200)
        ]
        raw = other.data()
        assert other.command("RETR pic") == 150
        tls = ssl.create_default_context()
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
        with tls.wrap_socket(raw) as data:
            assert read_all(data) == DATA
        assert other.reply() == 226


def available(server: Server, client: Client) -> None:
    server.store.free_space = 12000
    assert client.command("AVBL") == 213
    assert client.text == "213 12000"
    server.store.free_space = None
    assert client.command("AVBL pic") == 550


def client_identifies(server: Server, client: Client) -> None:
    assert client.command("CLNT tester 1.0") == 200


def identifies(server: Server, client: Client) -> None:
    assert client.command("CSID Name=tester; Version=1;") == 200
    assert "Name=pixraft;" in client.text


def extended_active(server: Server, client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert client.command(f"EPRT |1|127.0.0.1|{listener.getsockname()[1]}|") == 200
        assert client.command("RETR pic") == 150
        with listener.accept()[0] as data:
            assert read_all(data) == DATA
    assert client.reply() == 226


def extended_passive(server: Server, client: Client) -> None:
    assert client.fetch("RETR pic") == DATA


def hashes(server: Server, client: Client) -> None:
    assert client.command("FEAT") == 211
    line = next(line for line in client.lines if line.startswith(" HASH "))
    names = [name.rstrip("*") for name in line.removeprefix(" HASH ").split(";")]
    expected = {
        "SHA-256": hashlib.sha256(DATA).hexdigest(),
        "SHA-512": hashlib.sha512(DATA).hexdigest(),
        "SHA-1": hashlib.sha1(DATA).hexdigest(),
        "MD5": hashlib.md5(DATA).hexdigest(),
        "CRC32": f"{zlib.crc32(DATA):08x}",
    }
    assert set(names) == set(expected)
    for name in names:
        assert client.command(f"OPTS HASH {name}") == 200
        assert client.text == f"200 {name}"
        assert client.command("HASH pic") == 213
        assert client.text == f"213 {name} 0-{len(DATA) - 1} {expected[name]} /pic"
        assert client.command("FEAT") == 211
        assert re.search(rf"\b{name}\*", next(line for line in client.lines if line.startswith(" HASH ")))
    assert client.command("OPTS HASH ROT13") == 501


def host(server: Server, client: Client) -> None:
    with server.client(None) as other:
        assert other.command("HOST pictures.example.org") == 220
        assert other.command("HOST [::1]") == 220
        assert other.command("HOST ::1") == 220, "lftp leaves the brackets out"
        assert other.command("HOST a b") == 501
        assert other.command("USER alice") == 331
    assert client.command("HOST pictures.example.org") == 503


def language(server: Server, client: Client) -> None:
    assert client.command("LANG EN") == 200
    assert client.command("LANG") == 200


def copies(server: Server, client: Client) -> None:
    assert client.command("SITE COPY pic copied") == 250
    assert server.run(server.store.read, "/copied") == DATA


def modified(server: Server, client: Client) -> None:
    for line in (
        "MFMT 20010203040506 pic",
        "MFF Modify=20020203040506; pic",
        "SITE UTIME 20030203040506 pic",
        "SITE UTIME 200402030405 pic",
        "SITE UTIME pic 20050203040506 20060203040506 20070203040506 UTC",
        "MDTM 20080203040506 pic",
    ):
        assert client.command(line) in (200, 213), client.text
        assert client.command("MDTM pic") == 213
        wanted = (
            "20060203040506" if " UTC" in line else (re.search(r"\d{12,14}", line) or [""])[0].ljust(14, "0")
        )
        assert client.text == f"213 {wanted}"
    assert client.command("MDTM 20080203040506 missing") == 550
    assert client.command("MDTM 2008 pic") == 550
    assert client.command("MFF Mode=644; pic") == 504
    assert client.command("MFF Modify=2002; pic") == 501
    assert client.command("SITE UTIME 20030203040506 missing") == 550


def facts(server: Server, client: Client) -> None:
    assert client.command("FEAT") == 211
    reported = next(line for line in client.lines if line.startswith(" MLST "))
    names = [fact.rstrip("*") for fact in reported.removeprefix(" MLST ").split(";") if fact]
    assert names == ["type", "size", "modify", "perm", "unique", "UNIX.mode"]
    for name in names:
        assert client.command(f"OPTS MLST {name};") == 200
        assert client.text == f"200 MLST OPTS {name};"
        assert client.command("MLST pic") == 250
        assert re.fullmatch(rf" {name}=[^;]+; /pic", client.lines[1])
        assert client.fetch("MLSD").startswith(f"{name}=".encode())
    assert client.command("OPTS MLST type;size;modify;perm;unique;UNIX.mode;") == 200


def ranges(server: Server, client: Client) -> None:
    assert client.command("RANG 3 7") == 350
    assert client.fetch("RETR pic") == DATA[3:8]
    assert client.fetch("RETR pic") == DATA, "once"
    assert client.command("RANG 2000 99999") == 350
    assert client.fetch("RETR pic") == DATA[2000:]
    assert client.command("RANG 3 7") == 350
    assert client.command("HASH pic") == 213
    assert client.text.startswith("213 CRC32 3-7 ")
    assert client.command("RANG 3 7") == 350
    assert client.command("RANG 1 0") == 350
    assert client.fetch("RETR pic") == DATA
    assert client.command("RANG 7 3") == 501
    assert client.command("RANG 7") == 501
    for line in ("STOR pic", "APPE pic"):
        assert client.command("RANG 0 3") == 350
        client.data().close()
        assert client.command(line) == 450
    assert client.fetch("RETR pic") == DATA


def restart(server: Server, client: Client) -> None:
    assert client.command("REST 2000") == 350
    assert client.fetch("RETR pic") == DATA[2000:]
    assert client.store("up", DATA) == 226
    assert client.command("REST 2000") == 350
    assert client.store("up", b"tail") == 226
    assert server.run(server.store.read, "/up") == DATA[:2000] + b"tail"


def remove_all(server: Server, client: Client) -> None:
    assert client.command("MKD tree") == 257
    assert client.store("tree/a", b"a") == 226
    assert client.command("RMDA tree") == 250
    assert client.command("MLST tree") == 550


def size(server: Server, client: Client) -> None:
    for kind in ("TYPE A", "TYPE I"):
        assert client.command(kind) == 200
        assert client.command("SIZE pic") == 213
        assert client.text == f"213 {len(DATA)}"


def virtual_paths(server: Server, client: Client) -> None:
    """TVFS: absolute and relative paths, `..` and all, wherever a path is taken."""
    assert client.command("MKD d") == 257
    assert client.command("CWD /d/../d/.") == 250
    assert client.fetch("RETR ../pic") == DATA
    assert client.command("CWD /") == 250


def utf8(server: Server, client: Client) -> None:
    assert client.command("OPTS UTF8 ON") == 200
    name = "写真 \U0001f468\u200d\U0001f469\u200d\U0001f467 é"
    assert client.command(f"MKD {name}") == 257
    assert client.command(f"CWD {name}") == 250
    assert client.command("PWD") == 257
    assert client.text.startswith(f'257 "/{name}"'), "fit to be sent back"
    assert client.command("CWD /") == 250


def older_checksum(digest: Callable[[bytes], str]) -> Callable[[Server, Client, str], None]:
    def check(server: Server, client: Client, command: str) -> None:
        def answer(argument: str) -> str:
            assert client.command(f"{command} {argument}") == 250, client.text
            return client.text

        server.run(server.store.put, '/a "b" 5', DATA)
        assert answer("pic") == answer('"pic"') == answer('"pic" 0') == f"250 {digest(DATA).upper()}"
        assert answer('"pic" 100') == answer("pic 100") == f"250 {digest(DATA[100:]).upper()}"
        assert answer('"pic" 100 200') == answer("pic 100 200") == f"250 {digest(DATA[100:200]).upper()}"
        assert answer('a "b" 5') == answer('"a ""b"" 5"') == f"250 {digest(DATA).upper()}"
        assert answer('"pic" 5 5') == f"250 {digest(b'').upper()}"
        assert client.command(f'{command} "pic" 200 100') == 501
        assert client.command(f'{command} "pic" 99999') == 501
        assert client.command(f"{command} missing") == 550
        assert client.command(f"{command} /") == 550

    return check


OLDER = {
    "XCRC": older_checksum(lambda data: f"{zlib.crc32(data):08x}"),
    "XMD5": older_checksum(lambda data: hashlib.md5(data).hexdigest()),
    "XSHA1": older_checksum(lambda data: hashlib.sha1(data).hexdigest()),
    "XSHA256": older_checksum(lambda data: hashlib.sha256(data).hexdigest()),
    "XSHA512": older_checksum(lambda data: hashlib.sha512(data).hexdigest()),
}
PROOFS: dict[str, Callable[[Server, Client], None]] = {
    "AUTH TLS": auth_tls,
    "AVBL": available,
    "CLNT": client_identifies,
    "CSID": identifies,
    "EPRT": extended_active,
    "EPSV": extended_passive,
    "HASH": hashes,
    "HOST": host,
    "LANG EN*": language,
    "MDTM": modified,
    "MFF Modify;": modified,
    "MFMT": modified,
    "MLST": facts,
    "PBSZ": protected,
    "PROT": protected,
    "RANG STREAM": ranges,
    "REST STREAM": restart,
    "RMDA <path>": remove_all,
    "SITE COPY": copies,
    "SITE UTIME": modified,
    "SIZE": size,
    "TVFS": virtual_paths,
    "UTF8": utf8,
}


def test_every_line_of_feat_is_true(server: Server) -> None:
    server.run(server.store.put, "/pic", DATA)
    with server.client() as client:
        assert client.command("FEAT") == 211
        lines = client.lines[1:-1]
        assert all(line.startswith(" ") for line in lines), "RFC 2389"
        for line in lines:
            feature = line[1:]
            if feature in OLDER:
                OLDER[feature](server, client, feature)
                continue
            proof = PROOFS.get(feature) or PROOFS[feature.partition(" ")[0]]
            proof(server, client)
    with serving() as plain, plain.client(None) as client:
        assert client.command("FEAT") == 211
        assert not {" AUTH TLS", " PBSZ", " PROT"} & set(client.lines), "no certificate"


def test_what_is_not_there_is_refused_as_the_page_says(server: Server) -> None:
    with server.client(None) as client:
        assert client.command("AUTH TLS") == 234
        secure(client)
        assert client.command("USER alice") == 331
        assert client.command(f"PASS {PASSWORD}") == 230
        assert client.command("PBSZ 0") == 200
        for line, code, _ in compatibility.ABSENT:
            if not line.startswith("AUTH"):
                assert client.command(line) == code, (line, client.text)
        assert client.command("NOOP") == 200
    with server.client() as client:
        assert client.command("AUTH GSSAPI") == 504
        assert client.command("CCC") == 533


def test_help_knows_every_command(server: Server) -> None:
    with server.client() as client:
        assert client.command("HELP") == 214
        listed = " ".join(client.lines[1:-1]).split()
        listed.remove("SITE")
        assert client.command("SITE HELP") == 214
        listed += [f"SITE {name}" for name in " ".join(client.lines[1:-1]).split()]
        assert sorted(listed) == sorted(known(tls=True))
        for name in listed:
            site, _, rest = name.rpartition(" ")
            assert client.command(f"{site} HELP {rest}".strip()) == 214
            assert client.text.startswith(f"214 Syntax: {name}")
        assert client.command("HELP SITE") == 214
        assert client.command("HELP NONSENSE") == 501
        assert client.command("SITE") == 501


def test_ftplib_aborts_with_urgent_data(server: Server) -> None:
    """It marks the whole line as urgent, without the telnet bytes."""
    server.run(server.store.put, "/long", bytes(60_000_000))
    ftp = ftplib.FTP(timeout=30)
    ftp.connect("127.0.0.1", server.port)
    ftp.login("alice", PASSWORD)
    data = ftp.transfercmd("RETR long")
    assert data.recv(1)
    assert ftp.abort().startswith("426")
    assert ftp.getresp().startswith("226")
    data.close()
    assert ftp.voidcmd("NOOP").startswith("200")
    ftp.close()


def test_status_while_data_moves(server: Server, tmp_path: Path) -> None:
    with server.client() as client:
        data = client.data()
        assert client.command("STOR status") == 150
        data.sendall(b"x" * 1000)
        server.wait_for(lambda: any(s.transfer and s.transfer.moved == 1000 for s in server.frontend._sessions))
        assert client.command("STAT") == 211
        assert " STOR: 1000 bytes moved so far." in client.lines
        assert " Logged in as: alice" in client.lines
        data.close()
        assert client.reply() == 226


EXAMPLES = {
    **dict.fromkeys(("LIST", "NLST", "MLSD"), "/d"),
    **dict.fromkeys(("MLST", "STAT", "SIZE", "MDTM", "RETR", "HASH", "DELE", "RNFR", "APPE"), "/d/f"),
    **dict.fromkeys(("XCRC", "XMD5", "XSHA", "XSHA1", "XSHA256", "XSHA512"), "/d/f"),
    **dict.fromkeys(("CWD", "XCWD", "AVBL"), "/d"),
    **dict.fromkeys(("CDUP", "XCUP"), ""),
    **dict.fromkeys(("RMD", "XRMD"), "/d/empty"),
    **dict.fromkeys(("MKD", "XMKD", "STOR", "STOU"), "/d/new"),
    "RMDA": "/d/tree",
    "RNTO": "/d/renamed",
    "MFMT": "20010203040506 /d/f",
    "MFF": "Modify=20010203040506; /d/f",
    "SITE UTIME": "20010203040506 /d/f",
    "SITE CHMOD": "644 /d/f",
    "SITE SEND": "/d/f bob",
    "SITE CPFR": "/d/f",
    "SITE CPTO": "/d/copied",
    "SITE COPY": "/d/f /d/copied",
}
"""What to send for each command that the page gives a right to."""


def test_the_right_on_the_page_is_the_right_that_is_needed(server: Server) -> None:
    declared = {name: found.right for name, found in known(tls=True).items() if found.right}
    assert set(EXAMPLES) == set(declared)
    original = replace(server.store.accounts["alice"], person=True)
    server.store.accounts["bob"] = User("bob", "", home="/people/bob", person=True)
    for name, letters in declared.items():

        def fill() -> None:
            server.store.root.children.clear()
            for path in ("/d", "/d/empty", "/d/tree", "/d/tree/deep"):
                server.store.put(path, None)
            server.store.put("/d/f", b"x", "bob")

        server.run(fill)
        rights = "".join(letter for letter in original.rights if letter not in letters)
        server.run(server.store.change_account, "alice", replace(original, rights=rights))
        with server.client() as client:
            line = f"{name} {EXAMPLES[name]}".strip()
            before = {"RNTO": "RNFR /d/f", "SITE CPTO": "SITE CPFR /d/f"}.get(name, "EPSV")
            assert client.command(before) in (229 if before == "EPSV" else 350, 550)
            denied = client.command(line)
            # Without the right to rename there is nothing that RNTO could go on from.
            assert denied == (503 if name == "RNTO" else 550), (line, client.text)
            server.run(server.store.change_account, "alice", original)
        with server.client() as client:
            if before != "EPSV":
                assert client.command(before) == 350
            elif name in ("LIST", "NLST", "MLSD", "RETR", "APPE", "STOR", "STOU"):
                client.data().close()
            assert client.command(line) < 400, (line, client.text)
    server.run(server.store.change_account, "alice", original)
