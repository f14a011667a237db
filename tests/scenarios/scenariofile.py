"""Scenario files: comments, blocks of commands, and under `----` what they print.

A block is a run of lines without an empty one: commands first, then `----`, then the expected output. Comments begin
with `#`, and stand between blocks or in front of commands.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from scenariocommands import BadCommand, execute
from simdeterminism import chance
from steppedcluster import SteppedCluster

LINE = "----"
NOTHING = "nothing to be seen"
"""What a block prints that prints nothing."""
DIRECTORY = Path(__file__).parent


@dataclass(frozen=True)
class Block:
    """Lines as they are in the file. `head` has no output when there are no commands in it: a comment."""

    head: list[str]
    output: list[str]

    @property
    def commands(self) -> list[str]:
        return [line for line in self.head if not line.startswith("#")]

    def text(self) -> str:
        lines = [*self.head, LINE, *self.output] if self.commands else self.head
        return "\n".join(lines) + "\n"


def read(text: str) -> list[Block]:
    """Take a file apart."""
    blocks: list[Block] = []
    for part in text.strip().split("\n\n"):
        lines = [line.rstrip() for line in part.strip("\n").splitlines()]
        end = lines.index(LINE) if LINE in lines else len(lines)
        if lines:
            blocks.append(Block(lines[:end], lines[end + 1 :]))
    return blocks


def write(blocks: list[Block]) -> str:
    """Put a file together."""
    return "\n".join(block.text() for block in blocks)


def play(blocks: list[Block]) -> list[Block]:
    """Run all commands on a new cluster; return the blocks with what they print now."""
    with chance(0), closing(SteppedCluster()) as cluster:
        return [_played(cluster, block) for block in blocks]


def _played(cluster: SteppedCluster, block: Block) -> Block:
    printed: list[str] = []
    for line in block.commands:
        try:
            printed += execute(cluster, line)
        except BadCommand as error:
            printed.append(f"ERROR: {error}")
    return Block(block.head, printed or [NOTHING] if block.commands else [])


def files() -> list[Path]:
    """All scenarios."""
    return sorted(DIRECTORY.glob("*.txt"))


def replay(path: Path) -> tuple[str, str]:
    """Return a scenario as it is in the file, and with what its commands print now."""
    text = path.read_text(encoding="utf-8")
    return text, write(play(read(text)))
