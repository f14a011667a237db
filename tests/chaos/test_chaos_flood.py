"""A short version of `make flood`: strangers at every port keep nobody out."""

from __future__ import annotations

from pathlib import Path

import flood
import floods
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_floods_keep_nobody_out(tmp_path: Path) -> None:
    with flood.ground(tmp_path / "c") as here:
        assert flood.campaign(here, floods.KINDS, 0.3, print, ours=["idle"]) >= len(floods.KINDS) + 1
        flood.hoarding(here, ["uploads", "reads"], print)
