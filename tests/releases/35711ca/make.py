"""How data.tar.xz and expected.json were made, once, by the real 35711ca. Nothing runs this any more.

git worktree add /tmp/old 35711ca && make -C /tmp/old install
/tmp/old/.venv/bin/python make.py /tmp/old/.venv/bin/pixraft /tmp/data
"""

from __future__ import annotations

import contextlib
import ftplib
import hashlib
import io
import json
import socket
import sqlite3
import struct
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from raftstore.metadata import Catalog
from raftstore.types import Kind
from raftstore.wire import commands_pb2

PORT = 31210
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0n8aTUZ7eHvM2qvK2zKqLmpxSgJfVd9mXh6Q1dYVxC test@pixraft"
HERE = Path(__file__).resolve().parent
LEFT_OUT = {"node.log", "lock"}


def content(seed: str, size: int) -> bytes:
    """Bytes that nothing compresses."""
    blocks = (hashlib.sha256(f"{seed} {number}".encode()).digest() for number in range(size // 32 + 1))
    return b"".join(blocks)[:size]


class Cluster:
    """The demo of 35711ca, as its clients and its admin see it."""

    def __init__(self, program: str, directory: Path) -> None:
        self.program = program
        self.admin = ["--config", str(directory / "admin" / "admin.toml")]

    def run(self, *words: str, given: str = "") -> str:
        return subprocess.run(
            [self.program, *words, *self.admin], input=given, text=True, capture_output=True, check=True
        ).stdout

    def account(self, name: str, *words: str) -> None:
        self.run("user", "add", name, "--password-stdin", *words, given=f"{name}-secret\n")

    def session(self, name: str, node: int = 0) -> ftplib.FTP:
        ftp = ftplib.FTP()
        ftp.connect("127.0.0.1", PORT + node, timeout=30)
        ftp.login(name, f"{name}-secret")
        return ftp

    def broken_upload(self, name: str, node: int, path: str, data: bytes) -> None:
        """Lose both connections in the middle of an upload."""
        ftp = self.session(name, node)
        transfer = ftp.transfercmd(f"STOR {path}")
        transfer.sendall(data)
        time.sleep(0.5)
        assert ftp.sock is not None and ftp.file is not None
        for end in (ftp.sock, transfer):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ftp.file.close()
        ftp.sock.close()
        transfer.close()
        time.sleep(1)


def put(ftp: ftplib.FTP, path: str, data: bytes) -> None:
    ftp.storbinary(f"STOR {path}", io.BytesIO(data))


def fill(cluster: Cluster) -> None:
    cluster.account("anna", "--home", "/anna")
    cluster.account("bert", "--quota", "20M", "--quota-files", "100", "--max-sessions", "8")
    cluster.account("cam", "--home", "/incoming", "--role", "drop-box")
    cluster.account("gone", "--home", "/gone")
    cluster.account("root", "--role", "admin")
    cluster.account("off")
    cluster.account("two", "--replicas", "2")
    anna, bert, cam = cluster.session("anna"), cluster.session("bert", 1), cluster.session("cam", 2)
    gone, two = cluster.session("gone"), cluster.session("two")
    for directory in ("2024", "2024/summer", "private", "emptied"):
        anna.mkd(directory)
    anna.rmd("emptied")
    for number in range(12):
        put(anna, f"2024/summer/p{number}.jpg", content(f"p{number}", 700 + number * 997))
    put(anna, "Grüße 猫.jpg", content("umlaut", 5000))
    put(anna, "empty.jpg", b"")
    put(anna, "same.jpg", content("p3", 700 + 3 * 997))
    put(anna, "big.jpg", content("big", 160_000))
    put(anna, "private/hidden.jpg", content("hidden", 3000))
    put(anna, "versions.jpg", content("first", 2000))
    put(anna, "versions.jpg", content("second", 2500))
    anna.sendcmd("MFMT 20240102030405 2024/summer/p0.jpg")
    anna.rename("2024/summer/p1.jpg", "2024/renamed.jpg")
    anna.delete("2024/summer/p2.jpg")
    bert.mkd("team")
    bert.mkd("team/a")
    for number in range(3):
        put(bert, f"team/a/b{number}.png", content(f"b{number}", 4000))
    put(bert, "team/other.jpg", content("other", 100))
    put(cam, "c1.raw", content("c1", 9000))
    put(cam, "c2.raw", content("c2", 9000))
    put(gone, "left.jpg", content("left", 6000))
    put(two, "two.jpg", content("two", 3000))
    cluster.broken_upload("anna", 0, "broken.jpg", content("broken", 30_000))
    cluster.broken_upload("cam", 1, "c3.raw", content("c3", 12_000))
    cluster.broken_upload("gone", 2, "gone-broken.jpg", content("gone-broken", 8000))
    cluster.run("user", "grant", "bert", "/team", "elr")
    cluster.run("user", "grant", "bert", "/anna/private", "none")
    cluster.run("user", "set", "off", "--disable")
    cluster.run("user", "key", "add", "anna", KEY)
    for ftp in (anna, bert, cam, gone, two):
        ftp.quit()
    cluster.run("user", "remove", "gone")


def contents(catalog: Catalog) -> dict[str, object]:
    """What is there, as this version sees it."""
    files, waiting = {}, ["/"]
    while waiting:
        directory = waiting.pop()
        for entry in catalog.listing(directory):
            path = f"{directory.rstrip('/')}/{entry.name}"
            if entry.kind is Kind.DIRECTORY:
                waiting.append(path)
                files[path] = {"owner": entry.owner, "mtime_ns": entry.mtime_ns}
                continue
            chunks = catalog.file(path).chunks
            files[path] = {
                "owner": entry.owner,
                "mtime_ns": entry.mtime_ns,
                "size": entry.size,
                "version": entry.version,
                "chunks": [chunk.digest.hex() for chunk in chunks],
            }
    users = {
        user.name: {
            "home": user.home,
            "rights": user.rights,
            "rules": dict(user.rules),
            "disabled": user.disabled,
        }
        for user in catalog.users()
    }
    return {"files": dict(sorted(files.items())), "users": users, "applied": catalog.applied_index}


def rows(path: Path) -> dict[str, object]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        partials = database.execute("SELECT name, owner, size FROM partials ORDER BY name, owner").fetchall()
        usage = database.execute("SELECT * FROM usage ORDER BY owner").fetchall()
        return {"partials": partials, "usage": {owner: row for owner, *row in usage}}


def main(program: str, directory: Path) -> None:
    demo = subprocess.Popen(
        [program, "demo", "--no-scenario", "--dir", str(directory), "--ftp-port", str(PORT)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert demo.stdout is not None and demo.stdout.readline().startswith("Ready")
    fill(Cluster(program, directory))
    time.sleep(3)  # what is recorded after the reply: later copies
    demo.terminate()
    demo.wait()
    assert "set_level" not in commands_pb2.Command.DESCRIPTOR.fields_by_name, "this is not 35711ca"
    database = directory / "n1" / "data" / "catalog" / "catalog.db"
    catalog = Catalog(database)
    expected = contents(catalog)
    catalog.close()
    expected |= rows(database)
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
    with tarfile.open(HERE / "data.tar.xz", "w:xz") as archive:
        for name in ("admin", "n1", "n2", "n3"):
            archive.add(
                directory / name,
                name,
                filter=lambda member: None if Path(member.name).name in LEFT_OUT else member,
            )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
