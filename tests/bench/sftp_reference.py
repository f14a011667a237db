"""The reference of the SFTP ratios: paramiko's own server on a plain directory, a thread a connection, no sync."""

from __future__ import annotations

import argparse
import os
import socket
import threading
from pathlib import Path

import paramiko
from paramiko import SFTPAttributes, SFTPHandle, SFTPServer, SFTPServerInterface

MODES = {os.O_RDONLY: "rb", os.O_WRONLY: "wb", os.O_RDWR: "r+b"}


class Anybody(paramiko.ServerInterface):
    """Lets everybody in."""

    def check_auth_password(self, username: str, password: str) -> int:
        return int(paramiko.AUTH_SUCCESSFUL)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)

    def get_allowed_auths(self, username: str) -> str:
        return "password"


class Handle(SFTPHandle):
    """An open file."""

    def stat(self) -> SFTPAttributes:
        return SFTPAttributes.from_stat(os.fstat(getattr(self, "readfile", self.writefile).fileno()))

    def chattr(self, attr: SFTPAttributes) -> int:
        return int(paramiko.SFTP_OK)


class Directory(SFTPServerInterface):
    """A directory of the file system, as paramiko's demo of a server has it."""

    ROOT = ""

    def _real(self, path: str) -> str:
        return self.ROOT + self.canonicalize(path)

    def list_folder(self, path: str) -> list[SFTPAttributes]:
        return [
            SFTPAttributes.from_stat(entry.stat(), entry.name) for entry in Path(self._real(path)).iterdir()
        ]

    def stat(self, path: str) -> SFTPAttributes | int:
        try:
            return SFTPAttributes.from_stat(os.stat(self._real(path)))
        except OSError as error:
            return int(SFTPServer.convert_errno(error.errno))

    lstat = stat

    def open(self, path: str, flags: int, attr: SFTPAttributes) -> Handle | int:
        try:
            descriptor = os.open(self._real(path), flags, 0o644)
        except OSError as error:
            return int(SFTPServer.convert_errno(error.errno))
        file = os.fdopen(descriptor, MODES[flags & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)])
        handle = Handle(flags)
        handle.filename = self._real(path)
        handle.readfile = handle.writefile = file
        return handle

    def chattr(self, path: str, attr: SFTPAttributes) -> int:
        return int(paramiko.SFTP_OK)


def main() -> None:
    """Serve a directory; print the port on the first line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("directory")
    parser.add_argument(
        "--nodelay", action="store_true", help="set TCP_NODELAY, which paramiko's demo does not"
    )
    arguments = parser.parse_args()
    Directory.ROOT = arguments.directory
    key = paramiko.ECDSAKey.generate()
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, key, arguments.nodelay), daemon=True).start()


def serve(client: socket.socket, key: paramiko.PKey, nodelay: bool) -> None:
    """Begin one connection; the transport's thread goes on with it."""
    if nodelay:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = paramiko.Transport(client)
    transport.add_server_key(key)
    transport.set_subsystem_handler("sftp", SFTPServer, Directory)
    transport.start_server(threading.Event(), Anybody())


if __name__ == "__main__":
    main()
