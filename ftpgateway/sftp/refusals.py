"""SFTP statuses for the store's errors: a code, and the reason that all front-ends give. Pure."""

from __future__ import annotations

from ftpgateway.serving.refusals import Doing, reason, says_why
from ftpgateway.sftp import packets
from raftstore import errors, paths
from raftstore.errors import StoreError

NO_LINKS = "This server keeps no links; store the file itself"
OWNERS = "This server keeps no owners and groups that could be set"
INTERNAL = "Internal error; nothing was stored, try again."

_CODES: tuple[tuple[type[StoreError], int], ...] = (
    (errors.NotFound, packets.NO_SUCH_FILE),
    (errors.NotADirectory, packets.NO_SUCH_FILE),
    (errors.Denied, packets.PERMISSION_DENIED),
)


class Unsupported(StoreError):
    """A request that this server does not know."""

    code = "Unsupported"
    message = "This server does not do that"


def said(error: StoreError, doing: Doing = Doing.NAMES) -> tuple[int, str]:
    """Return the status for a request that the store refused: its code and a text for people."""
    if isinstance(error, Unsupported):
        return packets.OP_UNSUPPORTED, error.detail or str(error)
    code = next((code for kind, code in _CODES if isinstance(error, kind)), packets.FAILURE)
    if isinstance(error, errors.Denied) and says_why(error.detail):
        return code, error.detail
    return code, reason(error, doing)


def check_owner(wanted: packets.Attributes) -> None:
    """Raises Denied when an owner is to be set that is not the one which is there."""
    if wanted.owner not in (None, (0, 0)):
        raise errors.Denied(OWNERS)


def not_home(path: str) -> str:
    """Return the path, unless it is the home directory, which stays. Raises Denied."""
    if path == "/":
        raise errors.Denied("the home directory stays where it is")
    return paths.join("/", path)
