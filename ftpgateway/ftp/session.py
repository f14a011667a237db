"""A session: its lines, the queue in front of its commands, its transfer, its end. What commands see of it is in
`interface`.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
import time
from collections import deque
from collections.abc import Coroutine, Mapping
from concurrent.futures import Executor
from typing import Any, Protocol, TypeVar

import structlog

from ftpgateway.access import access, sessions, workspace
from ftpgateway.access.login.throttle import Throttle
from ftpgateway.ftp.data.channels import DataLink
from ftpgateway.ftp.data.masquerade import Masquerade
from ftpgateway.ftp.data.spares import Spares
from ftpgateway.ftp.data.streams import Stream
from ftpgateway.ftp.data.transfers import Host, Transfer
from ftpgateway.ftp.gate import Beside, Phase, may_run, passes_queue
from ftpgateway.ftp.interface import Command, OfLogin, State
from ftpgateway.ftp.pyftp import ControlConnection
from ftpgateway.ftp.replies import refusal
from ftpgateway.ftp.settings import FtpSettings
from ftpgateway.ftp.tls import TOO_MANY_HANDSHAKES, control_side
from ftpgateway.ftp.waiting import Runner
from ftpgateway.serving.connections import Connections, Slot, TooMany
from ftpgateway.serving.logs.refusallog import RefusalLog
from ftpgateway.serving.logs.transferlog import ANONYMOUS, Transferred, TransferSink
from ftpgateway.serving.proxies import Proxies
from ftpgateway.serving.refusals import one_line
from raftstore.errors import NotFound, StoreError
from raftstore.util.limits.slices import SharedSlice, call_in_slice

log = structlog.get_logger()
T = TypeVar("T")

_Line = tuple[str, Command | None, bytes]
"""What a client has sent: the command's name, what it is if it is known, and its argument."""

QUEUE_LIMIT = 64
"""Commands that may wait; with more, reading from the client pauses."""

QUEUE_BYTES = 16 * 1024
"""Bytes of them; what is read at once comes on top."""

MOST_BEFORE_LOGIN = 200
"""Commands that a client may send without logging in, since it connected or logged out; a login takes some ten."""

TOO_LONG = "too long"
"""Stands for a line that was thrown away; no command has a space in it."""

GOODBYE_AFTER = 0.3
"""Seconds for which QUIT during an upload waits for the end of the data, so that 226 comes first where it can."""

_TELNET = bytes(range(0xF0, 0x100))
_NOT_THERE = refusal(NotFound())


class Frontend(Host, Protocol):
    """What a session needs of the front-end that it belongs to."""

    access: access.Access
    settings: FtpSettings
    commands: Mapping[str, Command]
    host_loop: asyncio.AbstractEventLoop
    commands_slice: SharedSlice
    connections: Connections
    transfers: TransferSink | None
    masquerade: Masquerade | None
    context: ssl.SSLContext | None
    spares: Spares
    proxies: Proxies

    @property
    def hashers(self) -> Executor:
        """Threads that compute checksums."""
        ...

    def next_number(self) -> int:
        """Return a number for a new session."""
        ...

    def control_context(self) -> ssl.SSLContext | None:
        """Return the context of a session's connections, None without TLS. Raises OSError, ValueError."""
        ...

    def may_shake_hands(self, network: str) -> bool:
        """Whether a client from `network` may begin a TLS handshake now; it is counted."""
        ...

    def session_over(self, session: FtpSession) -> None:
        """A session has ended."""
        ...


