"""What the members' disks mean for all: who may lead, and whether a command can be committed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from raftstore.util.space import Space


def refusal(spaces: Mapping[str, Space], voters: Collection[str], leader: str | None) -> str:
    """Return why no command can be committed now for want of disk space; "" where one can.

    `spaces` is what the members that can be asked have said of themselves.
    """
    full = sorted(name for name in voters if spaces.get(name) is Space.NONE)
    if leader not in full and len(voters) - len(full) > len(voters) // 2:
        return ""
    return f"the disk of {', '.join(full)} is full; free space there, the cluster goes on by itself"


def successors(spaces: Mapping[str, Space], voters: Collection[str], own: str) -> list[str]:
    """Return who of the voters should lead instead of the node `own`, since they have more space; the best first."""
    mine = spaces[own]
    better = [name for name in voters if name != own and spaces.get(name, mine) < mine]
    return sorted(better, key=lambda name: (spaces[name], name))


def complaint(space: Space, directory: str, left: int) -> str:
    """Return what the status says of a node with that little space; `left`: bytes of its ballast."""
    if space is Space.ENOUGH:
        return ""
    remedy = f"free space on the file system of {directory}; it goes on by itself"
    if space is Space.LITTLE:
        return (
            f"its disk is full: log and catalog use what is kept for that, {left >> 20} MiB are left; {remedy}"
        )
    return f"its disk is full, and nothing is left of what is kept for its log: it takes no commands; {remedy}"
