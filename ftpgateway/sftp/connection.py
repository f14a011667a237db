"""One SSH connection as the node sees it: who logs in, and the SFTP sessions that it opens."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import structlog

from ftpgateway.access.access import Access
from ftpgateway.access.ledger import Charge, LimitReached, Resource
from ftpgateway.access.refusal import LoginRefused
from ftpgateway.access.sessions import Session
from ftpgateway.serving.logs.refusallog import RefusalLog
from ftpgateway.serving.logs.transferlog import ANONYMOUS, Transferred, TransferSink
from ftpgateway.serving.opensessions import Operation
from ftpgateway.serving.refusals import NO_QUORUM, TOO_MANY_LOGINS, one_line
from ftpgateway.sftp.files.opened import File
from ftpgateway.sftp.link import RECEIVE_BUFFER, Link, SessionOver
from ftpgateway.sftp.processes import passing
from ftpgateway.sftp.requests import Requests
from ftpgateway.sftp.scp.command import ScpSession
from ftpgateway.sftp.scp.messages import BadScp, Command, parse_command
from ftpgateway.sftp.scp.session import Transfer
from ftpgateway.sftp.settings import SftpSettings
from ftpgateway.sftp.ssh.publickeys import kind_of_blob
from ftpgateway.sftp.stream import Stream
from raftstore.errors import StoreError, Unavailable
from raftstore.store.transfers.spool import Spools
from raftstore.types import User
from raftstore.util.descriptors import scarce
from raftstore.wire import sftp_pb2 as wire

log = structlog.get_logger()

_MOST_REPORTED = 16
"""Refusals of a connection's worker that are remembered, so as not to tell them twice."""

MOST_KEYS = 32
"""Keys that a connection may offer in vain; the worker's library bounds tries, too."""

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class OnLogin(Protocol):
    """Counts a client for its account; raises LoginRefused."""

    def __call__(self, account: str, *, shared: bool) -> None:
        """See `Connections.logged_in`."""
        ...


