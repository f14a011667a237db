"""Random requests to OpenSSH's sftp-server and to ours: 2,000 sequences here, more with `make sftp-differential`."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from sftpdifferential import REASONS, campaign, program, small_chunks

SEQUENCES = int(os.environ.get("PIXRAFT_SFTP_SEQUENCES", "2000"))
FIRST = int(os.environ.get("PIXRAFT_SFTP_SEED", "1"))

pytestmark = pytest.mark.skipif(program() is None, reason="there is no sftp-server of OpenSSH")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Do without a log line for each of the thousands of refusals."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.configure(**before)


@pytest.mark.parametrize(("sessions", "share"), [(1, 0.4), (2, 0.4)])
def test_what_openssh_answers_we_answer(tmp_path: Path, sessions: int, share: float) -> None:
    count = int(SEQUENCES * share)
    with small_chunks():
        compared, skipped = asyncio.run(campaign(tmp_path, range(FIRST, FIRST + count), sessions=sessions))
    assert set(skipped) <= set(REASONS)
    assert compared > 25 * count and skipped.total() < compared / 10, skipped


def test_the_same_with_chunks_as_they_are(tmp_path: Path) -> None:
    count = max(1, SEQUENCES // 5)
    seeds = range(FIRST + 10**6, FIRST + 10**6 + count)
    compared, _ = asyncio.run(campaign(tmp_path, seeds, sessions=2, steps=30, largest=20_000))
    assert compared > 15 * count
