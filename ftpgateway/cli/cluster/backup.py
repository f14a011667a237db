"""`pixraft backup`: make backups of a whole cluster, look after them, and make a new cluster of one."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import click

from ftpgateway.backup.creating import Creation
from ftpgateway.backup.keys import Key, make_key_file, read_key_file
from ftpgateway.backup.manifest import Manifest
from ftpgateway.backup.policy import Policy
from ftpgateway.backup.pruning import prune as prune_target
from ftpgateway.backup.repository import Found, Report, Repository, open_repository
from ftpgateway.backup.restoring import Restored, Restoring
from ftpgateway.backup.source import ClusterSource
from ftpgateway.backup.target import open_target
from ftpgateway.backup.verifying import Fault
from ftpgateway.backup.verifying import verify as verify_target
from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import run
from ftpgateway.cli.helpers import bundle
from ftpgateway.cli.helpers.nodespecs import NodeSpecs, own_ports
from ftpgateway.node.config.whole import NODE_FILE
from ftpgateway.sftp import hostkeys
from raftstore.cluster.settings import REPLICAS
from raftstore.errors import AlreadyExists, Damaged, Invalid
from raftstore.peers.security.pki import Identity, exposed
from raftstore.util.settings.kinds import check_name

KEY_EXAMPLES = "pixraft backup key ~/pixraft-backup.key"
CREATE_EXAMPLES = """
pixraft backup create /mnt/backups/pictures --key ~/pixraft-backup.key --cluster pictures
pixraft backup create /mnt/backups/pictures --key ~/pixraft-backup.key --cluster pictures --rate 20M -o json
"""
PRUNE_EXAMPLES = """
pixraft backup prune /mnt/backups/pictures --key ~/pixraft-backup.key --keep-daily 7 --keep-weekly 5 --keep-monthly 12
pixraft backup prune /mnt/backups/pictures --key ~/pixraft-backup.key --keep-last 3 --dry-run
"""
RESTORE_EXAMPLES = """
pixraft backup restore /mnt/backups/pictures new --key FILE --node n1=10.0.0.1:7420 --node n2=10.0.0.2:7420
pixraft backup restore /mnt/backups/pictures 20261201T045227Z-3f2a new --key FILE --node n1=10.0.0.1:7420
"""

_key_option = click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path),
    required=True,
    envvar="PIXRAFT_BACKUP_KEY",
    help="File with the key, made by `pixraft backup key`.  [env: PIXRAFT_BACKUP_KEY]",
)
_SHOWN_EVERY = 0.2


class _Rate(click.ParamType[float]):
    name = "BYTES"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).upper().removesuffix("B").removesuffix("I")
        units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
        factor = units.get(text[-1:], 1)
        number = text[:-1] if text[-1:] in units else text
        if not number.isdecimal() or not int(number):
            self.fail(f"{value!r} is not a number of bytes a second such as 500K or 20M", param, ctx)
        return float(int(number) * factor)


@click.group("backup")
def command() -> None:
    """Backups of the whole cluster, encrypted, at a directory: pictures, accounts, people, trash.

    Each is one consistent state. Only what the target does not have yet is sent.
    """


def _key(file: Path) -> Key:
    if file.exists() and (problem := exposed(file)):
        output.warn(f"{problem}; chmod 600 {file}")
    return read_key_file(file)


def _repository(target: str, key_file: Path, *, make: bool = False) -> Repository:
    return open_repository(open_target(target), _key(key_file), make=make)


def _progress(form: str) -> Report:
    """Return what shows progress on a terminal's standard error, on one line; nothing elsewhere."""
    if form == "json" or not sys.stderr.isatty():
        return lambda what, done, total: None
    shown_at = 0.0

    def show(what: str, done: int, total: int) -> None:
        nonlocal shown_at
        now = time.monotonic()
        if now - shown_at >= _SHOWN_EVERY or done >= total:
            shown_at = now
            share = 100 * done // total if total else 100
            line = f"{what}: {output.human_bytes(done)} of {output.human_bytes(total)}, {share}%"
            click.echo(f"\r{line:<60}", nl=done >= total, err=True)

    return show


