"""What on this machine would keep a node from starting: certificates, addresses, directories. Changes nothing."""

from __future__ import annotations

import datetime
import errno
import fcntl
import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509

from ftpgateway.ftp.tls import server_context
from ftpgateway.node.config import Address, NodeConfig, Problem
from raftstore.errors import Damaged, Invalid
from raftstore.peers.security.pki import Identity, exposed


def machine_problems(config: NodeConfig) -> Iterator[Problem]:
    """Yield everything; addresses only while the node does not run, which has them itself then."""
    yield from certificate_problems(config)
    if not is_running(config):
        yield from address_problems(config)
    yield from directory_problems(config)


def certificate_problems(config: NodeConfig) -> Iterator[Problem]:
    """Yield what is wrong with the node's certificates. Raises WrongClock when the clock is behind them."""
    peers = config.peers
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
    if (certificate := config.ftp.tls_certificate) is None:
        return
    try:
        server_context(certificate)
    except (OSError, ValueError) as error:
        remedy = "put key, certificate and intermediate certificates into it, as PEM"
        yield Problem(config.source, "ftp.tls_certificate", str(error), remedy)
        return
    end = x509.load_pem_x509_certificates(certificate.read_bytes())[0].not_valid_after_utc
    if end < datetime.datetime.now(datetime.UTC):
        problem = f"the validity of {certificate} ended on {end:%Y-%m-%d}; clients refuse it"
        yield Problem(config.source, "ftp.tls_certificate", problem, "renew it")


def warnings(config: NodeConfig) -> Iterator[Problem]:
    """Yield what keeps no node from starting, but should be mended. Looks the masquerade address up."""
    yield from local_warnings(config)
    ftp = config.ftp
    if ftp.masquerade_address and (reason := _not_found(ftp.masquerade_address)):
        problem = f"{ftp.masquerade_address}: {reason}; clients cannot open passive data connections before it has one"
        yield Problem(config.source, "ftp.masquerade_address", problem, "correct it, or its entry in the DNS")


def local_warnings(config: NodeConfig) -> Iterator[Problem]:
    """Yield those of the warnings for which nobody has to be asked."""
    yield from _keys_for_all(config)
    if owner := other_owner(config):
        problem = f"{config.data} belongs to {owner}, and this is root: what is written now {owner} cannot use"
        yield Problem(config.source, "node.data", problem, f"run the node as {owner}")
    ports = config.ftp.passive_ports
    for key, address in config.listening():
        if ports is not None and ports[0] <= address.port <= ports[1]:
            problem = f"{ports[0]}-{ports[1]} has the port of {key} ({address}); data connections do without it"
            yield Problem(config.source, "ftp.passive_ports", problem, "take ports on which nothing listens")


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


def _not_found(host: str) -> str:
    """Look a host up as the FTP server does; return why it has no IPv4 address, "" where it has one."""
    try:
        socket.getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return f"no IPv4 address is found ({error.strerror})"
    except UnicodeError:
        return "is no host name"
    return ""


def _keys_for_all(config: NodeConfig) -> Iterator[Problem]:
    """Yield the private keys that others can read."""
    for key, file in (("peers.key", config.peers.key), ("ftp.tls_certificate", config.ftp.tls_certificate)):
        if file is not None and (problem := exposed(file)):
            yield Problem(config.source, key, problem, f"chmod 600 {file}")


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
    for key, directory in (
        ("node.data", config.data),
        ("log.file", config.log.file and config.log.file.parent),
        ("log.transfers", config.log.transfers and config.log.transfers.parent),
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
