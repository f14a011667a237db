"""`pixraft unit`: a systemd unit for a node."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from pathlib import Path

import click

from ftpgateway.cli import output
from ftpgateway.cli.errors import USAGE
from ftpgateway.cli.local.config import config_option
from ftpgateway.node.config.errors import ConfigError
from ftpgateway.node.config.log import LogSettings
from ftpgateway.node.config.reading import load_node_config
from ftpgateway.node.config.whole import NodeConfig
from ftpgateway.node.startup import frontend_files
from ftpgateway.node.systemd import unit
from raftstore.errors import Damaged, Removed, Superseded, TooNew
from raftstore.peers.settings import PeersSettings

EXAMPLES = """
pixraft unit --config /etc/pixraft/pixraft.toml | sudo tee /etc/systemd/system/pixraft.service
pixraft unit --config /etc/pixraft/pixraft.toml --user camera
"""

NO_RESTART = {
    USAGE: "wrong command line",
    ConfigError.exit_code: "wrong configuration",
    Damaged.exit_code: "damaged data",
    Removed.exit_code: "removed from the cluster",
    Superseded.exit_code: "an old disk",
    TooNew.exit_code: "a newer version of pixraft is needed",
}
"""Exit codes after which the same start would end in the same way, and in short why."""

HIDDEN = {
    Path("/root"): "ProtectHome=yes",
    Path("/home"): "ProtectHome=yes",
    Path("/run/user"): "ProtectHome=yes",
    Path("/tmp"): "PrivateTmp=yes",
    Path("/var/tmp"): "PrivateTmp=yes",
}
"""Places of which a service sees nothing, or something of its own, with the setting of the unit that does it."""

_OWN = (Path("/var/lib/pixraft"), Path("/var/log/pixraft"))


@output.command("unit", EXAMPLES)
@config_option
@click.option("--user", default="pixraft", show_default=True, help="The user that runs the node.")
@output.output_option
def command(config_file: Path, user: str, form: str) -> None:
    """Print a systemd unit for the node with this configuration, hardened, with a watchdog.

    It is not restarted after an exit code that would only come again (docs/exit-codes.md). On standard error stands
    what would keep the service from starting: a user that is missing or may not read the files, places that it does
    not see.
    """
    config = load_node_config(config_file)
    log = config[LogSettings]
    places = {config.data, *(file.parent for file in (log.file, log.transfers) if file)}
    writable = sorted(place for place in places if not any(place.is_relative_to(own) for own in _OWN))
    program = shutil.which(sys.argv[0]) or shutil.which("pixraft")
    words = [str(Path(program).absolute())] if program else [sys.executable, "-m", "ftpgateway.cli"]
    text = unit(
        program=words,
        config=config.source,
        user=user,
        no_restart=NO_RESTART,
        writable=writable,
    )
    warnings = [*hidden_places(config, Path(words[0])), *user_warnings(config, user)]
    if form == "json":
        output.print_json({"unit": text, "warnings": warnings})
        return
    click.echo(text, nl=False)
    for warning in warnings:
        output.warn(warning)


def hidden_places(config: NodeConfig, program: Path) -> list[str]:
    """Say what of the node lies where the unit lets nothing be seen."""
    log = config[LogSettings]
    places: dict[Path | None, str] = {
        config.source: "the configuration",
        config[PeersSettings].key: "the node's key",
        **{file.path: file.what for file in frontend_files(config)},
        config.data: "the data directory",
        log.file: "the log",
        log.transfers: "the log of transfers",
        program: "the program",
        **dict.fromkeys(_ways(Path(sys.executable)), "the Python that runs it"),
    }
    found = []
    for root, setting in HIDDEN.items():
        there = [f"{what} ({place})" for place, what in places.items() if place and place.is_relative_to(root)]
        if there:
            reported = ", ".join(there)
            found.append(
                f"a service with {setting} does not see what is in {root}: {reported}; put that elsewhere"
            )
    return found


def _ways(program: Path) -> list[Path]:
    """Return all places that must be seen to run a program: its own, and those to which links lead from there.

    A virtual environment's interpreter is a link, often into a home directory. See path_resolution(7).
    """
    found: list[Path] = []
    place = Path(os.path.abspath(program))
    while place not in found:
        found.append(place)
        for directory in reversed(place.parents):
            if directory.is_symlink():
                place = directory.readlink().joinpath(place.relative_to(directory))
                place = Path(os.path.normpath(directory.parent / place))
                break
        else:
            if place.is_symlink():
                place = Path(os.path.normpath(place.parent / place.readlink()))
    return found


def user_warnings(config: NodeConfig, user: str) -> list[str]:
    """Say that there is no such user, or what it may not read or write."""
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        add = f"sudo useradd --system --home-dir /var/lib/pixraft --shell /usr/sbin/nologin {user}"
        return [f"this machine has no user {user!r}: {add}"]
    if account.pw_uid == 0:
        return []
    groups = set(os.getgrouplist(user, account.pw_gid))
    found = []
    for place, what, needed in (
        (config.source.parent, "read what is in", 5),
        (config.source, "read", 4),
        (config[PeersSettings].key, "read", 4),
        (config.data, "write to", 7),
    ):
        try:
            there = place.stat()
        except OSError:
            continue  # what is missing is made, or was told of
        shift = 6 if there.st_uid == account.pw_uid else 3 if there.st_gid in groups else 0
        if there.st_mode >> shift & needed != needed:
            tree = place if place == config.data else config.source.parent
            found.append(f"user {user!r} cannot {what} {place}: sudo chown -R {user}: {tree}")
            break
    return found
