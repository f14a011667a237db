"""The commands of scenarios. Each is a function under `@command`, and a row of docs/scenarios.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

from inwords import PADDING, log_in_words, members_in_words
from steppedcluster import FAULT, OF_CLIENT, OF_MESSAGE, SteppedCluster
from steppednet import Pair
from steppednode import SteppedNode

from raftstore.consensus.engine import Consensus
from raftstore.consensus.membership.configuration import Configuration

PROPOSE_SECONDS = 10.0
READ_SECONDS = 3.0
CHANGE_SECONDS = 10.0
PATIENCE = 128
"""Half ticks within which a node that can stand for election does."""
QUIETLY = "quietly"


class BadCommand(Exception):
    """The scenario says what cannot be done."""


Arguments = list[str]
Run = Callable[[SteppedCluster, Arguments], list[str] | None]


@dataclass(frozen=True)
class Command:
    """`usage` is the whole command line; `run` does it, and may return lines of its own."""

    usage: str
    run: Run


COMMANDS: dict[str, Command] = {}


def command(usage: str) -> Callable[[Run], Run]:
    """Register a command under the first word of its usage."""

    def register(run: Run) -> Run:
        COMMANDS[usage.split()[0]] = Command(usage, run)
        return run

    return register


def execute(cluster: SteppedCluster, line: str) -> list[str]:
    """Run one command line; return what it prints. With `quietly` at its end messages are left out."""
    name, *arguments = line.split()
    quietly = arguments[-1:] == [QUIETLY]
    if name not in COMMANDS:
        raise BadCommand(f"there is no command {name}")
    try:
        lines = COMMANDS[name].run(cluster, arguments[:-1] if quietly else arguments)
    except (ValueError, IndexError, KeyError) as error:
        raise BadCommand(f"{line!r} is not {COMMANDS[name].usage!r}: {error!r}") from error
    cluster.settle()
    news, cluster.news = cluster.news, []
    return [text for kind, text in news if not (quietly and kind == OF_MESSAGE)] + (lines or [])


# Arguments.


def _node(cluster: SteppedCluster, name: str) -> SteppedNode:
    """Return a node that runs."""
    node = cluster.nodes.get(name)
    if node is None or node.consensus is None:
        raise BadCommand(f"{name} does not run")
    return node


def _nodes(cluster: SteppedCluster, names: Arguments) -> list[SteppedNode]:
    return [_node(cluster, name) for name in names] or cluster.running()


def _pairs(cluster: SteppedCluster, arguments: Arguments) -> list[Pair]:
    """Read `n1->n2`; with `*` on one side all directions in which something is under way."""
    found: list[Pair] = []
    for argument in arguments:
        source, target = argument.split("->")
        matching = [
            pair
            for pair, _ in cluster.network.waiting()
            if source in ("*", pair[0]) and target in ("*", pair[1])
        ]
        if not matching:
            raise BadCommand(f"nothing is under way {argument}")
        found += matching
    return found


def _counted(arguments: Arguments, otherwise: int) -> tuple[Arguments, int]:
    if arguments and arguments[-1].isdigit():
        return arguments[:-1], int(arguments[-1])
    return arguments, otherwise


# Members and their lives.


@command("add-nodes COUNT [ENTRIES]")
def add_nodes(cluster: SteppedCluster, arguments: Arguments) -> None:
    count, *most = map(int, arguments)
    if most:
        cluster.settings = replace(cluster.settings, append_entries=most[0])
    cluster.found([f"n{number}" for number in range(1, count + 1)])


@command("crash NODE [KEPT]")
def crash(cluster: SteppedCluster, arguments: Arguments) -> None:
    (name,), kept = _counted(arguments, 0)
    _node(cluster, name).crash(kept)


@command("restart NODE")
def restart(cluster: SteppedCluster, arguments: Arguments) -> list[str]:
    cluster.start(arguments[0])
    return [f"{arguments[0]} {cluster.nodes[arguments[0]].status()}"]


@command("wipe NODE")
def wipe(cluster: SteppedCluster, arguments: Arguments) -> None:
    cluster.nodes[arguments[0]].wipe()


@command("hold-disk NODE")
def hold_disk(cluster: SteppedCluster, arguments: Arguments) -> None:
    _node(cluster, arguments[0]).runtime.hold_log(True)


@command("release-disk NODE")
def release_disk(cluster: SteppedCluster, arguments: Arguments) -> None:
    _node(cluster, arguments[0]).runtime.hold_log(False)


@command("fill-disk NODE")
def fill_disk(cluster: SteppedCluster, arguments: Arguments) -> None:
    _node(cluster, arguments[0]).fill_disk()


@command("free-disk NODE")
def free_disk(cluster: SteppedCluster, arguments: Arguments) -> None:
    _node(cluster, arguments[0]).free_disk()


# Time.


@command("tick [NODE ...] COUNT")
def tick(cluster: SteppedCluster, arguments: Arguments) -> None:
    names, count = _counted(arguments, 1)
    for _ in range(count):
        cluster.tick(_nodes(cluster, names))


@command("run [NODE ...] COUNT")
def run(cluster: SteppedCluster, arguments: Arguments) -> None:
    """Tick, and deliver everything after each tick."""
    names, count = _counted(arguments, 1)
    for _ in range(count):
        cluster.tick(_nodes(cluster, names))
        cluster.stabilize(set(cluster.nodes))


@command("campaign NODE")
def campaign(cluster: SteppedCluster, arguments: Arguments) -> list[str] | None:
    """Let the node's clock go on until it asks for votes, or leads without."""
    node = _node(cluster, arguments[0])
    if _consensus(node).is_leader:
        raise BadCommand(f"{node.name} leads already")
    polls, term = node.polls, _consensus(node).term
    for _ in range(PATIENCE):
        cluster.tick([node], 0.5)
        if node.polls > polls or _consensus(node).term > term:
            return None
    return [f"{node.name} does not stand"]


