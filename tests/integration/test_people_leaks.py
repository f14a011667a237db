"""What is a person's is nobody else's to see: every command of FTP and SFTP tried on it tells what of a missing name.

The commands come from the front-ends' own tables, so that a new one is tried, too. Each is tried on a name that is
there and on a twin that is not; both replies must be the same refusal.
"""

from __future__ import annotations

import contextlib
import ftplib
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import paramiko
import pytest
from blake3 import blake3
from harness import Cluster
from paramiko.message import Message
from persons import QUICK, asked, fetched, names, put, put_person, said, sftp, store
from waiting import eventually

from ftpgateway.ftp.commands import MODULES
from ftpgateway.ftp.interface import Command, declared
from ftpgateway.sftp import packets

pytestmark = pytest.mark.integration

SECRET = b"\xff\xd8\xff a secret picture"
DIGEST = blake3(SECRET).hexdigest()
HALF = b"0123456789" * 1000

TARGETS = (
    ("/people/@inbox/bob/anna/secret.jpg", "/people/@inbox/bob/anna/absent.jpg"),
    ("/people/@inbox/bob/anna", "/people/@inbox/bob/zora"),
    ("/people/@inbox/bob", "/people/@inbox/rob"),
    ("/people/@inbox", "/people/@index"),
    ("/people/@sent/anna/bob/secret.jpg", "/people/@sent/anna/bob/absent.jpg"),
    ("/people/@sent/anna/bob", "/people/@sent/anna/rob"),
    ("/people/@sent/anna/bob/half.jpg", "/people/@sent/anna/bob/none.jpg"),
    ("/people/@trash/anna/binned.jpg", "/people/@trash/anna/absent.jpg"),
    ("/people/anna/mine.jpg", "/people/anna/none.jpg"),
    ("/people/anna/half.jpg", "/people/anna/none.jpg"),
    ("/people/anna", "/people/zora"),
)
"""In the catalog's names, as an account sees them whose home is /: what is there, and its twin that is not."""

OF_A_PERSON = (
    *((f"/inbox/../..{path.removeprefix('/people')}", f"/..{twin}") for path, twin in TARGETS[:3]),
    ("/inbox/anna/secret.jpg", "/inbox/anna/absent.jpg"),
    ("/inbox/anna", "/inbox/zora"),
    ("/trash/binned.jpg", "/trash/absent.jpg"),
    ("/send/bob/secret.jpg", "/send/bob/absent.jpg"),
    ("/send/bob/half.jpg", "/send/bob/none.jpg"),
    ("/send/.failed/secret.jpg", "/send/.failed/absent.jpg"),
    ("/mine.jpg", "/none.jpg"),
    ("/half.jpg", "/none.jpg"),
)
"""In a person's own view, where these would lie if it were somebody else's."""

YES = ("RMD /inbox/", "XRMD /inbox/", "rmdir /inbox/")
"""What is answered with yes in one's own /inbox, whatever is there: directories go with the last file in them."""

TOKENS = {
    "<path>": None,
    "<directory>": None,
    "<mode>": "644",
    "<name>": "carol",
    "YYYYMMDDHHMMSS": "20200101000000",
    "YYYYMMDDhhmm[ss]": "202001010000",
}
"""What stands for arguments in the syntax of commands; None: the name that is tried."""

