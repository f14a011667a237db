"""What systemd is told of a node (sd_notify(3)) and the unit that runs one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path

_BEATS = 3
"""Signs of life within the time after which the supervisor takes a process for hung."""


def notify(*states: str) -> None:
    """Tell the supervisor `states` (READY=1, STATUS=...) where it listens for that; otherwise do nothing."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link, contextlib.suppress(OSError):
        link.setblocking(False)
        link.sendto("\n".join(states).encode(), address)


def watchdog_period() -> float | None:
    """Return the seconds between two signs of life that the supervisor asks of this process; None: it asks for none."""
    asked, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not asked.isdecimal() or int(asked) == 0 or process not in ("", str(os.getpid())):
        return None
    return int(asked) / 1e6 / _BEATS


async def keep_alive() -> None:
    """Give signs of life, where they are asked for, until cancelled: the loop goes round as long as they come."""
    period = watchdog_period()
    while period is not None:
        notify("WATCHDOG=1")
        await asyncio.sleep(period)


_UNIT = """\
# Made by `pixraft unit`. Copy it to /etc/systemd/system/pixraft.service, then:
#   systemctl daemon-reload && systemctl enable pixraft && systemctl start --no-block pixraft
# (Without --no-block the first start of a cluster waits there until all its nodes are started.)
[Unit]
Description=pixraft: one node of a cluster of FTP servers
Documentation=file:{config}
Wants=network-online.target time-sync.target
After=network-online.target time-sync.target
# What passes by itself, as a full disk or a name that is not found, is tried for as long as it takes.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
User={user}
ExecStart={program} serve --config {config}
# Opens log files anew.
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=5
# A restart cannot help: {no_restart_reasons}.
RestartPreventExitStatus={no_restart}
# The first start of a cluster waits for its other nodes; a full disk of pictures may be read.
TimeoutStartSec=infinity
TimeoutStopSec=30
# A loop that does not go round for so long is taken for hung.
WatchdogSec=60
LimitNOFILE=1048576
# Memory has pictures, passwords and keys in it.
LimitCORE=0
StateDirectory=pixraft
StateDirectoryMode=0700
LogsDirectory=pixraft
LogsDirectoryMode=0750

AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service @aio
SystemCallErrorNumber=EPERM
UMask=0027
{writable}
[Install]
WantedBy=multi-user.target
"""


def unit(
    *, program: list[str], config: Path, user: str, no_restart: dict[int, str], writable: list[Path]
) -> str:
    """Return a unit for the node with that configuration.

    `program`: the words that run `pixraft`. `no_restart`: exit codes after which a restart cannot help, with the
    reason. `writable`: directories besides /var/lib/pixraft and /var/log/pixraft that the node writes to.
    """
    paths = "".join(f"ReadWritePaths={_quoted(path)}\n" for path in writable)
    return _UNIT.format(
        program=" ".join(map(_quoted, program)),
        config=_quoted(config),
        user=user,
        no_restart=" ".join(map(str, sorted(no_restart))),
        no_restart_reasons="; ".join(f"{code} {no_restart[code]}" for code in sorted(no_restart)),
        writable=paths,
    )


def _quoted(word: str | Path) -> str:
    """Write a word as systemd reads it: % and $ stand for themselves."""
    text = str(word).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if " " in text else text
