"""SFTP statuses for the store's errors: a code, and the same texts as FTP's replies. Pure."""

from __future__ import annotations

from ftpgateway.ftp.replies import Doing, refusal
from ftpgateway.sftp import packets
from raftstore import errors
from raftstore.errors import StoreError

_CODES: tuple[tuple[type[StoreError], int], ...] = (
    (errors.NotFound, packets.NO_SUCH_FILE),
    (errors.NotADirectory, packets.NO_SUCH_FILE),
    (errors.Denied, packets.PERMISSION_DENIED),
)


class Unsupported(StoreError):
    """This server does not do that"""


def status(request: int, error: StoreError, doing: Doing = Doing.NAMES) -> bytes:
    """Return the reply to a request that the store refused."""
    if isinstance(error, Unsupported):
        return packets.status(request, packets.OP_UNSUPPORTED, str(error))
    code = next((code for kind, code in _CODES if isinstance(error, kind)), packets.FAILURE)
    if isinstance(error, errors.Denied) and error.detail:
        return packets.status(request, code, error.detail)
    return packets.status(request, code, refusal(error, doing)[4:])
