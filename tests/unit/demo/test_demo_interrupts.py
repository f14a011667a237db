"""Signals that end the demo: nothing is torn by them, and none is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

import pytest

from ftpgateway.demo import interrupts


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_a_signal_waits_until_it_is_allowed(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with interrupts.caught():
        send(number)
        for _ in range(2):  # what is swallowed once (in a finalizer) comes again
            with pytest.raises(interrupts.Stopped) as stopped, interrupts.allowed():
                pytest.fail("the signal was lost")
            assert stopped.value.code == 128 + number
    assert signal.getsignal(number) == before
    with interrupts.caught():
        interrupts.sleep(0)


def test_a_signal_ends_a_sleep_and_the_first_one_counts() -> None:
    with interrupts.caught():
        killer = threading.Timer(0.1, send, [signal.SIGTERM])
        killer.start()
        with pytest.raises(interrupts.Stopped) as stopped:
            interrupts.sleep(3600)
        killer.join()
        assert stopped.value.code == 128 + signal.SIGTERM
        send(signal.SIGINT)
        with pytest.raises(interrupts.Stopped) as stopped:
            interrupts.sleep(0)
        assert stopped.value.code == 128 + signal.SIGTERM


def test_a_signal_that_is_swallowed_within_is_raised_at_the_end() -> None:
    with interrupts.caught(), pytest.raises(interrupts.Stopped):
        with interrupts.allowed(), contextlib.suppress(interrupts.Stopped):
            send(signal.SIGINT)
        pytest.fail("the signal was lost")
