"""What a seed stands for: cluster, settings, load, and which faults how often."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from simdisk import Latency
from simnet import Weather

from raftstore.consensus.settings import ConsensusSettings

PLOTS = (
    "blackout_at_commit",
    "split_vote",
    "two_candidates",
    "left_behind",
    "forgotten_vote",
    "stale_answers",
    "doubled_votes",
    "cut_off",
    "stale_read",
    "race_of_changes",
    "change_given_up",
)
OF_FIVE = frozenset({"two_candidates", "stale_answers", "doubled_votes"})
"""Plots that need five nodes."""

FAULTS = (
    "split",
    "isolate",
    "one_way",
    "flap",
    "delay",
    "kill",
    "power",
    "blackout",
    "crash_at",
    "pause",
    "slow_disk",
    "disk_error",
    "disk_full",
    "rot",
    "restart",
    "transfer",
    "wipe",
    *PLOTS,
)
"""What can happen; see simfaults and simplots."""

MIXES: dict[str, dict[str, float]] = {
    "calm": {},
    "network": {"split": 3, "isolate": 4, "one_way": 3, "flap": 3, "delay": 2},
    "crashes": {"kill": 4, "restart": 1, "pause": 3, "flap": 1, "isolate": 1, "transfer": 1},
    "power": {"power": 3, "blackout": 2, "blackout_at_commit": 4, "crash_at": 3, "slow_disk": 2, "isolate": 1},
    "disk": {
        "disk_error": 3,
        "rot": 3,
        "slow_disk": 3,
        "power": 2,
        "kill": 1,
        "left_behind": 3,
        "forgotten_vote": 3,
        "wipe": 1,
        "blackout": 1,
    },
    "full": {
        "disk_full": 8,
        "power": 2,
        "kill": 1,
        "blackout": 1,
        "isolate": 1,
        "transfer": 1,
        "left_behind": 1,
    },
    "leaders": {
        "isolate": 3,
        "cut_off": 1,
        "pause": 3,
        "transfer": 3,
        "kill": 2,
        "one_way": 2,
        "split_vote": 2,
        "stale_answers": 2,
        "two_candidates": 2,
        "doubled_votes": 2,
        "stale_read": 2,
    },
    "plots": {**dict.fromkeys(PLOTS[:-2], 4), "kill": 2, "power": 2, "isolate": 1, "pause": 1},
    "members": {
        "membership": 8,
        "race_of_changes": 4,
        "change_given_up": 3,
        "kill": 2,
        "isolate": 2,
        "split": 1,
        "one_way": 1,
        "flap": 1,
        "pause": 1,
        "power": 1,
        "blackout": 1,
        "transfer": 1,
        "restart": 1,
    },
    "all": dict.fromkeys(FAULTS[:-2], 1.0),
}

ACCOUNTS = 0.3
"""Part of the seeds that have clients with accounts."""

PERSONS = 0.3
"""Part of the seeds that have persons who send to each other."""

TRASH = 0.2
"""Part of the seeds that have an account whose trash is kept, and a directory with retention."""

SIZES = {"plots": (3, 5, 5, 5), "leaders": (3, 5), "members": (2, 3, 4, 4)}
"""How many nodes there are at the beginning, by mix; else three or five."""

DISKS = (
    Latency(),
    Latency(),
    Latency(base=0.005, spread=0.02, worst=0.1),
    Latency(base=0.02, spread=0.1, worst=0.5, chance=0.05),
)
"""How long a sync takes, by kind of disk."""


@dataclass
class Scenario:
    """All that a run depends on. Times in virtual seconds."""

    seed: int
    nodes: int
    mix: str
    duration: float
    clients: int
    keys: int
    think: float
    mean_fault: float
    settings: ConsensusSettings
    weather: Weather
    segment_bytes: int
    rates: list[float]
    compare_every: int
    """Entries after which the states of nodes are compared as a whole."""
    settle: float | None
    """Seconds after which what the catalog has applied is committed; None: with every entry."""
    latencies: list[Latency]
    members: bool = False
    """Whether members come and go."""
    accounts: bool = False
    """Whether there are clients with accounts and rules, too."""
    persons: bool = False
    """Whether there are persons who send to each other."""
    trash: bool = False
    """Whether there is an account whose trash is kept, and a directory with retention."""
    weights: dict[str, float] = field(default_factory=dict)
    old_cluster: bool = False
    """Whether it begins at the oldest level, as one that was made by the first version; else at the newest."""
    raise_after: float | None = None
    """When the level of an old cluster is raised."""
    old_programs: frozenset[int] = frozenset()
    """Numbers of nodes that run a program which does not know the newest level, until they stop for it."""
    nonsense: bool = False
    """Whether nodes send the leader what it must not append."""

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.nodes} nodes, faults {self.mix!r} every {self.mean_fault:.1f} s, "
            f"{self.clients} clients on {self.keys} keys, {self.duration:.1f} s"
        )


def scenario(
    seed: int, *, nodes: int | None = None, mix: str | None = None, duration: float | None = None
) -> Scenario:
    """Make the scenario of a seed; what is given replaces what the seed would choose, the rest stays."""
    rng = random.Random(f"scenario {seed}")
    chosen = rng.choice(
        (
            "calm",
            "network",
            "crashes",
            "power",
            "disk",
            "full",
            "leaders",
            "plots",
            "plots",
            "plots",
            "all",
            "all",
            "members",
        )
    )
    size = nodes or rng.choice(SIZES.get(mix or chosen, (3, 3, 5)))
    plotted = (mix or chosen) == "plots"
    # Much of a plot is waiting: it takes long, but little work.
    length = rng.uniform(9.0, 15.0) if plotted else rng.uniform(4.0, 9.0)
    election_min = rng.choice((0.35, 0.4, 0.6))
    settings = ConsensusSettings(
        heartbeat=0.1,
        election_min=election_min,
        election_max=2 * election_min,
        leader_fallback=2.5 * election_min,
        append_bytes=rng.choice((2500, 8000, 1 << 20)),
        append_entries=rng.choice((2, 8, 16_384)),
        max_command=700,
        batch_operations=rng.choice((1, 4, 1024)),
        batch_bytes=1000,
        batches=rng.choice((1, 2, 4)),
        attempt=rng.choice((0.3, 0.7)),
        retry=0.05,
        read_attempt=rng.choice((0.2, 0.4)),
        compact_entries=rng.choice((5, 20, 60)),
        compact_bytes=rng.choice((5_000, 64 << 20)),
        retain_entries=rng.choice((0, 3, 20)),
        compact_interval=rng.choice((0.2, 0.5)),
        snapshot_piece=rng.choice((16_384, 1 << 20)),
        snapshot_keep=2.0,
        snapshot_call=1.0,
        snapshot_retry=0.3,
    )
    hostile = rng.random() < 0.2
    weather = Weather(
        delay=rng.choice((0.0005, 0.002, 0.01)),
        jitter=rng.choice((0.0, 0.002, 0.02)),
        slow_chance=rng.choice((0.0, 0.02)),
        lose=rng.choice((0.0, 0.0, 0.01, 0.05)),
        duplicate=0.2 if hostile else 0.0,
        reorder=0.05 if hostile else 0.0,
    )
    mix = mix or chosen
    length = duration or length
    # Of its own chance: the rest of a seed is what it was before there were levels.
    levels = random.Random(f"scenario {seed} levels")
    old = levels.random() < 0.4
    raise_after = levels.uniform(0.3, 0.8 * length) if old and levels.random() < 0.8 else None
    outdated = raise_after is not None and levels.random() < 0.4
    programs = {number for number in range(1, size + 1) if levels.random() < 0.4} if outdated else set()
    return Scenario(
        seed=seed,
        nodes=size,
        mix=mix,
        duration=length,
        clients=rng.randint(2, 5),
        keys=rng.randint(1, 4),
        think=rng.choice((0.02, 0.1, 0.3)),
        mean_fault=0.3 if plotted else rng.choice((0.4, 0.8, 1.5)),
        settings=settings,
        weather=weather,
        segment_bytes=rng.choice((1500, 6000, 1 << 20)),
        rates=[rng.choice((1.0, 1.0, 0.97, 1.03)) for _ in range(5)],
        compare_every=rng.choice((16, 50)),
        settle=rng.choice((None, 0.0, 0.02, 0.2)),
        latencies=[rng.choice(DISKS) for _ in range(5)],
        members=mix == "members",
        old_cluster=old,
        raise_after=raise_after,
        # One at least can propose it.
        old_programs=frozenset(programs if len(programs) < size else set()),
        nonsense=levels.random() < 0.3,
        accounts=random.Random(f"accounts {seed}").random() < ACCOUNTS,
        persons=random.Random(f"persons {seed}").random() < PERSONS,
        trash=random.Random(f"trash {seed}").random() < TRASH,
        weights={name: weight for name, weight in MIXES[mix].items() if size == 5 or name not in OF_FIVE},
    )
