"""The tables of the catalog, a module each: schema, queries, and what commands do to them.

    names      directories, files, versions, reservations, the trash
    contents   chunks, who refers to them, which stores have them
    accounts   accounts, what they own and may have
    people     persons and what they send
    cluster    the cluster's state, time, members, jobs
    events     what happened, and who hears of it

Some commands change many tables at once: `names.files` has those on names of files and directories, `accounts.adoption`
the one that gives what is left to another owner.
"""

from raftstore.metadata.registry import Table
from raftstore.metadata.tables.accounts.accounts import Accounts
from raftstore.metadata.tables.accounts.adoption import Adoptions
from raftstore.metadata.tables.accounts.quotas import Quotas
from raftstore.metadata.tables.accounts.secrets import Secrets
from raftstore.metadata.tables.cluster.advancing import Advances
from raftstore.metadata.tables.cluster.clock import Clock
from raftstore.metadata.tables.cluster.intents import Intents
from raftstore.metadata.tables.cluster.jobs import Jobs
from raftstore.metadata.tables.cluster.maintenance import Maintenance
from raftstore.metadata.tables.cluster.moments import Moments
from raftstore.metadata.tables.cluster.remembered import Remembered
from raftstore.metadata.tables.cluster.state import State
from raftstore.metadata.tables.contents.contents import Contents
from raftstore.metadata.tables.contents.holds import Holds
from raftstore.metadata.tables.contents.longcontents import LongContents
from raftstore.metadata.tables.contents.replicas import ReplicaSets
from raftstore.metadata.tables.contents.staging import Staging
from raftstore.metadata.tables.contents.stores import Stores
from raftstore.metadata.tables.events.audit import AuditLog
from raftstore.metadata.tables.events.events import Events
from raftstore.metadata.tables.events.watched import WatchedNodes
from raftstore.metadata.tables.events.webhooks import Webhooks
from raftstore.metadata.tables.names.files import Files
from raftstore.metadata.tables.names.namespace import Namespace
from raftstore.metadata.tables.names.partials import Expiry, Orphans, Partials
from raftstore.metadata.tables.names.reservations import Reservations
from raftstore.metadata.tables.names.restoring import Restores
from raftstore.metadata.tables.names.retention import Retention
from raftstore.metadata.tables.names.spans import Spans
from raftstore.metadata.tables.names.trash import Trash
from raftstore.metadata.tables.names.versions import Versions
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
