"""Keys of [log]: what the node tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from raftstore.util.settings import declared, kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What the node tells: its log, on standard error unless there is a `file`, and the log of transfers."""

    level: str = declared(
        kinds.choice("debug", "info", "warning", "error"), "The least important lines that are logged.", "info"
    )
    format: str = declared(
        kinds.choice("text", "json"), "`text` for people, `json` (a line an event) for machines.", "text"
    )
    file: Path | None = declared(
        kinds.PATH_OR_EMPTY,
        'File that the log is appended to instead of standard error; "": none. It may be rotated in any way: when '
        "its name leads elsewhere, or at SIGHUP, it is opened anew.",
        "",
    )
    transfers: Path | None = declared(
        kinds.PATH_OR_EMPTY,
        "File that gets a line for each upload and download, as wu-ftpd, ProFTPD and vsftpd write it (xferlog), for "
        'the tools that read that; "": none. Rotated as `file`.',
        "",
    )
    stalls: int = declared(
        kinds.integer(0, 60_000),
        "Milliseconds for which the node may be busy with one thing before a line in the log says with what, and "
        "`pixraft status -o json` counts it (`loop`); 0: it is not watched.",
        100,
    )
    client_lines: int = declared(
        kinds.integer(1, 100_000),
        "Lines a second that strangers, and refusals, may cause in the log, a quarter of them from one address; 50 "
        "seconds' worth at once. For what clients do that have logged in, 25 times as many. The others are counted, "
        "and a line a minute tells of them.",
        20,
    )
