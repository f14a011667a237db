"""`pixraft` run within the test's own process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from ftpgateway.cli.main import group


def pixraft(*arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> Result:
    """Run a command; its output and exit code are in what is returned."""
    return CliRunner().invoke(group, arguments, input=stdin, env=env or {}, prog_name="pixraft")
