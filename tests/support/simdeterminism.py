"""What else is left to chance in a process, and what makes it the same in every run of a seed."""

from __future__ import annotations

import gc
import logging
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import structlog

from raftstore.consensus.log import recovery
from raftstore.consensus.snapshots import exchange as snapshots


class Silent(structlog.BoundLoggerBase):
    """A logger that says nothing."""

    def debug(self, event: str, **context: object) -> None:
        pass

    info = warning = error = critical = debug


def prepare() -> None:
    """Make this process fit for simulations: no log, the same order of sets everywhere, no collections in between."""
    assert os.environ.get("PYTHONHASHSEED") == "0", "set PYTHONHASHSEED=0 before the interpreter starts"
    structlog.configure(wrapper_class=Silent)
    logging.disable(logging.CRITICAL)
    gc.collect()
    gc.freeze()
    gc.disable()


@contextmanager
def chance(seed: int) -> Iterator[None]:
    """Draw identities of journals and snapshots from the seed."""
    rng = random.Random(f"{seed} secrets")
    drawn = SimpleNamespace(token_bytes=rng.randbytes)
    modules = (recovery, snapshots)
    before = [module.secrets for module in modules]
    for module in modules:
        module.secrets = drawn  # type: ignore[assignment]
    try:
        yield
    finally:
        for module, secrets in zip(modules, before, strict=True):
            module.secrets = secrets