def _as_json(manifest: Manifest) -> dict[str, object]:
    return {
        "name": manifest.name,
        "cluster": manifest.cluster,
        "time": output.moment(manifest.time_ns),
        "index": manifest.index,
        "level": manifest.level,
        "program": manifest.program,
        "files": manifest.files,
        "chunks": manifest.chunks,
        "bytes": manifest.chunk_bytes,
        "new_objects": manifest.new_objects,
        "new_bytes": manifest.new_bytes,
        "lost": len(manifest.lost),
    }


@command.command("key", cls=output.PixraftCommand, examples=KEY_EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path))
@output.output_option
def key(file: Path, form: str) -> None:
    """Make a key for backups. Keep a copy of it apart from the cluster and from the target.

    Without it a backup is worthless; with it, and the target, everything in the cluster can be read.
    """
    made = make_key_file(file)
    if form == "json":
        output.print_json({"file": str(file), "key": made.identity})
    else:
        click.echo(
            f"Made the key {made.identity[:8]} in {file}. Keep a copy in another place: nobody can replace it."
        )


@command.command("create", cls=output.PixraftCommand, examples=CREATE_EXAMPLES)
@click.argument("target")
@_key_option
@click.option("--rate", type=_Rate(), default=None, help="Send at most so many bytes a second (500K, 20M).")
@click.option(
    "--without-lost", is_flag=True, help="Make the backup also when no node has a readable copy of some chunks."
)
@access_options
@output.output_option
def create(
    access: Access, target: str, key_file: Path, rate: float | None, without_lost: bool, form: str
) -> None:
    """Make a backup of the running cluster at TARGET, a directory.

    Interrupted, it is simply begun again: what is at the target is not sent twice. While it runs, and up to five
    minutes after it was killed, nodes do not give the disk space of deleted pictures back.
    """
    repository = _repository(target, key_file, make=True)
    identity = Identity.load(access.ca, access.certificate, access.key)

    async def make() -> Manifest:
        source = ClusterSource(access.cluster, access.asked(), identity, timeout=access.timeout)
        try:
            return await Creation(source, repository, _progress(form), rate or 0.0, without_lost).run()
        finally:
            await source.close()

    manifest = run(make())
    if form == "json":
        output.print_json({"target": target, **_as_json(manifest)})
        return
    click.echo(
        f"Backup {manifest.name}: {manifest.files} files of log entry {manifest.index}; "
        f"{manifest.new_objects} objects of {output.human_bytes(manifest.new_bytes)} were new."
    )
    if manifest.lost:
        output.warn(f"{len(manifest.lost)} chunks are not in it: no node has a readable copy")


@command.command(
    "list", cls=output.PixraftCommand, examples="pixraft backup list /mnt/backups/pictures --key FILE"
)
@click.argument("target")
@_key_option
@output.output_option
def list_backups(target: str, key_file: Path, form: str) -> None:
    """List the backups at TARGET, the oldest first."""
    found = _repository(target, key_file).manifests()
    if form == "json":
        output.print_json({"target": target, "backups": [_found_as_json(one) for one in found]})
        return
    titles = ["name", "time", "entry", "files", "bytes", "new", ""]
    rows = [_row(one) for one in found]
    for line in output.plain_table(titles, rows, right=("entry", "files", "bytes", "new")):
        click.echo(line)


def _found_as_json(one: Found) -> dict[str, object]:
    if one.manifest is None:
        return {"name": None, "place": one.place, "error": str(one.error)}
    return {**_as_json(one.manifest), "place": one.place, "error": None}


def _row(one: Found) -> list[str]:
    manifest = one.manifest
    if manifest is None:
        return [one.place, "-", "-", "-", "-", "-", str(one.error)]
    sizes = [output.human_bytes(manifest.chunk_bytes), output.human_bytes(manifest.new_bytes)]
    lost = f"{len(manifest.lost)} chunks lost" if manifest.lost else ""
    when = output.moment(manifest.time_ns) or ""
    return [manifest.name, when, str(manifest.index), str(manifest.files), *sizes, lost]


