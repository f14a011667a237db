"""May this node vote? A node that lost its log must not: it may have acknowledged what it no longer has.

A node whose log is empty is either one of a new cluster, or one whose disk was lost. The two are told apart by asking
the others: in a new cluster every log is empty. One that has a log proves that this node may have taken part before;
it then joins as an observer that neither votes nor stands for election until a leader has brought it up to date
(Raft's safety argument, section 5.4.3 of the paper, rests on logs and votes that are never forgotten).

Nor may it help a leader that it has itself helped to replace before it forgot: so it first learns the terms of so many
others that every leader it may have elected has told one of them its term, and takes the highest of these.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog

from raftstore.errors import StoreError
from raftstore.util.disk import RealDisk

log = structlog.get_logger()

RETRY_SECONDS = 0.2
LOG_EVERY = 50

AskEmpty = Callable[[str], Awaitable[bool]]
"""Asks a member whether its log is empty; raises StoreError when it cannot be reached."""

AskTerm = Callable[[str], Awaitable[int]]
"""Asks a member for its term; raises StoreError when it cannot be reached or has none yet."""


def judge(answers: Sequence[bool | None]) -> bool | None:
    """From the others' answers (empty log: True, None: not heard) tell whether this node must rejoin.

    True: it lost its log. False: the cluster is new. None: not to be told yet.
    """
    if any(answer is False for answer in answers):
        return True
    return None if any(answer is None for answer in answers) else False


async def must_rejoin(mark_file: Path, empty: bool, others: Callable[[], Sequence[str]], ask: AskEmpty) -> bool:
    """Return whether this node must start as an observer; with an empty log wait until the others tell.

    `mark_file` stays until the node has caught up, so that a restart in between changes nothing.
    """
    if mark_file.exists():
        return True
    if not empty:
        return False
    rounds = 0
    while (verdict := judge(await asyncio.gather(*(_ask(name, ask) for name in others())))) is None:
        if rounds % LOG_EVERY == 0:
            log.info("first start: waiting to hear from all members", members=list(others()))
        rounds += 1
        await asyncio.sleep(RETRY_SECONDS)
    if verdict:
        log.warning("this node is new, or has lost its disk: no vote until it has caught up")
        mark(mark_file)
    return verdict


def marker(data: Path) -> Path:
    """Return the file in the directory `data` of a node that is there while it rejoins."""
    return data / "rejoining"


def mark(marker: Path) -> None:
    """Note that this node rejoins, so that it outlives a loss of power as what the log will hold meanwhile does."""
    marker.touch()
    RealDisk().sync_directory(marker.parent)


def answers_needed(members: int) -> int:
    """How many of the other members must tell their term.

    A leader has a majority, this node perhaps among it: any `answers_needed` of the others meet the rest of it.
    """
    return members - (members // 2 + 1) + 1 if members > 1 else 0


async def safe_term(others: Callable[[], Sequence[str]], ask: AskTerm) -> int:
    """Return a term as high as that of any leader that this node may have voted for; waits for enough answers.

    `others` may become more and other ones while they are asked: their answers tell who the members are today.
    """
    rounds = 0
    while True:
        asked = others()
        answers = await asyncio.gather(*(ask(name) for name in asked), return_exceptions=True)
        needed = answers_needed(len(asked) + 1)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, StoreError):
                raise answer
        terms = [answer for answer in answers if isinstance(answer, int)]
        if len(terms) >= needed and set(others()) <= set(asked):
            return max(terms, default=0)
        if rounds % LOG_EVERY == 0:
            log.info("rejoining: waiting to hear terms", heard=len(terms), needed=needed)
        rounds += 1
        await asyncio.sleep(RETRY_SECONDS)


async def _ask(name: str, ask: AskEmpty) -> bool | None:
    try:
        return await ask(name)
    except StoreError:
        return None
