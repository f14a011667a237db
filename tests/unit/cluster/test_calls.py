"""Which calls a node answers, and whom: what is added or changed here is said on purpose."""

from __future__ import annotations

import re
from pathlib import Path

from ftpgateway.sftp import hostkeys
from raftstore.cluster.calls import all_calls
from raftstore.peers.calls import ADMINS, BOTH, NODES, Answered
from raftstore.util.modules import declared_in

READ_BY_BOTH = {
    *("admin.status", "admin.node", "admin.users", "admin.account", "admin.user_orphans", "admin.membership"),
    *("admin.events", "admin.groups", "admin.inbox", "admin.sent"),
    *("admin.trash", "admin.retention", "admin.retention_preview"),
    *("admin.jobs", "admin.partials", "admin.upgrade", "admin.hostkeys"),
}
CHANGED_BY_BOTH = {"admin.user_put", "admin.user_remove", "admin.user_adopt"}
"""A node's configuration is enough for `pixraft user`."""

CHANGED_BY_ADMINS = {
    *("admin.intent", "admin.cancel", "admin.job_put", "admin.job_cancel", "admin.partial_remove"),
    *("admin.group_put", "admin.group_remove", "admin.block", "admin.person_purge"),
    *("admin.trash_restore", "admin.trash_empty", "admin.retention_set", "admin.retention_remove"),
    *("admin.upgrade_finish", "admin.hostkeys_rotate"),
}
REPEATED_BY_ADMINS = {"admin.transfer"}
"""Done twice it does no harm."""

OF_NODES = {"members.transfer"}

CALLS = [*all_calls(), *declared_in([hostkeys], Answered)]


def methods(roles: frozenset[object], *, changes: bool) -> set[str]:
    return {call.method for call in CALLS if (call.roles, call.changes) == (roles, changes)}


def test_whom_each_call_is_answered() -> None:
    assert methods(BOTH, changes=False) == READ_BY_BOTH
    assert methods(BOTH, changes=True) == CHANGED_BY_BOTH
    assert methods(ADMINS, changes=True) == CHANGED_BY_ADMINS
    assert methods(ADMINS, changes=False) == REPEATED_BY_ADMINS
    assert methods(NODES, changes=False) == OF_NODES
    assert len(CALLS) == len({call.method for call in CALLS})


def test_the_proto_file_lists_the_admin_calls_with_their_messages() -> None:
    text = (Path(__file__).parents[3] / "proto" / "admin.proto").read_text()
    listed = set(re.findall(r"^//\s+(admin\.\w+)\s+(\w+)\s+(\w+)", text, re.MULTILINE))
    assert listed == {
        (call.method, call.request.DESCRIPTOR.name, call.reply.DESCRIPTOR.name)
        for call in CALLS
        if call.method.startswith("admin.")
    }
