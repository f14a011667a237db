"""`pixraft partials`: what interrupted uploads left for their owners to go on with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.durations import Duration
from ftpgateway.cli.helpers.asking import at_terminal, confirm, yes_option
from raftstore import paths
from raftstore.cluster.calls import partials as partials_calls
from raftstore.errors import NotFound
from raftstore.types import owner_name
from raftstore.wire import admin_pb2

LIST_EXAMPLES = """
pixraft partials list --cluster pictures
pixraft partials list --cluster pictures --user anna --older-than 1d
pixraft partials list --cluster pictures /incoming -o json
"""
REMOVE_EXAMPLES = """
pixraft partials remove --cluster pictures /incoming/DSC01234.ARW
pixraft partials remove --cluster pictures --user anna --older-than 2d --yes
"""

_DAY, _HOUR, _MINUTE = 86_400, 3600, 60

Found = admin_pb2.PartialUpload


@click.group("partials", cls=output.ListingGroup)
def command() -> None:
    """What interrupted uploads left: list it, remove it. By itself: list."""


def _all(client: ClusterClient) -> tuple[list[Found], int]:
    """Return all partial uploads, and the seconds for which one is kept (0: for ever)."""

    async def pages() -> tuple[list[Found], int]:
        found: list[Found] = []
        request = admin_pb2.PartialsRequest()
        while True:
            page = await client.ask(partials_calls.list_partials, request)
            if not page.partials:
                return found, page.kept
            found += page.partials
            request.after.CopyFrom(page.partials[-1].place)

    return run(pages())


def _selected(found: Sequence[Found], path: str, user: str, older_than: float | None) -> list[Found]:
    """Return what is at `path` or below it ("": anywhere), of a user ("": any), old enough, the oldest first."""
    latest = time.time_ns() - int((older_than or 0.0) * 10**9)
    return sorted(
        (
            one
            for one in found
            if (not path or paths.within(one.path, path))
            and (not user or owner_name(one.owner) == user)
            and (older_than is None or one.mtime_ns <= latest)
        ),
        key=lambda one: (one.mtime_ns, one.path, one.owner),
    )


def _shape(found: Found, kept: int) -> dict[str, object]:
    return {
        "path": found.path,
        "owner": owner_name(found.owner),
        "bytes": found.size,
        "changed": _moment(found),
        "left": found.left if kept else None,
    }


def _moment(found: Found) -> str:
    return f"{datetime.fromtimestamp(found.mtime_ns // 10**9, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _span(seconds: int) -> str:
    if seconds >= 2 * _DAY:
        return f"{seconds // _DAY} d"
    if seconds >= 2 * _HOUR:
        return f"{seconds // _HOUR} h"
    return f"{seconds // _MINUTE} min"


def _rows(found: Sequence[Found], kept: int) -> list[str]:
    rows = [
        [
            _moment(one),
            output.human_bytes(one.size),
            _span(one.left) if kept else "-",
            paths.shown(owner_name(one.owner)),
            paths.shown(one.path),
        ]
        for one in found
    ]
    return output.plain_table(["changed", "bytes", "left", "owner", "path"], rows, right=("bytes", "left"))


_path = click.argument("path", required=False, default="")
_user = click.option("--user", default="", help="Only of this account.")
_older = click.option(
    "--older-than", type=Duration(), help="Only those to which nothing was added for so long."
)


@command.command("list", cls=output.PixraftCommand, examples=LIST_EXAMPLES)
@_path
@_user
@_older
@access_options
@output.output_option
def list_partials(access: Access, path: str, user: str, older_than: float | None, form: str) -> None:
    """List what interrupted uploads left (at or below PATH), the oldest first.

    Only its owner can go on with it, by REST and STOR, APPE, or SFTP. It counts on the owner's quota and goes by itself
    after `jobs.keep_partials`.
    """
    found, kept = _all(ClusterClient(access))
    found = _selected(found, path, user, older_than)
    total = sum(one.size for one in found)
    if form == "json":
        shapes = [_shape(one, kept) for one in found]
        output.print_json({"partials": shapes, "kept": kept or None, "bytes": total})
        return
    count = f"{len(found)} interrupted upload{'' if len(found) == 1 else 's'}, {output.human_bytes(total)}"
    end = f"each goes {_span(kept)} after something was added last" if kept else "they are kept for ever"
    click.echo("\n".join([*(_rows(found, kept) if found else []), f"{count}; {end}."]))


@command.command("remove", cls=output.PixraftCommand, examples=REMOVE_EXAMPLES)
@_path
@_user
@_older
@yes_option
@access_options
@output.output_option
def remove(access: Access, path: str, user: str, older_than: float | None, yes: bool, form: str) -> None:
    """Remove what interrupted uploads left at or below PATH, of an account, or for long.

    Published files stay. An upload that is under way is not affected; one that would be gone on with begins anew.
    """
    if not path and not user and older_than is None:
        raise click.UsageError("Say which: a PATH (/ for all), --user or --older-than.")
    client = ClusterClient(access)
    found, kept = _all(client)
    found = _selected(found, path, user, older_than)
    if not found and path:
        raise NotFound("an interrupted upload there; `pixraft partials list` shows all")
    if found and not yes:
        if at_terminal():
            click.echo("\n".join(_rows(found, kept)), err=True)
        confirm(f"{len(found)} would go")
    removed = [one for one in found if _removed(client, one)]
    if form == "json":
        output.print_json({"removed": [_shape(one, kept) for one in removed]})
    else:
        click.echo(f"{len(removed)} removed, {output.human_bytes(sum(one.size for one in removed))}.")


def _removed(client: ClusterClient, found: Found) -> bool:
    """Remove one; return whether it was still there."""
    request = admin_pb2.PartialRemove(path=found.path, owner=found.owner)
    try:
        run(client.ask(partials_calls.remove_partial, request))
    except NotFound:
        return False
    return True
