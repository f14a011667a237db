"""Between a session and its commands: how a command is declared, and what it gets.

A command is a function, declared where it is written with all that is to be known of it:

    @command("PWD", "the current directory", inline=True)
    def pwd(session: Session, argument: str) -> None:
        session.respond(f"257 {quoted(session.files.cwd)} is the current directory.")

Who may send it and when, HELP's text, FEAT's lines and the page docs/ftp-compatibility.md come from the declaration.
The modules of commands are listed in `commands`.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Protocol, TypeVar

from ftpgateway.access import sessions, workspace
from ftpgateway.ftp.data.channels import DataLink
from ftpgateway.ftp.data.transfers import Owner, Transfer
from ftpgateway.ftp.gate import Beside
from ftpgateway.ftp.settings import FtpSettings

T = TypeVar("T")
State = TypeVar("State")


class OfLogin:
    """Base of the states of commands that are forgotten when the user logs out."""

    __slots__ = ()


class Session(Owner, Protocol):
    """What a command can do with the session that it runs in."""

    settings: FtpSettings
    commands: Mapping[str, Command]
    """What the session knows; those of SITE by `SITE <name>`."""
    peer: str
    """The client's address."""
    local: str
    """The address that the client has connected to."""
    secured: bool
    """Whether the control connection is encrypted."""
    implicit_tls: bool
    """Whether TLS came before anything else."""
    link: DataLink
    """The data connection."""
    transfer: Transfer | None
    """What is under way on it."""
    login: sessions.Session | None
    """What was opened at login; None before, and after REIN."""
    goodbye_said: bool
    """Whether QUIT was answered while an upload went on."""

    @property
    def logged_in(self) -> sessions.Session:
        """What was opened at login: for commands that need one."""
        ...

    @property
    def files(self) -> workspace.Workspace:
        """What the user sees of the store."""
        ...

    def state(self, kind: type[State]) -> State:
        """Return what commands remember from one to the next: the session's one `kind()`, made when first asked for."""
        ...

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for the store; not in an inline command. Raises what `work` raises, SessionEnded when it ends."""
        ...

    # Replies.

    def respond(self, resp: str) -> None:
        """Send the last line of a reply; a refusal is logged with its reason."""
        ...

    def push(self, data: str) -> None:
        """Send lines that come before the last one, each with its CR LF."""
        ...

    def corked(self) -> AbstractContextManager[None]:
        """What is said within goes out at its end, at once."""
        ...

    @property
    def unsent(self) -> int:
        """Bytes of replies that the client has yet to take."""
        ...

    # The transfer.

    @property
    def passive_address(self) -> str | None:
        """What PASV tells clients to connect to; None: not known yet."""
        ...

    def no_data_connection(self) -> bool:
        """Whether there is none; the client is told so, and why."""
        ...

    def announce(self, text: str) -> None:
        """Say that a transfer begins: 150."""
        ...

    def attach(self, transfer: Transfer) -> None:
        """Start a transfer on the data connection, as soon as that stands."""
        ...

    @property
    def hashers(self) -> Executor:
        """Threads that compute checksums."""
        ...

    # Login and TLS.

    async def authenticate(self, name: str, password: str) -> sessions.Session | None:
        """Open a login; None when name or password is wrong. Raises LoginRefused, StoreError."""
        ...

    def log_in(self, login: sessions.Session) -> None:
        """The user is logged in from now on."""
        ...

    def log_out(self) -> None:
        """Forget the login, its data connection and what its commands have left. It may end the session."""
        ...

    def may_shake_hands(self) -> bool:
        """Whether a TLS handshake may begin now; it is counted."""
        ...

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the context for this session's connections; None when none can be made now."""
        ...

    def secure(self, context: ssl.SSLContext) -> None:
        """Begin the TLS handshake of the control connection."""
        ...

    # The end.

    @property
    def alive(self) -> bool:
        """Whether the session is open: it may have ended while the command waited."""
        ...

    def forget_queue(self) -> None:
        """Drop the commands that were sent after this one."""
        ...

    def end_with(self, reply: str) -> None:
        """Send a last reply, "" for none, and close."""
        ...

    def close(self) -> None:
        """Close at once."""
        ...


