"""Asking whether what cannot be undone is meant."""

from __future__ import annotations

import sys

import click

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def at_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def confirm(consequence: str) -> None:
    """Ask whether `consequence`, what would happen, is meant. Abort if it is not; a usage error without a terminal."""
    if not at_terminal():
        raise click.UsageError(f"{consequence}: give --yes if that is meant")
    click.confirm(f"{consequence[:1].upper()}{consequence[1:]}. Go on?", abort=True, err=True)
