"""A session: its lines, the queue in front of its commands, its transfer, its end. The commands are in
`commands`.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import time
from collections import deque
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import structlog

from ftpgateway import access
from ftpgateway.access.throttle import Throttle
from ftpgateway.ftp.data.channels import DataLink
from ftpgateway.ftp.data.streams import Stream
from ftpgateway.ftp.data.transfers import Transfer
from ftpgateway.ftp.gate import INLINE, Phase, may_run, passes_queue
from ftpgateway.ftp.hashing import ALGORITHMS
from ftpgateway.ftp.listings import DEFAULT_FACTS
from ftpgateway.ftp.pyftp import ControlConnection
from ftpgateway.ftp.replies import one_line, refusal
from ftpgateway.ftp.table import TABLE, Command
from ftpgateway.ftp.waiting import Runner
from ftpgateway.serving.connections import Slot
from ftpgateway.serving.refusallog import RefusalLog
from ftpgateway.serving.transferlog import ANONYMOUS, Transferred
from raftstore.errors import NotFound, StoreError
from raftstore.util.slices import call_in_slice

if TYPE_CHECKING:
    from ftpgateway.ftp.server import FtpFrontend

log = structlog.get_logger()
T = TypeVar("T")

QUEUE_LIMIT = 64
"""Commands that may wait; with more, reading from the client pauses."""

QUEUE_BYTES = 16 * 1024
"""Bytes of them; what is read at once comes on top."""

PROBES = frozenset({"SIZE", "MDTM", "MLST"})
"""With these, clients ask whether a name is there."""

MOST_BEFORE_LOGIN = 200
"""Commands that a client may send without logging in, since it connected or logged out; a login takes some ten."""

TOO_LONG = "too long"
"""Stands for a line that was thrown away; no command has a space in it."""

GOODBYE_AFTER = 0.3
"""Seconds for which QUIT during an upload waits for the end of the data, so that 226 comes first where it can."""

_TELNET = bytes(range(0xF0, 0x100))
_ANY_BYTES = frozenset({"USER", "PASS"})
_NOT_THERE = refusal(NotFound())


class BaseSession(ControlConnection):
    """What a session does beneath its commands."""

    known_commands: ClassVar[Mapping[str, Command]] = TABLE

    def __init__(self, sock: socket.socket, host: FtpFrontend, slot: Slot, peer: str) -> None:
        self.host = host
        self.slot = slot
        self.number = host.next_number()
        self.opened = time.monotonic()
        self.login: access.Session | None = None
        self.transfer: Transfer | None = None
        self.facts: list[str] = list(DEFAULT_FACTS)
        self.algorithm = next(iter(ALGORITHMS))
        self.marker = 0
        self.until: int | None = None
        """Byte after the last one that is wanted, by RANG."""
        self.announced: int | None = None
        self.rename_from: str | None = None
        # What the last SIZE told, if that was of an interrupted upload: the path and how many bytes.
        self.reported_begun: tuple[str, int | None] | None = None
        self.buffer_size_set = False
        self.protect_data = False
        self.link = DataLink(
            host.loop,
            host.settings.data_timeout,
            host.context,
            host.spares,
            host.proxies,
            resume_only=host.settings.require_tls_reuse,
            events=lambda: self.events,
        )
        self.runner = Runner(host.host_loop, host.wait_limit, self._advance)
        self._doing = ("", "")
        self._before_login = 0
        self._refusals = RefusalLog(lambda: self.events)
        self._lines: deque[tuple[str, bytes]] = deque()
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
            self._lines.append((TOO_LONG, b""))
        else:
            name, _, argument = line.lstrip(_TELNET).partition(b" ")
            command = name.decode("ascii", "replace").upper()
            if command == "SITE":
                sub, _, argument = argument.partition(b" ")
                command = f"SITE {sub.decode('ascii', 'replace').upper()}"
            if not self.backed_up and passes_queue(
                command, bool(argument), waiting=self._waiting, phase=self.phase
            ):
                self._begin(command, argument)
                return
            self._lines.append((command, argument))
        self._advance()

    @property
    def phase(self) -> Phase:
        """Where the session's transfer is."""
        return Phase.NONE if self.transfer is None else self.transfer.phase

    @property
    def _waiting(self) -> bool:
        return self.runner.busy

    def _advance(self) -> None:
        """Run queued commands until one has to wait, or others have their turn."""
        if self._advancing:
            return
        if self._in_line:
            self._read_while_there_is_space()
            return
        self._advancing = True
        try:
            while self._lines and self.alive and not self.backed_up:
                command, argument = self._lines[0]
                if not may_run(command, bool(argument), waiting=self._waiting, phase=self.phase):
                    if command == "QUIT":
                        self._expect_end()
                    break
                if self.host.commands_slice.used:
                    self._in_line = True
                    call_in_slice(self._next_turn, self.host.host_loop)
                    break
                self._lines.popleft()
                self._begin(command, argument)
        finally:
            self._advancing = False
        if self._farewell:
            self._part()
        self._read_while_there_is_space()

    def _read_while_there_is_space(self) -> None:
        if self.alive:
            self.pause_reading(self.backed_up or (bool(self._lines) and self._queue_is_full()))

    def _queue_is_full(self) -> bool:
        waiting = self._lines
        return len(waiting) >= QUEUE_LIMIT or sum(len(argument) for _, argument in waiting) >= QUEUE_BYTES

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
        self._advance()

    def _begin(self, command: str, raw: bytes) -> None:
        try:
            self._check_and_run(command, raw)
        except Exception:
            self.events.exception("command failed", command=one_line(command))
            self.respond("451 Internal error; try again.")

    def _check_and_run(self, command: str, raw: bytes) -> None:
        """Check a command and run it: at once, or in a greenlet when it can wait for the store."""
        if self.login is not None:
            self._before_login = 0
        elif self._before_login >= MOST_BEFORE_LOGIN:
            self._lines.clear()
            self.end_with("421 Too many commands without a login; goodbye.")
            return
        self._before_login += 1
        known = self.known_commands.get(command)
        self._doing = command, ""
        if known is None and command == "SITE ":
            self.respond("501 Syntax error: command needs an argument.")
            return
        if known is None:
            what = "line too long" if command == TOO_LONG else f'"{one_line(command[:32])}" not understood'
            self.respond(f"500 Command {what}.")
            return
        if not raw and known.argument is True:
            self.respond("501 Syntax error: command needs an argument.")
        elif raw and known.argument is False:
            self.respond("501 Syntax error: command does not accept arguments.")
        elif self.login is None and (known.login or (command == "STAT" and raw)):
            self.respond("530 Log in with USER and PASS first.")
        elif (argument := self._decoded(command, raw, named=bool(known.right))) is None or (
            known.login and not self._still_allowed()
        ):
            pass
        else:
            self._doing = command, argument if known.right else ""
            run = functools.partial(self._execute, known.method, argument)
            if command in INLINE or (command == "STAT" and not argument):
                run()
            else:
                self.runner.run(run)

    def _decoded(self, command: str, raw: bytes, *, named: bool) -> str | None:
        """Return the argument as text, or None after a refusal."""
        code = 553 if named else 501
        if b"\0" in raw or b"\r" in raw or b"\n" in raw:
            self.respond(f"{code} A name has no control characters." if named else "501 Bad characters.")
            return None
        if not named and command not in _ANY_BYTES:
            raw = raw.strip(b" ")  # `TYPE I ` of a camera
        try:
            return raw.decode("utf-8", "surrogateescape" if command in _ANY_BYTES else "strict")
        except UnicodeDecodeError:
            self.respond(f"{code} That is not UTF-8; set your client's character encoding to UTF-8.")
            return None

    def _still_allowed(self) -> bool:
        """Look whether the account still is what was logged in; otherwise the session is ended by now."""
        if self.login is not None:
            self.login.refresh()
        return self.alive and not self._farewell

    def _execute(self, method: str, argument: str) -> None:
        try:
            getattr(self, method)(argument)
        except StoreError as error:
            self.respond(refusal(error))
        except Exception:
            command, path = self._doing  # without what may be a password
            self.events.exception("command failed", command=command, path=path)
            self.respond("451 Internal error; try again.")

    def respond(self, resp: str, logfun: object = None) -> None:
        """Send the last line of a reply; a refusal is logged with its reason."""
        if resp[:1] in ("4", "5"):
            self._refused(resp)
        super().respond(resp)

    def _refused(self, reply: str) -> None:
        command, path = self._doing
        # What is no command may be a password in the wrong place.
        known = command in self.known_commands
        self._refusals.refused(
            command=command if known else "",
            path=one_line(path),
            reason=one_line(reply) if known else f"{reply[:3]} no such command",
            probe=command in PROBES and reply == _NOT_THERE,
        )

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Within a command that is not in `gate.INLINE`: wait for the store."""
        doing = self._doing
        try:
            return self.runner.wait(work)
        finally:
            self._doing = doing

    @property
    def session(self) -> access.Session:
        """What was opened at login."""
        assert self.login is not None
        return self.login

    @property
    def files(self) -> access.Workspace:
        """What the user sees of the store."""
        return self.session.files

    # The log.

    @property
    def events(self) -> Any:
        """See the base class."""
        user = self.login.name if self.login is not None else ""
        return log.bind(session=self.number, user=user, peer=self.peer)

    # The transfer.

    def take_range(self) -> tuple[int, int | None]:
        """Return the first byte and the byte after the last (None: all) that REST or RANG have set, for this once."""
        wanted, self.marker, self.until = (self.marker, self.until), 0, None
        return wanted

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

    # The end.

    def hung_up(self) -> bool:
        """Whether the client is gone without a word; who sent QUIT behind its upload has ended it in order."""
        return not self.outlives_client() and super().hung_up()

    def outlives_client(self) -> bool:
        """Whether QUIT came, in the queue or behind an upload."""
        return any(command == "QUIT" for command, _ in self._lines)

    def replies_taken(self) -> None:
        """Go on, but not within the command whose reply that was."""
        self.host.host_loop.call_soon(self._advance)

    def handshake_over(self) -> None:
        """The time for logging in goes on."""
        if self.login is not None:
            self.set_idle_timer(self.host.settings.idle_timeout)
        else:
            left = self.opened + self.host.settings.login_timeout - time.monotonic()
            self.set_idle_timer(max(0.0, left))

    def idle(self) -> bool:
        """A session that waits for us, or transfers, is not idle."""
        if self.login is not None and (self.runner.busy or self.transfer is not None):
            self.set_idle_timer(self.host.settings.idle_timeout)
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

    def leave(self) -> None:
        """The server is being stopped: say goodbye, now or when the transfer is over."""
        self._farewell = "421 The server is being stopped; connect to another node."
        self._part()

    def expel(self, reason: str) -> None:
        """The account does not allow the session any more: end its transfer, and then it."""
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