class Connection:
    """Answers what the worker asks about one client. `control` is the node's end of their socket."""

    def __init__(
        self,
        number: int,
        peer: str,
        control: socket.socket,
        *,
        access: Access,
        settings: SftpSettings,
        spools: Spools,
        spawn: Spawn,
        on_over: Callable[[Connection], None],
        on_question: Callable[[], None],
        on_login: OnLogin,
        transfers: TransferSink | None = None,
    ) -> None:
        """`on_question` is called when the client tries to log in, `on_login` when it has: see `Connections`."""
        self._transfers = transfers
        self.number = number
        self.peer = peer
        self.began = time.time()
        self._control = control
        self._access = access
        self._settings = settings
        self._spools = spools
        self._spawn = spawn
        self._on_over = on_over
        self._on_question = on_question
        self._on_login = on_login
        self._session: Session | None = None
        self._authenticated = False
        self._keys_of = ""
        self._kinds_refused: set[str] = set()
        self._proven: dict[tuple[str, bytes], User] = {}
        self._streams: dict[Stream | ScpSession, asyncio.Task[None]] = {}
        self._commands: dict[int, ScpSession] = {}  # that have not ended, or whose end nobody has asked about
        self._numbers = itertools.count(1)
        self._failures = self._keys_refused = 0
        self._any_unusable = False
        self._events: Any = log.bind(session=number, user="", peer=peer)
        self._refused_log = RefusalLog(lambda: self._events)
        self._reported: set[tuple[str, str]] = set()
        self._ending = False
        self._loop = asyncio.get_running_loop()
        self._asking: asyncio.Task[None] | None = None
        self._deadline = self._loop.call_later(settings.login_timeout, self.end, "no login in time")
        control.setblocking(False)
        self._loop.add_reader(control.fileno(), self._readable)
        log.info("session opened", session=number, peer=peer, protocol="sftp")

    @property
    def logged_in(self) -> bool:
        """Whether its client has logged in."""
        return self._session is not None or self._authenticated

    @property
    def busy(self) -> bool:
        """Whether something is being transferred."""
        return any(stream.busy for stream in self._streams)

    # As operators see it (`ftpgateway.serving.opensessions`).

    protocol = "sftp"

    @property
    def user(self) -> str:
        """Who has logged in."""
        return "" if self._session is None else self._session.name

    def operations(self) -> Sequence[Operation]:
        """The files that are open, and the requests that wait for the store."""
        return [operation for stream in self._streams for operation in stream.operations()]

    def kill(self, reason: str) -> None:
        """See `OpenSession`."""
        if self._session is not None:
            self._session.files.shut()  # what takes long, removing a large directory say, goes no further
        self.end(reason)

    def leave(self, reason: str) -> None:
        """See `OpenSession`; a session that is busy now stays until it is asked again."""
        if not self.busy:
            self.end(reason)

    def end(self, reason: str) -> None:
        """End the connection; uploads that are not closed are kept for their owner to resume. Idempotent."""
        if self._ending:
            return
        self._ending = True
        self._deadline.cancel()
        self._loop.remove_reader(self._control.fileno())
        with contextlib.suppress(OSError):  # its worker is gone, or has ended it
            passing.send(self._control, wire.Answer(over=True, text=reason))
        self._control.close()
        if self._asking is not None:
            self._asking.cancel()
        for stream in self._streams:
            stream.close()
        if not self.logged_in and (self._keys_refused or self._any_unusable) and not self._failures:
            self._access.note_keys_refused()  # a client offers all that it has: one failure, however many there are
        if not self.logged_in and self._keys_refused:
            self._events.warning(
                "login refused",
                user=one_line(self._keys_of),
                reason="public key",
                keys=self._keys_refused,
                kinds=", ".join(sorted(self._kinds_refused)),
            )
        self._events.info(
            "session over", reason=reason or "the client has left", refused=self._refused_log.total
        )
        if not self._streams:
            self._over()

    def _over(self) -> None:
        if self._session is not None:
            self._session.close()
        self._on_over(self)

    # The worker's questions.

    def _readable(self) -> None:
        try:
            received = passing.receive(self._control, wire.FromWorker)
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            self.end(f"its worker: {error}")
            return
        if received is None:
            self.end("its worker is gone")
            return
        message, descriptors = received
        kind = message.WhichOneof("kind")
        if kind == "over":
            passing.close(descriptors)
            self.end(one_line(message.over.reason))  # the client may have written it
        elif kind == "refused":
            passing.close(descriptors)
            refused = message.refused
            # Only who has logged in gets as far as that, and the name cannot change during a connection.
            user = next(iter(self._proven.values()), None)
            if user is not None:
                self._events = self._events.bind(user=user.name)
            reported = (refused.request, one_line(refused.reason))
            # rclone asks for a dozen commands each time, to see whether there is a shell.
            again = reported in self._reported
            if len(self._reported) < _MOST_REPORTED:
                self._reported.add(reported)
            self._refused_log.refused(command=reported[0], path="", reason=reported[1], again=again)
        elif kind == "life":
            passing.close(descriptors)
            self._lives(message.life.moving)
        elif kind == "unusable_key":
            passing.close(descriptors)
            unusable = message.unusable_key
            self._any_unusable = True
            self._events.warning(
                "login refused", user=one_line(unusable.user), reason=one_line(unusable.reason)
            )
        elif self._asking is not None:
            passing.close(descriptors)
            self.end("its worker asks out of turn")
        else:
            self._on_question()
            # An SFTP session's socket is its descriptor; nothing else has one.
            self._asking = self._spawn(self._answer(message, descriptors))

    async def _answer(self, message: wire.FromWorker, descriptors: list[int]) -> None:
        kind = message.WhichOneof("kind")
        try:
            if kind == "password":
                answer = await self._password(message.password)
            elif kind == "key":
                answer = await self._key(message.key)
            elif kind == "open" and len(descriptors) == 1:
                answer = await self._open(message.open, descriptors)
            elif kind == "exit" and message.exit.session in self._commands:
                answer = wire.Answer(yes=True, status=self._commands.pop(message.exit.session).status)
            else:
                raise ValueError(f"no such question: {kind}")
        except (LoginRefused, LimitReached) as refused:
            answer = self._refused(message, str(refused))
        except Unavailable:
            answer = self._refused(message, TOO_MANY_LOGINS)
        except StoreError:
            answer = self._refused(message, NO_QUORUM)
        except (ValueError, OSError) as error:
            self.end(str(error))
            return
        finally:
            passing.close(descriptors)
            self._asking = None
        self._reply(answer)

    def _refused(self, message: wire.FromWorker, text: str) -> wire.Answer:
        kind = message.WhichOneof("kind") or ""
        user = getattr(message, kind).user
        log.warning("login refused", session=self.number, user=one_line(user), peer=self.peer, reason=text)
        return wire.Answer(text=text)

    def _reply(self, answer: wire.Answer) -> None:
        if self._ending:
            return
        try:
            passing.send(self._control, answer)
        except OSError as error:
            self.end(f"its worker: {error}")
            return
        if self._failures >= self._settings.max_login_attempts:
            self.end("too many wrong passwords")

    async def _password(self, asked: wire.Password) -> wire.Answer:
        secret = asked.password.decode("utf-8", "surrogateescape")
        user = await self._access.password(asked.user, secret, self.peer)
        if user is None:
            self._failures += 1
            log.warning(
                "login refused",
                session=self.number,
                user=one_line(asked.user),
                peer=self.peer,
                reason="password",
            )
            return wire.Answer()
        self._proven[asked.user, b""] = user
        return wire.Answer(yes=True)

    async def _key(self, asked: wire.Key) -> wire.Answer:
        user = await self._access.key_allowed(asked.user, asked.blob)
        if user is None:
            # Clients offer all the keys that they have; nobody guesses one. But each is asked of the cluster.
            self._keys_refused += 1
            self._keys_of = asked.user
            self._kinds_refused.add(kind_of_blob(asked.blob))  # of few kinds: others are not asked about
            if self._keys_refused >= MOST_KEYS:
                self.end("too many keys offered")
            return wire.Answer()
        self._proven[asked.user, asked.blob] = user
        return wire.Answer(yes=True)

    def _lives(self, moving: bool) -> None:
        """The client has logged in, has sent a keep-alive since, or (`moving`) exchanges keys."""
        if not self._proven:
            self.end("its worker tells of a login that was none")
            return
        self._authenticated = True
        for stream in self._streams:
            stream.lives(moving=moving)
        if not self._streams:
            self._wait_for_sessions()

    def _wait_for_sessions(self) -> None:
        self._deadline.cancel()
        self._deadline = self._loop.call_later(
            self._settings.idle_timeout, self.end, "nothing came for too long"
        )

    # SFTP sessions.

    async def _open(self, opening: wire.Open, descriptors: list[int]) -> wire.Answer:
        text = ""
        if max(len(self._streams), len(self._commands)) >= self._settings.max_channels:
            text = "Too many sessions on one connection."
        elif scarce(descriptors[0]):
            text = "This node has no descriptors for more sessions; try again later or at another node."
        if text:
            self._refused_log.refused(command="subsystem", path="", reason=text)
            return wire.Answer(text=text)
        command: Command | None = None
        if opening.command:
            try:
                command = parse_command(opening.command)
            except BadScp as error:
                self._refused_log.refused(command="exec", path="", reason=str(error))
                return wire.Answer(text=f"scp: {error}")
        session = self._session
        if session is None:
            session = await self._login(opening)
        # What comes waits in a buffer of this size for as long as the session lives.
        buffer = session.charge(Resource.MEMORY, RECEIVE_BUFFER)
        try:
            stream = self._stream(session) if command is None else self._scp(session, command)
            await self._connect(stream, descriptors)
        except BaseException:
            buffer.release()
            raise
        self._deadline.cancel()
        self._streams[stream] = self._spawn(self._serve(stream, buffer))
        if not isinstance(stream, ScpSession):
            return wire.Answer(yes=True)
        number = next(self._numbers)
        self._commands[number] = stream
        return wire.Answer(yes=True, session=number)

    def _scp(self, session: Session, command: Command) -> ScpSession:
        return ScpSession(
            session,
            command,
            idle_timeout=self._settings.idle_timeout,
            wait_limit=self._settings.wait_limit,
            refused=self._refused_log,
            on_transfer=functools.partial(self._transferred, session.name, "scp"),
        )

    def _stream(self, session: Session) -> Stream:
        requests = Requests(
            session,
            max_handles=self._settings.max_handles,
            wait_limit=self._settings.wait_limit,
            spools=self._spools,
            events=self._events,
            refused=self._refused_log,
            on_transfer=functools.partial(self._transferred, session.name, "sftp"),
        )
        return Stream(requests, self._settings.idle_timeout)

    async def _connect(self, stream: Link, descriptors: list[int]) -> None:
        sock = socket.socket(fileno=descriptors.pop())
        sock.setblocking(False)
        try:
            await self._loop.create_connection(lambda: stream, sock=sock)
        except BaseException:
            sock.close()
            raise

    def _transferred(self, user: str, service: str, file: File | Transfer, whole: bool) -> None:
        seconds = time.monotonic() - file.begun
        upload = file.writes
        log.info(
            "transfer",
            session=self.number,
            user=user,
            peer=self.peer,
            protocol=service,
            command="write" if upload else "read",
            path=file.path,
            bytes=file.moved,
            seconds=round(seconds, 3),
            whole=whole,
        )
        if self._transfers is not None:
            self._transfers.record(
                Transferred(
                    ended=time.time(),
                    seconds=seconds,
                    host=self.peer,
                    size=file.moved,
                    path=file.path,
                    upload=upload,
                    complete=whole,
                    user=user,
                    anonymous=user == ANONYMOUS,
                    service=service,
                )
            )

    async def _login(self, opening: wire.Open) -> Session:
        user = self._proven.get((opening.user, opening.blob))
        if user is None:
            raise ValueError("its worker opens a session without a login")
        session = await self._access.open(user, "sftp", self.end, key=opening.blob or None, peer=self.peer)
        try:
            if self._ending:
                raise ValueError("ended")
            self._on_login(session.name, shared=not session.holder.account)
        except (ValueError, LoginRefused):
            session.close()
            raise
        self._session = session
        self._events = log.bind(session=self.number, user=user.name, peer=self.peer)
        method = "publickey" if opening.blob else "password"
        self._events.info("login", protocol="sftp", method=method)
        return session

    async def _serve(self, stream: Stream | ScpSession, buffer: Charge) -> None:
        reason = ""
        try:
            await stream.run()
        except SessionOver as over:
            reason = str(over)
        finally:
            del self._streams[stream]
            buffer.release()
            if self._ending:
                if not self._streams:
                    self._over()
            elif reason:
                self.end(reason)
            elif not self._streams:
                self._wait_for_sessions()