@command.command(
    "verify", cls=output.PixraftCommand, examples="pixraft backup verify /mnt/backups/pictures --key FILE"
)
@click.argument("target")
@click.argument("name", required=False)
@_key_option
@output.output_option
def verify(target: str, name: str | None, key_file: Path, form: str) -> None:
    """Read all backups at TARGET, or the one with a NAME, whole: everything is decrypted and its hash compared.

    Names what is missing, cut or damaged, and fails then.
    """
    repository = _repository(target, key_file)
    faults: list[Fault] = []
    if name is not None:
        manifests = [repository.chosen(name)]
    else:
        found = repository.manifests()
        manifests = [one.manifest for one in found if one.manifest is not None]
        faults = [
            Fault(one.place, one.place, "damaged", "the manifest of a backup")
            for one in found
            if one.manifest is None
        ]
    faults += verify_target(repository, manifests, _progress(form))
    shape = [{"backup": one.backup, "object": one.object, "what": one.what, "of": one.of} for one in faults]
    if form == "json":
        output.print_json(
            {
                "target": target,
                "verified": [each.name for each in manifests],
                "sound": not faults,
                "faults": shape,
            }
        )
    else:
        for fault in faults:
            click.echo(str(fault))
    if faults:
        raise Damaged(f"{len(faults)} objects of the backups at {target} are missing, cut or damaged")
    if form != "json":
        click.echo(f"{len(manifests)} backups are sound.")


