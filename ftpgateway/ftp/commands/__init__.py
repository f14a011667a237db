"""The commands of a session, by concern; `Session` has them all.

`login` (USER, PASS, ...), `security` (AUTH, PROT, ...), `connections` (PASV, PORT, ABOR, ...), `names` (CWD, RNFR,
...), `transfers` (STOR, RETR, ...), `listing` (LIST, MLSD, STAT, ...) and `talk` (FEAT, OPTS, HELP, ...). Each
command is a method `ftp_NAME`, declared with `table.command`.
"""

from ftpgateway.ftp.commands.session import Session
from ftpgateway.ftp.table import known

__all__ = ["Session", "known"]
