"""The short form of `make deliveries`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from deliveries import Deliveries
from harness import Cluster

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_what_is_acknowledged_is_in_one_inbox_once_whoever_leads(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    with Cluster(tmp_path / "cluster", sftp=True) as cluster:
        deliveries = Deliveries(cluster, 300, seed=seed)
        deliveries.run(60)
        print(deliveries.check())
