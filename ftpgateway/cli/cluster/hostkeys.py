"""`pixraft hostkeys`: the keys by which SFTP clients know the cluster."""

from __future__ import annotations

import click

from ftpgateway.access.login import keys
from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.helpers.asking import confirm, yes_option
from ftpgateway.sftp.hostkeys import host_keys, rotate_host_keys
from raftstore.wire import admin_pb2

KINDS = ("ed25519", "ecdsa", "rsa")
ROTATE_EXAMPLES = """
pixraft hostkeys rotate rsa --cluster pictures
pixraft hostkeys rotate --all --yes --cluster pictures
"""


@click.group("hostkeys", cls=output.ListingGroup)
def command() -> None:
    """The SSH host keys, the same at all nodes: list them, make new ones. By itself: list."""


def _shapes(answer: admin_pb2.HostKeys) -> list[dict[str, object]]:
    return [
        {
            "kind": key.kind,
            "bits": key.bits,
            "fingerprint": keys.fingerprint(keys.parse(key.line)[1]),
            "key": key.line,
        }
        for key in answer.keys
    ]


def _show(answer: admin_pb2.HostKeys, form: str) -> None:
    shapes = _shapes(answer)
    if form == "json":
        output.print_json({"keys": shapes})
        return
    if not shapes:
        click.echo("There are none: the first node that serves SFTP makes them.")
        return
    rows = [[str(shape[title]) for title in ("kind", "bits", "fingerprint")] for shape in shapes]
    click.echo("\n".join(output.plain_table(["kind", "bits", "fingerprint"], rows, right=("bits",))))


@command.command("list", cls=output.PixraftCommand, examples="pixraft hostkeys list --cluster pictures")
@access_options
@output.output_option
def list_(access: Access, form: str) -> None:
    """List the keys with the fingerprints that clients show at their first contact (as ssh-keygen -l prints them)."""
    answer = run(ClusterClient(access).ask(host_keys, admin_pb2.HostKeysRequest()))
    _show(answer, form)


@command.command("rotate", cls=output.PixraftCommand, examples=ROTATE_EXAMPLES)
@click.argument("kinds", metavar="[KIND]...", nargs=-1, type=click.Choice(KINDS))
@click.option("--all", "everything", is_flag=True, help="Keys of all kinds.")
@yes_option
@access_options
@output.output_option
def rotate(access: Access, kinds: tuple[str, ...], everything: bool, yes: bool, form: str) -> None:
    """Make new keys of these kinds (ed25519, ecdsa, rsa) in place of the present ones.

    All nodes show them to who connects from some seconds later on, without a restart; sessions that are open go on.
    Clients that know an old key warn, or refuse to connect, until their users have replaced it.
    """
    if everything == bool(kinds):
        raise click.UsageError("name the kinds to replace, or give --all")
    wanted = KINDS if everything else tuple(dict.fromkeys(kinds))
    if not yes:
        confirm(f"clients that know the old keys ({', '.join(wanted)}) will warn")
    request = admin_pb2.RotateHostKeys(kinds=wanted)
    answer = run(ClusterClient(access).ask(rotate_host_keys, request))
    _show(answer, form)
