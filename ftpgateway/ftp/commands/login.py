"""Logging in and out: USER, PASS, REIN, QUIT."""

from __future__ import annotations

from dataclasses import dataclass

from ftpgateway.access.refusal import LoginRefused
from ftpgateway.ftp.gate import Beside
from ftpgateway.ftp.interface import Session, command
from ftpgateway.serving.refusals import NO_QUORUM, TOO_MANY_LOGINS, WRONG_PASSWORD
from raftstore.errors import StoreError, Unavailable

WRONG = f"530 {WRONG_PASSWORD}"


@dataclass(slots=True)
class _Attempt:
    """A login that has begun: the name that USER told, and how many failed since the last one."""

    name: str = ""
    failed: int = 0


@command(
    "USER",
    "begin to log in, forgetting an earlier login",
    syntax="<name>",
    login=False,
    inline=True,
    beside=Beside.WAITS,
    verbatim=True,
)
def user(session: Session, argument: str) -> None:
    """USER: begin to log in, forgetting an earlier login."""
    if session.settings.require_tls and not session.secured:
        session.respond("530 This server requires encryption: use AUTH TLS first.")
        return
    if session.login is not None:
        session.log_out()
        if not session.alive:
            return
    session.state(_Attempt).name = argument
    session.respond("331 Username ok, send password.")


@command("PASS", "log in", syntax="[<password>]", login=False, beside=Beside.WAITS, verbatim=True)
def pass_(session: Session, argument: str) -> None:
    """PASS: log in."""
    attempt = session.state(_Attempt)
    if session.login is not None:
        session.respond("503 You are logged in already.")
        return
    if not attempt.name:
        session.respond("503 Log in with USER first.")
        return
    name, attempt.name = attempt.name, ""
    try:
        login = session.wait(session.authenticate(name, argument))
    except LoginRefused as refused:
        session.events.warning("login refused", user=name, reason=str(refused))
        session.end_with(f"421 {refused}")
        return
    except Unavailable:
        session.end_with(f"421 {TOO_MANY_LOGINS}")
        return
    except StoreError:
        session.end_with(f"421 {NO_QUORUM}")
        return
    if login is None:
        if session.alive:
            _refuse(session, attempt, name)
        return
    if not session.alive:
        login.close()
        return
    session.log_in(login)
    attempt.failed = 0
    session.respond("230 Login successful.")
    session.events.info("login", user=name, tls=session.secured)


def _refuse(session: Session, attempt: _Attempt, name: str) -> None:
    attempt.failed += 1
    session.events.warning("login refused", user=name, reason="password", attempt=attempt.failed)
    if attempt.failed >= session.settings.max_login_attempts:
        session.end_with("421 Wrong user name or password, too often; goodbye.")
    else:
        session.respond(WRONG)


@command("REIN", "log out; the connection stays", inline=True, beside=Beside.WAITS)
def rein(session: Session, argument: str) -> None:
    """REIN: back to the state before USER."""
    session.log_out()
    session.state(_Attempt).name = ""
    session.respond("220 Ready for a new user.")


@command(
    "QUIT",
    "end the session, after the transfer under way; while an upload is open 221 comes at once, and then its result",
    login=False,
    inline=True,
    beside=Beside.WAITS,
    ends=True,
)
def quit_(session: Session, argument: str) -> None:
    """QUIT."""
    session.forget_queue()
    session.end_with("" if session.goodbye_said else "221 Goodbye.")
