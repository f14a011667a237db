"""Logging in over SSH (RFC 4252 and 4256): paramiko's side of it replaced.

paramiko ends the connection for a key of a kind that it does not know, where the client has others, or a password; and
it believes counts that a stranger sends. A test fails when what is replaced here changes.
"""

from __future__ import annotations

from collections.abc import Sequence

import paramiko
from paramiko.auth_handler import AuthHandler
from paramiko.common import (
    MSG_SERVICE_REQUEST,
    MSG_USERAUTH_INFO_RESPONSE,
    MSG_USERAUTH_REQUEST,
    cMSG_USERAUTH_BANNER,
    cMSG_USERAUTH_FAILURE,
    cMSG_USERAUTH_INFO_REQUEST,
    cMSG_USERAUTH_PK_OK,
    cMSG_USERAUTH_REQUEST,
    cMSG_USERAUTH_SUCCESS,
)

from ftpgateway.sftp.ssh import publickeys
from ftpgateway.sftp.ssh.sshfields import Fields, string

METHODS = "publickey,password,keyboard-interactive"
MOST_REQUESTS = 40
"""Requests to log in on one connection, questions whether a key is good among them: agents hold many keys. Wrong
passwords are bounded by the node, much lower."""
_PROMPT = "Password: "

NO_MORE_METHODS, SERVICE_NOT_AVAILABLE = 14, 7
"""Reasons for a farewell (RFC 4253, 11.1)."""


class Questions(paramiko.ServerInterface):  # type: ignore[misc]
    """What is asked about who logs in; `check_auth_none` and `check_auth_password` are paramiko's."""

    def key_allowed(self, user: str, blob: bytes) -> bool:
        """Whether a user may log in with a key; that the client has it is seen to."""
        return False

    def key_unusable(self, user: str, reason: str) -> None:
        """Told of keys that nobody can log in with here."""

    def refusal(self) -> str:
        """Return what the client is to read about the refusal just now, "" for nothing."""
        return ""


class UserAuth(AuthHandler):  # type: ignore[misc]
    """Logs a client in. `algorithms` may sign for it."""

    def __init__(self, transport: paramiko.Transport, algorithms: Sequence[str]) -> None:
        super().__init__(transport)
        self._algorithms = algorithms
        self._requests = 0
        self._prompted = ""
        """The user who was asked for a password (RFC 4256), "" for nobody."""

    @property
    def _server_handler_table(self) -> dict[int, object]:
        """What is taken."""
        return {
            MSG_SERVICE_REQUEST: self._parse_service_request,
            MSG_USERAUTH_REQUEST: self._parse_userauth_request,
            MSG_USERAUTH_INFO_RESPONSE: self._parse_userauth_info_response,
        }

    def _parse_userauth_request(self, message: paramiko.Message) -> None:
        if self.authenticated:
            return  # RFC 4252, 5.1
        self._prompted = ""
        fields = Fields(message.get_remainder())
        name, service, method = fields.string(), fields.string(), fields.string()
        if service != b"ssh-connection":
            self.transport.leave(SERVICE_NOT_AVAILABLE, "no such service")
        self._requests += 1
        if self._requests > MOST_REQUESTS:
            self.transport.leave(NO_MORE_METHODS, "too many requests to log in")
        try:
            user = name.decode()
        except UnicodeDecodeError:
            self._answer(False)  # nobody has such a name
            return
        self.auth_username = user
        server = self.transport.server_object
        if method == b"none":
            self._answer(server.check_auth_none(user) == paramiko.AUTH_SUCCESSFUL)
        elif method == b"password":
            changes = fields.flag()
            self._password(user, b"" if changes else fields.string(), asked=not changes)
        elif method == b"publickey":
            self._publickey(user, fields)
        elif method == b"keyboard-interactive":
            self._prompt(user)
        else:
            self._answer(False)

    def _password(self, user: str, password: bytes, *, asked: bool) -> None:
        server = self.transport.server_object
        self._answer(asked and server.check_auth_password(user, password) == paramiko.AUTH_SUCCESSFUL)

    def _publickey(self, user: str, fields: Fields) -> None:
        """Say whether a key is good, or take its signature."""
        proves = fields.flag()
        algorithm, blob = fields.string(), fields.string()
        name = algorithm.decode("ascii", "replace")
        server = self.transport.server_object
        if name not in self._algorithms:
            server.key_unusable(user, _unusable(name))
            self._answer(False)
        elif publickeys.kind_of_blob(blob) != publickeys.kind_of_key(name):
            server.key_unusable(user, f"a public key that is not of the kind of its algorithm, {name}")
            self._answer(False)
        elif not server.key_allowed(user, blob):
            self._answer(False)
        elif not proves:
            reply = _message(cMSG_USERAUTH_PK_OK)
            reply.add_string(algorithm)
            reply.add_string(blob)
            self.transport._send_message(reply)
        else:
            signature = fields.string()
            covered = [self.transport.session_id, user.encode(), b"ssh-connection", b"publickey"]
            data = b"".join(
                (
                    *(string(covered[0]), cMSG_USERAUTH_REQUEST, *map(string, covered[1:]), b"\1"),
                    *(string(algorithm), string(blob)),
                )
            )
            self._answer(publickeys.signed(blob, name, signature, data))

    def _prompt(self, user: str) -> None:
        """Ask for the password by a prompt (RFC 4256): some clients can show nothing else."""
        self._prompted = user
        reply = _message(cMSG_USERAUTH_INFO_REQUEST)
        for text in ("", "", ""):
            reply.add_string(text)
        reply.add_int(1)
        reply.add_string(_PROMPT)
        reply.add_boolean(False)
        self.transport._send_message(reply)

    def _parse_userauth_info_response(self, message: paramiko.Message) -> None:
        user, self._prompted = self._prompted, ""
        if self.authenticated:
            return
        fields = Fields(message.get_remainder())
        if not user or fields.number() != 1:
            self._answer(False)
        else:
            self._password(user, fields.string(), asked=True)

    def _answer(self, good: bool) -> None:
        transport = self.transport
        if good:
            transport._send_message(_message(cMSG_USERAUTH_SUCCESS))
            self.authenticated = True
            transport._auth_trigger()
            return
        if text := transport.server_object.refusal():
            banner = _message(cMSG_USERAUTH_BANNER)
            banner.add_string(text + "\r\n")
            banner.add_string("en")
            transport._send_message(banner)
        reply = _message(cMSG_USERAUTH_FAILURE)
        reply.add_string(METHODS)
        reply.add_boolean(False)
        transport._send_message(reply)


def _unusable(algorithm: str) -> str:
    """Say why nobody can log in by an algorithm."""
    if algorithm == publickeys.SHA1:
        return (
            "an RSA key that signs with SHA-1 only (ssh-rsa): a newer client, a key of another kind, or "
            "sftp.legacy_algorithms = true"
        )
    if "-cert-v01@" in algorithm:
        return f"a certificate ({algorithm[:64]}): certificates are not known here, only their keys"
    return f"a public key of a kind that is not known here ({algorithm[:64]})"


def _message(kind: bytes) -> paramiko.Message:
    message = paramiko.Message()
    message.add_byte(kind)
    return message
