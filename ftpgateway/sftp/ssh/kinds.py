"""Kinds of SSH messages, by their numbers (RFC 4250, 4.1.2), and what becomes of each at this server."""

from __future__ import annotations

from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_DEBUG,
    MSG_DISCONNECT,
    MSG_EXT_INFO,
    MSG_GLOBAL_REQUEST,
    MSG_IGNORE,
    MSG_KEXINIT,
    MSG_REQUEST_FAILURE,
    MSG_REQUEST_SUCCESS,
    MSG_SERVICE_REQUEST,
    MSG_UNIMPLEMENTED,
    MSG_USERAUTH_INFO_RESPONSE,
    MSG_USERAUTH_REQUEST,
)

PING, PONG = 192, 193
"""OpenSSH's PROTOCOL, 1.9."""
FIRST_OF_EXCHANGES, LAST_OF_EXCHANGES = 30, 49
"""Numbers of messages of whatever key exchange was agreed on (RFC 4250, 4.1.2)."""
LAST_OF_TRANSPORT = 49
SERVICE = range(MSG_SERVICE_REQUEST, MSG_SERVICE_REQUEST + 2)
TAKEN = frozenset(
    {
        *(MSG_DISCONNECT, MSG_IGNORE, MSG_DEBUG, MSG_KEXINIT),
        *(MSG_SERVICE_REQUEST, MSG_USERAUTH_REQUEST, MSG_USERAUTH_INFO_RESPONSE, MSG_CHANNEL_OPEN),
    }
)
"""What paramiko takes at any time; `OF_A_CHANNEL` beside."""
OF_A_CHANNEL = frozenset(
    {
        *(MSG_CHANNEL_WINDOW_ADJUST, MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA),
        *(MSG_CHANNEL_EOF, MSG_CHANNEL_CLOSE, MSG_CHANNEL_REQUEST),
    }
)
LIFE = frozenset({MSG_IGNORE, MSG_GLOBAL_REQUEST, MSG_CHANNEL_REQUEST, PING})
"""What clients send to keep a connection that does nothing: OpenSSH requests, PuTTY IGNORE."""
NOTHING = frozenset({MSG_UNIMPLEMENTED, MSG_EXT_INFO, MSG_REQUEST_SUCCESS, MSG_REQUEST_FAILURE})
"""What needs no answer, and is nothing to paramiko's server."""
