"""The drills of docs/operating.md, done as they are written there, on machines made of namespaces.

A block of commands that is marked (`<!-- drill: NAME -->`) is run line by line; `# on MACHINE` says where. A comment
behind a command tells with which exit code it ends, and what it says, within a minute; without one it must succeed.
TOKEN stands for the token that a command printed.
"""

from __future__ import annotations

import os
import re
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from machines import FAKETIME, Machines, machines
from pictures import picture

pytestmark = pytest.mark.integration

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operating.md"
NODES = {"host1": "n1", "host2": "n2", "host3": "n3"}
HOSTS = {"host1": 1, "host2": 2, "host3": 3, "admin": 9}
DRILLS = (
    "full-disk",
    "full-disks",
    "cut-off",
    "one-way",
    "clock",
    "replace",
    "move",
    "restart-of-all",
    "backup",
)
BALLAST = 8 * 1024 * 1024
PATIENCE = 60.0
ROUNDS = int(os.environ.get("PIXRAFT_DRILL_ROUNDS", "1"))


@dataclass(frozen=True)
class Step:
    """A command, where it is run, with which exit code it ends, and what it says."""

    machine: str
    command: str
    code: int = 0
    says: str = ""


def blocks(text: str) -> dict[str, str]:
    """The marked blocks by name."""
    found = re.findall(r"<!-- drill: ([\w-]+) -->\n( *```sh\n.*?\n) *```", text, re.DOTALL)
    return {name: textwrap.dedent(block).partition("\n")[2] for name, block in found}


def steps(block: str) -> list[Step]:
    """The commands of a block."""
    machine, found = "admin", []
    for line in block.replace("\\\n", " ").splitlines():
        if place := re.fullmatch(r"# on (\w+)", line):
            machine = place[1]
            continue
        command, _, comment = line.partition("    # ")
        end = re.fullmatch(r"exit code (\d+)(?:: (.*))?", comment)
        assert end or not comment or comment == "prints TOKEN", line
        found.append(Step(machine, command, int(end[1]), end[2] or "") if end else Step(machine, command))
    return found


TEXT = PAGE.read_text(encoding="utf-8")


class Drill:
    """Runs steps on a cluster of three machines."""

    def __init__(self, hosts: Machines) -> None:
        self.hosts = hosts
        self.token = ""

    def run(self, name: str) -> None:
        """Do what a block says."""
        for step in steps(blocks(TEXT)[name]):
            self.do(step)

    def do(self, step: Step) -> None:
        """Do one step; again, while it ends in another way than it should, for a while."""
        command = step.command.replace("TOKEN", self.token)
        deadline = time.monotonic() + PATIENCE
        while True:
            done = self.hosts[step.machine].run(command)
            if done.code == step.code and step.says in done.output:
                break
            # What changes something is done once; what looks may be early.
            looks = command.startswith(("pixraft status", "curl"))
            assert looks and time.monotonic() < deadline, (
                f"{step}: exit code {done.code}: {done.output}\n{self.logs()}"
            )
            time.sleep(0.5)
        if step.command.startswith("pixraft node replace"):
            self.token = max(done.output.split(), key=len)

    def logs(self) -> str:
        """The end of what each node has logged."""
        return "\n".join(f"--- {name}\n{self.hosts[name].log[-4000:]}" for name in NODES)

    def found(self) -> None:
        """Make the cluster, as the page begins."""
        admin = self.hosts["admin"]
        for machine in self.hosts.machines.values():
            machine.must("echo 10.77.0.13 host9.example >>/etc/hosts")  # to where one of them moves
        self.run("init")
        for host, node in NODES.items():
            machine = self.hosts[host]
            machine.environment["PIXRAFT_NODE_BALLAST_BYTES"] = str(BALLAST)
            machine.must(f"cp -r {admin.root}/home/pictures/{node} /etc/pixraft && systemctl start pixraft")
        self.do(Step("admin", "pixraft status --cluster pictures --wait 60"))
        (admin.root / "home" / "picture.jpg").write_bytes(picture(1, 60_000))
        admin.must("echo secret | pixraft user add anna --cluster pictures --password-stdin")


@pytest.fixture(scope="module", params=range(ROUNDS))
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    with machines(tmp_path_factory.mktemp("machines"), HOSTS, disks=tuple(NODES)) as hosts:
        made = Drill(hosts)
        made.found()
        yield made


def test_every_marked_block_is_done() -> None:
    assert set(blocks(TEXT)) == {"init", *DRILLS}


@pytest.mark.parametrize("name", DRILLS)
def test_a_drill_ends_as_the_page_says(drill: Drill, name: str) -> None:
    """In this order: a later one uses what an earlier one has stored."""
    if name == "clock" and not FAKETIME:
        pytest.skip("not installed here: libfaketime")
    drill.run(name)
