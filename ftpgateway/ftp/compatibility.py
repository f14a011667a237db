"""The page docs/ftp-compatibility.md: what a client can rely on, from the declarations of the commands. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

from ftpgateway.ftp.commands import MODULES
from ftpgateway.ftp.interface import declared

ABSENT = (
    ("MODE Z", 504, "compression: pictures are compressed already"),
    ("MODE B", 504, "block mode: nobody sends it"),
    ("STRU R", 504, "records: files are streams of bytes"),
    ("TYPE E", 504, "EBCDIC"),
    ("OPTS UTF8 OFF", 504, "names are UTF-8, always"),
    ("LANG FR", 504, "replies are English"),
    ("AUTH GSSAPI", 504, "Kerberos: use AUTH TLS"),
    ("PROT S", 536, "signed but not encrypted data: TLS has no such thing"),
    ("CCC", 534, "back to clear commands: the password was one"),
    ("SMNT x", 500, "mounting"),
    ("ENC x", 500, "with AUTH GSSAPI only"),
    ("SITE EXEC ls", 500, "running programs"),
    ("SITE SYMLINK a b", 500, "links: the store has files and directories"),
    ("SITE CHGRP g a", 500, "owners and groups: who uploads a file owns it"),
    ("COMB a b", 500, "joining files: continue an upload with APPE"),
)
"""What is not there: how a logged-in session with TLS on answers, and why. A test sends each."""

_HEAD = """# FTP: what a client can rely on

<!-- Made by `make docs` from the program; a test fails when it is stale. -->

[ftp.md](ftp.md) describes uploads, resume and TLS. FEAT lists the features of the session; a test tries each of its
lines. "Right" is the letter that the account needs. Path arguments may have spaces, and quotes are part of the name.
Only the X commands read quotes around a name, since numbers may follow it.
"""

_NOTES = """
## In particular

- **Types**: `TYPE A` is accepted, and files are transferred unchanged; so SIZE is the same in both types.
- **REST** holds for the next RETR, STOR or HASH only. `REST n` + `STOR` keeps n bytes and cuts the rest. REST or RANG
  before APPE or STOU is refused with 450 once, and forgotten.
- **RANG** counts both bytes in: `RANG 0 99` and `RETR x` send 100 bytes. It does not work with uploads.
- **An upload that is refused on its way** (452 when the quota or the disks are full, 552, 451) gets its reply at once.
  Most clients look for a reply only after they have sent all. So the node throws away what they still send, up to
  256 MiB and for a minute. With more, or after ABOR, it resets the data connection.
- **QUIT** while an upload is open gets 221 after 0.3 s at the latest: some clients close the data connection only then.
  The upload goes on and is published, its 226 (or failure) follows, and the connection ends. The same happens when the
  client closes its side, or all of the control connection, after QUIT. Commands that were sent before QUIT are done. A
  client that goes without QUIT publishes nothing.
- **NLST** gives names that can be sent back as they are (RFC 1123, 4.1.2.7), with the directory before them as the
  client wrote it. vsftpd and ProFTPD do the same. `mget dir/*.jpg` of tnftp, inetutils, ftp.exe and Net::FTP needs
  that.

  | argument | reply |
  |---|---|
  | none, `.`, or options alone | `a.jpg` |
  | `*.jpg` | `a.jpg` |
  | `dir`, `dir/`, `dir/*.jpg` | `dir/a.jpg` |
  | `/dir` | `/dir/a.jpg` |
  | `./dir` | `./dir/a.jpg` (ProFTPD: `dir/a.jpg`) |
  | `..` | `../a.jpg` |
  | a file | itself, as it was written |
  | `-R` or `-R dir` | the same for everything below, without headings |
  | nothing there | 550; a pattern that selects nothing: an empty list |
- **ABOR** ends a transfer with 426, then 226, also as a telnet interrupt (IAC IP, IAC DM, urgent or not). When all data
  of an upload is there, ABOR waits for the upload's 226 and then gets 225: an acknowledged upload cannot be called
  back.
- **While data moves**, commands that use neither the data connection nor the login are answered at once; STAT shows how
  far the transfer is. All others wait their turn, 64 of them at most.
- **Lines** end with CR LF, or with LF alone when the first one does. Blanks behind an argument do not matter, except
  behind names and passwords.
- **ALLO** answers 452 when there is no space left for the copies, or the whole quota is smaller; 552 when no file may
  be so large. `STOR` then checks once more, and refuses an announced upload that cannot fit before any data.
- **ALLO, AVBL and SFTP's statvfs** use the exact free space only for accounts that may list and read everything. A
  picture that is stored already takes no space, so exact figures would tell others what is stored. They get a figure
  that is rounded to a sixteenth (64 MiB at least) and renewed every ten minutes.
- **LIST** knows `-a -l -1 -A -F` (without effect), `-t -S -r` (order), `-R` (with everything below, at most 100,000
  names) and `-d`. Write names that begin with a dash behind `--` or as `./-name`. `*`, `?` and `[...]` in the last name
  select. Times are UTC. Names that begin with a dot are always shown.
- **MLSD, MLST**: `unique` stays when a file is renamed or replaced; `size` of a directory is 0; `UNIX.mode` is the mode
  that LIST shows (modes are not kept: SITE CHMOD is accepted without effect).
- **MDTM, MFMT, MFF, SITE UTIME** are UTC, to the second in replies; fractions are taken.
- **RMDA** removes name by name, each durably. When it cannot go on, it says how many are gone, and you may send it
  again. When the client goes, it ends.
- **HASH and the X commands** read one verified version of the file, beside other sessions and without blocking them.
  They end with the session. `OPTS HASH` chooses the algorithm. X commands take `start`, and `end`, the byte after the
  last.
- **PASV, EPSV**: only the client's own address may connect; the node turns others away and waits on.
- **PORT, EPRT**: only to the client's own address, ports from 1024 (RFC 2577); off with `active_mode = false`. They are
  answered at once; the transfer command connects (RFC 959, 3.2). It gets 425 when that fails or takes 30 s; meanwhile
  other commands are answered. They hold for one transfer.
- **FTPS**: TLS 1.2 and 1.3. Session resumption is offered for data connections. `require_tls_reuse` requires it: of a
  session of the same control connection. PROT works without PBSZ. A data connection that ends without close_notify is
  no end of file. On the port of `implicit_tls_listen` data connections are encrypted from the start (PROT P).

## What is not there

| command | reply | why not |
|---|---|---|
"""


def page(modules: Iterable[ModuleType] = MODULES) -> str:
    """Return the page's text, with the commands that `modules` declare."""
    lines = [_HEAD, "| command | from | right | what it does |", "|---|---|---|---|"]
    table = declared(modules, tls=True)
    for name in sorted(table, key=lambda name: (name.startswith("SITE "), name)):
        one = table[name]
        syntax = f"{one.name} {one.syntax}".strip().replace("|", "\\|")
        does = one.does.replace("|", "\\|")
        needs = " or ".join(one.right) or ("login" if one.login else "")
        lines.append(f"| `{syntax}` | {one.source} | {needs} | {does} |")
    absent = [f"| `{line}` | {code} | {why} |" for line, code, why in ABSENT]
    return "\n".join(lines) + "\n" + _NOTES + "\n".join(absent) + "\n"
