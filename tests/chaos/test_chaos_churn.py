"""The short form of `make churn`."""

from __future__ import annotations

from pathlib import Path

import pytest
from churn import SETTINGS, Churn
from harness import Cluster

pytestmark = pytest.mark.integration


def test_uploads_and_deletes_with_collection_and_kills_lose_nothing_and_leave_nothing(tmp_path: Path) -> None:
    with Cluster(tmp_path / "cluster", environment=SETTINGS) as cluster:
        churn = Churn(cluster, 1500)
        churn.run(kill_every=2.5)
        print(churn.check())
