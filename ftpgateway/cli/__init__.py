"""The `pixraft` command.

Invariant: what it prints to standard output with `-o json`, and its exit codes, are an API (docs/cli.md,
docs/exit-codes.md); everything else it says is for people. It is a package of its own because nothing
else may depend on a terminal. One module a command, in `local`, `cluster` or `users`; it is imported when it is called.
What commands are made of is in `helpers`.
"""

from __future__ import annotations

from ftpgateway.cli.main import main

__all__ = ["main"]
