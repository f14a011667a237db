"""Directories in a session's view that are mounted there, not stored in its home: a module each.

`tree` says what a part of the view answers and what a mount is, `store` is the part that lies in the store, which the
home is, too. A mount is a `Mount` in the tuple below; its name hides what the home may have under it. FTP, SFTP and the
other front-ends know nothing of mounts: `Workspace` finds the part that a path lies in.
"""

from __future__ import annotations

from ftpgateway.access.mounts.tree import Mount

MOUNTS: tuple[Mount, ...] = ()
"""Every mount, for all front-ends of a node."""
