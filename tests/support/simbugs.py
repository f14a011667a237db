"""The register of known bugs, and how one is switched on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

Patch = Callable[[ExitStack], None]


@dataclass(frozen=True)
class Bug:
    """A bug: what it is, in words, and how to put it in."""

    text: str
    patch: Patch


BUGS: dict[str, Bug] = {}


def bug(text: str) -> Callable[[Patch], Patch]:
    """Register a bug under its function's name."""

    def register(patch: Patch) -> Patch:
        BUGS[patch.__name__.replace("_", "-")] = Bug(text, patch)
        return patch

    return register


@contextmanager
def switched_on(name: str | None) -> Iterator[None]:
    """Run with a bug; None: without."""
    with ExitStack() as stack:
        if name is not None:
            BUGS[name].patch(stack)
        yield


def replace(stack: ExitStack, owner: Any, name: str, value: Any) -> Any:
    """Put `value` in the place of an attribute, and return what was there."""
    before = getattr(owner, name)
    stack.enter_context(mock.patch.object(owner, name, value))
    return before
