"""The one place that touches pyftpdlib's inside (2.2.0): its event loop and its control connection.

Everything else builds on the names defined here. `tests/unit/ftp/test_pyftp_adapter.py` fails when the library
no longer has what this package relies on.
"""

from ftpgateway.ftp.pyftp.control import MAX_LINE, ControlConnection
from ftpgateway.ftp.pyftp.loop import READ, WRITE, NestedIOLoop, Watched

__all__ = ["MAX_LINE", "READ", "WRITE", "ControlConnection", "NestedIOLoop", "Watched"]
