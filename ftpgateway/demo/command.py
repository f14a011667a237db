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
from raftstore.metadata.tables.accounts.accounts import reserved_name

EXAMPLES = """
pixraft demo
pixraft demo --pictures ~/Photos
pixraft demo --no-scenario --dir /tmp/pixraft --ftp-port 2121 --user anna:secret
pixraft demo --no-scenario --person anna:secret --person bob:secret
"""

_LOOK = 1.0
_SPARE = ("anna", "bob", "carol")
"""Names of persons, if none are given; one may be that of the user, one that of the only person."""


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
    "--person",
    "persons",
    multiple=True,
    metavar="NAME:PASSWORD",
    help="A person, who sends pictures to others; once for each. The scenario shows the first two, or makes its own.",
)
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
    persons: tuple[str, ...],
    encryption: str,
    form: str,
) -> None:
    """Start a cluster of real node processes on this machine and show what it does.

    It uploads pictures through one node, reads them at the others, has one person send a picture to another, kills
    the leader with -9, goes on, and brings the dead node back. On a terminal the cluster then runs until Ctrl-C;
    otherwise it is stopped and the exit code says whether all went well (0, or 6 when a step failed). With
    --no-scenario it prints one line when it is ready and runs until Ctrl-C or SIGTERM.
    """
    account = _account("--user", user)
    people = _people(persons, account.name)
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
                _serve(cluster, account, people, form)
            else:
                _show(cluster, account, _two(people, account.name), chosen, form)
        except interrupts.Stopped:
            if not no_scenario:
                raise


def _account(option: str, text: str) -> Account:
    name, colon, password = text.partition(":")
    if not colon or not password:
        raise click.UsageError(f"{option} takes NAME:PASSWORD, not {text!r}")
    try:
        paths.check_name(name)
    except BadName as error:
        raise click.UsageError(f"{option}: {error}") from None
    return Account(name, password, hash_password(password))


def _people(texts: tuple[str, ...], user: str) -> list[Account]:
    """Return the persons that were asked for: each has a name of its own, and one that a person can have."""
    people: list[Account] = []
    for text in texts:
        person = _account("--person", text)
        reason = reserved_name(person.name)
        if person.name.startswith("."):
            reason = "the name of a person does not begin with a dot"
        if reason is not None:
            raise click.UsageError(f"--person {person.name}: {reason}")
        if person.name == user:
            raise click.UsageError(f"--person {person.name}: that is the name of the --user")
        if any(person.name == other.name for other in people):
            raise click.UsageError(f"--person {person.name} is given twice")
        people.append(person)
    return people


def _two(people: list[Account], user: str) -> list[Account]:
    """Return all persons, at least the two whom the scenario needs."""
    taken = {user, *(person.name for person in people)}
    spare = [name for name in _SPARE if name not in taken]
    return people + [_account("--person", f"{name}:{name}") for name in spare[: max(0, 2 - len(people))]]


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
        directory, nodes=nodes, ftp_port=ftp_port, encryption=encryption, sftp=True, metrics=True, web=True
    )
    try:
        yield cluster
    finally:
        for number in interrupts.SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        cluster.stop_all()


def _serve(cluster: LocalCluster, account: Account, people: list[Account], form: str) -> None:
    """Start the cluster, say so in one line, and stay until a signal; DemoFailed when no node is left."""
    cluster.start()
    cluster.wait_ready()
    cluster.put_user(account.name, account.password_hash)
    for person in people:
        cluster.put_user(person.name, person.password_hash, person=True)
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
        names = [person.name for person in people]
        output.print_json(
            {"ready": True, "directory": str(cluster.directory), "nodes": shape, "persons": names}
        )
    else:
        where = " ".join(
            " ".join([node.name, *(_shown(service, at) for service, at in node.services().items())])
            for node in nodes
        )
        persons = f" persons {', '.join(person.name for person in people)}," if people else ""
        click.echo(f"Ready: {where} user {account.name},{persons} in {cluster.directory}")
    sys.stdout.flush()
    while any(node.running for node in nodes):
        for name, code in cluster.wait_for_an_end().items():
            again = f"pixraft serve --config {cluster.nodes[name].config}"
            click.echo(f"Node {name} has ended ({ended(code)}); start it again with: {again}", err=True)
    raise DemoFailed(f"all nodes have ended; their logs are in {cluster.directory}")


def _shown(service: str, at: str) -> str:
    """Return where a service is, as a URL where there is one for it."""
    return f"{service} http://{at}" if service in ("metrics", "web") else f"{service}://{at}"


def _show(
    cluster: LocalCluster, account: Account, people: list[Account], pictures: list[samples.Picture], form: str
) -> None:
    """Run the scenario; on a terminal stay afterwards."""
    report = reporter(form)
    Scenario(cluster, account, people, pictures, report).run()
    console = output.console()
    stays = form == "text" and console.is_terminal
    report.say("")
    report.say(how_to_connect(cluster, account, people, pictures[0].name))
    if not stays:
        report.say("All steps went well. (On a terminal the cluster would now stay until Ctrl-C.)")
        return
    program = "pixraft" if shutil.which("pixraft") else sys.argv[0]
    report.say(f"Look at it: {program} status --cluster {cluster.directory}\nCtrl-C stops the cluster.\n")
    with contextlib.suppress(interrupts.Stopped), Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(statusview.rich(cluster.status()), refresh=True)
            interrupts.sleep(_LOOK)
