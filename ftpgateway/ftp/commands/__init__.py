"""The commands of a session, by concern: functions, each declared where it is written (see `interface`).

`login` (USER, PASS, ...), `security` (AUTH, PROT, ...), `connections` (PASV, PORT, ABOR, ...), `names` (CWD, RNFR,
...), `ranges` (REST, RANG), `transfers` (STOR, RETR, ...), `listing` (LIST, MLSD, STAT, ...), `checksums` (HASH, XCRC,
...), `copying` (SITE CPFR, ...), `people` (SITE SEND, SITE BLOCK, ...) and `talk` (FEAT, OPTS, HELP, ...).
"""

from ftpgateway.ftp.commands import (
    checksums,
    connections,
    copying,
    listing,
    login,
    names,
    people,
    ranges,
    security,
    talk,
    transfers,
)

MODULES = (login, security, connections, names, ranges, transfers, listing, checksums, copying, people, talk)
"""Where commands are declared; one that is not in one of these is not there."""
