"""Leaders that begin, send and end messages of a webhook in any order, on what they knew some time ago.

An endpoint that drops the names that it knows has each event once, in order.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from catalogs import Feeder, command, put
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from raftstore.metadata.tables.events.events import Events
from raftstore.metadata.tables.events.webhooks import Webhook, Webhooks
from raftstore.wire import commands_pb2 as commands

LEADERS = 2
Step = tuple[str, int, int, bool]
steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["happen", "begin", "begin", "send", "send", "accepted", "accepted", "given up", "retry"]
        ),
        st.integers(0, LEADERS - 1),
        st.integers(0, 2),
        st.booleans(),
    ),
    min_size=30,
    max_size=60,
)
"""What is done, by whom, how many events further, and whether who does it has looked at the catalog just before."""


class Endpoint:
    """What has arrived, by name, in the order in which it came first."""

    def __init__(self) -> None:
        self.got: dict[str, tuple[int, int]] = {}

    def take(self, name: str, first: int, last: int) -> None:
        """A name stands for the same events for ever."""
        assert self.got.setdefault(name, (first, last)) == (first, last)


class Play:
    """One catalog, the leaders with what each of them has seen last, and what each was told was accepted."""

    def __init__(self, path: Path) -> None:
        self.feeder = Feeder(path)
        self.endpoint = Endpoint()
        webhook = commands.Webhook(
            name="eye", url="https://eye.example/", kinds=["uploaded"], secret=b"s" * 32, key=b"k" * 16
        )
        assert self.feeder.status(command("add_webhook", webhook=webhook)) == "OK"
        self.seen = [self.webhook() for _ in range(LEADERS)]
        self.heard: list[tuple[int, int] | None] = [None] * LEADERS
        self.files = 0

    def webhook(self) -> Webhook:
        """Return it as it is now."""
        found = self.feeder.catalog.ask(Webhooks, lambda table: table.find("eye"))
        assert found is not None
        return found

    def newest(self) -> int:
        """Return the number of the newest event."""
        return self.feeder.catalog.ask(Events, lambda events: events.last)

    def do(self, what: str, leader: int, ahead: int, fresh: bool) -> None:
        """Do one step, on what that leader knows."""
        if fresh:
            self.seen[leader] = self.webhook()
        known = self.seen[leader]
        at = {"name": "eye", "revision": known.revision, "position": known.position}
        if what == "happen":
            self.files += 1
            assert self.feeder.one(put(f"/{self.files}.jpg", self.files)).status == commands.OK
        elif what == "begin":
            self.feeder.one(command("begin_message", **at, last=known.position + 1 + ahead))
        elif what == "send" and known.begun:
            self.endpoint.take(known.message(known.position + 1, known.begun), known.position + 1, known.begun)
            self.heard[leader] = (known.position, known.begun)
        elif what == "accepted" and self.heard[leader] is not None:
            position, last = self.heard[leader] or (0, 0)
            end = {**at, "position": position, "outcome": commands.EndMessage.ACCEPTED}
            following = last + ahead if ahead else 0
            self.feeder.one(command("end_message", **end, last=last, next=following))
        elif what == "given up" and known.begun:
            end = {**at, "outcome": commands.EndMessage.GIVEN_UP}
            self.feeder.one(command("end_message", **end, last=known.begun))
        elif what == "retry":
            self.feeder.one(command("retry_webhook", name="eye"))

    def drain(self) -> None:
        """Have one leader do all that is left, without faults."""
        while (known := self.webhook()).position < self.newest():
            self.do("send" if known.begun else "begin", 0, 0, fresh=True)
            if known.begun:
                self.do("accepted", 0, 0, fresh=True)
        self.feeder.one(command("retry_webhook", name="eye"))
        for letter in self.feeder.catalog.ask(Webhooks, lambda table: table.letters("eye", asked=True)):
            self.endpoint.take(known.message(letter.first, letter.last), letter.first, letter.last)
            end = command(
                "end_letter", name="eye", revision=known.revision, letter=letter.number, accepted=True
            )
            assert self.feeder.status(end) == "OK"


@examples(60)
@given(steps)
def test_each_event_is_accepted_once_in_order_whoever_leads(plan: list[Step]) -> None:
    with tempfile.TemporaryDirectory(prefix="webhooks-") as directory:
        play = Play(Path(directory) / "catalog.db")
        for _ in range(8):
            play.do("happen", 0, 0, fresh=False)
        for step in plan:
            play.do(*step)
        given_up = any(step[0] == "given up" for step in plan)
        play.drain()
        found = [number for first, last in play.endpoint.got.values() for number in range(first, last + 1)]
        assert sorted(found) == list(range(1, play.newest() + 1))
        assert given_up or found == sorted(found)
        play.feeder.check_replay(Path(directory) / "replayed" / "catalog.db")
        play.feeder.catalog.close()
