"""A section of the configuration with its keys: each of them is here, and where it is used (`frontend`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from raftstore.util.addresses import Address
from raftstore.util.settings import Mistake, declared, kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings:
    """A page for who comes by.

    Only the first paragraph is told to operators.
    """

    listen: Address | None = declared(kinds.ADDRESS_OR_EMPTY, 'Address of the page. "" has none.', "")
    greeting: str = declared(kinds.choice("hello", "welcome"), "The first line of the page.", "hello")
    most_visits: int = declared(kinds.integer(1, 1000), "Visits after which the page is closed.", 100)

    def mistakes(self) -> Iterator[Mistake]:
        """Yield what does not fit together."""
        if self.greeting == "welcome" and self.most_visits == 1:
            yield Mistake("most_visits", "one visit is no welcome", "give at least 2")
