"""A short version of `make chaos`: one cluster under load, a few faults of each kind, everything checked."""

from __future__ import annotations

import random

import campaigns
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_kills_and_pauses_under_load_lose_nothing_and_show_nothing_stale(tmp_path):
    seed = random.randrange(1 << 31)
    print(f"seed {seed}")
    with campaigns.ground(tmp_path / "cluster", seed, print) as here:
        campaigns.kill_leaders(here, 2)
        campaigns.pause(here, 2, leader=True, longest=4.0)
        campaigns.pause(here, 1, leader=False, longest=2.0)
        campaigns.kill_all(here, 1)


def test_one_way_cuts_under_load_lose_nothing(tmp_path):
    seed = random.randrange(1 << 31)
    print(f"seed {seed}")
    with campaigns.ground(tmp_path / "cluster", seed, print, proxied=True) as here:
        campaigns.cut_one_way(here, 1, longest=3.0)
