"""`pixraft demo`: a whole cluster on this machine, and what it can do."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
from rich.live import Live

from ftpgateway.cli import output
from ftpgateway.cli.errors import DemoFailed
from ftpgateway.cli.helpers import statusview
from ftpgateway.cli.users.user import hash_password
from ftpgateway.demo import interrupts, samples
from ftpgateway.demo.cluster import LocalCluster, ended
from ftpgateway.demo.report import reporter
from ftpgateway.demo.scenario import Account, Scenario, how_to_connect
from raftstore import paths
from raftstore.errors import BadName, DiskFailed

EXAMPLES = """
pixraft demo
pixraft demo --pictures ~/Photos
pixraft demo --no-scenario --dir /tmp/pixraft --ftp-port 2121 --user anna:secret
"""

_LOOK = 1.0


@output.command("demo", EXAMPLES)
@click.option(
    "--pictures", type=click.Path(path_type=Path), help="Upload the pictures in this folder instead of samples."
)
@click.option("--no-scenario", is_flag=True, help="Only start the cluster and keep it running.")
@click.option("--nodes", type=click.IntRange(1, 9), default=3, show_default=True, help="How many nodes.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    help="Keep the cluster there, to start it again. Otherwise it is temporary.",
)
@click.option(
    "--ftp-port",
    type=click.IntRange(1, 65000),
    help="FTP port of the first node; the others follow. Otherwise the first free ones from 2121.",
)
@click.option("--user", default="demo:demo", show_default=True, metavar="NAME:PASSWORD", help="The FTP user.")
@click.option(
    "--encryption",
    type=click.Choice(["full", "bulk-auth"]),
    default="full",
    show_default=True,
    help="Between nodes.",
)
@output.output_option
def command(
    pictures: Path | None,
    no_scenario: bool,
    nodes: int,
    directory: Path | None,
    ftp_port: int | None,
    user: str,
    encryption: str,
    form: str,
) -> None:
    """Start a cluster of real node processes on this machine and show what it does.

    It uploads pictures through one node, reads them at the others, kills the leader with -9, goes on,
    and brings the dead node back. On a terminal the cluster then runs until Ctrl-C; otherwise it is stopped
    and the exit code says whether all went well (0, or 6 when a step failed). With --no-scenario it prints
    one line when it is ready and runs until Ctrl-C or SIGTERM.
    """
    account = _account(user)
    if not no_scenario and nodes < 3:
        raise click.UsageError("the scenario kills a node, which needs three or more; use --no-scenario")
    chosen = samples.folder(pictures.expanduser()) if pictures else samples.shipped()
    with (
        interrupts.caught(),
        _directory(directory) as place,
        _stopping(place, nodes, ftp_port, encryption) as cluster,
    ):
        try:
            if no_scenario:
                _serve(cluster, account, form)
            else:
                _show(cluster, account, chosen, form)
        except interrupts.Stopped:
            if not no_scenario:
                raise


def _account(text: str) -> Account:
    name, colon, password = text.partition(":")
    try:
        paths.check_name(name)
    except BadName as error:
        raise click.UsageError(f"--user: {error}") from None
    if not colon or not password:
        raise click.UsageError("--user takes NAME:PASSWORD")
    return Account(name, password, hash_password(password))


@contextlib.contextmanager
def _directory(directory: Path | None) -> Iterator[Path]:
    """Give the user's directory, or a temporary one that vanishes."""
    if directory is not None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DiskFailed(f"cannot make {directory}: {error.strerror}") from None
        yield directory
        return
    made = Path(tempfile.mkdtemp(prefix="pixraft-demo-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def _stopping(directory: Path, nodes: int, ftp_port: int | None, encryption: str) -> Iterator[LocalCluster]:
    """Make the cluster; whatever happens, let no node outlive it, and no second signal cut that short."""
    cluster = LocalCluster(
        directory, nodes=nodes, ftp_port=ftp_port, encryption=encryption, sftp=True, metrics=True
    )
    try:
        yield cluster
    finally:
        for number in interrupts.SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        cluster.stop_all()


def _serve(cluster: LocalCluster, account: Account, form: str) -> None:
    """Start the cluster, say so in one line, and stay until a signal; DemoFailed when no node is left."""
    cluster.start()
    cluster.wait_ready()
    cluster.put_user(account.name, account.password_hash)
    nodes = cluster.nodes.values()
    if form == "json":
        shape = [
            {
                "name": n.name,
                **n.services(),
                "peers": str(n.peers),
                "pid": n.process.pid if n.process else 0,
            }
            for n in nodes
        ]
        output.print_json({"ready": True, "directory": str(cluster.directory), "nodes": shape})
    else:
        where = " ".join(_shown(name, at) for node in nodes for name, at in node.services().items())
        click.echo(f"Ready: {where} user {account.name}, in {cluster.directory}")
    sys.stdout.flush()
    while any(node.running for node in nodes):
        for name, code in cluster.wait_for_an_end().items():
            again = f"pixraft serve --config {cluster.nodes[name].config}"
            click.echo(f"Node {name} has ended ({ended(code)}); start it again with: {again}", err=True)
    raise DemoFailed(f"all nodes have ended; their logs are in {cluster.directory}")


def _shown(service: str, at: str) -> str:
    """Return where a service is, as a URL where there is one for it."""
    return f"metrics http://{at}" if service == "metrics" else f"{service}://{at}"


def _show(cluster: LocalCluster, account: Account, pictures: list[samples.Picture], form: str) -> None:
    """Run the scenario; on a terminal stay afterwards."""
    report = reporter(form)
    Scenario(cluster, account, pictures, report).run()
    console = output.console()
    stays = form == "text" and console.is_terminal
    report.say("")
    report.say(how_to_connect(cluster, account, pictures[0].name))
    if not stays:
        report.say("All steps went well. (On a terminal the cluster would now stay until Ctrl-C.)")
        return
    program = "pixraft" if shutil.which("pixraft") else sys.argv[0]
    report.say(f"Look at it: {program} status --cluster {cluster.directory}\nCtrl-C stops the cluster.\n")
    with contextlib.suppress(interrupts.Stopped), Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(statusview.rich(cluster.status()), refresh=True)
            interrupts.sleep(_LOOK)
