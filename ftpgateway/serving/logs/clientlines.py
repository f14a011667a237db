"""Log lines that clients cause: bounded by the second for an address and for the node, and bounded in length.

One place for all of them: a processor of the log that looks at each line with a client's address (`peer`). What it
leaves out is counted, and told: in the next line of the same kind (`left_out`), or by `summary`.
"""

from __future__ import annotations

import functools
import ipaddress
import time
from collections import Counter
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

from raftstore.util.limits.rates import Rates
from raftstore.util.networks import network_of

WORK = frozenset({"transfer", "login", "session closed", "session over"})
"""What who has logged in does: bounded more widely than what strangers cause, and refusals."""
WIDER = 25
"""How many times as many lines of work there may be."""
OF_ONE = 4
"""One part in so many of the lines may be caused from one network."""
BURST = 50
"""Seconds' worth of lines that may come at once."""
LONGEST, LONGEST_PATH = 256, 4096
"""Characters of a value; of a path in a line of work."""
MOST_REPORTED = 20
"""Lines of a summary."""
_KINDS = 1024

Event = MutableMapping[str, Any]


class ClientLines:
    """The processor. `rate`: lines a second for all strangers and refusals of a node together."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        def rates(factor: float) -> Rates[Any]:
            return Rates(rate * factor, max(10.0, rate * factor * BURST), clock=clock)

        self._node, self._work = rates(1), rates(WIDER)
        self._of_one, self._work_of_one = rates(1 / OF_ONE), rates(WIDER / OF_ONE)
        self._left_out: Counter[tuple[str, str]] = Counter()

    def __call__(self, _logger: object, _method: str, event: Event) -> Event:
        """Pass a line on, or raise DropEvent."""
        peer = event.get("peer")
        network = _network(peer) if type(peer) is str else ""
        if not network:
            return event
        phrase = str(event.get("event", ""))
        work = phrase in WORK and bool(event.get("user"))
        of_one, node = (self._work_of_one, self._work) if work else (self._of_one, self._node)
        if not (of_one.take((network, phrase)) and node.take(None)):
            about = (network, phrase)
            self._left_out[
                about if about in self._left_out or len(self._left_out) < _KINDS else ("", phrase)
            ] += 1
            raise structlog.DropEvent
        if self._left_out and (left_out := self._left_out.pop((network, phrase), 0)):
            event["left_out"] = left_out + int(event.get("left_out", 0))
        for key, value in event.items():
            if type(value) is str and not (len(value) <= LONGEST and value.isprintable()):
                event[key] = shown(value, LONGEST_PATH if work and key == "path" else LONGEST)
        return event

    def summary(self) -> None:
        """Log what was left out since, the most first: for who left nothing behind but that."""
        log = structlog.get_logger()
        left_out, self._left_out = self._left_out, Counter()
        reported = left_out.most_common(MOST_REPORTED)
        for (network, phrase), count in reported:
            log.warning(f"{count} more lines like this were left out", line=phrase, address=network or "others")
        rest = left_out.total() - sum(count for _, count in reported)
        if rest:
            log.warning(f"{rest} more lines were left out", addresses=len(left_out) - len(reported))


def shown(text: str, longest: int) -> str:
    """Return `text` on one line, without what turns or hides other text, at most so many characters of it."""
    left = len(text) - longest
    if left > 0:
        text = text[:longest]
    if not text.isprintable():
        text = "".join(
            character
            if character.isprintable()
            else character.encode("unicode_escape", "surrogatepass").decode()
            for character in text
        )
    return f"{text}… ({left} more)" if left > 0 else text


@functools.lru_cache(maxsize=4096)
def _network(peer: str) -> str:
    """Return the network of a client's address; "" for what is none, the name of a node for example."""
    try:
        ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return ""
    return network_of(peer)
