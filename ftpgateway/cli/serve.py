"""`pixraft serve`: run one node in this process until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from ftpgateway import memory
from ftpgateway.cli import logs, output
from ftpgateway.cli.errors import AddressInUse
from ftpgateway.config import Address, NodeConfig, load_node_config
from raftstore.errors import DiskFailed

EXAMPLES = """
pixraft serve --config /etc/pixraft/pixraft.toml
PIXRAFT_LOG_LEVEL=debug pixraft serve --config n1/pixraft.toml
"""

_ADDRESS_ERRORS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM)


@output.command("serve", EXAMPLES)
@click.option(
    "--config",
    "-c",
    "config_file",
    type=click.Path(path_type=Path),
    envvar="PIXRAFT_CONFIG",
    required=True,
    help="The node's configuration file.  [env: PIXRAFT_CONFIG]",
)
@click.option("--check", is_flag=True, help="Only see whether the node could start; serve nothing.")
@click.option("--supervised", is_flag=True, hidden=True, help="Stop when standard input is closed.")
@output.output_option
def command(config_file: Path, check: bool, supervised: bool, form: str) -> None:
    """Run a node in the foreground. It logs to standard error and stops on SIGTERM or Ctrl-C.

    Every key of the file can be set by an environment variable, PIXRAFT_<SECTION>_<KEY>. With -o json the
    log is JSON, a line an event.
    """
    config = load_node_config(config_file)
    if form == "json":
        config = replace(config, log=replace(config.log, format="json"))
    check_can_start(config)
    if check:
        _report_check(config, form)
        return
    logs.configure(config.log)
    memory.reuse_large_buffers()
    _allow_descriptors()
    if supervised:
        threading.Thread(target=_stop_at_end_of_input, name="supervised", daemon=True).start()
    from ftpgateway.node import run_node

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            code = runner.run(run_node(config))
    except OSError as error:
        if error.errno not in _ADDRESS_ERRORS:
            raise DiskFailed(f"{error.filename or config.data}: {error.strerror}") from error
        raise AddressInUse(str(error)) from None
    click.get_current_context().exit(code)


def _allow_descriptors() -> None:
    """Use as many descriptors as the system allows: each session takes one or two, and the usual bound is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def check_can_start(config: NodeConfig) -> None:
    """Raise what would keep the node from starting: AddressInUse or DiskFailed, with the key to change."""
    for key, address in (("peers.listen", config.peers.listen), ("ftp.listen", config.ftp.listen)):
        _check_address(config, key, address)
    try:
        config.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskFailed(f"{config.source}: node.data: cannot make {config.data}: {error.strerror}") from None
    if not os.access(config.data, os.R_OK | os.W_OK | os.X_OK):
        raise DiskFailed(f"{config.source}: node.data: this user cannot write to {config.data}")


def _check_address(config: NodeConfig, key: str, address: Address) -> None:
    """Bind the address as a server would, and let it go."""
    where = f"{config.source}: {key}: {address}"
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
        raise AddressInUse(f"{where}: unknown host ({error.strerror})") from None
    except OSError as error:
        hint = {
            errno.EADDRINUSE: "another process listens there; stop it or change the port",
            errno.EADDRNOTAVAIL: "this machine does not have the address",
            errno.EACCES: "ports below 1024 need the capability CAP_NET_BIND_SERVICE",
        }.get(error.errno or 0, error.strerror)
        raise AddressInUse(f"{where}: {hint}") from None


def _report_check(config: NodeConfig, form: str) -> None:
    if form == "json":
        output.print_json({"node": config.name, "config": str(config.source), "ok": True})
    else:
        click.echo(f"{config.source}: node {config.name} could start.")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's when it is installed (extra `fast`), None for the standard loop."""
    with contextlib.suppress(ImportError):
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
        return factory
    return None


def _stop_at_end_of_input() -> None:
    """Stop this process, cleanly, when whoever started it is gone: its end of the pipe is closed then."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
