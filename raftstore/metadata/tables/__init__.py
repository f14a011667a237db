"""The tables of the catalog, a module each: schema, queries, and what commands do to them.

Some commands change many tables at once: `files` has those on names of files and directories, `adoption` the one that
gives what is left to another owner. `people` has those of persons and of what they send.
"""

from raftstore.metadata.registry import Table
from raftstore.metadata.tables.accounts import Accounts
from raftstore.metadata.tables.adoption import Adoptions
from raftstore.metadata.tables.advancing import Advances
from raftstore.metadata.tables.audit import AuditLog
from raftstore.metadata.tables.clock import Clock
from raftstore.metadata.tables.contents import Contents
from raftstore.metadata.tables.events import Events
from raftstore.metadata.tables.files import Files
from raftstore.metadata.tables.holds import Holds
from raftstore.metadata.tables.intents import Intents
from raftstore.metadata.tables.jobs import Jobs
from raftstore.metadata.tables.longcontents import LongContents
from raftstore.metadata.tables.maintenance import Maintenance
from raftstore.metadata.tables.moments import Moments
from raftstore.metadata.tables.namespace import Namespace
from raftstore.metadata.tables.partials import Expiry, Orphans, Partials
from raftstore.metadata.tables.people.blocks import Blocks
from raftstore.metadata.tables.people.drafts import Drafts
from raftstore.metadata.tables.people.groups import Groups
from raftstore.metadata.tables.people.inboxes import Inboxes
from raftstore.metadata.tables.people.persons import Persons
from raftstore.metadata.tables.people.purging import Purging
from raftstore.metadata.tables.people.records import Records
from raftstore.metadata.tables.people.registering import Registering
from raftstore.metadata.tables.people.sending import Sending
from raftstore.metadata.tables.people.storing import Storing
from raftstore.metadata.tables.quotas import Quotas
from raftstore.metadata.tables.remembered import Remembered
from raftstore.metadata.tables.replicas import ReplicaSets
from raftstore.metadata.tables.reservations import Reservations
from raftstore.metadata.tables.restoring import Restores
from raftstore.metadata.tables.retention import Retention
from raftstore.metadata.tables.secrets import Secrets
from raftstore.metadata.tables.spans import Spans
from raftstore.metadata.tables.staging import Staging
from raftstore.metadata.tables.state import State
from raftstore.metadata.tables.stores import Stores
from raftstore.metadata.tables.trash import Trash
from raftstore.metadata.tables.versions import Versions
from raftstore.metadata.tables.watched import WatchedNodes
from raftstore.metadata.tables.webhooks import Webhooks

TABLES: tuple[type[Table], ...] = (
    State,
    Namespace,
    Partials,
    Contents,
    ReplicaSets,
    Stores,
    Jobs,
    Intents,
    Secrets,
    Accounts,
    Spans,
    Quotas,
    Remembered,
    Reservations,
    Expiry,
    Orphans,
    Files,
    Adoptions,
    LongContents,
    Staging,
    Clock,
    Storing,
    Trash,
    Moments,
    Retention,
    Versions,
    Restores,
    Persons,
    Groups,
    Blocks,
    Records,
    Drafts,
    Inboxes,
    Sending,
    Registering,
    Purging,
    Advances,
    Events,
    AuditLog,
    Maintenance,
    Webhooks,
    WatchedNodes,
    Holds,
)
"""All of them, in the order in which they are made, migrated and hashed: a new one comes last."""

SCHEMAS = tuple(schema for table in TABLES for schema in table.schemas)

__all__ = ["SCHEMAS", "TABLES"]