COMMANDS = {
    name: one
    for name, one in declared(MODULES, tls=True).items()
    if "<path>" in one.syntax or "<directory>" in one.syntax
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    environment = {
        "PIXRAFT_FTP_ANONYMOUS": "true",
        "PIXRAFT_FTP_ANONYMOUS_ROOT": "/",
        "PIXRAFT_PEOPLE_LIST": "false",
    }
    with Cluster(tmp_path_factory.mktemp("leaks"), environment=environment, sftp=True) as running:
        for name in ("anna", "bob", "carol"):
            put_person(running, name, trash_ns=30 * 86_400 * 10**9)
        put(running, "keeper", password_hash=QUICK.hash("keeper"), create=True, home="/")
        with running.login("n1", "anna") as anna:
            for path in ("/send/bob/secret.jpg", "/mine.jpg", "/binned.jpg"):
                assert store(anna, path, SECRET).startswith("226")
            anna.delete("/binned.jpg")
        for path in ("/send/bob/half.jpg", "/half.jpg"):
            _begin(running, path)
        yield running


def _begin(cluster: Cluster, path: str) -> None:
    """Leave an upload to be resumed."""
    with cluster.login("n1", "anna") as anna:
        anna.voidcmd("TYPE I")
        with anna.transfercmd(f"STOR {path}") as data:
            data.sendall(HALF)
            eventually(lambda: f"{len(HALF)} bytes moved" in anna.sendcmd("STAT"))
            anna.putcmd("ABOR")
            assert anna.getmultiline().startswith("4") and anna.getmultiline().startswith("226")


@dataclass(frozen=True)
class Line:
    """A command as it is sent; `writes`: it takes data."""

    text: str
    writes: bool = False


def lines(command: Command, path: str) -> list[Line]:
    """Return how a command is sent for a name: with options and without, as far as its syntax has them."""
    found = []
    for options in ("-la ", "-R ", "") if "[<options>]" in command.syntax else ("",):
        text = command.syntax.replace("[<options>] ", options)
        for token, value in TOKENS.items():
            text = text.replace(token, path if value is None else value)
        while (
            shorter := re.sub(r" ?\[[^\[\]/]*\]", "", text)
        ) != text:  # what may be left out, and has no name
            text = shorter
        text = text.replace(f"[{path}]", path)
        assert not re.search(r"[<>\[\]]", text), f"{command.name}: what stands for {command.syntax}?"
        found.append(Line(f"{command.name} {text}", command.right in ("w", "a")))
    return found


def answer(ftp: ftplib.FTP, line: Line) -> str:
    """Return all that the server says to a command, on both connections."""
    host, port = ftp.makepasv()
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=60) as data:
        reply = said(ftp.sendcmd, line.text)
        if reply[:1] != "1":
            return reply
        came = b""
        if line.writes:
            data.sendall(b"x")
            data.shutdown(socket.SHUT_WR)
        else:
            while block := data.recv(1 << 16):
                came += block
        return f"{reply}\n{came!r}\n{said(ftp.voidresp)}"
    raise AssertionError(f"no reply to {line}")


def alike(reply: str, path: str) -> str:
    """Return a reply without the name that was asked for."""
    return reply.replace(path, "NAME").replace(path.rpartition("/")[2], "NAME")


def attempts(ftp: ftplib.FTP, command: Command, path: str) -> Iterator[tuple[str, str]]:
    """Yield what was sent, and the reply, of all ways in which a command takes a name."""
    for line in lines(command, path):
        if command.name == "RNTO":
            assert said(ftp.sendcmd, "RNFR /own.jpg").startswith("350")
        if line.writes:
            ftp.sendcmd("REST 3")
            yield f"REST 3, {line.text}", answer(ftp, line)
        yield line.text, answer(ftp, line)
        if command.name == "RNFR":
            yield "RNTO", said(ftp.sendcmd, "RNTO /stolen.jpg")


def refused(reply: str, sent: str) -> bool:
    """Whether nothing was done, and nothing was told."""
    listing = sent.startswith(("LIST", "NLST", "MLSD", "STAT"))
    empty = listing and (reply.count("\n") <= 1 or "\nb''\n" in reply)
    return reply[:1] in ("4", "5") or empty


