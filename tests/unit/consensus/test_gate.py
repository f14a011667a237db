"""The gate before the log: what may be appended, what a new log begins with, and what stops a node."""

from __future__ import annotations

import asyncio

import pytest
from raftcluster import Cluster, CountingMachine
from structlog.testing import capture_logs
from virtualtime import run

from raftstore.consensus.pysyncobj.raft import CALL_PREFIX
from raftstore.consensus.settings import ConsensusSettings
from raftstore.errors import Invalid, NoQuorum, TooNew
from raftstore.metadata import Catalog
from raftstore.metadata.levels import NEWEST, OLDEST
from raftstore.wire import commands_pb2, raft_pb2

SMALL = ConsensusSettings(
    compact_entries=30, retain_entries=10, compact_interval=0.05, snapshot_piece=64, batch_operations=1
)
NOTHING_YET = b"\xfa\x3f\x01x"
"""A command of a later version."""


def agree(name):
    """A command that is the same at every level."""
    return commands_pb2.Command(agree_on_secret={"name": name, "value": b"v"}).SerializeToString()


def with_catalogs(cluster, directory):
    """Give each node, not started yet, a real catalog."""
    for node in cluster.nodes.values():
        node.machine = Catalog(directory / f"{node.name}.db")
    return [node.machine for node in cluster.nodes.values()]


def commands_in(node):
    """Every command in a node's log."""
    prefix = CALL_PREFIX
    batches = [command[len(prefix) :] for command, _, _ in node.journal[:] if command.startswith(prefix)]
    return [
        commands_pb2.Command.FromString(operation.command)
        for batch in batches
        for operation in commands_pb2.Batch.FromString(batch).operations
    ]


def follower_of(cluster, leader):
    return next(node for node in cluster.running if node is not leader)


# A new log.


def test_a_new_log_begins_with_the_newest_level_before_anything_that_callers_propose(tmp_path):
    async def main():
        cluster = Cluster(3, tmp_path)
        catalogs = with_catalogs(cluster, tmp_path)
        async with cluster:
            nodes = list(cluster.nodes.values())
            results = await asyncio.gather(
                *(
                    node.consensus.propose(agree(f"{node.name}{i}"), timeout=30)
                    for node in nodes
                    for i in (1, 2)
                )
            )
            assert {commands_pb2.Result.FromString(result).status for result in results} == {commands_pb2.OK}
            for node in nodes:
                kinds = [command.WhichOneof("kind") for command in commands_in(node)]
                assert kinds[0] == "set_level"
                assert kinds.count("agree_on_secret") == 6
            await cluster.until(lambda: {catalog.level for catalog in catalogs} == {NEWEST})
        for catalog in catalogs:
            catalog.close()

    run(main())


def test_a_log_that_has_begun_is_not_opened_again(tmp_path, monkeypatch):
    """Nodes that make their catalogs anew out of an old cluster's log must not raise the level of that."""

    async def main():
        cluster = Cluster(3, tmp_path)
        catalogs = with_catalogs(cluster, tmp_path)
        with monkeypatch.context() as of_old:
            of_old.setattr(Catalog, "opening", None)
            async with cluster:
                leader = await cluster.leader()
                await leader.consensus.propose(agree("old"), timeout=30)
                await cluster.until(lambda: all(catalog.secret("old") for catalog in catalogs))
        assert {catalog.level for catalog in catalogs} == {OLDEST}
        for node in cluster.nodes.values():
            node.machine.close()
            node.machine = Catalog(tmp_path / f"{node.name}-new.db")
        async with cluster:
            leader = await cluster.leader()
            await leader.consensus.propose(agree("more"), timeout=30)
            await cluster.until(lambda: all(node.machine.opening is None for node in cluster.running))
            assert {node.machine.level for node in cluster.running} == {OLDEST}
        for node in cluster.nodes.values():
            node.machine.close()

    run(main())


def test_what_waits_for_a_new_log_is_refused_in_time(tmp_path):
    async def main():
        cluster = Cluster(3, tmp_path)
        for node in cluster.nodes.values():
            node.machine.opening = b"first"
        async with cluster:
            node = cluster["n1"]
            for other in ("n2", "n3"):
                await cluster[other].kill()
            with pytest.raises(NoQuorum, match="has not begun within 2 s"):
                await node.propose("waits", 2.0)
            waiting = asyncio.create_task(node.propose("waits until the end", 60.0))
            await asyncio.sleep(1)
            await node.stop()
            with pytest.raises(NoQuorum, match="stopping"):
                await waiting
            with pytest.raises(NoQuorum):
                await node.propose("too late", 1.0)

    run(main())


def test_the_next_leader_opens_the_log_when_the_first_could_not(tmp_path):
    async def main():
        cluster = Cluster(3, tmp_path)
        for node in cluster.nodes.values():
            node.machine.opening = b"first"

        def opened():
            for node in cluster.running:
                if b"first" in node.machine.commands:
                    node.machine.opening = None
            return all(node.machine.opening is None for node in cluster.running)

        async with cluster:
            cluster.lose("append_reply")
            first = await cluster.until(
                lambda: next((n for n in cluster.running if n.consensus.is_leader), None)
            )
            waiting = asyncio.gather(*(n.propose("then", 60.0) for n in cluster.running if n is not first))
            await asyncio.sleep(0.5)
            await first.kill(power=True)
            cluster.lose_nothing()
            await cluster.until(opened)
            await waiting
            assert all(node.machine.commands[0] == b"first" for node in cluster.running)

    run(main())


# What may be appended.


