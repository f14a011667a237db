"""Which calls a node answers, and whom: what is added or changed here is said on purpose."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from ftpgateway.serving.logs.loglevelcalls import LOG_LEVEL_CALLS
from ftpgateway.serving.opensessions import SESSION_CALLS
from ftpgateway.sftp import hostkeys
from raftstore.cluster.calls import all_calls
from raftstore.peers.calls import ADMINS, BOTH, NODES, Answered
from raftstore.util.modules import declared_in
from raftstore.wire import commands_pb2 as commands

READ_BY_BOTH = {
    *("admin.status", "admin.node", "admin.users", "admin.account", "admin.user_orphans", "admin.membership"),
    *("admin.events", "admin.audit", "admin.groups", "admin.inbox", "admin.sent"),
    *("admin.trash", "admin.retention", "admin.retention_preview"),
    *("admin.jobs", "admin.partials", "admin.upgrade", "admin.hostkeys"),
    *("admin.sessions", "admin.checkup", "admin.maintenance", "admin.log_level", "admin.certificate"),
}
CHANGED_BY_BOTH = {"admin.user_put", "admin.user_remove", "admin.user_adopt"}
"""A node's configuration is enough for `pixraft user`."""

CHANGED_BY_ADMINS = {
    *("admin.intent", "admin.cancel", "admin.job_put", "admin.job_cancel", "admin.partial_remove"),
    *("admin.group_put", "admin.group_remove", "admin.block", "admin.person_purge"),
    *("admin.trash_restore", "admin.trash_empty", "admin.retention_set", "admin.retention_remove"),
    *("admin.upgrade_finish", "admin.hostkeys_rotate"),
    *("admin.session_kill", "admin.maintenance_set", "admin.log_level_set", "admin.certificate_renew"),
    *("admin.webhook_add", "admin.webhook_remove", "admin.webhook_retry", "admin.webhook_test"),
    *("admin.backup_hold", "admin.backup_end"),
}
REPEATED_BY_ADMINS = {"admin.transfer"}
"""Done twice it does no harm."""

READ_BY_ADMINS = {
    "admin.webhooks",
    *("admin.backup_renew", "admin.backup_catalog", "admin.backup_piece", "admin.backup_chunks"),
}
"""URLs may hold secrets, and a backup is everything; the hold that it begins with is in the audit log."""

OF_NODES = {"members.transfer", "webhooks.attempts"}

CALLS = [*all_calls(), *declared_in([hostkeys], Answered), *SESSION_CALLS, *LOG_LEVEL_CALLS]


def methods(roles: frozenset[object], *, changes: bool) -> set[str]:
    return {call.method for call in CALLS if (call.roles, call.changes) == (roles, changes)}


def test_whom_each_call_is_answered() -> None:
    assert methods(BOTH, changes=False) == READ_BY_BOTH
    assert methods(BOTH, changes=True) == CHANGED_BY_BOTH
    assert methods(ADMINS, changes=True) == CHANGED_BY_ADMINS
    assert methods(ADMINS, changes=False) == REPEATED_BY_ADMINS | READ_BY_ADMINS
    assert methods(NODES, changes=False) == OF_NODES
    assert len(CALLS) == len({call.method for call in CALLS})


PUBLIC = {"add_keys", "drop_keys"}
"""Fields that sound secret and are not: public keys."""


def test_all_that_changes_something_is_audited() -> None:
    assert {call.method for call in CALLS if call.audited} == (
        CHANGED_BY_BOTH | CHANGED_BY_ADMINS | REPEATED_BY_ADMINS
    )


def secrets(message: Descriptor, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the fields of a message that the audit log would show though their names sound secret."""
    for field in message.fields:
        sounds = re.search("password|secret|token|private|hash|key|nonce", field.name)
        hidden = field.type != FieldDescriptor.TYPE_STRING or field.GetOptions().debug_redact
        if sounds and not hidden and field.name not in PUBLIC:
            yield f"{message.name}.{field.name}"
        if field.message_type is not None and field.message_type.full_name not in seen:
            yield from secrets(field.message_type, seen | {message.full_name})


def test_the_audit_log_shows_no_secret() -> None:
    shown = [call.request.DESCRIPTOR for call in CALLS if call.audited] + [commands.Intent.DESCRIPTOR]
    assert [name for message in shown for name in secrets(message)] == []
    assert list(secrets(commands.User.DESCRIPTOR)) == ["User.password_hash", "User.authorized_keys"], (
        "this test would see one"
    )


def test_the_proto_file_lists_the_admin_calls_with_their_messages() -> None:
    text = (Path(__file__).parents[3] / "proto" / "admin.proto").read_text()
    listed = set(re.findall(r"^//\s+(admin\.\w+)\s+(\w+)\s+(\w+)", text, re.MULTILINE))
    assert listed == {
        (call.method, call.request.DESCRIPTOR.name, call.reply.DESCRIPTOR.name)
        for call in CALLS
        if call.method.startswith("admin.")
    }
