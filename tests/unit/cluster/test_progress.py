from __future__ import annotations

import pytest

from raftstore.cluster.status.progress import Progress

DISK, OTHER = b"d" * 16, b"e" * 16


@pytest.fixture
def heard() -> Progress:
    """Of n1 in start 5 up to entry 100."""
    progress = Progress()
    for safe in (10, 100, 90):
        progress.hear("n1", DISK, 5, safe)
    return progress


def test_a_log_that_ends_before_what_was_safe_is_an_older_copy(heard: Progress) -> None:
    assert heard.lacks("n1", DISK, 6, 99)
    assert not heard.lacks("n1", DISK, 6, 100)


def test_what_came_after_a_start_is_not_held_against_its_beginning(heard: Progress) -> None:
    heard.hear("n1", DISK, 6, 150)
    assert not heard.lacks("n1", DISK, 6, 100)
    assert heard.lacks("n1", DISK, 6, 80)
    assert heard.lacks("n1", DISK, 7, 149)


def test_starts_that_follow_each_other_forget_nothing(heard: Progress) -> None:
    heard.hear("n1", DISK, 6, 50)
    heard.hear("n1", DISK, 7, 60)
    assert heard.lacks("n1", DISK, 7, 99)


def test_another_disk_and_a_lost_log_begin_anew(heard: Progress) -> None:
    assert not heard.lacks("n1", OTHER, 6, 1)
    assert not heard.lacks("n1", DISK, 6, 0)
    heard.hear("n1", OTHER, 6, 3)
    assert not heard.lacks("n1", OTHER, 7, 3)
    assert heard.lacks("n1", OTHER, 7, 2)


def test_who_does_not_take_part_or_left_tells_nothing(heard: Progress) -> None:
    heard.hear("n2", DISK, 0, 70)
    assert not heard.lacks("n2", DISK, 6, 1)
    heard.forget("n1")
    assert not heard.lacks("n1", DISK, 6, 1)
