"""`pixraft join`: make this machine a node of a cluster, with a token."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import click

from ftpgateway.cli import output
from ftpgateway.cli.client import run
from ftpgateway.cli.errors import NotReachable
from ftpgateway.cli.helpers import bundle
from ftpgateway.node.config.whole import NODE_FILE
from raftstore.cluster.membership.joining import Welcome, join
from raftstore.cluster.membership.program import VERSIONS
from raftstore.cluster.membership.service import JOINED
from raftstore.cluster.membership.tokens import Token
from raftstore.errors import AlreadyExists, Denied, Invalid, NotFound, Unavailable
from raftstore.peers.security.pki import write_private
from raftstore.util.addresses import Address

NOWHERE = Address("", 0)

EXAMPLES = """
pixraft join pixraft1.Ck... --dir /etc/pixraft --listen host4.example:7420 --data /var/lib/pixraft
sudo pixraft join - --dir /etc/pixraft --listen host4.example:7420 --data /var/lib/pixraft --user pixraft < token
pixraft join - --dir n4 --listen 10.0.0.4:7420 --ftp 10.0.0.4:21 < token
"""


class _AddressType(click.ParamType[Address]):
    name = "HOST:PORT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        try:
            return Address.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _SftpType(_AddressType):
    """An address, or "" for none."""

    name = "HOST:PORT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        return NOWHERE if value == "" else super().convert(value, param, ctx)


@output.command("join", EXAMPLES)
@click.argument("token")
@click.option(
    "--dir", "directory", type=click.Path(path_type=Path), required=True, help="Directory to make for the node."
)
@click.option("--name", help="Name of the node; it is in the token, and must be the same.")
@click.option(
    "--listen",
    type=_AddressType(),
    required=True,
    help="Where the node listens for the others and, unless --address says otherwise, where they reach it.",
)
@click.option("--address", type=_AddressType(), help="Where the others reach it, if not at --listen.")
@click.option("--ftp", type=_AddressType(), help="Where its FTP server listens; by default port 2121 there.")
@click.option(
    "--sftp", type=_SftpType(), help='Where its SFTP server listens; by default port 2022 there, "" is nowhere.'
)
@click.option("--passive-ports", default="50000-50999", show_default=True, help='For FTP data; "" is any.')
@click.option("--data", default="data", show_default=True, help="Data directory; relative is within --dir.")
@click.option(
    "--user",
    "owner",
    help="The user that will run the node, and so is to own its files; only root can give them away.",
)
@output.output_option
def command(
    token: str,
    directory: Path,
    name: str | None,
    listen: Address,
    address: Address | None,
    ftp: Address | None,
    sftp: Address | None,
    passive_ports: str,
    data: str,
    owner: str | None,
    form: str,
) -> None:
    """Join a cluster with the TOKEN of `pixraft node add` (- reads it from standard input).

    Makes the node's directory: certificate, key and configuration file. Start it then with `pixraft serve`.
    """
    ticket = Token.decode(sys.stdin.read(16_384) if token == "-" else token)
    if name is not None and name != ticket.node:
        raise Invalid(f"the token is for a node named {ticket.node}, not {name}")
    where = address or listen
    if not where.port or where.host in ("0.0.0.0", "::"):
        raise Invalid(f"the others cannot reach this node at {where}; say with --address where they can")
    if directory.exists() and any(directory.iterdir()):
        raise AlreadyExists(f"{directory} holds something already; nothing was changed")
    account = _account(owner)
    place = directory / data  # an absolute one stays itself
    if place.exists() and any(place.iterdir()):
        raise AlreadyExists(f"{place} holds something already; a node joins with an empty disk")
    try:
        welcome = run(join(ticket, str(where), VERSIONS))
    except Unavailable as error:
        raise NotReachable(error.detail) from None
    _write(directory, place, ticket, welcome, where, listen, ftp, sftp, passive_ports, data)
    if account is not None:
        _give(directory, account)
        _give(place, account)
    elif os.geteuid() == 0:
        output.warn(
            f"the files belong to root; if another user runs the node: chown -R USER: {directory} {place} "
            "(or join with --user USER)"
        )
    config = directory / NODE_FILE
    if form == "json":
        output.print_json({"node": ticket.node, "cluster": ticket.cluster, "config": str(config)})
    else:
        click.echo(f"{ticket.node} may join {ticket.cluster!r}. Start it with")
        click.echo(f"  pixraft serve --config {config}")


def _account(owner: str | None) -> pwd.struct_passwd | None:
    """Look the user up before anything is changed. Raises NotFound, Denied."""
    if owner is None:
        return None
    try:
        account = pwd.getpwnam(owner)
    except KeyError:
        raise NotFound(f"user {owner!r} on this machine; make it first, or leave --user out") from None
    if os.geteuid() not in (0, account.pw_uid):
        raise Denied("to give files to another user; run this as root, or as that user without --user")
    return account


def _give(tree: Path, account: pwd.struct_passwd) -> None:
    """Make the user the owner of a directory and of all that is in it."""
    for directory, _, files in os.walk(tree):
        for path in (directory, *(os.path.join(directory, name) for name in files)):
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _write(
    directory: Path,
    place: Path,
    ticket: Token,
    welcome: Welcome,
    where: Address,
    listen: Address,
    ftp: Address | None,
    sftp: Address | None,
    passive_ports: str,
    data: str,
) -> None:
    own = bundle.NodeSpec(
        ticket.node,
        where,
        listen,
        ftp or Address(listen.host, bundle.FTP_PORT),
        passive_ports=passive_ports,
        sftp=None if sftp == NOWHERE else sftp or Address(listen.host, bundle.SFTP_PORT),
        metrics=None if where.is_loopback else bundle.METRICS,
    )
    seeds = [
        bundle.NodeSpec(node, Address.parse(at), Address.parse(at), Address.parse(at))
        for node, at in welcome.members.items()
    ]
    spec = bundle.ClusterSpec(
        nodes=[*seeds, own],
        name=ticket.cluster,
        replicas=welcome.replicas,
        encryption=welcome.encryption,
        data=data,
    )
    welcome.identity.save(directory)
    bundle.write_node(directory, spec, own)
    write_private(place / JOINED, f"{welcome.index}\n".encode())
