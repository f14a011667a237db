"""`/shared`: one directory for all persons, where each changes only what is its own."""

from __future__ import annotations

from ftpgateway.access.storetree import mapped
from raftstore.rights.reserved import SHARED as WHERE

SHARED = mapped("shared", lambda user: WHERE if user.person else None)