Handler = Callable[[Session, str], None]
Feature = str | Callable[[Session], str]
"""A line of FEAT, or what makes it for a session; "" for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command: what `command` declares."""

    name: str
    run: Handler
    does: str
    source: str
    syntax: str
    argument: bool | None
    """Whether it must have one (True) or none (False); None: it may have one."""
    right: str
    login: bool
    tls: bool
    inline: bool
    beside: Beside
    feature: Feature
    options: Handler | None
    bare: Command | None
    also: tuple[str, ...]
    probe: bool
    verbatim: bool
    ends: bool

    @property
    def help(self) -> str:
        """One line: how it is written and what it does."""
        return f"Syntax: {f'{self.name} {self.syntax}'.strip()} ({self.does})."


def command(
    name: str,
    does: str,
    *,
    source: str = "RFC 959",
    syntax: str = "",
    argument: bool | None = None,
    right: str = "",
    login: bool = True,
    tls: bool = False,
    inline: bool = False,
    data: bool = False,
    beside: Beside = Beside.RUNS,
    feature: Feature = "",
    options: Handler | None = None,
    bare: Command | None = None,
    also: Sequence[str] = (),
    probe: bool = False,
    verbatim: bool = False,
    ends: bool = False,
) -> Callable[[Handler], Command]:
    """Declare the function below as the command `name` (`SITE <name>`), and under the older names in `also`.

    - `does`, `source`, `syntax`: for HELP and the page.
    - `argument`: True when one is needed, False when none is taken; without it none is taken where the syntax has none,
      any where it is [optional], else one is needed.
    - `right`: letters of which the user needs one, "" for none; with one, the argument has a path, which is logged.
    - `login`: it needs one. `tls`: it is there only where the server has a certificate.
    - `inline`: it never waits for the store, so it runs without a greenlet.
    - `data`: it makes or uses the data connection, so it waits for a transfer to end; `beside` is for others.
    - `feature`: its line of FEAT. `options`: what OPTS does with it.
    - `bare`: the command that is meant when there is no argument.
    - `probe`: clients ask with it whether a name is there. `verbatim`: its argument is taken byte by byte.
    - `ends`: it ends the session in order.
    """
    if argument is None and (not syntax or not syntax.startswith("[")):
        argument = bool(syntax)

    def declare(run: Handler) -> Command:
        return Command(
            name=name,
            run=run,
            does=does,
            source=source,
            syntax=syntax,
            argument=argument,
            right=right,
            login=login,
            tls=tls,
            inline=inline,
            beside=Beside.WAITS if data else beside,
            feature=feature,
            options=options,
            bare=bare,
            also=tuple(also),
            probe=probe,
            verbatim=verbatim,
            ends=ends,
        )

    return declare


def declared(modules: Iterable[ModuleType], *, tls: bool) -> dict[str, Command]:
    """Return the commands of `modules` by name, with or without a certificate.

    Raises ValueError when two have one name.
    """
    found: dict[str, Command] = {}
    for one in _all(modules):
        for named in (one, *_older(one)):
            if found.setdefault(named.name, named) is not named:
                raise ValueError(f"two commands have the name {named.name}")
    return {name: one for name, one in found.items() if tls or not one.tls}


def _all(modules: Iterable[ModuleType]) -> Iterator[Command]:
    """Yield each command once, without those that stand for another one's lack of an argument."""
    commands = [one for module in modules for one in vars(module).values() if isinstance(one, Command)]
    bare = {id(one.bare) for one in commands}
    yield from {id(one): one for one in commands if id(one) not in bare}.values()


def _older(one: Command) -> Iterator[Command]:
    for name in one.also:
        yield replace(one, name=name, does=f"{one.name}, by another name", feature="", options=None, also=())
