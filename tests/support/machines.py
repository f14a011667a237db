"""Machines for drills: each has a network, a file system and processes of its own, by Linux namespaces.

Nothing of them is visible outside, and all of it is gone with the process that holds a machine together, which ends
with the test: processes, mounts, interfaces. On a machine `sudo`, `systemctl`, `date` and `timedatectl` do to that
machine what the real ones would.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

SUBNET = "10.77.0"
DISK_BYTES = 256 * 1024 * 1024
PROGRAMS = ("unshare", "nsenter", "ip", "mount", "mkfs.ext4", "iptables", "curl")

_OWN = ("unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
"""Starts a command in namespaces of its own; what is in them ends with it."""

FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), "")
"""The library by which a machine's service has a clock of its own; "": it is not installed here, no clock moves."""

_SHIMS = {
    "pixraft": 'exec "{python}" -m ftpgateway.cli "$@"\n',
    "sudo": 'exec "$@"\n',
    # The one service that there is. It is started anew after a failure, but not after the exit codes of `pixraft unit`.
    "systemctl": """\
state={root}/run; mkdir -p $state
stopped() {{ for _ in $(seq 300); do kill -0 $1 2>/dev/null || return 0; sleep 0.1; done; kill -KILL $1; }}
stop() {{
    touch $state/stopping
    pid=$(cat $state/pid 2>/dev/null) && kill -TERM $pid 2>/dev/null && stopped $pid
    true
}}
start() {{
    rm -f $state/stopping
    setsid {root}/bin/service </dev/null >>{root}/node.log 2>&1 &
}}
case $1 in
    start) start ;;
    stop) stop ;;
    restart) stop; start ;;
    kill) kill -${{3#SIG}} $(cat $state/pid) ;;
    *) echo "systemctl: $1: not here" >&2; exit 64 ;;
esac
""",
    "service": """\
exec 9>{root}/run/lock; flock 9
while [ ! -e {root}/run/stopping ]; do
    LD_PRELOAD={faketime} FAKETIME_TIMESTAMP_FILE={root}/run/clock FAKETIME_NO_CACHE=1 DONT_FAKE_MONOTONIC=1 \\
        pixraft serve --config /etc/pixraft/pixraft.toml 9>&- &
    echo $! >{root}/run/pid
    wait $!; code=$?
    echo "service: exit code $code" >&2
    case $code in 0 | {no_restart}) break ;; esac
    sleep 2
done
""",
    # What is set is how far the clock of the service is off, also of one that runs: it looks at every reading.
    # The offset needs a sign, else libfaketime takes it for a date, and comes in one step, as it is read at any time.
    "date": """\
if [ "$1" = -s ]; then
    printf "%+d\\n" $(( $(/bin/date -d "$2" +%s) - $(/bin/date +%s) )) >{root}/run/clock.new
    mv {root}/run/clock.new {root}/run/clock
else
    exec /bin/date "$@"
fi
""",
    "timedatectl": """\
if [ "$1 $2" = "set-ntp true" ]; then
    echo +0 >{root}/run/clock.new
    mv {root}/run/clock.new {root}/run/clock
fi
""",
}


@dataclass
class Done:
    """How a command ended."""

    code: int
    output: str


