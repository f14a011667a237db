"""The reference of every ratio: stock pyftpdlib on a plain directory, unreplicated and unsynced."""

from __future__ import annotations

import argparse
import logging

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer


def main() -> None:
    """Serve a directory; print the port on the first line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("directory")
    parser.add_argument("--user", default="demo")
    parser.add_argument("--password", default="demo")
    parser.add_argument("--certificate", help="PEM file with key and chain: FTPS, too")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    authorizer = DummyAuthorizer()
    authorizer.add_user(arguments.user, arguments.password, arguments.directory, perm="elradfmwMT")
    FTPHandler.authorizer = authorizer
    handler = FTPHandler
    if arguments.certificate:
        from pyftpdlib.handlers import TLS_FTPHandler as handler

        handler.certfile = arguments.certificate
    server = FTPServer(("127.0.0.1", 0), handler)
    print(server.address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
