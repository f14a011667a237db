"""A session as operators see it (`ftpgateway.serving.opensessions`)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ftpgateway.serving.opensessions import Operation

if TYPE_CHECKING:
    from ftpgateway.ftp.session import FtpSession


class OpenFtpSession:
    """One FTP session."""

    def __init__(self, session: FtpSession) -> None:
        self._session = session
        self.number = session.number
        self.peer = session.peer
        self.began = time.time()

    @property
    def protocol(self) -> str:
        """ftps once the control connection is encrypted."""
        return "ftps" if self._session.secured else "ftp"

    @property
    def user(self) -> str:
        """Who has logged in."""
        login = self._session.login
        return "" if login is None else login.name

    def operations(self) -> Sequence[Operation]:
        """The transfer, or the command that waits for the store."""
        session = self._session
        if (transfer := session.transfer) is not None:
            what = (
                "upload" if transfer.upload else "download" if transfer.command == "RETR" else transfer.command
            )
            return [Operation(what, transfer.path, transfer.moved, time.monotonic() - transfer.started)]
        under_way = session.under_way
        return [] if under_way is None else [Operation(under_way[0], under_way[1], None, under_way[2])]

    def kill(self, reason: str) -> None:
        """A transfer ends with 426, the session with 421."""
        login = self._session.login
        if login is not None:
            login.files.shut()  # what takes long, removing a large directory say, goes no further
        self._session.expel(reason)

    def leave(self, reason: str) -> None:
        """421, behind the reply of the transfer."""
        self._session.leave(reason)