def _consensus(node: SteppedNode) -> Consensus:
    assert node.consensus is not None
    return node.consensus


@command("elect NODE")
def elect(cluster: SteppedCluster, arguments: Arguments) -> list[str]:
    """Campaign, deliver everything, and tell the outcome and what clients are answered only."""
    campaign(cluster, arguments)
    cluster.stabilize(set(cluster.nodes))
    cluster.news = [one for one in cluster.news if one[0] in (FAULT, OF_CLIENT)]
    consensus = _consensus(_node(cluster, arguments[0]))
    return [f"{arguments[0]} is {consensus.role} in term {consensus.term}"]


# Messages.


@command("deliver FROM->TO ... [COUNT]")
def deliver(cluster: SteppedCluster, arguments: Arguments) -> None:
    directions, count = _counted(arguments, 0)
    waiting = {pair: len(texts) for pair, texts in cluster.network.waiting()}
    for pair in _pairs(cluster, directions):
        cluster.deliver(pair, count or waiting[pair])


@command("drop FROM->TO ... [COUNT]")
def drop(cluster: SteppedCluster, arguments: Arguments) -> None:
    directions, count = _counted(arguments, 0)
    waiting = {pair: len(texts) for pair, texts in cluster.network.waiting()}
    for pair in _pairs(cluster, directions):
        for _ in range(count or waiting[pair]):
            message = cluster.network.take(pair)
            if message is not None:
                cluster.loop.call_soon(message.lose)


@command("repeat FROM->TO")
def repeat(cluster: SteppedCluster, arguments: Arguments) -> None:
    for pair in _pairs(cluster, arguments):
        queue = cluster.network.under_way[pair]
        queue.append(queue[0])


@command("reverse FROM->TO")
def reverse(cluster: SteppedCluster, arguments: Arguments) -> None:
    for pair in _pairs(cluster, arguments):
        cluster.network.under_way[pair].reverse()


@command("stabilize [NODE ...]")
def stabilize(cluster: SteppedCluster, arguments: Arguments) -> None:
    cluster.stabilize(set(arguments) or set(cluster.nodes))