@pytest.mark.parametrize("account", ["keeper", "anonymous"])
def test_no_command_of_ftp_tells_a_member_what_persons_have(cluster: Cluster, account: str) -> None:
    with cluster.login("n3", account) as ftp:
        if account == "keeper":
            assert store(ftp, "/own.jpg", b"own").startswith("226")
        for name, command in COMMANDS.items():
            if name == "RNTO" and account == "anonymous":
                continue  # it has nothing to rename
            for path, twin in TARGETS:
                there = list(attempts(ftp, command, path))
                missing = list(attempts(ftp, command, twin))
                for (sent, reply), (_, other) in zip(there, missing, strict=True):
                    assert refused(reply, sent) or name == "AVBL", (sent, reply)
                    assert alike(reply, path) == alike(other, twin), sent
        # That there is a /people is no secret; but nothing is done with it.
        for name, command in COMMANDS.items():
            if name == "RNTO" and account == "anonymous":
                continue
            for path in ("/people", "/people/@sent", "/people/new", "/people/@inbox/new"):
                if (name, path) == ("STOU", "/people"):
                    continue  # it makes a name of its own beside it
                for sent, reply in attempts(ftp, command, path):
                    assert refused(reply, sent), (sent, reply)
        for number in (*map(str, range(1, 30)), DIGEST, DIGEST.upper(), f"#{DIGEST}"):
            for prefix in ("/", "/people/", "/people/@inbox/"):
                assert said(ftp.sendcmd, f"MLST {prefix}{number}").startswith("550"), number
        listed: list[str] = []
        ftp.retrlines("LIST -R /", listed.append)
        shown = [line for line in listed if re.search("people|secret|mine|half|@", line)]
        assert shown == []
    _nothing_has_changed(cluster)


def test_the_same_tries_tell_the_owner(cluster: Cluster) -> None:
    """Else the other tests would hold whatever the server did."""
    with cluster.login("n2", "bob") as ftp:
        looks = [
            one
            for one in COMMANDS.values()
            if one.right in ("r", "lr") and one.name not in ("SITE SEND", "SITE COPY")
        ]
        assert len(looks) >= 10
        for command in looks:
            path, twin = "/inbox/anna/secret.jpg", "/inbox/anna/absent.jpg"
            for (sent, reply), (_, other) in zip(
                attempts(ftp, command, path), attempts(ftp, command, twin), strict=True
            ):
                assert alike(reply, path) != alike(other, twin) and not refused(reply, sent), sent


def test_no_command_of_ftp_tells_a_person_what_others_have(cluster: Cluster) -> None:
    with cluster.login("n2", "carol") as ftp:
        assert store(ftp, "/own.jpg", b"own").startswith("226")
        for name, command in COMMANDS.items():
            if command.right in ("w", "a", "m") or name == "RNTO":
                continue  # its own names, where it may write; others' places are none of them
            for path, twin in OF_A_PERSON:
                for (sent, reply), (_, other) in zip(
                    attempts(ftp, command, path), attempts(ftp, command, twin), strict=True
                ):
                    assert refused(reply, sent) or sent.startswith(YES), (sent, reply)
                    assert alike(reply, path) == alike(other, twin), sent
        # Whether there is such a person is not told either, in a cluster whose settings do not list them.
        for words in (
            "SITE BLOCK {}",
            "SITE UNBLOCK {}",
            "CWD /send/{}",
            "MLST /send/{}",
            "SIZE /send/{}",
            "MDTM /send/{}",
        ):
            replies = {
                re.sub("unique=.*?;", "", said(ftp.sendcmd, words.format(who))).replace(who, "NAME")
                for who in ("bob", "rob")
            }
            assert len(replies) == 1, replies
        assert names(ftp, "/send") == [] and names(ftp, "/inbox") == []
    _nothing_has_changed(cluster)


# SFTP.

