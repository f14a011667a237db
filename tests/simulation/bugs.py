"""Known bugs, to be put into the production code for a while: each is a way in which Raft, or what surrounds it, is
commonly got wrong. The simulator must see every one of them. See `mutants` for who runs them.
"""

from __future__ import annotations

import bugs_audit
import bugs_levels
import bugs_log
import bugs_people
import bugs_rights
import bugs_use
from simbugs import BUGS, switched_on

__all__ = [
    "BUGS",
    "bugs_audit",
    "bugs_levels",
    "bugs_log",
    "bugs_people",
    "bugs_rights",
    "bugs_use",
    "switched_on",
]