@dataclass
class Machine:
    """One machine. `root` is its directory here; `disk` is mounted at /var/lib/pixraft, if it has one."""

    name: str
    root: Path
    number: int
    holder: subprocess.Popen[bytes]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Its IPv4 address."""
        return f"{SUBNET}.{self.number}"

    def enter(self, *words: str) -> list[str]:
        """The command line that runs `words` there."""
        init = _child(self.holder.pid)
        return ["nsenter", "-t", str(init), "--mount", "--net", "--pid", "--uts", *words]

    def run(self, script: str, *, timeout: float = 120.0) -> Done:
        """Run a shell script in the machine's home directory."""
        done = subprocess.run(
            self.enter("bash", "-c", f"cd {self.root}/home || exit\n{script}"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            env=self.environment,
            check=False,
        )
        return Done(done.returncode, done.stdout)

    def must(self, script: str) -> str:
        """Run a script that has to succeed; return what it printed."""
        done = self.run(script)
        assert done.code == 0, f"{self.name}: {script}: {done.output}"
        return done.output

    @property
    def log(self) -> str:
        """What its node has logged."""
        with contextlib.suppress(FileNotFoundError):
            return (self.root / "node.log").read_text(errors="replace")
        return ""


def _child(pid: int) -> int:
    """The first process of the namespace of processes that `pid` has made."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


class Machines:
    """Some machines on one network, whose names they know. A context manager."""

    def __init__(self, directory: Path, hosts: Mapping[str, int], *, disks: tuple[str, ...]) -> None:
        """`hosts`: the number of each machine in the network; `disks`: who gets a disk of its own.

        Skips the test where this machine makes no such thing.
        """
        self._directory = directory
        self._hosts = dict(hosts)
        self._disks = disks
        self._stack = contextlib.ExitStack()
        self.machines: dict[str, Machine] = {}

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    def __enter__(self) -> Self:
        missing = [program for program in PROGRAMS if shutil.which(program) is None]
        if missing:
            pytest.skip(f"not installed here: {', '.join(missing)}")
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        switch = self._machine("switch", 0)
        switch.must("ip link add bridge0 type bridge && ip link set bridge0 up")
        for name, number in self._hosts.items():
            machine = self.machines[name] = self._machine(name, number)
            here, there = _child(switch.holder.pid), _child(machine.holder.pid)
            cable = ["ip", "link", "add", f"port{number}", "netns", str(here)]
            subprocess.run([*cable, "type", "veth", "peer", "name", "eth0", "netns", str(there)], check=True)
            switch.must(f"ip link set port{number} master bridge0 up")
            machine.must(
                f"ip address add {machine.address}/24 dev eth0 && ip link set eth0 up && ip link set lo up"
            )

    def _machine(self, name: str, number: int) -> Machine:
        root = self._directory / name
        for part in ("bin", "home", "run", "etc", "work"):
            (root / part).mkdir(parents=True)
        holder = subprocess.Popen(
            # Ends with this process: then its standard input is closed.
            [*_OWN, "bash", "-c", "echo; read _"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._stack.callback(_end, holder)
        assert holder.stdout is not None and holder.stderr is not None
        if not holder.stdout.readline():
            pytest.skip(f"this machine makes no namespaces: {holder.stderr.read().decode().strip()}")
        environment = {
            **os.environ,
            "PATH": f"{root}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONUNBUFFERED": "1",
        }
        machine = Machine(name, root, number, holder, environment)
        self._install(machine)
        self._mount(machine)
        return machine

    def _install(self, machine: Machine) -> None:
        from ftpgateway.cli.local.unit import NO_RESTART

        (machine.root / "run" / "clock").write_text("+0\n")  # there from the start, else a clock is never moved
        for name, text in _SHIMS.items():
            shim = machine.root / "bin" / name
            filled = text.format(
                python=sys.executable,
                root=machine.root,
                faketime=FAKETIME,
                no_restart=" | ".join(map(str, sorted(NO_RESTART))),
            )
            shim.write_text(f"#!/bin/bash\n{filled}")
            shim.chmod(0o755)

    def _mount(self, machine: Machine) -> None:
        """Give it an /etc of its own, names for all, and its disk."""
        root = machine.root
        names = "".join(f"{SUBNET}.{number} {name}.example\n" for name, number in self._hosts.items())
        (root / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
        (root / "var").mkdir()
        done = machine.run(
            f"mount -t tmpfs tmpfs {root}/work && mkdir {root}/work/upper {root}/work/work && "
            f"mount -t overlay overlay -o lowerdir=/etc,upperdir={root}/work/upper,workdir={root}/work/work /etc && "
            f"mount -t tmpfs tmpfs /var/lib && mkdir /var/lib/pixraft && cp {root}/hosts /etc/hosts && "
            f"hostname {machine.name}"
        )
        if done.code:
            pytest.skip(f"this machine lets no file system be mounted in a namespace: {done.output.strip()}")
        if machine.name in self._disks:
            image = root / "disk.ext4"
            with image.open("wb") as file:
                file.truncate(DISK_BYTES)
            done = machine.run(f"mkfs.ext4 -q -F -m 0 {image} && mount -o loop {image} /var/lib/pixraft")
            if done.code:
                machine.must(f"mount -t tmpfs -o size={DISK_BYTES} tmpfs /var/lib/pixraft")


def _end(holder: subprocess.Popen[bytes]) -> None:
    """Take a machine away, with all that runs in it."""
    assert holder.stdin is not None
    holder.stdin.close()
    try:
        holder.wait(5)
    except subprocess.TimeoutExpired:
        holder.kill()
        holder.wait()
    for stream in (holder.stdout, holder.stderr):
        if stream is not None:
            stream.close()


@contextlib.contextmanager
def machines(directory: Path, hosts: Mapping[str, int], disks: tuple[str, ...]) -> Iterator[Machines]:
    """Machines for the length of a test."""
    with Machines(directory, hosts, disks=disks) as made:
        yield made
