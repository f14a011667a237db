"""The group of commands; each command's module is imported only when it is asked for."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import IO, Any

import click

from ftpgateway.cli import cluster, local, logs, operating, users
from raftstore.util.modules import modules_of

FOLDERS: tuple[ModuleType, ...] = (local, cluster, operating, users)
"""Packages whose modules are the commands: `pixraft x-y` is `command` in the module x_y of one of them. What commands
are made of is in `helpers`."""

ELSEWHERE = {"demo": "ftpgateway.demo.command"}
"""Module of a command that cannot be there: it builds on this package."""

ORDER = (
    *("init", "serve", "demo", "status", "members", "user", "group", "sent", "inbox"),
    *("events", "webhook", "audit", "trash", "restore", "retention", "hostkeys", "upgrade", "backup"),
    *("sessions", "top", "doctor", "maintenance", "log-level", "cert"),
    *("node", "leader", "join"),
    *("jobs", "partials", "repair", "scrub", "drain", "fsck", "config", "completion", "unit"),
)
"""In which they are listed: that of first use. Those that are not named here follow by name."""


def find_commands(folders: Sequence[ModuleType] = FOLDERS) -> dict[str, str]:
    """Return the module of each command by its name, in the order for people. None of them is imported."""
    found = dict(ELSEWHERE)
    for folder in folders:
        for module in modules_of(folder):
            name = module.replace("_", "-")
            if name in found:
                raise ValueError(f"the command {name} is in {found[name]} already")
            found[name] = f"{folder.__name__}.{module}"
    place = {name: number for number, name in enumerate(ORDER)}
    return {name: found[name] for name in sorted(found, key=lambda name: (place.get(name, len(place)), name))}


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

    modules: Mapping[str, str] = find_commands()
    """Of each command, by name (`find_commands`)."""

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
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module; None when there is no such command."""
        module = self.modules.get(cmd_name)
        if module is None:
            return None
        command: click.Command = importlib.import_module(module).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the commands there are when one is mistyped."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(
                f"{error.format_message()} There are: {', '.join(self.modules)}.", ctx
            ) from None


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