class Strict(CountingMachine):
    """Takes no command with "later" in it, until it is ready for that."""

    ready = False

    def refusal(self, command):
        return None if self.ready or b"later" not in command else "that comes later"

    batch_refusal = refusal


def strict(cluster):
    for node in cluster.nodes.values():
        node.machine = Strict(cluster.check)


def test_a_caller_is_told_what_is_wrong_and_nothing_gets_into_the_log(tmp_path):
    async def main():
        cluster = Cluster(3, tmp_path)
        strict(cluster)
        async with cluster:
            leader = await cluster.leader()
            for node in cluster.running:
                with pytest.raises(Invalid, match="that comes later"):
                    await node.propose("later")
            await leader.propose("now")
            await cluster.converged()
            assert leader.machine.commands == [b"now"]

    run(main())


def test_the_leader_refuses_what_another_node_lets_pass(tmp_path):
    async def main():
        cluster = Cluster(3, tmp_path)
        strict(cluster)
        async with cluster:
            leader = await cluster.leader()
            answers = []
            cluster.watch = lambda source, target, envelope: (
                answers.append(envelope.proposed) if envelope.HasField("proposed") else None
            )
            other = follower_of(cluster, leader)
            batch = commands_pb2.Batch(operations=[{"command": b"later"}]).SerializeToString()
            propose = {"boot": other.boot, "request": 77, "command": CALL_PREFIX + batch}
            with capture_logs() as logs:
                cluster.deliver(other.name, leader.name, leader.consensus.term, propose=propose)
                await cluster.until(lambda: answers)
            assert (answers[0].request, bool(answers[0].error)) == (77, True)
            reported = [line for line in logs if line["event"] == "proposal refused"]
            assert (reported[0]["peer"], reported[0]["reason"]) == (other.name, "that comes later")
            await leader.propose("now")
            await cluster.converged()
            assert leader.machine.commands == [b"now"]

    run(main())


def test_a_node_that_has_applied_more_than_the_leader_is_let_through_when_that_has_caught_up(tmp_path):
    async def main():
        cluster = Cluster(3, tmp_path)
        strict(cluster)
        async with cluster:
            leader = await cluster.leader()
            other = follower_of(cluster, leader)
            other.machine.ready = True
            work = asyncio.create_task(other.propose("later"))
            await asyncio.sleep(1.0)
            assert not work.done()
            leader.machine.ready = True
            assert (await work).detail == "later"
            await cluster.converged()
            assert leader.machine.commands == [b"later"]

    run(main())


def test_real_catalogs_refuse_unknown_commands_at_every_node(tmp_path):
    async def main():
        cluster = Cluster(3, tmp_path)
        catalogs = with_catalogs(cluster, tmp_path)
        async with cluster:
            leader = await cluster.leader()
            await leader.consensus.propose(agree("a"), timeout=30)
            for node in cluster.running:
                with pytest.raises(Invalid, match="field 1023 of Command is unknown to this version"):
                    await node.consensus.propose(agree("b") + NOTHING_YET, timeout=30)
            assert [command.WhichOneof("kind") for command in commands_in(leader)] == [
                "set_level",
                "agree_on_secret",
            ]
        for catalog in catalogs:
            catalog.close()

    run(main())


# What stops a node.


def test_an_entry_that_is_not_known_stops_the_node_and_says_so_without_a_traceback(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            old = follower_of(cluster, leader)

            def apply(index, batch):
                raise TooNew(f"log entry {index}: a command of no kind; this is pixraft 1")

            old.machine.apply = apply
            with capture_logs() as logs:
                await leader.propose("later")
                await cluster.until(lambda: old.fatal)
            assert isinstance(old.fatal.pop(), TooNew)
            reported = next(line for line in logs if line["log_level"] == "critical")
            assert reported["event"] == "the log goes on with what this version does not know"
            assert "this is pixraft 1" in reported["error"]
            assert "exc_info" not in reported
            await leader.propose("goes on")

    run(main())


def test_a_snapshot_of_a_later_version_stops_the_node_and_is_not_tried_again(tmp_path):
    async def main():
        async with Cluster(3, tmp_path, settings=SMALL) as cluster:
            leader = await cluster.leader()
            away = follower_of(cluster, leader)
            await away.kill()
            await asyncio.gather(*(leader.propose(f"w{i}") for i in range(200)))
            await cluster.until(lambda: leader.journal[0][1] > away.journal[-1][1])
            tried = []

            def prepare(source):
                tried.append(source)
                raise TooNew("the snapshot is at level 9")

            away.machine.prepare_snapshot = prepare
            before = list(away.machine.commands)
            await away.start()
            await cluster.until(lambda: away.fatal)
            assert isinstance(away.fatal.pop(), TooNew)
            await asyncio.sleep(5)
            assert len(tried) == 1
            assert away.machine.commands == before

    run(main())


def test_an_envelope_with_more_than_this_version_knows_is_understood(tmp_path):
    """Messages between nodes are not the log: what later versions add to them is ignored."""

    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            other = follower_of(cluster, leader)
            heard = []
            cluster.watch = lambda source, target, envelope: (
                heard.append(envelope.probe_ack.sequence) if envelope.HasField("probe_ack") else None
            )
            probe = raft_pb2.Probe(sequence=4711)
            probe.MergeFromString(NOTHING_YET)
            body = raft_pb2.Envelope(term=leader.consensus.term, probe=probe).SerializeToString() + NOTHING_YET
            cluster.network.nodes[other.name].receive(leader.name, "raft", body)
            await cluster.until(lambda: 4711 in heard)

    run(main())
