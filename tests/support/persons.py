"""Persons at a cluster of real nodes: their accounts, and what tests do in their sessions."""

from __future__ import annotations

import asyncio
import ftplib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import paramiko
from argon2 import PasswordHasher
from commandline import pixraft
from harness import Cluster
from waiting import eventually

from raftstore.cluster.calls import accounts as accounts_calls
from raftstore.errors import StoreError
from raftstore.wire import admin_pb2

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
NO_ANSWER = (5, 30, 31)
"""Exit codes of a command that the cluster could not answer in time."""
PATIENCE = 120.0
"""Seconds that a session waits for an answer."""


def put(cluster: Cluster, name: str, **fields: Any) -> None:
    """Make or change an account by an admin's call, as soon as the cluster takes it."""
    request = admin_pb2.UserPut(name=name, **fields)

    def done() -> bool:
        try:
            asyncio.run(cluster.local.client("n1").ask(accounts_calls.put_user, request, repeat=True))
        except StoreError as error:
            return error.code == "AlreadyExists"
        return True

    eventually(done)


def put_person(cluster: Cluster, name: str, **fields: Any) -> None:
    """Make a person whose password is its name."""
    put(cluster, name, password_hash=QUICK.hash(name), person=True, create=True, **fields)


def put_persons(cluster: Cluster, names: Sequence[str]) -> None:
    """Make many persons, whose passwords nobody asks for, over one connection."""
    password_hash = QUICK.hash("many")

    async def made() -> None:
        client = cluster.local.client("n1")
        for name in names:
            request = admin_pb2.UserPut(name=name, password_hash=password_hash, person=True)
            await client.ask(accounts_calls.put_user, request, repeat=True)

    asyncio.run(made())


def asked(cluster: Cluster, *words: str) -> Any:
    """Run a command of pixraft, again while the cluster has no answer; return what it prints as JSON."""

    def attempt() -> list[Any] | None:
        done = pixraft(*words, "--cluster", str(cluster.local.directory), "-o", "json")
        if done.exit_code in NO_ANSWER:
            return None
        assert done.exit_code == 0, done.output
        return [json.loads(done.stdout)]

    return eventually(attempt)[0]


def store(ftp: ftplib.FTP, path: str, data: bytes, how: str = "STOR") -> str:
    """Upload; return the whole reply, also of a refusal."""
    try:
        return str(ftp.storbinary(f"{how} {path}", io.BytesIO(data)))
    except (BrokenPipeError, ConnectionResetError):
        return said(ftp.voidresp)
    except ftplib.Error as error:
        return str(error)


def said(call: Callable[..., Any], *arguments: Any) -> str:
    """Return the reply to a command, also a refusal."""
    try:
        return str(call(*arguments))
    except ftplib.Error as error:
        return str(error)


def names(ftp: ftplib.FTP, path: str) -> list[str]:
    """Return the names in a directory, as MLSD lists them."""
    return sorted(name for name, facts in ftp.mlsd(path) if facts["type"] in ("file", "dir"))


def fetched(ftp: ftplib.FTP, path: str) -> bytes:
    """Return what RETR sends."""
    parts: list[bytes] = []
    ftp.retrbinary(f"RETR {path}", parts.append)
    return b"".join(parts)


def states(cluster: Cluster, name: str, path: str, *more: str) -> list[tuple[str, str]]:
    """Return to whom a person has sent what is called `path`, and what has become of it."""
    listed = asked(cluster, "sent", name, *more)["sent"]
    return [(one["recipient"], one["state"]) for one in listed if one["path"] == path]


@contextmanager
def sftp(cluster: Cluster, node: str, user: str) -> Iterator[paramiko.SFTPClient]:
    """Open an SFTP session."""
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        host, port = cluster.sftp_address(node)
        client.connect(
            host,
            port,
            user,
            user,
            look_for_keys=False,
            allow_agent=False,
            timeout=PATIENCE,
            banner_timeout=PATIENCE,
            auth_timeout=PATIENCE,
        )
        with client.open_sftp() as files:
            yield files


def close(file: paramiko.SFTPFile) -> None:
    """Close a file that was written. Raises what the server answers: paramiko's own `close` keeps that to itself."""
    file.flush()
    file.sftp._request(paramiko.sftp.CMD_CLOSE, file.handle)
    file._closed = True
