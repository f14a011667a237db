"""OpenSSH's clients, with a password and without anything of the user's own configuration."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class OpenSsh:
    """Runs sftp, scp and ssh against one server; `known_hosts` remembers host keys from the first contact on."""

    def __init__(self, place: Path, port: int, user: str, password: str) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.place = place
        self.port = port
        self.user = user
        self.known_hosts = place / "known_hosts"
        ask = place / "ask"
        ask.write_text(f"#!/bin/sh\necho {shlex.quote(password)}\n")
        ask.chmod(0o700)
        self._ask = ask

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment in which the clients get the password without a terminal."""
        return {**os.environ, "SSH_ASKPASS": str(self._ask), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}

    def options(self, strict: str = "accept-new") -> list[str]:
        """Options that all clients take. `strict`: see StrictHostKeyChecking in ssh_config(5)."""
        settings = {
            "StrictHostKeyChecking": strict,
            "UserKnownHostsFile": str(self.known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            "NumberOfPasswordPrompts": "1",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "ConnectTimeout": "60",
        }
        return ["-F", "/dev/null", *(f"-o{key}={value}" for key, value in settings.items())]

    def sftp_command(self, *more: str) -> list[str]:
        """The command that takes a batch on its standard input."""
        # Not -b: it forbids to ask for a password.
        return [
            *("sftp", "-q", "-P", str(self.port), *self.options(), "-oBatchMode=no", *more),
            *("-b", "-", f"{self.user}@127.0.0.1"),
        ]

    def sftp(self, batch: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Run a batch of commands; it ends at the first that fails, with an exit code above 0."""
        return self._run(self.sftp_command(*more), batch)

    def scp(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Copy; `{}` in an argument stands for the server."""
        named = [argument.replace("{}", f"{self.user}@127.0.0.1") for argument in arguments]
        return self._run(["scp", "-oLogLevel=ERROR", "-P", str(self.port), *self.options(), *named])

    def ssh(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Ask for a command or a shell."""
        return self._run(["ssh", "-p", str(self.port), *self.options(), f"{self.user}@127.0.0.1", *arguments])

    def _run(self, command: Sequence[str], given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            env=self.environment,
            cwd=self.place,
            check=False,
        )
