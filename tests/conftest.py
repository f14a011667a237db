"""For all tests."""

from __future__ import annotations

import signal

# A test run in the background of a shell without job control ignores SIGINT, and so would all processes that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
