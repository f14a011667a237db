"""The server to compare with: stock pyftpdlib on a plain directory, in a process of its own.

    stock.py DIRECTORY CERTIFICATE ADDRESSES.json

It makes one listener each for 127.0.0.1 and ::1, plain and with TLS, writes their addresses, and serves until its
standard input ends.
"""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
from pathlib import Path

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

ACCOUNTS = {"user": "12345", "ftptest": "dummy", "demo": "demo", "spec": "spec"}
RIGHTS = "elradfmwMT"


def authorizer(directory: str) -> DummyAuthorizer:
    """Return the accounts of all suites, each with all rights in the directory."""
    accounts = DummyAuthorizer()
    for name, password in ACCOUNTS.items():
        accounts.add_user(name, password, directory, perm=RIGHTS)
    accounts.add_anonymous(directory)
    return accounts


def main() -> None:
    """Serve."""
    directory, certificate, target = sys.argv[1:4]
    logging.basicConfig(level=logging.CRITICAL)
    accounts = authorizer(directory)
    FTPHandler.authorizer = accounts
    FTPHandler.auth_failed_timeout = TLS_FTPHandler.auth_failed_timeout = 0.001
    TLS_FTPHandler.certfile = certificate
    loop = IOLoop.instance()
    addresses = {}
    for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
        for handler in (FTPHandler, TLS_FTPHandler):
            listener = FTPServer((host, 0), handler, ioloop=loop)
            kind = ("tls" if handler is TLS_FTPHandler else "plain") + (
                "6" if family == socket.AF_INET6 else "4"
            )
            addresses[kind] = listener.socket.getsockname()[:2]
    fresh = Path(target + ".new")
    fresh.write_text(json.dumps(addresses))
    fresh.rename(target)
    stopping = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopping.set()), daemon=True).start()
    while not stopping.is_set():
        loop.loop(timeout=0.2, blocking=False)


if __name__ == "__main__":
    main()