REQUEST_FIELDS: dict[str, Callable[[bytes], tuple[Any, ...]] | None] = {
    "open": lambda path: (path, packets.FLAG_READ, 0),
    "setstat": lambda path: (path, 8, 1, 1),
    "mkdir": lambda path: (path, 0),
    "rename": lambda path: (path, b"/stolen.jpg"),
    "symlink": lambda path: (path, b"/stolen.jpg"),
    **dict.fromkeys(("close", "read", "write", "fstat", "fsetstat", "readdir")),
}
"""What follows the kind of a request; those of a handle, None, need an OPEN that is refused. All others: a path."""
EXTENSION_FIELDS: dict[str, Callable[[bytes], tuple[Any, ...]] | None] = {
    "limits@openssh.com": None,
    "fsync@openssh.com": None,
    "fstatvfs@openssh.com": None,
    "statvfs@openssh.com": None,
    "expand-path@openssh.com": None,
    "lsetstat@openssh.com": lambda path: (path, 8, 1, 1),
}
"""The same of extensions; all others: two paths. `statvfs` and `expand-path` ask for nothing at a path."""
FLAGS = (packets.FLAG_READ, packets.FLAG_WRITE, packets.FLAG_WRITE | packets.FLAG_CREATE, 63)


def requests(path: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield all requests that name a path."""
    name = path.encode()
    for kind, word in packets.REQUESTS.items():
        fields = REQUEST_FIELDS.get(word, lambda path: (path,))
        if fields is None or word == "realpath":
            continue
        if word == "open":
            yield from ((f"open {flags}", (kind, name, flags, 0)) for flags in FLAGS)
        else:
            yield word, (kind, *fields(name))
    yield "rename to", (packets.RENAME, b"/own.jpg", name)
    for extension, _ in packets.EXTENSIONS:
        more = EXTENSION_FIELDS.get(extension.decode(), lambda path: (path, b"/stolen.jpg"))
        if more is not None:
            yield extension.decode(), (packets.EXTENDED, extension, *more(name))


def outcome(files: paramiko.SFTPClient, request: tuple[Any, ...]) -> str:
    """Return what the server says to a request: the refusal, or what came."""
    kind, *fields = request
    try:
        reply, message = files._request(kind, *fields)
    except OSError as error:
        return f"refused: {error.strerror or error}"
    assert isinstance(message, Message)
    return f"{reply}: {message.get_remainder()!r}"


@pytest.mark.parametrize("account", ["keeper", "carol"])
def test_no_request_of_sftp_tells_what_others_have(cluster: Cluster, account: str) -> None:
    with sftp(cluster, "n2", account) as files:
        with files.open("/own.jpg", "w") as own:
            own.write(b"own")
        for path, twin in TARGETS if account == "keeper" else OF_A_PERSON:
            writes = account == "keeper" or path.startswith("/inbox/")
            for (word, request), (_, other) in zip(requests(path), requests(twin), strict=True):
                if not writes and (word in ("mkdir", "rename to") or word in ("open 10", "open 63")):
                    continue  # its own names, where it may write
                reply = outcome(files, request)
                assert reply.startswith("refused") or f"{word} {path}".startswith(YES), (word, path, reply)
                assert alike(reply, path) == alike(outcome(files, other), twin), (word, path)
        assert "people" not in files.listdir("/")
    _nothing_has_changed(cluster)


def _nothing_has_changed(cluster: Cluster) -> None:
    """All is as it was put."""
    with cluster.login("n1", "anna") as anna, cluster.login("n3", "bob") as bob:
        assert names(anna, "/") == ["inbox", "mine.jpg", "send", "shared", "trash"]
        assert names(anna, "/send/bob") == ["secret.jpg"] and names(anna, "/trash") == ["binned.jpg"]
        assert names(bob, "/inbox") == ["anna"] and names(bob, "/inbox/anna") == ["secret.jpg"]
        for ftp, path in ((anna, "/mine.jpg"), (anna, "/trash/binned.jpg"), (bob, "/inbox/anna/secret.jpg")):
            assert fetched(ftp, path) == SECRET
        anna.voidcmd("TYPE I")
        assert anna.size("/send/bob/half.jpg") == anna.size("/half.jpg") == len(HALF)
    assert asked(cluster, "inbox", "bob")["blocks"] == []
