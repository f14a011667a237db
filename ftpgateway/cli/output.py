"""What the command prints: text for people (rich on a terminal, plain otherwise) or JSON for machines."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ftpgateway.cli.errors import INTERRUPTED
from raftstore import paths
from raftstore.errors import StoreError

_Function = TypeVar("_Function", bound=Callable[..., Any])

output_option = click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print the result.",
)


class PixraftCommand(click.Command):
    """A command whose failures end as one message on standard error and a documented exit code."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they stand."""
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples.strip().splitlines():
                    formatter.write(f"  {line.strip()}\n")

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn StoreError and Ctrl-C into a message and an exit code."""
        try:
            return super().invoke(ctx)
        except StoreError as error:
            report_error(error, as_json=ctx.params.get("form") == "json")
            ctx.exit(error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            click.echo("pixraft: interrupted", err=True)
            ctx.exit(INTERRUPTED)


class ListingGroup(click.Group):
    """A group that means its command `default` when only options are given, in the environment or behind it."""

    def __init__(self, *args: Any, default: str = "list", **options: Any) -> None:
        super().__init__(*args, **options)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click."""
        if not args:
            said = any(os.environ.get(name) for name in ("PIXRAFT_CLUSTER", "PIXRAFT_CONFIG"))
            args = [self.default] if said else args
        elif args[0].startswith("-") and args[0] not in self.get_help_option_names(ctx):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


def command(name: str, examples: str = "") -> Callable[[Callable[..., Any]], click.Command]:
    """Decorate a function as a command with examples in its help."""
    return functools.partial(_command, name, examples)


def _command(name: str, examples: str, function: Callable[..., Any]) -> click.Command:
    return click.command(name, cls=PixraftCommand, examples=examples)(function)


def report_error(error: StoreError, *, as_json: bool) -> None:
    """Write a failure to standard error."""
    if as_json:
        kind = {"error": error.code, "message": str(error), "exit_code": error.exit_code}
        click.echo(paths.shown_json(json.dumps(kind, ensure_ascii=False)), err=True)
    else:
        click.echo(f"pixraft: {paths.shown_lines(str(error))}", err=True)


def print_json(value: object) -> None:
    """Write one JSON document, on one line, to standard output."""
    click.echo(paths.shown_json(json.dumps(value, ensure_ascii=False)))


def warn(text: str) -> None:
    """Write a warning to standard error, unless it is empty."""
    if text:
        click.echo(f"pixraft: warning: {text}", err=True)


def console() -> Console:
    """Return a console on standard output as it is now."""
    return Console(file=sys.stdout, highlight=False)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> Table:
    """Make a rich table; columns named in `right` are aligned to the right; cells may hold markup styles."""
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        made.add_column(title, justify="right" if title in right else "left", no_wrap=title != "error")
    for row in rows:
        made.add_row(*(Text(paths.shown(cell)) for cell in row))
    return made


def plain_table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()
) -> list[str]:
    """Return the lines of a table for a file or pipe: aligned, never cut or wrapped."""
    rows = [[paths.shown(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [titles, *rows]) for column in range(len(titles))]
    lines = []
    for row in [titles, *rows]:
        cells = [
            cell.rjust(width) if title in right else cell.ljust(width)
            for title, cell, width in zip(titles, row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def moment(ns: int) -> str | None:
    """Return a time in ns since the epoch as ISO 8601 in UTC; None for 0."""
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%dT%H:%M:%SZ}" if ns else None


def age(seconds: float) -> str:
    """Write a time for people, in its largest unit and the next: 42s, 3m 5s, 2h 10m, 4d 3h."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count}{unit}")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if not part.startswith("0")) or "0s"


def human_bytes(count: int | None) -> str:
    """Write a number of bytes for people: 1.2 GiB; - when it is not known."""
    if count is None:
        return "-"
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def number(value: int | None) -> str:
    """Write a number for people; - when it is not known."""
    return "-" if value is None else str(value)
