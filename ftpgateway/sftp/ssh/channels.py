"""One client of a worker: asks the node who may log in, and carries SFTP between the client and the node."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

import paramiko

from ftpgateway.sftp.processes import passing
from ftpgateway.sftp.scp.messages import is_scp
from ftpgateway.sftp.ssh import inlets
from ftpgateway.sftp.ssh.sshauth import Questions
from raftstore.wire import sftp_pb2 as wire

ANSWER_TIME = 120.0
"""Seconds that the node may take for an answer; it gives up earlier itself."""
_ANSWERED = 0.5
MAX_NAME, MAX_PASSWORD, MAX_BLOB = 1024, 4096, 16 * 1024

MAX_UNUSABLE = 4
"""Kinds of keys with which nobody can log in, of a client, that go into the log."""
LIFE_PERIOD = 30.0

MAX_REPORTED = 64
"""Characters of what a client has named that go into the log."""

NOT_HERE = "This server offers SFTP and scp only: no shell and no other commands."

MAX_COMMAND = 8 * 1024
"""Bytes of a command that the node is asked to serve."""
TOO_MANY = "Too many sessions on one connection."
ONE_EACH = "A channel is for one session or command; open another one."


class Client(Questions):
    """What paramiko asks about one connection. Its methods run in the connection's thread."""

    def __init__(self, control: socket.socket, max_channels: int, life_period: float = LIFE_PERIOD) -> None:
        """`life_period`: seconds between two words to the node that the client lives."""
        self._control = control
        self._asking = threading.Lock()
        self._max_channels = max_channels
        self._open: set[int] = set()  # channels that the client has not closed
        self._granted: set[int] = set()  # those of them that do what was asked for
        self._working: set[int] = set()  # those for which a thread runs, be they closed or not
        self._counting = threading.Lock()
        self._allowed: set[tuple[str, bytes]] = set()
        self._proof = b""
        self._user = ""
        self._text = ""
        self._unusable: set[str] = set()
        self._life_period = life_period
        self._life_reported_at = -life_period

    # Who may log in.

    def check_auth_none(self, username: str) -> int:
        """Nobody comes in without."""
        return int(paramiko.AUTH_FAILED)

    def check_auth_password(self, username: str, password: str | bytes) -> int:
        """Ask the node."""
        secret = password.encode() if isinstance(password, str) else password
        if len(username.encode()) > MAX_NAME or len(secret) > MAX_PASSWORD:
            return int(paramiko.AUTH_FAILED)
        self._user, self._proof = username, b""
        good = self._verdict(wire.FromWorker(password=wire.Password(user=username, password=secret)))
        return int(paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED)

    def key_allowed(self, user: str, blob: bytes) -> bool:
        """Ask the node whether the key is good for the user; the client has to prove then that it has it."""
        if len(user.encode()) > MAX_NAME or len(blob) > MAX_BLOB:
            return False
        self._user, self._proof = user, blob
        if (user, blob) in self._allowed:
            return True
        if good := self._verdict(wire.FromWorker(key=wire.Key(user=user, blob=blob))):
            self._allowed.add((user, blob))
        return good

    def key_unusable(self, user: str, reason: str) -> None:
        """Have it logged, a few times."""
        if len(self._unusable) == MAX_UNUSABLE or reason in self._unusable:
            return
        self._unusable.add(reason)
        unusable = wire.UnusableKey(user=user[:MAX_REPORTED], reason=reason)
        with contextlib.suppress(OSError):
            passing.send(self._control, wire.FromWorker(unusable_key=unusable))

    def refusal(self) -> str:
        """What the node says about the refusal just now."""
        return self._text

    def lives(self, moving: bool) -> None:
        """Tell the node, now and then, that a client lives that has logged in, though no request of it is seen."""
        now = time.monotonic()
        if now < self._life_reported_at + self._life_period:
            return
        self._life_reported_at = now
        with contextlib.suppress(OSError):
            passing.send(self._control, wire.FromWorker(life=wire.Life(moving=moving)))

    def _verdict(self, question: wire.FromWorker) -> bool:
        try:
            answer = self._ask(question)
        except (OSError, ValueError):
            answer = wire.Answer()
        self._text = "" if answer.yes else answer.text
        return answer.yes

    def _ask(self, question: wire.FromWorker, descriptor: int | None = None) -> wire.Answer:
        with self._asking:
            passing.send(self._control, question, [] if descriptor is None else [descriptor])
            received = passing.receive(self._control, wire.Answer)
        if received is None or received[0].over:
            raise ConnectionError("the node has ended the session")
        answer, descriptors = received
        passing.close(descriptors)
        return answer

    def why_over(self) -> str:
        """Return why the node has ended the connection, which it has, "" if it does not say."""
        # The thread that asks something takes its answer first.
        if not self._asking.acquire(timeout=_ANSWERED):
            return ""
        try:
            received = passing.receive(self._control, wire.Answer, socket.MSG_DONTWAIT)
        except (OSError, ValueError):
            return ""
        finally:
            self._asking.release()
        if received is None:
            return ""
        passing.close(received[1])
        return received[0].text if received[0].over else ""

    # What they may do.

    def check_channel_request(self, kind: str, chanid: int) -> int:
        """Open channels for sessions only, and not too many."""
        if kind != "session":
            self._refused("channel", f"A channel of kind {kind[:MAX_REPORTED]}: {NOT_HERE}")
            return int(paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED)
        with self._counting:
            may_open = len(self._open | self._working) < self._max_channels
            if may_open:
                self._open.add(chanid)
        if not may_open:
            self._refused("channel", TOO_MANY)
            return int(paramiko.OPEN_FAILED_RESOURCE_SHORTAGE)
        return int(paramiko.OPEN_SUCCEEDED)

    def channel_over(self, number: int) -> None:
        """The client has closed a channel."""
        with self._counting:
            self._open.discard(number)
            self._granted.discard(number)

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        """Forward nothing."""
        self._refused("forwarding", NOT_HERE)
        return int(paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED)

    def check_port_forward_request(self, address: str, port: int) -> bool:
        """Forward nothing."""
        self._refused("forwarding", NOT_HERE)
        return False

    def _refused(self, request: str, reason: str) -> None:
        """Have it logged."""
        with contextlib.suppress(OSError):
            passing.send(self._control, wire.FromWorker(refused=wire.Refused(request=request, reason=reason)))

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        """Begin an SFTP session."""
        if name != "sftp":
            self._refused("subsystem", f"{name[:MAX_REPORTED]}: {NOT_HERE}")
            return False
        if self._second("subsystem", channel):
            return False
        self._begin("sftp", channel, wire.Open(user=self._user, blob=self._proof))
        return True

    def _begin(self, name: str, channel: paramiko.Channel, opening: wire.Open) -> None:
        ours, theirs = socket.socketpair()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, inlets.PAIR_BUFFER)
        inlets.Inlet(channel, ours)
        self._start(name, self._serve, channel, ours, theirs, opening)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        """Begin what scp is asked to do; say what is offered instead of other commands."""
        if not is_scp(command) or len(command) > MAX_COMMAND:
            return self._reported("exec", channel)
        if self._second("exec", channel):
            return False
        self._begin("scp", channel, wire.Open(user=self._user, blob=self._proof, command=command))
        return True

    def check_channel_shell_request(self, channel: paramiko.Channel) -> bool:
        """Say what is offered instead of a shell."""
        return self._reported("shell", channel)

    def check_channel_pty_request(self, channel: paramiko.Channel, *terminal: object) -> bool:
        """Grant a terminal, of which nothing comes: without it `ssh -tt` ends before it shows what `_told` says."""
        return True

    def _reported(self, request: str, channel: paramiko.Channel) -> bool:
        if self._second(request, channel):
            return False
        self._refused(request, NOT_HERE)
        self._start(request, self._end, channel, 1, NOT_HERE + "\r\n")
        return True

    def _second(self, request: str, channel: paramiko.Channel) -> bool:
        """Whether the channel was granted such a request already: one is all it gets (RFC 4254, 6.5)."""
        second = channel.chanid in self._granted
        if second:
            self._refused(request, ONE_EACH)
        return second

    def _start(
        self, name: str, work: Callable[..., None], channel: paramiko.Channel, *arguments: object
    ) -> None:
        """Begin `work` in a thread of its own, after the client was told that its request is granted."""
        number = channel.chanid

        def run() -> None:
            try:
                work(channel, *arguments)
            finally:
                with self._counting:
                    self._working.discard(number)

        with self._counting:
            self._granted.add(number)
            self._working.add(number)
        thread = threading.Thread(target=run, name=name, daemon=True)
        channel.get_transport().after_reply(thread.start)

    def _end(self, channel: paramiko.Channel, code: int, text: str = "") -> None:
        with contextlib.suppress(OSError, paramiko.SSHException, EOFError):
            if text:
                channel.sendall_stderr(text.encode())
            channel.send_exit_status(code)
            channel.close()

    def _status(self, session: int) -> int:
        """Return with which status a command has ended."""
        try:
            return self._ask(wire.FromWorker(exit=wire.Exit(session=session))).status
        except (OSError, ValueError):
            return 1

    def _serve(
        self, channel: paramiko.Channel, ours: socket.socket, theirs: socket.socket, opening: wire.Open
    ) -> None:
        """Have the node serve a session and carry its replies; it ends the session by closing its end."""
        with ours:
            try:
                with theirs:
                    answer = self._ask(wire.FromWorker(open=opening), theirs.fileno())
            except (OSError, ValueError):
                answer = wire.Answer(text="The node has ended the session.")
            if answer.yes:
                with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                    inlets.carry(ours, channel)
        if answer.yes:
            self._end(channel, self._status(answer.session) if opening.command else 0)
        else:
            self._end(channel, 1, answer.text + "\n")
