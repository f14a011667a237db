"""Command sequences of programs and devices that no test machine has, from logs that people published.

Each names its source. Host names, user names, passwords and directories are ours; the order and the form of the
commands are the log's. What a log leaves out is left out here. No log of a Canon, Nikon or Sony camera was found, so
there is none of them here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Replay:
    """A session: commands with what their replies must match, and the names that are there afterwards."""

    name: str
    source: str
    steps: Sequence[tuple[str, str]]
    before: Sequence[str] = ()
    """Commands that make what the session finds."""
    stored: Sequence[str] = ()
    content: bytes = b"\xff\xd8\xff\xe0 replayed \r\n \x00\xff"


LOGIN = [("USER demo", "331"), ("PASS demo", "230")]
DONE = "150.*[\\s\\S]*226"

REPLAYS = [
    Replay(
        "FileZilla, an upload",
        "https://github.com/perexg/satip-axe/issues/11",
        [
            *LOGIN,
            ("CWD /filezilla", "250"),
            ("TYPE I", "200"),
            ("PASV", "227"),
            ("STOR dvb-tuner-si2158-a20-01.fw", DONE),
        ],
        before=["MKD /filezilla"],
        stored=["/filezilla/dvb-tuner-si2158-a20-01.fw"],
    ),
    Replay(
        "WinSCP, start and listing",
        "https://github.com/proftpd/proftpd/issues/1495",
        [
            *LOGIN,
            ("PWD", '257 "/"'),
            ("CWD /", "250"),
            ("PWD", '257 "/"'),
            ("TYPE A", "200"),
            ("PASV", "227"),
            ("LIST -a", "150.*[\\s\\S]*winscp-dir[\\s\\S]*226"),
        ],
        before=["MKD /winscp-dir"],
    ),
    Replay(
        "Cyberduck, listings of a directory with and without files",
        "https://github.com/iterate-ch/cyberduck/issues/13294",
        [
            *LOGIN,
            ("PWD", '257 "/"'),
            ("CWD /", "250"),
            ("TYPE A", "200"),
            ("PASV", "227"),
            ("MLSD", "150.*[\\s\\S]*type=dir;[^\n]* Empty\r\n[\\s\\S]*226"),
            ("CWD /Empty", "250"),
            ("TYPE A", "200"),
            ("PASV", "227"),
            ("MLSD", "150[^\n]*\n226"),
            ("STAT /Empty", "21[123]"),
            ("CWD /Empty", "250"),
            ("TYPE A", "200"),
            ("PASV", "227"),
            ("LIST -a", "150[^\n]*\n226"),
        ],
        before=["MKD /Empty"],
    ),
    Replay(
        "FluentFTP, upload, listing, delete",
        "https://github.com/robinrodricks/FluentFTP/issues/106",
        [
            *LOGIN,
            ("TYPE I", "200"),
            ("SIZE fluent/EthNamedPipeConnector.exe", "550"),
            ("EPSV", "229"),
            ("STOR fluent/EthNamedPipeConnector.exe", DONE),
            ("PWD", '257 "/"'),
            ("TYPE I", "200"),
            ("EPSV", "229"),
            ("LIST /fluent", "150.*[\\s\\S]*EthNamedPipeConnector.exe\r\n[\\s\\S]*226"),
            ("DELE /fluent/EthNamedPipeConnector.exe", "250"),
        ],
        before=["MKD /fluent"],
    ),
    Replay(
        "Yi camera (yi-hack's ftpput), up to where its log ends",
        "https://github.com/roleoroleo/yi-hack-Allwinner/issues/180",
        [("user demo", "331"), ("pass demo", "230"), ("type I", "200"), ("epsv", "229")],
    ),
    Replay(
        "Dahua camera, which gives up when ALLO is not answered with 200",
        "https://github.com/hassio-addons/app-ftp/issues/245",
        [*LOGIN, ("ALLO 250000", "200")],
    ),
    Replay(
        "a scanner's test of its settings",
        "https://github.com/drakkan/sftpgo/issues/861",
        [*LOGIN, ("CWD /", "250"), ("QUIT", "221")],
    ),
]