@command("messages")
def messages(cluster: SteppedCluster, arguments: Arguments) -> list[str]:
    return [f"{a} -> {b} {text}" for (a, b), texts in cluster.network.waiting() for text in texts]


@command("partition NODE ... | NODE ...")
def partition(cluster: SteppedCluster, arguments: Arguments) -> None:
    sides = [side.split() for side in " ".join(arguments).split("|")]
    for here in sides:
        for there in sides:
            if here is not there:
                cluster.network.parted.update(product(here, there))


@command("heal")
def heal(cluster: SteppedCluster, arguments: Arguments) -> None:
    cluster.network.parted.clear()


# What clients do.


@command("propose NODE TEXT [BYTES]")
def propose(cluster: SteppedCluster, arguments: Arguments) -> None:
    (name, text), size = _counted(arguments, 0)
    data = text.ljust(size, PADDING).encode()

    async def work(consensus: Consensus) -> str:
        await consensus.propose(data, timeout=PROPOSE_SECONDS)
        return f"answers: {text} is done"

    _node(cluster, name).begin(work, f"answers: {text} failed")


@command("read NODE")
def read(cluster: SteppedCluster, arguments: Arguments) -> None:
    node = _node(cluster, arguments[0])

    async def work(consensus: Consensus) -> str:
        await consensus.read_barrier(timeout=READ_SECONDS)
        return f"reads: {node.state()}"

    node.begin(work, "does not read")


# What administrators do.


def _change(
    cluster: SteppedCluster, leader: str, what: str, step: Callable[[Configuration, int], Configuration]
) -> None:
    async def work(consensus: Consensus) -> str:
        membership = consensus.membership
        await membership.change(step, after=membership.configuration[0], timeout=CHANGE_SECONDS)
        return f"answers: {what}; members {members_in_words(membership.committed[1])}"

    _node(cluster, leader).begin(work, f"answers: not {what}")


@command("add-learner LEADER NODE")
def add_learner(cluster: SteppedCluster, arguments: Arguments) -> None:
    leader, name = arguments
    _change(cluster, leader, f"{name} added", lambda c, index: c.with_learner(name, "", b""))


@command("promote LEADER NODE")
def promote(cluster: SteppedCluster, arguments: Arguments) -> None:
    leader, name = arguments
    _change(cluster, leader, f"{name} promoted", lambda c, index: c.with_voter(name))


@command("remove LEADER NODE")
def remove(cluster: SteppedCluster, arguments: Arguments) -> None:
    leader, name = arguments
    _change(cluster, leader, f"{name} removed", lambda c, index: c.without(name, index))


@command("start NODE SPONSOR")
def start(cluster: SteppedCluster, arguments: Arguments) -> None:
    cluster.add(arguments[0], _node(cluster, arguments[1]))


@command("transfer LEADER NODE")
def transfer(cluster: SteppedCluster, arguments: Arguments) -> None:
    leader, target = _node(cluster, arguments[0]), arguments[1]

    def hand_over(consensus: Consensus) -> None:
        done = consensus.transfer_leadership(target)
        leader.tell(f"{'asks' if done else 'does not ask'} {target} to take over")

    leader.do(hand_over)


@command("compact NODE")
def compact(cluster: SteppedCluster, arguments: Arguments) -> list[str]:
    """Cut the log as far as it may be, now."""
    node = _node(cluster, arguments[0])
    # Of its own accord it does that when the log is long; no scenario's is.
    node.do(lambda consensus: node.runtime.spawn(consensus._shortlog._compaction._run()))
    cluster.settle()
    return [f"{node.name} log {log_in_words(node.journal[:])}"]


# What is to be seen.


@command("status [NODE ...]")
def status(cluster: SteppedCluster, arguments: Arguments) -> list[str]:
    names = arguments or sorted(cluster.nodes)
    return [f"{name} {cluster.nodes[name].status()}" for name in names]


@command("members [NODE ...]")
def members(cluster: SteppedCluster, arguments: Arguments) -> list[str]:
    return [f"{node.name} {node.members()}" for node in _nodes(cluster, arguments)]
