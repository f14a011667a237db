"""Points pyftpdlib's functional tests, whose code stays as it is, at a live server.

They start a server in their own process for each test, and look at its files in their working directory. Here that
server is the live one; where it is elsewhere, files are mirrored. A test that reaches into the server's process
(its options, its handlers) cannot be run against any live server and is skipped.
"""

from __future__ import annotations

import ftplib
import os
import re
import sys

import live
import pytest
from pyftpdlib.handlers import FTPHandler

sys.path.insert(0, os.environ["LIVE_SUITE"])
import tests

_mirror: live.Mirror | None = None


class _Inside:
    """The server's classes: they may be looked at; to change them would change nothing at a live server."""

    def __init__(self, real: object) -> None:
        self.__dict__["real"] = real

    def __getattr__(self, name: str) -> object:
        value = getattr(self.__dict__["real"], name)
        return _Inside(value) if isinstance(value, type) else value

    def __setattr__(self, name: str, value: object) -> None:
        pytest.skip(f"changes the server's inside ({name})")


class LiveServer:
    """Stands in for the suite's FtpdThreadWrapper."""

    handler = FTPHandler

    def __init__(self, addr: tuple[str, int] | None = None) -> None:
        host = addr[0] if addr else "127.0.0.1"
        if host == "::":
            pytest.skip("wants a server on all interfaces")
        tls = type(self).__dict__.get("handler", FTPHandler) is not FTPHandler
        self.host, self.port = live.ADDRESSES[("tls" if tls else "plain") + ("6" if ":" in host else "4")]

    def __getattribute__(self, name: str) -> object:
        if name in ("handler", "server", "lock"):
            if name != "handler":
                pytest.skip(f"reaches into the server's process ({name})")
            return _Inside(type(self).handler)
        return object.__getattribute__(self, name)

    def start(self) -> None:
        """Begin with the same files as the test."""
        global _mirror
        if live.REMOTE:
            _mirror = live.Mirror(tests.USER, tests.PASSWD)
            _mirror.push()

    def stop(self) -> None:
        """End of a test."""
        global _mirror
        if _mirror is not None:
            _mirror.close()
            _mirror = None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The suite's module of TLS tests imports the plain ones, which then are collected twice."""
    items[:] = [item for item in items if item.cls is None or item.cls.__module__ == item.module.__name__]


_source: tuple[str, int] | None = None
_guessing = 0
_connect = ftplib.FTP.connect


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests with wrong passwords come from addresses of their own, so that they do not slow the others down."""
    global _source, _guessing
    _guessing += 1
    _source = (f"127.1.1.{_guessing % 250 + 1}", 0) if "Authentication" in item.nodeid else None


def _from_there(self: ftplib.FTP, host: str = "", port: int = 0, **options: object) -> str:
    if _source is not None and not isinstance(self, live.Own):
        options.setdefault("source_address", _source)
    return _connect(self, host, port, **options)


def _no_handler() -> None:
    pytest.skip("reaches into the server's process (get_server_handler)")


WORDS = {
    r"530 Wrong user name or password; .*": "530 Authentication failed.",
    r"503 Log in with USER first\.": "503 Login with USER first.",
    r"503 You are logged in already\.": "503 User already authenticated.",
    r"501 REST needs a number of bytes\.": "501 Invalid parameter.",
    r"501 There is no command .* here\.": "501 Unrecognized SITE command.",
    r"504 Only mode S is there\.": "504 Unimplemented MODE type.",
    r"504 Only structure F is there\.": "504 Unimplemented STRU type.",
    r"501 Syntax: MFMT .*": "501 Syntax error: Invalid time format.",
    r"550 No such file or directory\.": "550 No such file or directory: not retrievable.",
    r"550 It exists already; .*": "550 File exists.",
    r"550 The home directory cannot be removed\.": "550 Can't remove root directory.",
    r"503 Send RNFR first\.": "503 Bad sequence of commands: use RNFR first.",
    r"501 Syntax: SITE CHMOD .*": "501 Invalid SITE CHMOD format: it needs two arguments.",
    r"501 Syntax: (MODE|STRU) .*": r"501 Unrecognized \1 type.",
    r"550 The home directory cannot be renamed\.": "550 Can't rename home directory.",
    r"550 .* is a directory\.": "550 It is a directory: not retrievable.",
    r"501 That is not an address\.": "501 Rejected: foreign address.",
    r"450 REST does not go with (\w+); .*": r"450 Can't \1 while REST request is pending.",
    r"501 Syntax: (EPRT|PORT) .*": r"501 Invalid \1 format.",
    r"501 Data connections are made only to your own address, .*": "501 Rejected: foreign address or privileged port.",
}
"""Replies whose code is the same and whose words are others: the suite reads words, so it is told them in its own.

What it goes on to try would not be tried otherwise.
"""

_getmultiline = ftplib.FTP.getmultiline


def _translated(self: ftplib.FTP) -> str:
    reply = _getmultiline(self)
    for ours, stock in WORDS.items():
        if re.fullmatch(ours, reply):
            return re.sub(ours, stock, reply)
    return reply


tests.FtpdThreadWrapper = LiveServer
tests.get_server_handler = _no_handler
tests.GLOBAL_TIMEOUT = 30
if live.REMOTE:
    ftplib.FTP.getmultiline = _translated
    ftplib.FTP.connect = _from_there
    live.watch(lambda: _mirror)
