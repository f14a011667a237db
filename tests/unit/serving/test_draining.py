"""A node in maintenance as its clients see it; and a node that hands leadership over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import virtualtime

from ftpgateway.serving.draining import REFUSAL, Draining
from ftpgateway.serving.opensessions import OpenSessions, Operation
from raftstore.cluster.maintenance import Yielding
from raftstore.metadata.tables.cluster.maintenance import Rest


class Client:
    protocol, user, peer, began = "ftp", "anna", "192.0.2.1", 0.0

    def __init__(self, sessions: OpenSessions, *, busy: bool) -> None:
        self.number = sessions.next_number()
        self.busy = busy
        self.ended = ""
        self._sessions = sessions
        sessions.add(self)

    def operations(self) -> Sequence[Operation]:
        return ()

    def leave(self, reason: str) -> None:
        if not self.busy:
            self._end("left", reason)

    def kill(self, reason: str) -> None:
        self._end("killed", reason)

    def _end(self, how: str, reason: str) -> None:
        assert reason == REFUSAL
        self.ended = how
        self._sessions.discard(self)


def test_idle_sessions_end_at_once_transfers_when_they_are_over_and_all_when_the_grace_is() -> None:
    async def main() -> None:
        sessions = OpenSessions()
        rests: list[Rest | None] = [None]
        idle, short, long = (Client(sessions, busy=busy) for busy in (False, True, True))
        draining = Draining(sessions, lambda: rests[0])
        draining.start()
        await asyncio.sleep(5)
        assert len(sessions) == 3 and sessions.refusal() == ""
        rests[0] = Rest(0, 10_000, 5)
        assert sessions.refusal() == REFUSAL  # before anything else
        await asyncio.sleep(1)
        assert (idle.ended, short.ended, long.ended) == ("left", "", "")
        short.busy = False
        await asyncio.sleep(1)
        assert (short.ended, long.ended) == ("left", "")
        await asyncio.sleep(7)
        assert not long.ended
        await asyncio.sleep(2)
        assert long.ended == "killed"
        rests[0] = None
        await asyncio.sleep(1)
        late = Client(sessions, busy=True)
        rests[0] = Rest(0, 10_000, 9)  # once more: the grace is a new one
        await asyncio.sleep(5)
        assert not late.ended
        await asyncio.sleep(6)
        assert late.ended == "killed"
        rests[0] = Rest(0, 3_600_000, 12)
        await asyncio.sleep(1)
        last = Client(sessions, busy=True)
        rests[0] = Rest(0, 1_000, 14)  # ended, and anew, between two looks
        await asyncio.sleep(3)
        assert last.ended == "killed"
        await draining.stop()

    virtualtime.run(main())


def test_a_node_in_maintenance_hands_over_until_it_does_not_lead() -> None:
    async def main() -> None:
        state = {"rests": False, "leads": True, "others": False}
        reluctant: list[bool] = []
        asked: list[str] = []

        def hand_over() -> str:
            asked.append("n2")
            state["leads"] = not state["others"]
            return "n2" if state["others"] else ""

        yielding = Yielding(
            rests=lambda: state["rests"],
            leads=lambda: state["leads"],
            reluctant=reluctant.append,
            hand_over=hand_over,
        )
        await yielding.look()
        assert not asked and reluctant == [False]
        state["rests"] = True
        await yielding.look()
        await yielding.look()
        assert len(asked) == 2 and reluctant[-1]
        state["others"] = True
        await yielding.look()
        await yielding.look()
        assert len(asked) == 3

    asyncio.run(main())