class FtpSession(ControlConnection):
    """A session, from its first line to its end. Its commands see it as `interface.Session`."""

    def __init__(
        self, sock: socket.socket, host: Frontend, slot: Slot, peer: str, *, implicit_tls: bool = False
    ) -> None:
        """`implicit_tls`: TLS comes before anything else."""
        self.host = host
        self.settings = host.settings
        self.commands = host.commands
        self.timeout = host.settings.login_timeout
        self.handshake_timeout = host.settings.handshake_timeout
        self.banner = host.settings.banner
        self.implicit_tls = implicit_tls
        self.slot = slot
        self.number = host.next_number()
        self.opened = time.monotonic()
        self.login: sessions.Session | None = None
        self.transfer: Transfer | None = None
        self._states: dict[type[Any], Any] = {}
        self.link = DataLink(
            host.loop,
            host.settings.data_timeout,
            host.context,
            host.spares,
            host.proxies,
            resume_only=host.settings.require_tls_reuse,
            events=lambda: self.events,
        )
        self.link.protected = implicit_tls
        self.runner = Runner(host.host_loop, host.wait_limit, self._advance)
        self._doing: tuple[Command | None, str] = (None, "")
        self._doing_since = 0.0
        self._before_login = 0
        self._refusals = RefusalLog(lambda: self.events)
        self._lines: deque[_Line] = deque()
        self._advancing = False
        self._in_line = False
        self._farewell = ""
        self._expelled = False
        self._goodbye: asyncio.TimerHandle | None = None
        self.goodbye_said = False
        """Whether QUIT was answered while the upload went on."""
        super().__init__(sock, host.loop, peer)

    def heard(self) -> None:
        """See the base class."""
        self.host.connections.spoke(self.slot)

    # Lines come in.

    def line_received(self, line: bytes | None) -> None:
        """Queue a line and run what may run."""
        if not self.alive:
            return
        if self.login is not None:
            self.touch()
        if line is None:
            self._lines.append((TOO_LONG, None, b""))
        else:
            name, _, argument = line.lstrip(_TELNET).partition(b" ")
            command = name.decode("ascii", "replace").upper()
            if command == "SITE":
                sub, _, argument = argument.partition(b" ")
                command = f"SITE {sub.decode('ascii', 'replace').upper()}"
            known = self.commands.get(command)
            if known is not None and known.bare is not None and not argument:
                known = known.bare
            if (
                self.transfer is not None
                and not self.producer_fifo
                and passes_queue(_beside(known), waiting=self.runner.busy, phase=self.transfer.phase)
            ):
                self._begin(command, known, argument)
                return
            self._lines.append((command, known, argument))
        self._advance()

    @property
    def phase(self) -> Phase:
        """Where the session's transfer is."""
        return Phase.NONE if self.transfer is None else self.transfer.phase

    def _advance(self, *, its_turn: bool = False) -> None:
        """Run queued commands until one has to wait, or others have their turn.

        `its_turn`: it has waited in line, so the first runs even if others have used the time already. Else those whose
        lines come before the line is served, turn after turn, would keep it waiting for ever.
        """
        if self._advancing:
            return
        if self._in_line:
            self._read_while_there_is_space()
            return
        self._advancing = True
        try:
            while self._lines and self.alive and not self.producer_fifo:
                command, known, argument = self._lines[0]
                # With nothing under way, as mostly, whatever it is may run.
                if (self.transfer is not None or self.runner.busy) and not may_run(
                    _beside(known), waiting=self.runner.busy, phase=self.phase
                ):
                    if known is not None and known.ends:
                        self._expect_end()
                    break
                if self.host.commands_slice.used and not its_turn:
                    self._in_line = True
                    call_in_slice(self._next_turn, self.host.host_loop)
                    break
                its_turn = False
                self._lines.popleft()
                self._begin(command, known, argument)
        finally:
            self._advancing = False
        if self._farewell:
            self._part()
        if self._lines or self.producer_fifo or self._reading_paused:
            self._read_while_there_is_space()

    def _read_while_there_is_space(self) -> None:
        if self.alive:
            self.pause_reading(self.backed_up or (bool(self._lines) and self._queue_is_full()))

    def _queue_is_full(self) -> bool:
        waiting = self._lines
        return len(waiting) >= QUEUE_LIMIT or sum(len(argument) for _, _, argument in waiting) >= QUEUE_BYTES

    def _expect_end(self) -> None:
        """QUIT waits for an upload: its client may close the data connection only when QUIT is answered."""
        if self.transfer is not None and self.transfer.upload and self._goodbye is None:
            self._goodbye = self.host.host_loop.call_later(GOODBYE_AFTER, self._say_goodbye)

    def _say_goodbye(self) -> None:
        if self.phase is Phase.MOVING and not self.goodbye_said:
            self.goodbye_said = True
            self.respond("221 Goodbye; your upload goes on, its result follows.")

    def _next_turn(self) -> None:
        self._in_line = False
        self._advance(its_turn=True)

    def _begin(self, command: str, known: Command | None, raw: bytes) -> None:
        """Check a command and run it: at once, or in a greenlet when it can wait for the store."""
        if self.login is not None:
            self._before_login = 0
        elif self._before_login >= MOST_BEFORE_LOGIN:
            self._lines.clear()
            self.end_with("421 Too many commands without a login; goodbye.")
            return
        self._before_login += 1
        self._doing = known, ""
        self._doing_since = time.monotonic()
        try:
            if known is None:
                self._refuse_unknown(command)
            elif not raw and known.argument is True:
                self.respond("501 Syntax error: command needs an argument.")
            elif raw and known.argument is False:
                self.respond("501 Syntax error: command does not accept arguments.")
            elif self.login is None and known.login:
                self.respond("530 Log in with USER and PASS first.")
            elif (argument := self._decoded(known, raw)) is None or (known.login and not self._still_allowed()):
                pass
            else:
                self._doing = known, argument if known.right else ""
                if known.inline:
                    self._execute(known, argument)
                else:
                    self.runner.run(functools.partial(self._execute, known, argument))
        except Exception:
            self.events.exception("command failed", command=one_line(command))
            self.respond("451 Internal error; try again.")

    def _refuse_unknown(self, command: str) -> None:
        if command == "SITE ":
            self.respond("501 Syntax error: command needs an argument.")
        elif command == TOO_LONG:
            self.respond("500 Command line too long.")
        else:
            self.respond(f'500 Command "{one_line(command[:32])}" not understood.')

    def _decoded(self, known: Command, raw: bytes) -> str | None:
        """Return the argument as text, or None after a refusal."""
        named = bool(known.right)
        code = 553 if named else 501
        if b"\0" in raw or b"\r" in raw or b"\n" in raw:
            self.respond(f"{code} A name has no control characters." if named else "501 Bad characters.")
            return None
        if not named and not known.verbatim:
            raw = raw.strip(b" ")  # `TYPE I ` of a camera
        try:
            return raw.decode("utf-8", "surrogateescape" if known.verbatim else "strict")
        except UnicodeDecodeError:
            self.respond(f"{code} That is not UTF-8; set your client's character encoding to UTF-8.")
            return None

    def _still_allowed(self) -> bool:
        """Look whether the account still is what was logged in; otherwise the session is ended by now."""
        if self.login is not None:
            self.login.refresh()
        return self.alive and not self._farewell

    def _execute(self, command: Command, argument: str) -> None:
        try:
            command.run(self, argument)
        except StoreError as error:
            self.respond(refusal(error))
        except Exception:
            path = self._doing[1]  # without what may be a password
            self.events.exception("command failed", command=command.name, path=path)
            self.respond("451 Internal error; try again.")

    def respond(self, resp: str, logfun: object = None) -> None:
        """Send the last line of a reply; a refusal is logged with its reason."""
        if resp[:1] in ("4", "5"):
            self._refused(resp)
        super().respond(resp)

    def _refused(self, reply: str) -> None:
        command, path = self._doing
        # What is no command may be a password in the wrong place.
        self._refusals.refused(
            command=command.name if command is not None else "",
            path=one_line(path),
            reason=one_line(reply) if command is not None else f"{reply[:3]} no such command",
            probe=command is not None and command.probe and reply == _NOT_THERE,
        )

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Within a command that is not inline: wait for the store."""
        doing = self._doing
        try:
            return self.runner.wait(work)
        finally:
            self._doing = doing

    def state(self, kind: type[State]) -> State:
        """See `interface.Session`."""
        found = self._states.get(kind)
        if found is None:
            found = self._states[kind] = kind()
        return found

    @property
    def logged_in(self) -> sessions.Session:
        """What was opened at login."""
        assert self.login is not None
        return self.login

    @property
    def files(self) -> workspace.Workspace:
        """What the user sees of the store."""
        assert self.login is not None
        return self.login.files

    @property
    def under_way(self) -> tuple[str, str, float] | None:
        """The command that waits for the store, its path if it has one, and since how many seconds."""
        command, path = self._doing
        if command is None or not self.runner.busy:
            return None
        return command.name, path, time.monotonic() - self._doing_since

    # The log.

    @property
    def events(self) -> Any:
        """See the base class."""
        user = self.login.name if self.login is not None else ""
        return log.bind(session=self.number, user=user, peer=self.peer)

    # The transfer.

    @property
    def passive_address(self) -> str | None:
        """What PASV tells; None: the name that stands for it was not found yet."""
        return self.local if self.host.masquerade is None else self.host.masquerade.address

    @property
    def hashers(self) -> Executor:
        """Threads that compute checksums."""
        return self.host.hashers

    def no_data_connection(self) -> bool:
        """Whether there is none; the client is told so, and why."""
        if self.link.exists:
            return False
        failure = self.link.take_failure()
        if failure is not None:
            self.respond(f"{failure.value}.")
        else:
            self.respond("425 No data connection; send PASV, EPSV, PORT or EPRT first.")
        return True

    def announce(self, text: str) -> None:
        """Say that a transfer begins."""
        self.respond(f"150 {text}")

    def attach(self, transfer: Transfer) -> None:
        """Start a transfer on the data connection, as soon as that stands."""
        if not self.alive:  # to say 150 was too much
            transfer.lost_control()
            return
        self.transfer = transfer
        self.link.begin(transfer)
        if self._expelled:  # while the command waited
            transfer.cut(f"426{self._farewell[3:]}")

    def discard(self, stream: Stream, throttle: Throttle) -> None:
        """See `Owner`."""
        self.link.discard(self.host, stream, throttle)

    def transfer_over(self, transfer: Transfer, reply: str) -> None:
        """Tell the client how its transfer ended, log it, go on with what queued."""
        whole = reply.startswith("226")
        self.events.info(
            "transfer",
            command=transfer.command,
            path=transfer.path,
            bytes=transfer.moved,
            seconds=round(time.monotonic() - transfer.started, 3),
            result=one_line(reply),
        )
        if self.host.transfers is not None and (transfer.upload or transfer.command == "RETR"):
            self.host.transfers.record(self._transferred(transfer, complete=whole))
        if self.transfer is transfer:
            self.transfer = None
        if not self.alive:
            return
        super().respond(reply)  # logged just now
        if transfer.after_abort:
            self.respond("226 ABOR command successful.")
        self.touch()
        self._advance()

    def _transferred(self, transfer: Transfer, *, complete: bool) -> Transferred:
        user = self.login.name if self.login is not None else ""
        return Transferred(
            ended=time.time(),
            seconds=time.monotonic() - transfer.started,
            host=self.peer,
            size=transfer.moved,
            path=transfer.path,
            upload=transfer.upload,
            complete=complete,
            user=user,
            anonymous=user == ANONYMOUS,
        )

    # Login and TLS.

    async def authenticate(self, name: str, password: str) -> sessions.Session | None:
        """See `interface.Session`."""
        user = await self.host.access.password(name, password, self.peer)
        if user is None:
            return None
        login = await self.host.access.open(user, "ftp", self.expel, peer=self.peer)
        try:
            if self.alive:
                self.host.connections.logged_in(self.slot, login.name, shared=not login.holder.account)
        except BaseException:
            login.close()
            raise
        return login

    def log_in(self, login: sessions.Session) -> None:
        """The user is logged in from now on."""
        self.login = login
        self.set_idle_timer(self.settings.idle_timeout)

    def log_out(self) -> None:
        """Back to a session without a login; it ends where too many are on their way to one."""
        self.link.close()
        if self.login is not None:
            self.login.close()
        self.login = None
        for kind in [kind for kind in self._states if issubclass(kind, OfLogin)]:
            del self._states[kind]
        self.set_idle_timer(self.settings.login_timeout)
        try:
            self.host.connections.logged_out(self.slot)
        except TooMany as refused:
            self.end_with(f"421 {refused}")

    def begin_secured(self) -> None:
        """TLS at once, on the port for that: then the greeting."""
        if not self.may_shake_hands():
            self.events.warning("session refused", reason=TOO_MANY_HANDSHAKES)
            self.close()
        elif (context := self.tls_context()) is None:
            self.close()
        else:
            self.secure(context)

    def may_shake_hands(self) -> bool:
        """Whether a TLS handshake may begin now; it is counted."""
        return self.host.may_shake_hands(self.slot.network)

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the context for this session's connections; None when none can be made now."""
        try:
            return self.host.control_context()
        except (OSError, ValueError) as error:
            self.events.warning("tls cannot be set up", error=str(error))
            return None

    def secure(self, context: ssl.SSLContext) -> None:
        """Begin the TLS handshake of the control connection."""
        # Later connections of this session go on with the same: only that can resume its TLS sessions.
        self.link.context = context
        self.start_tls(functools.partial(control_side, context))

    # The end.

    def hung_up(self) -> bool:
        """Whether the client is gone without a word; who sent QUIT behind its upload has ended it in order."""
        return not self.outlives_client() and super().hung_up()

    def outlives_client(self) -> bool:
        """Whether QUIT came, in the queue or behind an upload."""
        return bool(self._lines) and any(known is not None and known.ends for _, known, _ in self._lines)

    def replies_taken(self) -> None:
        """Go on, but not within the command whose reply that was."""
        self.host.host_loop.call_soon(self._advance)

    def handshake_over(self) -> None:
        """The time for logging in goes on."""
        if self.login is not None:
            self.set_idle_timer(self.settings.idle_timeout)
        else:
            left = self.opened + self.settings.login_timeout - time.monotonic()
            self.set_idle_timer(max(0.0, left))
        if self.implicit_tls:
            self.handle()

    def idle(self) -> bool:
        """A session that waits for us, or transfers, is not idle."""
        if self.login is not None and (self.runner.busy or self.transfer is not None):
            self.set_idle_timer(self.settings.idle_timeout)
            return True
        return False

    def ending(self) -> None:
        """Let go of all that the session holds; a partial upload is kept, a commit under way goes on."""
        self.mark_ending()
        self._lines.clear()
        self.runner.cancel()
        if self._goodbye is not None:
            self._goodbye.cancel()
        if self.transfer is not None:
            self.transfer.lost_control()
        self.link.close()
        self.host.spares.drop(self.link)
        if self.login is not None:
            self.login.close()
        self.host.session_over(self)
        self.events.info(
            "session closed", seconds=round(time.monotonic() - self.opened, 3), refused=self._refusals.total
        )

    def leave(self, reason: str) -> None:
        """Say goodbye for that reason, now or when the transfer is over."""
        self._farewell = f"421 {reason}"
        self._part()

    def expel(self, reason: str) -> None:
        """Its account has changed, or an admin wants it: end its transfer, and then the session."""
        self._farewell = f"421 {reason}"
        self._expelled = True
        self._lines.clear()
        if self.transfer is not None:
            self.transfer.cut(f"426 {reason}")
        self._part()

    def _part(self) -> None:
        if self.transfer is None and not self.runner.busy:
            self.end_with(self._farewell)

    def forget_queue(self) -> None:
        """Drop what is queued and what was read but not yet split into lines."""
        self._lines.clear()
        self.discard_input()


def _beside(known: Command | None) -> Beside:
    return Beside.RUNS if known is None else known.beside
