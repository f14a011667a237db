"""Random histories against a plain model: every result, everything readable, through restarts, crashes, snapshots."""

from __future__ import annotations

from catalog_histories import Histories
from examples import examples

TestHistories = Histories.TestCase
TestHistories.settings = examples(25, steps=20)
