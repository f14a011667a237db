"""`pixraft serve`: run one node in this process until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import structlog

from ftpgateway.cli import logs, output
from ftpgateway.cli.errors import AddressInUse
from ftpgateway.cli.local.config import config_option, problem_as_json
from ftpgateway.node import memory
from ftpgateway.node.config.errors import ConfigError
from ftpgateway.node.config.log import LogSettings
from ftpgateway.node.config.reading import load_node_config
from ftpgateway.node.config.whole import NodeConfig
from ftpgateway.serving.logs.logfile import AppendedFile
from ftpgateway.serving.logs.loglevel import LogLevel
from raftstore.errors import Denied, DiskFailed, WrongClock

EXAMPLES = """
pixraft serve --config /etc/pixraft/pixraft.toml
PIXRAFT_LOG_LEVEL=debug pixraft serve --config n1/pixraft.toml
"""

log = structlog.get_logger()

CLOCK_POLL = 1.0
"""Seconds between two looks at a clock that is behind."""

CLOCK_LOG_EVERY = 60
"""Looks at such a clock a log line."""

_ADDRESS_ERRORS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM)


@output.command("serve", EXAMPLES)
@config_option
@click.option(
    "--check", is_flag=True, help="Only see whether the node could start: open its data, too; serve nothing."
)
@click.option("--supervised", is_flag=True, hidden=True, help="Stop when standard input is closed.")
@output.output_option
def command(config_file: Path, check: bool, supervised: bool, form: str) -> None:
    """Run a node in the foreground. It logs to standard error and stops on SIGTERM or Ctrl-C.

    Every key of the file can be set by an environment variable, PIXRAFT_<SECTION>_<KEY>. With -o json the
    log is JSON, a line an event.
    """
    config = load_node_config(config_file)
    if form == "json":
        config = config.with_section(replace(config[LogSettings], format="json"))
    if check:
        # What is logged on the way stands among the warnings.
        logs.configure(replace(config[LogSettings], level="error"))
        _check(config, form)
        return
    log_file = _open_log(config)
    log_level = LogLevel(config[LogSettings].level)
    client_lines = logs.configure(config[LogSettings], log_file, node=config.name, log_level=log_level)
    _wait_for_clock(config)
    check_can_start(config)
    log_warnings(config)
    memory.reuse_large_buffers()
    _allow_descriptors()
    if supervised:
        threading.Thread(target=_stop_at_end_of_input, name="supervised", daemon=True).start()
    from ftpgateway.node.node import run_node

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            code = runner.run(run_node(config, log_file, client_lines, log_level))
    except OSError as error:
        if error.filename is not None or error.errno not in _ADDRESS_ERRORS:
            raise _unusable(config, error) from error
        raise AddressInUse(str(error)) from None
    click.get_current_context().exit(code)


def _wait_for_clock(config: NodeConfig) -> None:
    """Wait while the clock is behind the day on which the certificate was made: without a battery it is until NTP
    has set it.
    """
    from ftpgateway.node import startup
    from ftpgateway.node.systemd import notify

    looks = 0
    while True:
        try:
            list(startup.certificate_problems(config))
            return
        except WrongClock as error:
            if looks % CLOCK_LOG_EVERY == 0:
                log.warning("waiting for the right time", problem=error.detail)
                notify(f"STATUS=waits until the clock is right: {error.detail}")
        looks += 1
        time.sleep(CLOCK_POLL)


def log_warnings(config: NodeConfig) -> None:
    """Log what should be mended, but for a name that is not found: the FTP server looks it up again and again."""
    from ftpgateway.node import startup

    for warning in startup.local_warnings(config):
        log.warning("configuration", key=warning.key, problem=warning.problem, remedy=warning.remedy)


def _open_log(config: NodeConfig) -> AppendedFile | None:
    file = config[LogSettings].file
    try:
        return None if file is None else AppendedFile(file)
    except OSError as error:
        raise ConfigError(f"{config.source}: log.file: {file}: {error.strerror}") from None


def _allow_descriptors() -> None:
    """Use as many descriptors as the system allows: each session takes one or two, and the usual bound is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _check(config: NodeConfig, form: str) -> None:
    """See whether the node could start. While it runs, it has its addresses and its data: these are not looked at."""
    from ftpgateway.node import startup

    running = startup.is_running(config)
    check_can_start(config, running=running)
    if not running:
        _check_user(config)
        try:
            asyncio.run(_open_and_close(config))
        except OSError as error:
            raise _unusable(config, error) from error
    warnings = list(startup.warnings(config))
    if form == "json":
        shape = {"node": config.name, "config": str(config.source), "ok": True, "running": running}
        output.print_json({**shape, "warnings": [problem_as_json(warning) for warning in warnings]})
        return
    for warning in warnings:
        click.echo(f"warning: {warning}")
    if running:
        click.echo(f"{config.source}: right; node {config.name} runs, so that its data was not opened.")
    else:
        click.echo(f"{config.source}: node {config.name} could start.")


def check_can_start(config: NodeConfig, *, running: bool = False) -> None:
    """Raise what would keep the node from starting: ConfigError, AddressInUse or DiskFailed, with the key to change.

    `running`: it runs already, and has its addresses itself.
    """
    from ftpgateway.node import startup

    if problems := list(startup.certificate_problems(config)):
        raise ConfigError.of(problems)
    for problem in () if running else startup.address_problems(config):
        raise AddressInUse(str(problem))
    for problem in startup.directory_problems(config):
        raise DiskFailed(str(problem))


def _unusable(config: NodeConfig, error: OSError) -> DiskFailed:
    """Return what a file of the node's data that cannot be used means, and what to do about rights."""
    remedy = (
        "; give the data directory to the user that runs the node (chown -R)"
        if error.errno in (errno.EACCES, errno.EPERM)
        else ""
    )
    return DiskFailed(f"{error.filename or config.data}: {error.strerror}{remedy}")


def _check_user(config: NodeConfig) -> None:
    """Raise Denied where root would look at another user's node: what is opened may be written, and would be root's."""
    from ftpgateway.node import startup

    owner = startup.other_owner(config)
    if owner is not None:
        raise Denied(
            f"to open {config.data} as root: it belongs to {owner}; sudo -u {owner} pixraft serve --check ..."
        )


async def _open_and_close(config: NodeConfig) -> None:
    """Open journal, catalog and volumes as a start would, and close them again. Raises what a start would."""
    from ftpgateway.node.node import store_settings
    from raftstore.store.opendisk import check_disk

    await check_disk(store_settings(config), _raise)


def _raise(reason: BaseException) -> None:
    raise reason


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
