"""What an account that has logged in can make a node hold, each kind in a process of its own, as in `floods`."""

from __future__ import annotations

import contextlib
import ftplib
import socket
import sys
import threading

import floods
import paramiko

HOARDER = "hoarder"
SESSIONS = 120
FILES = 8
LARGE = "large.bin"


class Hoard(floods.Flood):
    """Holds as much as it can, and goes on holding until the end."""

    def _ftp(self) -> ftplib.FTP:
        ftp = ftplib.FTP(timeout=30.0)
        ftp.connect("127.0.0.1", self.ports["ftp"], source_address=(next(self._sources), 0))
        ftp.login(HOARDER, HOARDER)
        self.done += 1
        return ftp

    def _hold(self, held: list[object]) -> None:
        print(f"standing {self.done}", flush=True)
        self.stopping.wait()
        held.clear()

    def uploads(self) -> None:
        """Begin many uploads over FTP, and end none."""
        held: list[object] = []
        for number in range(SESSIONS):
            with contextlib.suppress(*ftplib.all_errors):
                ftp = self._ftp()
                data = ftp.transfercmd(f"STOR u{number}")
                data.sendall(b"x" * 200_000)
                held += [ftp, data]
        self._hold(held)

    def ports_of_ftp(self) -> None:
        """Ask for many passive ports, and connect to none."""
        held: list[object] = []
        for _ in range(SESSIONS):
            with contextlib.suppress(*ftplib.all_errors):
                ftp = self._ftp()
                held.append(ftp)
                ftp.sendcmd("EPSV")
        self._hold(held)

    def _sessions(self) -> list[paramiko.SFTPClient]:
        held = []
        for _ in range(6):
            sock = socket.create_connection(("127.0.0.1", self.ports["sftp"]), 30.0, (next(self._sources), 0))
            transport = paramiko.Transport(sock)
            transport.connect(username=HOARDER, password=HOARDER)
            for _ in range(8):
                with contextlib.suppress(paramiko.SSHException, EOFError):
                    client = paramiko.SFTPClient.from_transport(transport)
                    assert client is not None
                    held.append(client)
        return held

    def reads(self) -> None:
        """Open files of megabytes in many SFTP sessions, and read a few bytes of each."""
        held: list[object] = []
        for client in self._sessions():
            for number in range(FILES):
                with contextlib.suppress(OSError, EOFError):
                    file = client.open(LARGE, "rb")
                    file.seek(number * 1000)
                    file.read(10)
                    held.append(file)
                    self.done += 1
        self._hold(held)

    def gaps(self) -> None:
        """Write a byte beyond a gap of megabytes, in many files of many SFTP sessions."""
        held: list[object] = []
        for one, client in enumerate(self._sessions()):
            for number in range(40):
                with contextlib.suppress(OSError, EOFError):
                    file = client.open(f"g{one}-{number}", "wb")
                    held.append(file)
                    for offset in (4 << 20, 100_000, 9 << 20):
                        file.seek(offset - 3)
                        file.write(b"x")
                    file.flush()
                    self.done += 1
        self._hold(held)

    def listings(self) -> None:
        """Open the same directory again and again."""
        held: list[object] = []
        for client in self._sessions():
            for _ in range(60):
                with contextlib.suppress(OSError, EOFError):
                    held.append(client._request(paramiko.sftp.CMD_OPENDIR, "/"))
                    self.done += 1
        self._hold(held)


KINDS = ("uploads", "ports_of_ftp", "reads", "gaps", "listings")


def main() -> None:
    """As `floods.main`; "standing" is printed when everything is held."""
    kind, ports, sources = sys.argv[1:]
    hoard = Hoard(
        {name: int(port) for name, port in (pair.split("=") for pair in ports.split(","))}, sources.split(",")
    )
    thread = threading.Thread(target=getattr(hoard, kind), daemon=True)
    thread.start()
    sys.stdin.read()
    hoard.stopping.set()
    print(f"{hoard.done} held", flush=True)


if __name__ == "__main__":
    main()
