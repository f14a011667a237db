"""A session with all its commands."""

from __future__ import annotations

from ftpgateway.ftp.commands.checksums import ChecksumCommands
from ftpgateway.ftp.commands.connections import ConnectionCommands
from ftpgateway.ftp.commands.listing import ListingCommands
from ftpgateway.ftp.commands.login import LoginCommands
from ftpgateway.ftp.commands.names import NameCommands
from ftpgateway.ftp.commands.security import SecurityCommands
from ftpgateway.ftp.commands.talk import TalkCommands
from ftpgateway.ftp.commands.transfers import TransferCommands


class Session(
    LoginCommands,
    SecurityCommands,
    ConnectionCommands,
    NameCommands,
    ListingCommands,
    TransferCommands,
    ChecksumCommands,
    TalkCommands,
):
    """A session with all its commands."""
