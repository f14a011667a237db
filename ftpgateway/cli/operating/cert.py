"""`pixraft cert`: the certificates of nodes and admins: when they end, and new ones while the nodes run."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, reason_of, run
from ftpgateway.cli.errors import NotReachable
from ftpgateway.cli.helpers import bundle, diagnosis
from ftpgateway.node.config.errors import ConfigError
from raftstore.cluster.calls.certificate import renew_certificate, show_certificate
from raftstore.errors import DiskFailed, NotFound, Unavailable
from raftstore.peers.security.expiry import end_of
from raftstore.peers.security.pki import IDENTITY_DAYS, Authority
from raftstore.types import NodeStatus
from raftstore.util.disk import RealDisk, replace_file
from raftstore.util.settings.kinds import Member
from raftstore.wire import admin_pb2

LIST_EXAMPLES = """
pixraft cert list --cluster pictures
pixraft cert list --cluster pictures -o json
"""
RENEW_EXAMPLES = """
pixraft cert renew n2 --cluster pictures
pixraft cert renew --all --cluster pictures
pixraft cert renew --admin --cluster pictures --authority /media/safe/authority
"""

ADMIN = "admin"


@click.group("cert", cls=output.ListingGroup)
def command() -> None:
    """Certificates: when they end, and new ones without a restart. By itself: list."""


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def rows(nodes: list[NodeStatus], admin_end: int | None, now: float) -> list[dict[str, object]]:
    """Return the documented JSON of all certificates; `admin_end`: of the admin's own. Pure."""
    found: list[dict[str, object]] = [
        {"node": node.name, "certificate": what, "ends": _date(end) if end else None, "days": _days(end, now)}
        for node in nodes
        for what, end in sorted(node.certificates.items())
    ]
    if admin_end is not None:
        ends = _date(admin_end) if admin_end else None
        found.append({"node": None, "certificate": ADMIN, "ends": ends, "days": _days(admin_end, now)})
    return found


def _days(end: int, now: float) -> int | None:
    return int((end - now) // diagnosis.DAY) if end else None


@command.command("list", cls=output.PixraftCommand, examples=LIST_EXAMPLES)
@access_options
@output.output_option
def list_(access: Access, form: str) -> None:
    """List when the certificates of the nodes end: their own, the authority's, those of their front-ends.

    Beside them that of the admin's bundle, if that was given. `pixraft status` names what ends within 30 days.
    """
    status = run(ClusterClient(access).status())
    if status.verdict == "unreachable":
        raise NotReachable("; ".join(f"{node.name}: {node.error}" for node in status.nodes))
    admin_end = None if access.bundle is None else end_of(access.certificate.read_bytes)
    found = rows(status.nodes, admin_end, time.time())
    if form == "json":
        output.print_json({"certificates": found})
        return
    shown = [
        [
            str(one["node"] or "-"),
            str(one["certificate"]),
            str(one["ends"] or "cannot be read"),
            "-" if one["days"] is None else str(one["days"]),
        ]
        for one in found
    ]
    click.echo("\n".join(output.plain_table(["node", "certificate", "ends", "days"], shown, right=("days",))))


@command.command("renew", cls=output.PixraftCommand, examples=RENEW_EXAMPLES)
@click.argument("names", metavar="[NODE]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All nodes.")
@click.option("--admin", "admins", is_flag=True, help="The certificate of the admin's bundle itself.")
@click.option(
    "--days",
    type=click.IntRange(1, 20 * 365),
    default=IDENTITY_DAYS,
    show_default=True,
    help="For how long they are valid.",
)
@click.option(
    "--authority",
    type=click.Path(path_type=Path),
    help="Directory with the authority's key, on this machine only; by default beside the admin's bundle.",
)
@access_options
@output.output_option
def renew(
    access: Access,
    names: tuple[str, ...],
    everything: bool,
    admins: bool,
    days: int,
    authority: Path | None,
    form: str,
) -> None:
    """Give nodes, which must run, new certificates: nothing is started anew, no connection ends.

    The certificate is made here, with the authority's key, which never leaves this machine; the node's own key stays
    where it is, and the same. The node writes the certificate in place of the old one and shows it in all new
    connections. Where the cluster knows the only certificate that a node may show (it came by a token), the members
    first agree on the new one, and let in both.

    When somebody else got a node's key, a new certificate does not help: replace the node (`pixraft node replace`).
    """
    if everything == bool(names) and not (admins and not names):
        raise click.UsageError("name the nodes, or give --all or --admin")
    signer = _authority(access, authority)
    members = _members(access, names) if names else list(access.members) if everything else []
    renewed = []
    if admins:  # first: with one that has ended no node answers
        renewed.append({"node": ADMIN, "ends": _renew_admin(access, signer, days)})
    if members:
        client = ClusterClient(access)
        renewed += [{"node": member.name, "ends": _renew(client, signer, member, days)} for member in members]
    if form == "json":
        output.print_json({"renewed": renewed})
    else:
        for one in renewed:
            click.echo(f"{one['node']} has a new certificate, valid until {one['ends']}.")


def _authority(access: Access, authority: Path | None) -> Authority:
    place = authority or access.ca.parent.parent / bundle.AUTHORITY
    if not (place / "ca.key").is_file():
        raise ConfigError(f"{place}: holds no ca.key; give the authority's directory with --authority")
    return Authority.load(place)


def _members(access: Access, names: tuple[str, ...]) -> list[Member]:
    known = {member.name: member for member in access.members}
    for name in names:
        if name not in known:
            raise NotFound(f"{NotFound.node(name, known)}; `pixraft node list` brings that up to date")
    return [known[name] for name in dict.fromkeys(names)]


def _renew(client: ClusterClient, signer: Authority, member: Member, days: int) -> str:
    """Renew the certificate of one node; return until when the new one is valid."""

    async def ask() -> bytes:
        shown = await client.call(member, show_certificate, admin_pb2.CertificateRequest())
        pem = signer.renew(shown.pem, days=days)
        request = admin_pb2.Certificate(pem=pem)
        await client.call(member, renew_certificate, request, changes=True, patience=30.0)
        return pem

    try:
        pem = run(ask())
    except Unavailable as error:
        why = reason_of(error, member.name)
        raise NotReachable(f"{member.name}: {why}; a node gets a certificate while it runs") from None
    return _date(end_of(lambda: pem))


def _renew_admin(access: Access, signer: Authority, days: int) -> str:
    if access.bundle is None:
        raise click.UsageError("--admin is for an admin's bundle: give its directory with --cluster")
    pem = signer.renew(access.certificate.read_bytes(), days=days)
    try:
        replace_file(RealDisk(), access.certificate, pem)
    except OSError as error:
        raise DiskFailed(f"cannot write {access.certificate}: {os.strerror(error.errno or 0)}") from None
    return _date(end_of(lambda: pem))