@command.command("prune", cls=output.PixraftCommand, examples=PRUNE_EXAMPLES)
@click.argument("target")
@_key_option
@click.option("--keep-last", type=click.IntRange(0), default=0, help="Keep the newest so many.")
@click.option(
    "--keep-daily", type=click.IntRange(0), default=0, help="Keep the newest of each of so many days."
)
@click.option(
    "--keep-weekly", type=click.IntRange(0), default=0, help="Keep the newest of each of so many weeks."
)
@click.option(
    "--keep-monthly", type=click.IntRange(0), default=0, help="Keep the newest of each of so many months."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@output.output_option
def prune(
    target: str,
    key_file: Path,
    keep_last: int,
    keep_daily: int,
    keep_weekly: int,
    keep_monthly: int,
    dry_run: bool,
    form: str,
) -> None:
    """Remove backups that no --keep option keeps, and what no other backup needs.

    Days, weeks and months without a backup do not count; they are those of UTC.
    """
    policy = Policy(keep_last, keep_daily, keep_weekly, keep_monthly)
    if policy.keeps_nothing:
        raise click.UsageError("say what is kept: --keep-last, --keep-daily, --keep-weekly or --keep-monthly")
    done = prune_target(_repository(target, key_file), policy, _progress(form), dry_run=dry_run)
    if form == "json":
        output.print_json(
            {
                "target": target,
                "dry_run": dry_run,
                "kept": [manifest.name for manifest in done.kept],
                "removed": [manifest.name for manifest in done.removed],
                "objects": done.objects,
                "bytes": done.bytes,
            }
        )
        return
    verb = "would be removed" if dry_run else "removed"
    for manifest in done.removed:
        click.echo(f"{manifest.name} {verb}")
    size = output.human_bytes(done.bytes)
    click.echo(
        f"{len(done.kept)} backups kept; {len(done.removed)} and {done.objects} objects of {size} {verb}."
    )


@command.command("restore", cls=output.PixraftCommand, examples=RESTORE_EXAMPLES)
@click.argument("target")
@click.argument("places", nargs=-1, required=True, metavar="[NAME] DIRECTORY")
@_key_option
@click.option(
    "--node",
    "nodes",
    type=NodeSpecs(),
    multiple=True,
    required=True,
    metavar=NodeSpecs.name,
    help="A node of the new cluster; once for each, as in `pixraft init`.",
)
@click.option("--name", "cluster", default=None, help="Name of the new cluster; else that of the old one.")
@click.option(
    "--replicas",
    type=click.IntRange(1, 15),
    default=REPLICAS,
    show_default=True,
    help="Copies of each picture.",
)
@click.option(
    "--encryption",
    type=click.Choice(["full", "bulk-auth"]),
    default="full",
    show_default=True,
    help="Between nodes, as in `pixraft init`.",
)
@click.option("--keep-host-keys", is_flag=True, help="Take the SSH host keys of the old cluster over.")
@output.output_option
def restore(
    target: str,
    places: tuple[str, ...],
    key_file: Path,
    nodes: tuple[bundle.NodeSpec, ...],
    cluster: str | None,
    replicas: int,
    encryption: str,
    keep_host_keys: bool,
    form: str,
) -> None:
    """Make a new cluster in DIRECTORY out of the newest backup at TARGET, or the one with a NAME.

    It has an authority, certificates and nodes of its own, as many as there are --node options; each node's directory
    has its share of the pictures. Copy them to their machines and start them, as after `pixraft init`. The old cluster
    is not touched. A backup that is not whole is refused, and nothing is made.
    """
    if len(places) > 2:
        raise click.UsageError("give the name of a backup, if it is not the newest, and a directory")
    directory = Path(places[-1])
    repository = _repository(target, key_file)
    manifest = repository.chosen(places[0] if len(places) > 1 else None)
    spec = bundle.ClusterSpec(
        nodes=own_ports(nodes),
        name=_checked(cluster or manifest.cluster),
        replicas=replicas,
        encryption=encryption,
    )
    done = _restore(repository, manifest, directory, spec, keep_host_keys, _progress(form))
    configs = {node.name: str(directory / node.name / NODE_FILE) for node in nodes}
    if form == "json":
        output.print_json(
            {
                "directory": str(directory),
                "backup": manifest.name,
                "admin": str(directory / bundle.ADMIN),
                "authority": str(directory / bundle.AUTHORITY),
                "nodes": [{"name": node, "config": config} for node, config in configs.items()],
                "index": done.index,
                "files": done.files,
                "chunks": done.chunks,
                "bytes": done.bytes,
                "lost": len(manifest.lost),
            }
        )
        return
    click.echo(f"Made the cluster {spec.name!r} in {directory} of backup {manifest.name}: {done.files} files.")
    click.echo("Start each node with")
    for config in configs.values():
        click.echo(f"  pixraft serve --config {config}")
    if manifest.lost:
        output.warn(f"{len(manifest.lost)} chunks were lost before the backup was made")


def _checked(name: str) -> str:
    try:
        return check_name(name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--name") from None


def _restore(
    repository: Repository,
    manifest: Manifest,
    directory: Path,
    spec: bundle.ClusterSpec,
    keep_host_keys: bool,
    report: Report,
) -> Restored:
    """Make all of it beside, and take it into use by renames; the admin's directory comes last."""
    names = sorted(
        [bundle.AUTHORITY, bundle.ADMIN, *(node.name for node in spec.nodes)],
        key=lambda name: name == bundle.ADMIN,
    )
    for name in names:
        if (directory / name).exists():
            raise AlreadyExists(f"{directory / name}; nothing was changed")
    directory.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".restore-", dir=directory))
    try:
        try:
            bundle.make_cluster(scratch, spec)
        except Invalid as error:
            raise click.BadParameter(error.detail, param_hint="--node") from None
        data = {node.name: scratch / node.name / spec.data for node in spec.nodes}
        done = asyncio.run(
            Restoring(
                repository,
                manifest,
                data,
                spec.replicas,
                report,
                secrets=(hostkeys.SECRET,) if keep_host_keys else (),
            ).run()
        )
        for name in names:
            os.rename(scratch / name, directory / name)
        return done
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if not any(directory.iterdir()):
            directory.rmdir()
