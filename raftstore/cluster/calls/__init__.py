"""What a node answers about the cluster, a module a subject: to operators (`admin_call`), to other nodes (`node_call`).

**The rule.** Every module of this package is imported, and every call that is declared in one is answered by every
node (`all_calls`). Nothing else registers them. Who asks uses the same declaration: `ClusterClient.ask(call, request)`
on the command line, `call.ask(network, node, request)` at a node.

The functions are thin: they get what a node offers (`context`) and the decoded request, and return the reply. What they
decide is elsewhere. The command line imports these modules to ask, so what is large is imported for its types alone.

Calls that need the state of a front-end are declared there and given to the store (`Store.answer`).
"""

from __future__ import annotations

import sys
from typing import Any

from raftstore.peers.calls import Answered
from raftstore.util.modules import declared_in


def all_calls() -> list[Answered[Any, Any, Any]]:
    """Return all calls that are declared in this package."""
    return declared_in([sys.modules[__name__]], Answered)
