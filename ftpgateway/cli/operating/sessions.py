"""`pixraft sessions`: who is at the nodes, and ending that."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.errors import NotReachable
from ftpgateway.serving.opensessions import kill_sessions, list_sessions
from raftstore.errors import StoreError
from raftstore.wire import admin_pb2

LIST_EXAMPLES = """
pixraft sessions list --cluster pictures
pixraft sessions list --cluster pictures --node n2 --user anna
pixraft sessions list --cluster pictures -o json
"""
KILL_EXAMPLES = """
pixraft sessions kill 17 --node n2 --cluster pictures
pixraft sessions kill --user anna --cluster pictures
"""

_TITLES = ("node", "session", "protocol", "user", "address", "since", "doing")
Answers = Mapping[str, admin_pb2.Sessions]


@click.group("sessions", cls=output.ListingGroup)
def command() -> None:
    """Sessions of clients at the nodes: list them, end them. By itself: list."""


def rate(operation: admin_pb2.Operation) -> float | None:
    """Return the bytes a second since an operation began; None of what moves none, or has only just begun. Pure."""
    if not operation.HasField("moved") or operation.seconds <= 0.001:
        return None
    return operation.moved / operation.seconds


def shape(node: str, session: admin_pb2.OpenSession) -> dict[str, object]:
    """Return the documented JSON of a session. Pure."""
    return {
        "node": node,
        "session": session.number,
        "protocol": session.protocol,
        "user": session.user or None,
        "address": session.address,
        "since": output.moment(session.began_ns),
        "operations": [operation_shape(operation) for operation in session.operations],
    }


def operation_shape(operation: admin_pb2.Operation) -> dict[str, object]:
    """Return the documented JSON of what a session does. Pure."""
    speed = rate(operation)
    return {
        "what": operation.what,
        "path": operation.path or None,
        "bytes": operation.moved if operation.HasField("moved") else None,
        "seconds": round(operation.seconds, 3),
        "rate": None if speed is None else round(speed),
    }


def doing(session: admin_pb2.OpenSession) -> str:
    """Say what a session does. Pure."""
    said = []
    for operation in session.operations:
        words = f"{operation.what} {operation.path}".strip()
        if operation.HasField("moved"):
            words += f", {output.human_bytes(operation.moved)}"
        if (speed := rate(operation)) is not None:
            words += f" at {output.human_bytes(round(speed))}/s"
        elif not operation.HasField("moved"):
            words += f", for {operation.seconds:.1f} s"
        said.append(words)
    return "; ".join(said) or "-"


def row(node: str, session: admin_pb2.OpenSession, now_ns: int) -> list[str]:
    """Return the cells of a session. Pure."""
    return [
        node,
        str(session.number),
        session.protocol,
        session.user or "(logs in)",
        session.address,
        output.age((now_ns - session.began_ns) / 10**9),
        doing(session),
    ]


def plain(answers: Answers, failures: Mapping[str, StoreError]) -> str:
    """Return the sessions as lines. Pure."""
    rows = [row(node, one, answer.time_ns) for node, answer in answers.items() for one in answer.sessions]
    lines = output.plain_table(_TITLES, rows, right=("session", "since")) if rows else []
    count = sum(answer.count for answer in answers.values())
    at = f"at {len(answers)} node{'' if len(answers) == 1 else 's'}"
    lines.append(f"{count} session{'' if count == 1 else 's'} {at}." if count else f"No sessions {at}.")
    lines += [f"{node} does not answer: {error.detail or error}" for node, error in failures.items()]
    return "\n".join(lines)


def of_user(answers: Answers, user: str) -> Answers:
    """Return the sessions of one account. Pure."""
    chosen = {}
    for node, answer in answers.items():
        found = [session for session in answer.sessions if session.user == user]
        chosen[node] = admin_pb2.Sessions(sessions=found, count=len(found), time_ns=answer.time_ns)
    return chosen


@command.command("list", cls=output.PixraftCommand, examples=LIST_EXAMPLES)
@access_options
@click.option("--user", help="Only those of this account.")
@output.output_option
def list_(access: Access, user: str | None, form: str) -> None:
    """List who is at all nodes, or at the one that --node names, and what each does just now.

    The number is that of the session in its node's log. Rates are averages since the transfer began; the paths are
    those that the session sees. Clients that are only just connecting are not listed before their first bytes.
    """
    answers, failures = run(ClusterClient(access).ask_each(list_sessions, admin_pb2.SessionsRequest()))
    if not answers:
        raise no_answer(failures)
    if user is not None:
        answers = dict(of_user(answers, user))
    if form == "json":
        shapes = [shape(node, one) for node, answer in answers.items() for one in answer.sessions]
        count = sum(answer.count for answer in answers.values())
        output.print_json({"sessions": shapes, "count": count, "not_reached": sorted(failures)})
    else:
        click.echo(plain(answers, failures))


def no_answer(failures: Mapping[str, StoreError]) -> StoreError:
    """Return what to raise when all nodes failed: what they said, if they spoke. Pure."""
    spoke = [error for error in failures.values() if not isinstance(error, NotReachable)]
    if spoke:
        return spoke[0]
    return NotReachable("; ".join(f"{node}: {error.detail}" for node, error in failures.items()))


@command.command("kill", cls=output.PixraftCommand, examples=KILL_EXAMPLES)
@click.argument("number", type=click.IntRange(1), required=False)
@click.option("--user", help="All sessions of this account, at all nodes or the one that --node names.")
@access_options
@output.output_option
def kill(access: Access, number: int | None, user: str | None, form: str) -> None:
    """End a session by its number at the node that --node names, or all of a user.

    A transfer that is under way ends, and the client is told that an administrator did it; what an upload has brought
    is kept for its user to resume, as after a broken connection. The user can log in again: `pixraft user set NAME
    --disable` keeps it out. Fails with 5 when a node that had to be asked does not answer: its sessions go on.
    """
    if (number is None) == (user is None):
        raise click.UsageError("give the number of a session, or --user NAME")
    if number is not None and access.node is None and len(access.members) > 1:
        raise click.UsageError("each node counts its own sessions: say with --node which one")
    request = admin_pb2.SessionKill(number=number or 0, user=user or "")
    answers, failures = run(ClusterClient(access).ask_each(kill_sessions, request))
    if not answers:
        raise no_answer(failures)
    killed = [(node, one) for node, answer in answers.items() for one in answer.killed]
    if form == "json":
        output.print_json(
            {"killed": [shape(node, one) for node, one in killed], "not_reached": sorted(failures)}
        )
    else:
        click.echo("\n".join(_killed(killed, user)))
    if failures:
        output.warn(f"{', '.join(sorted(failures))} did not answer: sessions there go on")
        click.get_current_context().exit(NotReachable.exit_code)


def _killed(killed: Sequence[tuple[str, admin_pb2.OpenSession]], user: str | None) -> list[str]:
    now = time.time_ns()
    if not killed:
        return [f"{user} had no sessions."]
    return [
        f"Session {one.number} of {one.user or 'nobody yet'} at {node} ({one.protocol} from {one.address}, "
        f"{output.age((now - one.began_ns) / 10**9)}) is ended."
        for node, one in killed
    ]
