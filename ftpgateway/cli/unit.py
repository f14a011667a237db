"""`pixraft unit`: a systemd unit for a node."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from ftpgateway.cli import output
from ftpgateway.cli.configuration import config_option
from ftpgateway.cli.errors import USAGE
from ftpgateway.config import ConfigError, load_node_config
from ftpgateway.systemd import unit
from raftstore.errors import Damaged, Removed, Superseded

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
}
"""Exit codes after which the same start would end in the same way, and in short why."""

_OWN = (Path("/var/lib/pixraft"), Path("/var/log/pixraft"))


@output.command("unit", EXAMPLES)
@config_option
@click.option("--user", default="pixraft", show_default=True, help="The user that runs the node.")
@output.output_option
def command(config_file: Path, user: str, form: str) -> None:
    """Print a systemd unit for the node with this configuration, hardened, with a watchdog.

    It is not restarted after an exit code that would only come again (docs/exit-codes.md).
    """
    config = load_node_config(config_file)
    places = {config.data, *(file.parent for file in (config.log.file, config.log.transfers) if file)}
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
    if form == "json":
        output.print_json({"unit": text})
    else:
        click.echo(text, nl=False)
