"""`pixraft retention`: directories that lose their oldest files."""

from __future__ import annotations

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.durations import in_words
from ftpgateway.cli.helpers.useroptions import Count, Expiry, Size, directory
from raftstore.cluster.calls import retention as retention_calls
from raftstore.wire import admin_pb2

_SECOND = 10**9
_MOST = 1 << 62

_directory = click.argument("path", metavar="DIRECTORY", callback=directory)


@click.group("retention", cls=output.ListingGroup)
def command() -> None:
    """How long, or how much, directories keep: set, list, remove. By itself: list."""


SET_EXAMPLES = """
pixraft retention set /cameras/7 30d --max-bytes 500G --cluster pictures
pixraft retention set /cameras/7 none --max-files 10000 --dry-run --cluster pictures
"""


@command.command("set", cls=output.PixraftCommand, examples=SET_EXAMPLES)
@_directory
@click.argument("age_ns", metavar="AGE", type=Expiry())
@click.option("--max-bytes", type=Size(), default=0, help="At most so many bytes: 500G.")
@click.option("--max-files", type=Count(_MOST), default=0, help="At most so many files: 10000.")
@click.option("--dry-run", is_flag=True, help="Only tell what would go now.")
@access_options
@output.output_option
def set_(
    access: Access, path: str, age_ns: int, max_bytes: int, max_files: int, dry_run: bool, form: str
) -> None:
    """Have a directory of the store, and all beneath it, keep files for AGE (30d; none: for ever), and at most so much.

    What is older goes, past the trash, and so does the oldest when an upload makes it too much: never what was just
    put. Of several rules the nearest counts. It takes the place of an earlier rule of that directory.
    """
    if not (age_ns or max_bytes or max_files):
        raise click.UsageError(
            "without an age, give --max-bytes or --max-files; `retention remove` ends a rule"
        )
    request = admin_pb2.RetentionBounds(path=path, age_ns=age_ns, max_bytes=max_bytes, max_files=max_files)
    client = ClusterClient(access)
    if dry_run:
        _tell(run(client.ask(retention_calls.preview, request)), path, form)
        return
    run(client.ask(retention_calls.put, request))
    _done(form, path, "set")


def _done(form: str, path: str, done: str) -> None:
    if form == "json":
        output.print_json({"directory": path, "done": done})
    else:
        click.echo(f"Retention of {path} {done}.")


def _tell(found: admin_pb2.RetentionPreview, path: str, form: str) -> None:
    if form == "json":
        shape: dict[str, object] = {"directory": path, "files": found.files, "bytes": found.bytes}
        shape |= {"of_files": found.of_files, "of_bytes": found.of_bytes, "oldest": list(found.paths)}
        output.print_json(shape)
        return
    of = f"of {found.of_files} files, {output.human_bytes(found.of_bytes)}"
    click.echo(f"{found.files} files, {output.human_bytes(found.bytes)}, {of}, would go.")
    for each in found.paths:
        click.echo(f"  {each}")


@command.command(
    "remove", cls=output.PixraftCommand, examples="pixraft retention remove /cameras/7 --cluster pictures"
)
@_directory
@access_options
@output.output_option
def remove(access: Access, path: str, form: str) -> None:
    """Have a directory keep everything again, or what a rule above it says."""
    run(ClusterClient(access).ask(retention_calls.remove, admin_pb2.RetentionRemove(path=path)))
    _done(form, path, "removed")


def _shape(rule: admin_pb2.RetentionRule) -> dict[str, object]:
    bounds = rule.bounds
    return {
        "directory": bounds.path,
        "age": bounds.age_ns // _SECOND,
        "max_bytes": bounds.max_bytes,
        "max_files": bounds.max_files,
        "files": rule.files,
        "bytes": rule.bytes,
        "settled": rule.settled,
    }


def _row(rule: admin_pb2.RetentionRule) -> list[str]:
    bounds = rule.bounds
    most = f" / {output.human_bytes(bounds.max_bytes)}" if bounds.max_bytes else ""
    count = f" / {bounds.max_files}" if bounds.max_files else ""
    age = in_words(bounds.age_ns // _SECOND) if bounds.age_ns else "-"
    return [bounds.path, age, f"{output.human_bytes(rule.bytes)}{most}", f"{rule.files}{count}"]


@command.command(
    "list", cls=output.PixraftCommand, examples="pixraft retention list --cluster pictures -o json"
)
@access_options
@output.output_option
def list_(access: Access, form: str) -> None:
    """List what directories keep, and what is there; ages in JSON are in seconds, 0 is no bound.

    `settled`: all that is there has been looked through; before that nothing goes by the rule.
    """
    found = run(ClusterClient(access).ask(retention_calls.rules, admin_pb2.RetentionRequest())).rules
    if form == "json":
        output.print_json({"rules": [_shape(rule) for rule in found]})
    elif not found:
        click.echo("All directories keep everything: `pixraft retention set DIRECTORY AGE` changes that.")
    else:
        titles = ["directory", "age", "bytes", "files"]
        rows = [_row(rule) for rule in found]
        click.echo("\n".join(output.plain_table(titles, rows, right=("age", "bytes", "files"))))
