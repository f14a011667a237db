"""SSH through paramiko, as its server. Only this module, `sshpackets`, `sshauth`, `sshkex` and `inlets` touch its
inside (a test fails when that changes).

What paramiko's server side gets wrong is put right here, before its loop sees a packet: what it does not know is
answered instead of ending the connection, algorithms are agreed on as the RFCs say, and while keys are exchanged
nothing else is sent, for as long as that takes on a slow line.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NoReturn

import paramiko
from paramiko.common import (
    MSG_GLOBAL_REQUEST,
    MSG_KEXINIT,
    MSG_NEWKEYS,
    cMSG_CHANNEL_WINDOW_ADJUST,
    cMSG_DISCONNECT,
    cMSG_EXT_INFO,
    cMSG_KEXINIT,
    cMSG_REQUEST_FAILURE,
    cMSG_UNIMPLEMENTED,
)
from paramiko.ssh_exception import MessageOrderError

from ftpgateway.sftp.ssh import kinds, negotiation, sshkex
from ftpgateway.sftp.ssh.inlets import WINDOW, Inlet, Nowhere, Seen
from ftpgateway.sftp.ssh.sshauth import UserAuth
from ftpgateway.sftp.ssh.sshfields import Fields, Malformed
from ftpgateway.sftp.ssh.sshpackets import LARGEST_DATA, LONGEST_BEFORE_LOGIN, MAX_SSH_PACKET, Packets
from ftpgateway.sftp.ssh.sshparts import Outgoing

VERSION = "SSH-2.0-pixraft"
IDLE = 300.0
"""Seconds without a byte in either direction after which a client that owes new keys is gone, unless told otherwise."""
_BY_APPLICATION = 11
"""The reason of a client that just ends."""
KEY_EXCHANGE_FAILED = 3

_MOST_EXCHANGES = 4
"""Key exchanges, beside the first, of who has not logged in."""
_MOST_HELD = 1000
"""Messages that wait for new keys; a client that asks for more meanwhile gets none."""
_LONGEST_TEXT = 200
_MOST_LINES = 100
"""Lines before the greeting."""
_NEXT_LINE = 2.0
"""Seconds for each line but the first: what begins with something else hardly ever comes to the greeting."""
_SHOWN = 40
_MOMENT = 0.01
"""Seconds that the thread which reads waits for others to have sent; it must not wait for them for good."""


class ServerTransport(paramiko.Transport):  # type: ignore[misc]
    """One connection, as the server. `on_end` is called by its thread when it is over, with the reason."""

    _kex_info = sshkex.KEX

    def __init__(
        self,
        sock: socket.socket,
        keys: Sequence[paramiko.PKey],
        on_end: Callable[[str], None],
        *,
        algorithms: sshkex.Algorithms = sshkex.MODERN,
        idle: float = IDLE,
    ) -> None:
        super().__init__(
            sock,
            default_window_size=WINDOW,
            default_max_packet_size=LARGEST_DATA,
            server_sig_algs=False,  # told by `_activate_outbound`
        )
        packetizer = Packets(sock)
        packetizer.set_log(self.logger)
        packetizer.before_reading = self._do_later
        packetizer.expects = lambda: bool(self._expected_packet)
        packetizer.concerns = self._concerns
        packetizer.longest = LONGEST_BEFORE_LOGIN
        self.packetizer = packetizer
        self.clear_to_send_lock = threading.RLock()
        self._later: deque[Callable[[], None]] = deque()
        self._allowed: dict[paramiko.Channel, int] = {}
        self._held: list[paramiko.Message] = []
        self._idle = idle
        self._moved = (0, 0)
        self._moved_at = 0.0
        self.stalled: set[Inlet] = set()
        """Those that keep something."""
        self.channel_over: Callable[[int], None] = lambda number: None
        """Told, in this transport's thread, when the client has closed a channel; nothing comes on it any more."""
        self.on_life: Callable[[bool], None] = lambda moving: None
        """Told of the login, of keep-alives after it, and (true) of bytes that move while keys are exchanged."""
        self._open: dict[int, paramiko.Channel] = {}
        self.channels_seen = Seen()
        self.local_version = VERSION
        self._offered = algorithms
        self.auth_handler: UserAuth | None = None
        self._preferred_kex = algorithms.kex
        self._preferred_keys = algorithms.host_keys
        self._preferred_ciphers = algorithms.ciphers
        self._preferred_macs = algorithms.macs
        for key in keys:
            self.add_server_key(key)
        self._exchanges = 0
        self._wrong_guess = False
        self._wants_extensions = False
        self._farewell = ""
        self._on_end = on_end

    # Agreeing on keys.

    def _check_banner(self) -> None:
        """Take the client's greeting (RFC 4253, 4.2), as bytes: they are signed. The node bounds the time.

        Offer only AES-GCM to clients that know it: it takes half the time, but the client's order counts.
        """
        first = line = self.packetizer.line()
        with contextlib.suppress(TimeoutError):
            for _ in range(_MOST_LINES):
                if line.startswith(b"SSH-"):
                    break
                line = self.packetizer.line(_NEXT_LINE)
        if not line.startswith(b"SSH-"):
            raise paramiko.SSHException(f"not an SSH client; it begins with {first[:_SHOWN]!r}")
        if not line.startswith((b"SSH-2.0-", b"SSH-1.99-")):
            raise paramiko.SSHException(f"a client of another version of SSH, {line[:_SHOWN]!r}")
        self.remote_version = line
        if negotiation.knows(self.packetizer.first_packet(), sshkex.GCM):
            self._preferred_ciphers = sshkex.GCM

    def _parse_kex_init(self, message: paramiko.Message) -> None:
        """Agree on algorithms, where paramiko would want a MAC for all ciphers and know of no guesses."""
        content = message.get_remainder()
        theirs, size = negotiation.Offer.parse(content)
        ours, _ = negotiation.Offer.parse(self.local_kex_init[1:])
        if self.initial_kex_done and not self.is_authenticated():
            self._exchanges += 1
            if self._exchanges > _MOST_EXCHANGES:
                self.leave(KEY_EXCHANGE_FAILED, "too many key exchanges before a login")
        if not self.initial_kex_done:
            self.agreed_on_strict_kex = negotiation.STRICT in theirs.kex
            self._wants_extensions = negotiation.EXTENSIONS in theirs.kex
            if self.agreed_on_strict_kex and message.seqno != 0:
                raise MessageOrderError(
                    "a client that knows the strict key exchange begins with something else"
                )
        try:
            agreed = negotiation.agree(theirs, ours, sshkex.GCM)
        except negotiation.Disagreement as error:
            self.leave(KEY_EXCHANGE_FAILED, str(error))
        self.kex_engine = sshkex.engine(agreed.kex, self)
        self.host_key_type = agreed.host_key
        self.remote_cipher, self.local_cipher = agreed.cipher_in, agreed.cipher_out
        self.remote_mac, self.local_mac = (
            agreed.mac_in or sshkex.UNUSED_MAC,
            agreed.mac_out or sshkex.UNUSED_MAC,
        )
        self.remote_compression = self.local_compression = "none"
        self._remote_ext_info = None
        self._wrong_guess = agreed.wrong_guess
        self.remote_kex_init = cMSG_KEXINIT + content[:size]

    def _activate_outbound(self) -> None:
        """Send with the new keys, and tell what may sign for a login (RFC 8308)."""
        super()._activate_outbound()
        self.in_kex = True  # until the client's NEWKEYS: only then may others be asked for
        if self._wants_extensions and not self.initial_kex_done:
            extensions = paramiko.Message()
            extensions.add_byte(cMSG_EXT_INFO)
            extensions.add_int(2)
            extensions.add_string("server-sig-algs")
            extensions.add_string(",".join(self._offered.logins))
            extensions.add_string("ping@openssh.com")
            extensions.add_string("0")
            self._send_message(extensions)

    def _parse_newkeys(self, message: paramiko.Message) -> None:
        """Take the client's new keys; send what waited for them before anything else is."""
        if self.auth_handler is None:
            self.auth_handler = UserAuth(self, self._offered.logins)
        with self.clear_to_send_lock:
            super()._parse_newkeys(message)
            held, self._held = self._held, []
            for one in held:
                self._send_message(one)

    def _auth_trigger(self) -> None:
        """The client has logged in."""
        super()._auth_trigger()
        self.packetizer.longest = MAX_SSH_PACKET
        self.on_life(False)

    def _negotiate_keys(self, message: paramiko.Message) -> None:
        """The client asks for keys, or answers that we do."""
        super()._negotiate_keys(message)
        self._watch()

    def _send_kex_init(self) -> None:
        """Ask for new keys, or answer. Before it asks it goes on reading while another thread sends.

        That one may wait for a client that reads nothing before its own bytes are taken, as paramiko's does.
        """
        if not self.clear_to_send.is_set():
            super()._send_kex_init()
        elif self.clear_to_send_lock.acquire(timeout=_MOMENT):
            try:
                super()._send_kex_init()
            finally:
                self.clear_to_send_lock.release()
        self._watch()

    # While keys are exchanged.

    @property
    def exchanging(self) -> bool:
        """Whether new keys were asked for and are not there yet: nothing else may be sent (RFC 4253, 7.1)."""
        return self.initial_kex_done and not self.clear_to_send.is_set()

    def _watch(self) -> None:
        self._moved, self._moved_at = self.packetizer.moved(), time.monotonic()

    def _check_exchange(self) -> None:
        """Raise SSHException when a client that owes new keys is gone: nothing of what is under way moves."""
        moved = self.packetizer.moved()
        if moved != self._moved:
            self._watch()
            if self.is_authenticated():
                self.on_life(True)
        elif time.monotonic() - self._moved_at > self._idle:
            raise paramiko.SSHException("new keys were asked for, and nothing came for too long")

    def _send_message(self, message: paramiko.Message | Outgoing) -> None:
        """Send, or keep for later what may not be sent now. That is called by this transport's thread."""
        if self.exchanging and isinstance(message, paramiko.Message):
            kind = message.asbytes()[0]
            if kind > kinds.LAST_OF_TRANSPORT or kind in kinds.SERVICE:
                if len(self._held) >= _MOST_HELD:
                    raise paramiko.SSHException("too many requests while keys are exchanged")
                self._held.append(message)
                return
        super()._send_message(message)

    def _send_user_message(self, message: paramiko.Message | Outgoing) -> None:
        """Send when no keys are exchanged. Only other threads wait for that, and as long as the connection lives."""
        if threading.current_thread() is self:
            self._send_message(message)
            return
        while True:
            self.clear_to_send.wait(self._active_check_timeout)
            with self.clear_to_send_lock:
                if not self.active:
                    raise EOFError
                if self.clear_to_send.is_set():
                    super()._send_message(message)
                    return

    # What comes.

    def _concerns(self, kind: int, message: paramiko.Message) -> bool:
        """Whether a packet is for paramiko's loop; all others are answered here. In this transport's thread."""
        if self._wrong_guess and kinds.FIRST_OF_EXCHANGES <= kind <= kinds.LAST_OF_EXCHANGES:
            self._wrong_guess = False
            return False
        if self.agreed_on_strict_kex and not self.initial_kex_done:
            return True  # where anything that is not expected ends the connection
        if kind in kinds.LIFE and self.is_authenticated():
            self.on_life(False)
        if kind in kinds.TAKEN or (self._expected_packet and kind >= MSG_KEXINIT):
            return True
        if kind in kinds.OF_A_CHANNEL:
            number = Fields(message.asbytes()).number()
            if number not in self.channels_seen:
                raise paramiko.SSHException(f"a message for channel {number}, which was never open")
            return True
        if kind == MSG_NEWKEYS:
            raise paramiko.SSHException("new keys that nobody has agreed on")
        if kind == MSG_GLOBAL_REQUEST:
            self._refuse(Fields(message.asbytes()))
        elif kind == kinds.PING and self.is_authenticated():
            self._reply(bytes([kinds.PONG]), message.asbytes())
        elif kind not in kinds.NOTHING:
            self._reply(cMSG_UNIMPLEMENTED, message.seqno.to_bytes(4, "big"))
        return False

    def _refuse(self, request: Fields) -> None:
        """Refuse a global request: none is granted."""
        name, wants_reply = request.string(), request.flag()
        if name == b"tcpip-forward" and self.is_authenticated():
            self.server_object.check_port_forward_request("", 0)
        if wants_reply:
            self._reply(cMSG_REQUEST_FAILURE)

    def _reply(self, kind: bytes, content: bytes = b"") -> None:
        reply = paramiko.Message()
        reply.add_byte(kind)
        reply.add_bytes(content)
        self._send_message(reply)

    def _parse_disconnect(self, message: paramiko.Message) -> None:
        """The client leaves; keep why."""
        try:
            fields = Fields(message.asbytes())
            code, text = fields.number(), fields.string().decode("utf-8", "replace")
        except Malformed:
            return
        if code != _BY_APPLICATION:
            self._farewell = f"the client left: {text[:_LONGEST_TEXT]} ({code})"

    def leave(self, code: int, reason: str) -> NoReturn:
        """Say farewell (RFC 4253, 11.1) and end the connection; only for this transport's thread."""
        with contextlib.suppress(EOFError):  # the client may have left already
            super()._send_message(_farewell(code, reason))
        raise paramiko.SSHException(reason)

    def farewell(self, reason: str) -> None:
        """Say why the connection ends now, if that can be sent at once. For other threads; nothing may follow."""
        self.packetizer.send_last(_farewell(_BY_APPLICATION, reason))

    # Channels.

    def _sanitize_packet_size(self, max_packet_size: int | None) -> int:
        """Keep to what a client says, also when it is less than paramiko believes; its caller takes 64 off."""
        return LARGEST_DATA if max_packet_size is None else max(128, min(max_packet_size, 2**31))

    def _queue_incoming_channel(self, channel: paramiko.Channel) -> None:
        """Keep a new channel until it is over; the library would keep all, and what comes on them, for good."""
        channel.in_buffer = channel.in_stderr_buffer = Nowhere()
        self._open[channel.chanid] = channel

    def _unlink_channel(self, number: int) -> None:
        """Let go of a channel."""
        super()._unlink_channel(number)
        if self._open.pop(number, None) is not None:
            self.channel_over(number)

    def after_reply(self, work: Callable[[], None]) -> None:
        """Call `work`, in this transport's thread, when the reply to the present request is sent."""
        self._later.append(work)

    def allow(self, channel: paramiko.Channel, count: int) -> None:
        """Let the client send `count` bytes more; only for this transport's thread."""
        self._allowed[channel] = self._allowed.get(channel, 0) + count
        if not self.stalled:
            self._do_later()

    def _do_later(self) -> None:
        for inlet in list(self.stalled):
            inlet.retry()
        if self.exchanging:
            self._check_exchange()
            return
        while self._later:
            self._later.popleft()()
        # Before the first keys nothing may be sent, and there is nothing.
        if self._allowed and self.clear_to_send_lock.acquire(timeout=_MOMENT):
            try:
                self._send_allowed()
            finally:
                self.clear_to_send_lock.release()

    def _send_allowed(self) -> None:
        allowed, self._allowed = self._allowed, {}
        for channel, count in allowed.items():
            message = paramiko.Message()
            message.add_byte(cMSG_CHANNEL_WINDOW_ADJUST)
            message.add_int(channel.remote_chanid)
            message.add_int(count)
            self._send_message(message)

    def run(self) -> None:
        """Serve until the connection is over."""
        self.packetizer.reader = threading.current_thread()
        try:
            super().run()
        finally:
            self.packetizer.release()
            self._open.clear()
            self._held.clear()
            while self._later:  # they see that it is over, and let go of what they have
                self._later.popleft()()
            error = self.saved_exception
            # Many clients just close the connection, without the farewell of SSH.
            if error is None or isinstance(error, EOFError):
                reason = self._farewell
            elif isinstance(error, paramiko.SSHException):
                reason = str(error)
            elif isinstance(error, ValueError):
                reason = f"a message that cannot be read: {error}"
            else:
                reason = f"{type(error).__name__}: {error}"
            self._on_end(reason)


def _farewell(code: int, reason: str) -> paramiko.Message:
    message = paramiko.Message()
    message.add_byte(cMSG_DISCONNECT)
    message.add_int(code)
    message.add_string(reason[:_LONGEST_TEXT])
    message.add_string("en")
    return message


def quiet() -> None:
    """Keep the library's own log lines, which have no context, out of the node's log."""
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    logging.getLogger("paramiko").propagate = False
