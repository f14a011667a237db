"""Directories in a session's view that are mounted there, not stored in its home: a module each.

`inbox`, `send` and `shared` are there for persons, `trash` for accounts that have trash.

Every `Mount` that a module here declares counts (`ftpgateway.access.tree.all_mounts`). Its name hides what the home may
have under it. FTP, SFTP and the other front-ends know nothing of mounts: `Workspace` finds the part of a path.
"""
