"""Trash, retention and cluster time against the catalog's model: long walks over a few names, by seeds.

Hypothesis (`test_catalog_states`) seldom comes as far as a file that was removed, restored and has expired: these walks
do nothing else, with the same model and the same comparisons. A failure names the seed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest
from catalog_histories import DAY, Histories
from catalog_model import NEEDS
from catalogs import NOW, command, put
from examples import FACTOR

from raftstore.rights import ROLES
from raftstore.wire import commands_pb2 as commands

FEW = ("/a/a", "/a/b/a", "/b/a", "/a/b/b")
OWNERS = ("ada", "bob")
SEEDS = 12 * max(1, FACTOR)
STEPS = 80


class Walk:
    """One history, with what it has come to."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.histories = Histories()
        self.done: Counter[str] = Counter()
        self.histories.begin()
        for name, quota in (("ada", 60), ("bob", 0)):
            user = commands.User(
                name=name, home="/", rights=ROLES["admin"], trash_ns=10 * DAY, quota_bytes=quota
            )
            self.histories.entry([command("put_user", user=user)], 0)

    def drawn(self) -> commands.Command:
        """Draw a command."""
        chance = self.chance
        path, other = chance.choice(FEW), chance.choice(FEW)
        owner = chance.choice(OWNERS)
        makers: list[tuple[int, Callable[[], commands.Command]]] = [
            (
                8,
                lambda: put(
                    path, *chance.choices(range(1, 7), k=chance.choice([0, 1, 1, 2, 2, 4])), owner=owner
                ),
            ),
            (5, lambda: command("remove_file", path=path)),
            (2, lambda: command("rename", source=path, target=other)),
            (2, lambda: command("rename", source=f"/people/@trash/{owner}/a", target=path)),
            (1, lambda: command("remove_file", path=f"/people/@trash/{owner}/a (2)")),
            (1, lambda: command("rename", source="/a/b", target=chance.choice(["/b/b", "/c"]))),
            (1, lambda: command("rename", source=chance.choice(["/b/b", "/c"]), target="/a/b")),
            (1, lambda: command("empty_trash", owner=owner, limit=chance.randint(1, 2))),
            (1, lambda: command("make_directory", path=chance.choice(["/a/b", "/d", "/d/e"]))),
            (1, lambda: command("reserve_name", path=path, node="n2", boot=1)),
            (4, lambda: self.restored(chance.choice([path, path, "/d/e/f", "/people/@trash/ada/x"]))),
        ]
        weights = [weight for weight, _ in makers]
        return chance.choices([make for _, make in makers], weights)[0]()

    def restored(self, path: str) -> commands.Command:
        """Draw a restoration of something; `Histories.resolved` says of what."""
        how: dict[str, bool] = self.chance.choice([{}, {}, {"beside": True}, {"replace": True}])
        return command("restore_trash", inode=self.chance.randint(0, 5), to=path, **how)

    def step(self) -> None:
        """Do something, and compare."""
        histories, chance = self.histories, self.chance
        kind = chance.choices(
            ["entry", "time", "retention", "retain", "restart", "adopt"], [20, 5, 2, 3, 1, 1]
        )[0]
        if kind == "entry":
            drawn = [self.drawn() for _ in range(chance.randint(1, 4))]
            whose = [chance.choice([None, ("ada", 0), ("ada", 0), ("bob", 0)]) for _ in drawn]
            built = [histories.by(each, who) for each, who in zip(drawn, whose, strict=True)]
            assert all(each.WhichOneof("kind") in NEEDS or not each.HasField("actor") for each in built)
            histories.entry(built, 0)
        elif kind == "time":
            seconds = chance.choice([30, 100, 100, 100, 150, 86_400, 9 * 86_400, 10 * 86_400])
            time_ns = max(histories.model.now_ns, NOW) + seconds * 10**9
            histories.entry([command("advance_clock", time_ns=time_ns, limit=256)], 0)
        elif kind == "retention":
            histories.retention(
                chance.choice(["/a", "/a/b", "/b"]), chance.randint(0, 3), chance.choice([0, 0, 30])
            )
        elif kind == "retain":
            histories.retain()
        elif kind == "adopt":
            self.adopt()
        else:
            histories.restart()
        self.compare()

    def adopt(self) -> None:
        """An account goes, and comes again with what it has left."""
        remove = command("remove_user", name="bob")
        user = commands.User(name="bob", home="/", rights=ROLES["admin"], trash_ns=self.chance.choice([0, DAY]))
        self.histories.entry([remove, command("put_user", user=user)], 0)
        self.compare()
        self.histories.adopt(0, self.chance.choice(OWNERS), 2000)

    def compare(self) -> None:
        """All that is to be read is as the model has it."""
        histories = self.histories
        histories.names_agree()
        histories.trash_agrees()
        histories.retention_agrees()
        histories.counters_agree()
        histories.references_agree()
        self.done["trash"] += len(histories.model.trash())

    def count(self) -> None:
        """Note what was done."""
        for operation, result in self.histories.done:
            kind = commands.Command.FromString(operation.command).WhichOneof("kind")
            self.done[f"{kind} {commands.Status.Name(result.status)}"] += 1
            self.done[f"{kind} removed"] += result.removed


@pytest.mark.parametrize("seed", range(SEEDS))
def test_walks_agree_with_the_model(seed: int) -> None:
    walk = Walk(seed)
    try:
        for _ in range(STEPS):
            walk.step()
    finally:
        walk.histories.teardown()


def test_the_walks_come_as_far_as_they_should() -> None:
    done: Counter[str] = Counter()
    for seed in range(2):
        walk = Walk(seed)
        try:
            for _ in range(STEPS):
                walk.step()
            walk.count()
            done += walk.done
        finally:
            walk.histories.teardown()
    for reached in (
        "restore_trash OK",
        "restore_trash EXISTS",
        "remove_file OK",
        "rename OK",
        "advance_clock removed",
        "empty_trash removed",
        "put_file OK",
        "trash",
    ):
        assert done[reached], (reached, done)
