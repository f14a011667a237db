"""The group of commands; each command's module is imported only when it is asked for."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from typing import IO, Any

import click

from ftpgateway.cli import logs

COMMANDS = {
    "init": "ftpgateway.cli.local.init",
    "serve": "ftpgateway.cli.local.serve",
    "demo": "ftpgateway.demo.command",
    "status": "ftpgateway.cli.cluster.status",
    "members": "ftpgateway.cli.cluster.members",
    "user": "ftpgateway.cli.users.user",
    "hostkeys": "ftpgateway.cli.cluster.hostkeys",
    "upgrade": "ftpgateway.cli.cluster.upgrade",
    "node": "ftpgateway.cli.cluster.node",
    "leader": "ftpgateway.cli.cluster.leader",
    "join": "ftpgateway.cli.local.join",
    "jobs": "ftpgateway.cli.cluster.jobs",
    "partials": "ftpgateway.cli.users.partials",
    "repair": "ftpgateway.cli.cluster.upkeep:repair",
    "scrub": "ftpgateway.cli.cluster.upkeep:scrub",
    "drain": "ftpgateway.cli.cluster.upkeep:drain",
    "fsck": "ftpgateway.cli.cluster.upkeep:fsck",
    "config": "ftpgateway.cli.local.config",
    "unit": "ftpgateway.cli.local.unit",
}
"""Module of each command, and the attribute there unless it is `command`."""


_AS_JSON = "pixraft.json"


class JsonUsageError(click.UsageError):
    """A wrong command line, told as an object because the output was to be JSON."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Write it to standard error."""
        shape = {"error": "UsageError", "message": self.format_message(), "exit_code": self.exit_code}
        click.echo(json.dumps(shape, ensure_ascii=False), err=True)


def _wants_json(args: Sequence[str]) -> bool:
    """Whether a command line that may be wrong asks for JSON."""
    pairs = itertools.pairwise(["", *args])
    return any(
        word in ("-ojson", "--output=json") or (before in ("-o", "--output") and word == "json")
        for before, word in pairs
    )


@contextlib.contextmanager
def _mistakes(as_json: bool) -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        if not as_json or isinstance(error, JsonUsageError):
            raise
        raise JsonUsageError(error.format_message(), error.ctx) from None


class LazyGroup(click.Group):
    """A group whose commands live in other modules."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """See click; remember whether mistakes are to be told as JSON."""
        as_json = _wants_json(args)
        with _mistakes(as_json):
            context = super().make_context(info_name, args, parent, **extra)
        context.meta[_AS_JSON] = as_json
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """See click."""
        with _mistakes(ctx.meta.get(_AS_JSON, False)):
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of first use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module; None when there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute or "command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the commands there are when one is mistyped."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(f"{error.format_message()} There are: {', '.join(COMMANDS)}.", ctx) from None


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        try:
            version = importlib.metadata.version("pixraft")
        except importlib.metadata.PackageNotFoundError:
            version = "from a source tree that is not installed"
        click.echo(f"pixraft {version}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version."
)
def group() -> None:
    """A cluster of FTP servers in front of one replicated picture store.

    \b
    See it work on this machine:   pixraft demo
    Make a cluster:                pixraft init DIR --node n1=host1:7420 --node n2=host2:7420 ...
    Run one node of it:            pixraft serve --config DIR/n1/pixraft.toml
    Look at it:                    pixraft status --cluster DIR
    """


def main() -> None:
    """Run the command line and exit."""
    os.umask(os.umask(0o077) | 0o027)  # logs, names and keys are nothing for the other users of this machine
    logs.to_standard_error()
    group(prog_name="pixraft")
