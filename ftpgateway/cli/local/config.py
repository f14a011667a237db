"""`pixraft config`: what a node's configuration is, and what is wrong with it."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import click

from ftpgateway.cli import output
from ftpgateway.cli.errors import OK
from ftpgateway.node.config.errors import ConfigError, Problem
from ftpgateway.node.config.reading import Effective, effective, load_node_config
from raftstore.util.settings.kinds import Member

CHECK_EXAMPLES = """
pixraft config check --config /etc/pixraft/pixraft.toml
pixraft config check --config n1/pixraft.toml -o json
"""

SHOW_EXAMPLES = """
pixraft config show --config n1/pixraft.toml
PIXRAFT_LOG_LEVEL=debug pixraft config show --config n1/pixraft.toml -o json
"""

config_option = click.option(
    "--config",
    "-c",
    "config_file",
    type=click.Path(path_type=Path),
    envvar="PIXRAFT_CONFIG",
    required=True,
    help="The node's configuration file.  [env: PIXRAFT_CONFIG]",
)


@click.group("config")
def command() -> None:
    """A node's configuration: check it, show what is in force."""


@command.command("check", cls=output.PixraftCommand, examples=CHECK_EXAMPLES)
@config_option
@output.output_option
def check(config_file: Path, form: str) -> None:
    """Look for mistakes in the file, in PIXRAFT_ variables and on this machine, and name all of them.

    Values and keys first; when they are right, certificates, addresses (unless the node runs) and directories.
    Exits 0 when there are none (but perhaps warnings), 3 otherwise. `pixraft serve --check` looks into the data, too.
    """
    problems, warnings = _problems(config_file)
    if form == "json":
        output.print_json(
            {
                "config": str(config_file.absolute()),
                "ok": not problems,
                "problems": [problem_as_json(problem) for problem in problems],
                "warnings": [problem_as_json(warning) for warning in warnings],
            }
        )
    else:
        for problem in problems:
            click.echo(str(problem))
        for warning in warnings:
            click.echo(f"warning: {warning}")
        if not problems:
            but = " But see the warning above." if warnings else ""
            click.echo(f"{config_file.absolute()}: no mistakes.{but}")
    click.get_current_context().exit(ConfigError.exit_code if problems else OK)


def _problems(file: Path) -> tuple[list[Problem], list[Problem]]:
    """Return what keeps the node from starting, and what does not but should be mended."""
    from ftpgateway.node import startup

    try:
        config = load_node_config(file)
    except ConfigError as error:
        return list(error.problems), []
    return list(startup.machine_problems(config)), list(startup.warnings(config))


def problem_as_json(problem: Problem) -> dict[str, Any]:
    """Return the documented shape of a mistake or warning."""
    return {
        "key": problem.key or None,
        "line": problem.line or None,
        "variable": problem.variable or None,
        "problem": problem.problem,
        "remedy": problem.remedy,
    }


@command.command("show", cls=output.PixraftCommand, examples=SHOW_EXAMPLES)
@config_option
@output.output_option
def show(config_file: Path, form: str) -> None:
    """Print every key with the value in force and where that is from: default, file or environment.

    There are no secrets in it: keys and certificates are files, and passwords stand in the cluster.
    """
    found = effective(config_file)
    if form == "json":
        shape = [
            {
                "key": entry.setting.name,
                "value": _as_json(entry.value),
                "origin": entry.origin,
                "environment": entry.setting.environment,
            }
            for entry in found
        ]
        output.print_json({"config": str(config_file.absolute()), "settings": shape})
        return
    rows = [[entry.setting.name, _as_text(entry), entry.origin] for entry in found]
    for line in output.plain_table(["key", "value", "origin"], rows):
        click.echo(line)


def _as_json(value: Any) -> Any:
    """Return a value as it would stand in a file."""
    match value:
        case None | ():
            return ""
        case bool() | int() | str():
            return value
        case (int(first), int(last)):
            return f"{first}-{last}"
        case (IPv4Network() | IPv6Network(), *_):
            return ", ".join(map(str, value))
        case tuple() if all(isinstance(each, str) for each in value):
            return ", ".join(value)
        case (Member(), *_):
            return [{"name": member.name, "address": str(member.address)} for member in value]
        case _:
            return str(value)


def _as_text(entry: Effective) -> str:
    shown = _as_json(entry.value)
    if isinstance(shown, list):
        return ",".join(f"{member['name']}={member['address']}" for member in shown)
    if isinstance(shown, bool):
        return str(shown).lower()
    return '""' if shown == "" else str(shown)
