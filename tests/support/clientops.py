"""The operations of docs/clients.md: what a client is asked to do, and what must then be true at the cluster."""

from __future__ import annotations

import ftplib
import itertools
import os
import re
import socket
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pictures import picture, retrieve
from realclients import Client, NotSupported, Refused, Target
from waiting import eventually

MTIME = 1_600_000_000
"""A time of last change in the past."""

NAMES = ("two words.jpg", "-dash.jpg", "😀 ümläut.jpg", "it's.jpg", "a,b;c&d.jpg", ".hidden.jpg")

OPERATIONS: dict[str, Callable[[Bench], None]] = {}
"""What each line of the table says, and how it is tried, in the table's order."""

_numbers = itertools.count(1)


class Bench:
    """One client in a remote directory of its own, and a reference session at another node to look with."""

    def __init__(self, client: Client, secure: Client, reference: ftplib.FTP) -> None:
        self.client = client
        self.secure = secure
        self.reference = reference
        self.work = client.work
        self.directory = f"/{client.name.replace(', ', '-').replace(' ', '-')}-{next(_numbers)}"
        reference.mkd(self.directory)

    def local(self, name: str, content: bytes) -> Path:
        """Write a local file."""
        path = self.work / "local" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def fresh(self, name: str) -> Path:
        """Where the client may write."""
        path = self.work / "fresh" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def at(self, name: str) -> str:
        """The remote path of a name in the client's directory."""
        return f"{self.directory}/{name}"

    def there(self, name: str, content: bytes) -> str:
        """Put a file into the client's directory by the reference session."""
        with self.reference.transfercmd(f"STOR {self.at(name)}") as data:
            data.sendall(content)
        self.reference.voidresp()
        return self.at(name)

    def begun(self, name: str, content: bytes) -> None:
        """Leave an upload that was cut after these bytes, for the same user to resume."""
        data = self.reference.transfercmd(f"STOR {self.at(name)}")
        data.sendall(content)
        # What was sent must arrive before the reset does: a reset throws away what is still on its way.
        moved = f"{len(content)} bytes moved"
        eventually(lambda: moved in self.reference.sendcmd("STAT"))
        data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        data.close()
        with pytest.raises(ftplib.error_temp, match="426"):
            self.reference.voidresp()

    def content(self, name: str) -> bytes:
        """What is published under a name."""
        return retrieve(self.reference, self.at(name))

    def listed(self) -> list[str]:
        """The names in the client's directory."""
        return sorted(
            name for name, facts in self.reference.mlsd(self.directory) if facts["type"] in ("file", "dir")
        )

    def modified(self, name: str) -> int:
        """The time of last change of a name."""
        reply = self.reference.voidcmd(f"MDTM {self.at(name)}")
        return int(datetime.strptime(reply.split()[1][:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp())


def operation(text: str) -> Callable[[Callable[[Bench], None]], Callable[[Bench], None]]:
    """Add a line to the table."""

    def add(function: Callable[[Bench], None]) -> Callable[[Bench], None]:
        OPERATIONS[text] = function
        return function

    return add


@operation("upload")
def upload(bench: Bench) -> None:
    content = picture("up", 300_000)
    bench.client.put(bench.local("a.jpg", content), bench.at("a.jpg"))
    assert bench.content("a.jpg") == content


@operation("upload over an existing file")
def upload_over(bench: Bench) -> None:
    content = picture("over", 10_000)
    bench.there("a.jpg", picture("before", 70_000))
    bench.client.put(bench.local("a.jpg", content), bench.at("a.jpg"))
    assert bench.content("a.jpg") == content


@operation("download")
def download(bench: Bench) -> None:
    content = picture("down", 300_000)
    bench.client.get(bench.there("a.jpg", content), bench.fresh("a.jpg"))
    assert bench.fresh("a.jpg").read_bytes() == content


@operation("empty file, up")
def empty_up(bench: Bench) -> None:
    bench.client.put(bench.local("up.jpg", b""), bench.at("up.jpg"))
    assert bench.content("up.jpg") == b""


@operation("empty file, down")
def empty_down(bench: Bench) -> None:
    bench.client.get(bench.there("down.jpg", b""), bench.fresh("down.jpg"))
    assert bench.fresh("down.jpg").read_bytes() == b""


@operation("names with spaces, emoji, quotes, leading dash, up")
def odd_names_up(bench: Bench) -> None:
    for name in NAMES:
        bench.client.put(bench.local("up.jpg", b"up" + name.encode()), bench.at(name))
        assert bench.content(name) == b"up" + name.encode()
    assert bench.listed() == sorted(NAMES)


@operation("names with spaces, emoji, quotes, leading dash, down")
def odd_names_down(bench: Bench) -> None:
    for name in NAMES:
        bench.client.get(bench.there(name, name.encode()), bench.fresh("down.jpg"))
        assert bench.fresh("down.jpg").read_bytes() == name.encode()
        bench.fresh("down.jpg").unlink()


@operation("list a directory")
def listing(bench: Bench) -> None:
    names = [*NAMES[:3], "plain.jpg"]
    for name in names:
        bench.there(name, b"x")
    assert sorted(bench.client.names(bench.directory)) == sorted(names)


@operation("resume an upload")
def resume_up(bench: Bench) -> None:
    content = picture("resume", 1_500_000)
    bench.begun("a.jpg", content[:700_000])
    bench.client.resume_up(bench.local("a.jpg", content), bench.at("a.jpg"))
    assert bench.content("a.jpg") == content


@operation("resume a download")
def resume_down(bench: Bench) -> None:
    content = picture("resume", 1_500_000)
    half = bytes(700_000)  # not what is there: so one sees that it is not sent again
    bench.fresh("a.jpg").write_bytes(half)
    os.utime(bench.fresh("a.jpg"))
    bench.client.resume_down(bench.there("a.jpg", content), bench.fresh("a.jpg"))
    assert bench.fresh("a.jpg").read_bytes() == half + content[len(half) :]


@operation("temporary name, then rename over the target")
def put_finished(bench: Bench) -> None:
    content = picture("finished", 100_000)
    bench.there("a.jpg", b"before")
    bench.client.put_finished(bench.local("a.jpg", content), bench.at("a.jpg"))
    assert bench.content("a.jpg") == content
    assert bench.listed() == ["a.jpg"]


@operation("rename")
def rename(bench: Bench) -> None:
    bench.client.rename(bench.there("a.jpg", b"a"), bench.at("b.jpg"))
    assert bench.listed() == ["b.jpg"]
    assert bench.content("b.jpg") == b"a"


@operation("rename over an existing file")
def rename_over(bench: Bench) -> None:
    bench.there("b.jpg", b"before")
    bench.client.rename(bench.there("a.jpg", b"a"), bench.at("b.jpg"))
    assert bench.listed() == ["b.jpg"]
    assert bench.content("b.jpg") == b"a"


@operation("rename that changes only the case")
def rename_case(bench: Bench) -> None:
    bench.client.rename(bench.there("dsc_1.jpg", b"a"), bench.at("DSC_1.JPG"))
    assert bench.listed() == ["DSC_1.JPG"]


@operation("copy at the server")
def copy(bench: Bench) -> None:
    content = picture("copied", 1_200_000)
    bench.client.copy(bench.there("a.jpg", content), bench.at("b.jpg"))
    assert bench.listed() == ["a.jpg", "b.jpg"]
    assert bench.content("b.jpg") == content


@operation("make a directory")
def make_directory(bench: Bench) -> None:
    bench.client.make_directory(bench.at("new album"))
    assert bench.listed() == ["new album"]


@operation("make a directory that exists")
def make_existing(bench: Bench) -> None:
    bench.reference.mkd(bench.at("album"))
    bench.there("album/a.jpg", b"a")
    try:
        bench.client.make_directory(bench.at("album"))
    except Refused as refused:
        assert re.search("exists|550|ailure|failed", str(refused))
    assert bench.content("album/a.jpg") == b"a"


@operation("delete a file")
def delete(bench: Bench) -> None:
    bench.there("stays.jpg", b"")
    bench.client.remove(bench.there("a.jpg", b"a"))
    assert bench.listed() == ["stays.jpg"]


@operation("delete a directory")
def delete_directory(bench: Bench) -> None:
    bench.reference.mkd(bench.at("album"))
    bench.client.remove_directory(bench.at("album"))
    assert bench.listed() == []


@operation("keep the time, up")
def time_up(bench: Bench) -> None:
    local = bench.local("a.jpg", picture("time", 1000))
    os.utime(local, (MTIME, MTIME))
    bench.client.put_dated(local, bench.at("a.jpg"))
    assert bench.modified("a.jpg") == MTIME


@operation("keep the time, down")
def time_down(bench: Bench) -> None:
    path = bench.there("a.jpg", picture("time", 1000))
    bench.reference.voidcmd(f"MFMT {datetime.fromtimestamp(MTIME, UTC):%Y%m%d%H%M%S} {path}")
    bench.client.get_dated(path, bench.fresh("a.jpg"))
    assert 0 <= MTIME - int(bench.fresh("a.jpg").stat().st_mtime) < bench.client.time_resolution


def _many(bench: Bench, count: int, size: int) -> list[Path]:
    return [bench.local(f"many/{n:03}.jpg", picture(n, size + n)) for n in range(count)]


def _all_there(bench: Bench, files: list[Path]) -> None:
    sizes = {
        name: int(facts["size"]) for name, facts in bench.reference.mlsd(bench.directory) if "size" in facts
    }
    assert {file.name: file.stat().st_size for file in files}.items() <= sizes.items()
    for file in (files[0], files[-1]):
        assert bench.content(file.name) == file.read_bytes()


@operation("many small files on one connection")
def many(bench: Bench) -> None:
    files = _many(bench, 40, 2_000)
    bench.client.put_many(files, bench.directory)
    _all_there(bench, files)


@operation("several uploads at a time")
def parallel(bench: Bench) -> None:
    files = _many(bench, 12, 50_000)
    bench.client.put_parallel(files, bench.directory)
    _all_there(bench, files)


TREE = {"a.jpg": 5_000, "sub/b c.jpg": 1_000, "sub/deep/ü–😀.jpg": 100, "sub/empty.jpg": 0}


def tree_of(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@operation("mirror a tree, up")
def mirror_up(bench: Bench) -> None:
    for name, size in TREE.items():
        bench.local(f"tree/{name}", picture(name, size))
    bench.client.mirror_up(bench.work / "local" / "tree", bench.at("tree"))
    for name, size in TREE.items():
        assert bench.content(f"tree/{name}") == picture(name, size)


@operation("mirror a tree, down")
def mirror_down(bench: Bench) -> None:
    for directory in ("tree", "tree/sub", "tree/sub/deep"):
        bench.reference.mkd(bench.at(directory))
    for name, size in TREE.items():
        bench.there(f"tree/{name}", picture(name, size))
    bench.client.mirror_down(bench.at("tree"), bench.fresh("tree"))
    assert tree_of(bench.fresh("tree")) == {name: picture(name, size) for name, size in TREE.items()}


def _needs_tls(bench: Bench) -> None:
    if bench.client.protocol != "FTP":
        raise NotSupported("SFTP is encrypted always")


@operation("over TLS, up")
def tls_up(bench: Bench) -> None:
    _needs_tls(bench)
    content = picture("tls", 200_000)
    bench.secure.put(bench.local("a.jpg", content), bench.at("a.jpg"))
    assert bench.content("a.jpg") == content


@operation("over TLS, down")
def tls_down(bench: Bench) -> None:
    _needs_tls(bench)
    content = picture("tls", 200_000)
    bench.secure.get(bench.there("a.jpg", content), bench.fresh("a.jpg"))
    assert bench.fresh("a.jpg").read_bytes() == content


def target(host: str, port: int) -> Target:
    """The demo user at a node."""
    return Target(host, port, "demo", "demo")
