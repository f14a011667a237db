"""Descriptors of this process: some are kept for its own files and for its peers, however many clients there are."""

from __future__ import annotations

import resource

RESERVED = 256
"""Descriptors that clients do not get: for the log, volumes, the catalog, peers. A quarter where there are fewer than
1,024 in all."""


def scarce(descriptor: int) -> bool:
    """Whether a descriptor just made is one of the last: the kernel gives the lowest number that is free."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most != resource.RLIM_INFINITY and descriptor >= most - min(RESERVED, most // 4)
