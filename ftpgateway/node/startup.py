"""What on this machine would keep a node from starting: certificates, addresses, directories. Changes nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path

from ftpgateway.node.config.errors import Problem
from ftpgateway.node.config.log import LogSettings
from ftpgateway.node.config.whole import NodeConfig
from ftpgateway.serving.frontends import PrivateFile
from raftstore.errors import Damaged, Invalid
from raftstore.peers.security.pki import Identity, exposed
from raftstore.peers.settings import PeersSettings
from raftstore.util.addresses import Address


def machine_problems(config: NodeConfig) -> Iterator[Problem]:
    """Yield everything; addresses only while the node does not run, which has them itself then."""
    yield from certificate_problems(config)
    if not is_running(config):
        yield from address_problems(config)
    yield from directory_problems(config)


def certificate_problems(config: NodeConfig) -> Iterator[Problem]:
    """Yield what is wrong with the node's certificates. Raises WrongClock when the clock is behind them."""
    peers = config[PeersSettings]
    try:
        identity = Identity.load(peers.ca, peers.certificate, peers.key)
    except (Invalid, Damaged) as error:
        remedy = "copy it again from what `pixraft init` made"
        yield Problem(config.source, "peers.certificate", error.detail, remedy)
    else:
        if identity.name != config.name:
            problem = f"{peers.certificate} was issued for {identity.name!r}, not for {config.name!r}"
            remedy = "correct the name, or copy that node's own directory again"
            yield Problem(config.source, "node.name", problem, remedy)
    for kind, section in config.each_frontend():
        for key, problem, remedy in kind.problems(section):
            yield Problem(config.source, f"{kind.name}.{key}", problem, remedy)


def warnings(config: NodeConfig) -> Iterator[Problem]:
    """Yield what keeps no node from starting, but should be mended. Looks names up."""
    yield from local_warnings(config)
    for kind, section in config.each_frontend():
        for key, problem, remedy in kind.warnings(section):
            yield Problem(config.source, f"{kind.name}.{key}", problem, remedy)


def local_warnings(config: NodeConfig) -> Iterator[Problem]:
    """Yield those of the warnings for which nobody has to be asked."""
    yield from _keys_for_all(config)
    if owner := other_owner(config):
        problem = f"{config.data} belongs to {owner}, and this is root: what is written now {owner} cannot use"
        yield Problem(config.source, "node.data", problem, f"run the node as {owner}")
    for kind, section in config.each_frontend():
        ports = kind.passive_ports(section)
        for key, address in config.listening():
            if ports is not None and ports.first <= address.port <= ports.last:
                whole = f"{ports.first}-{ports.last}"
                problem = f"{whole} has the port of {key} ({address}); data connections do without it"
                remedy = "take ports on which nothing listens"
                yield Problem(config.source, f"{kind.name}.{ports.key}", problem, remedy)


def other_owner(config: NodeConfig) -> str | None:
    """Return whose the node's data are, where this process is root and they are not: files it makes are root's."""
    try:
        uid = config.data.stat().st_uid
    except OSError:
        return None
    if os.geteuid() != 0 or uid == 0:
        return None
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def _keys_for_all(config: NodeConfig) -> Iterator[Problem]:
    """Yield the private keys that others can read."""
    for file in (PrivateFile("peers.key", config[PeersSettings].key, ""), *frontend_files(config)):
        if problem := exposed(file.path):
            yield Problem(config.source, file.key, problem, f"chmod 600 {file.path}")


def frontend_files(config: NodeConfig) -> Iterator[PrivateFile]:
    """Yield the files of the front-ends that only the node may read, with their keys in the whole file."""
    for kind, section in config.each_frontend():
        for file in kind.private_files(section):
            yield file._replace(key=f"{kind.name}.{file.key}")


def address_problems(config: NodeConfig) -> Iterator[Problem]:
    """Yield what keeps this process from listening where the node should."""
    for key, address in config.listening():
        if refusal := _refusal(address):
            problem, remedy = refusal
            yield Problem(config.source, key, f"{address}: {problem}", remedy)


def _refusal(address: Address) -> tuple[str, str] | None:
    """Bind the address as a server would, and let it go; return what is in the way and what to do."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, place in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(place)
                probe.listen(1)
    except socket.gaierror as error:
        return f"unknown host ({error.strerror})", "correct it"
    except OSError as error:
        return {
            errno.EADDRINUSE: ("another process listens there", "stop it or change the port"),
            errno.EADDRNOTAVAIL: ("this machine does not have the address", "correct it"),
            errno.EACCES: (
                "ports below 1024 need the capability CAP_NET_BIND_SERVICE",
                "give it, or change the port",
            ),
        }.get(error.errno or 0, (str(error.strerror), "correct that"))
    return None


def directory_problems(config: NodeConfig) -> Iterator[Problem]:
    """Yield what keeps this user from writing where the node must. What is not there yet must be possible to make."""
    log = config[LogSettings]
    for key, directory in (
        ("node.data", config.data),
        ("log.file", log.file and log.file.parent),
        ("log.transfers", log.transfers and log.transfers.parent),
    ):
        if directory is None:
            continue
        there = next(place for place in (directory, *directory.parents) if place.exists())
        if not there.is_dir():
            yield Problem(config.source, key, f"{there} is not a directory", "choose another place")
        elif not os.access(there, os.R_OK | os.W_OK | os.X_OK):
            yield Problem(config.source, key, f"this user cannot write to {there}", "give it the right to")
        elif os.statvfs(there).f_blocks == 0:
            # /proc, /sys: what says that it may be written to is root's right.
            problem = f"{there} is on no disk: nothing can be kept there"
            yield Problem(config.source, key, problem, "choose another place")


def is_running(config: NodeConfig) -> bool:
    """Whether a process has the node's data."""
    try:
        with (config.data / "volumes" / "lock").open("rb") as lock:
            # Only who seems to be there is asked: for a moment this holds the lock that a starting node wants.
            if Path("/proc", lock.read(32).decode().strip() or "-").exists():
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, UnicodeDecodeError):
        return False
    return False
