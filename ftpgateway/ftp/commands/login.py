"""Logging in and out: USER, PASS, REIN, QUIT."""

from __future__ import annotations

import contextlib

import structlog

from ftpgateway import access
from ftpgateway.access import LoginRefused
from ftpgateway.ftp.session import BaseSession
from ftpgateway.ftp.table import command
from ftpgateway.serving.connections import TooMany
from raftstore.errors import StoreError, Unavailable

log = structlog.get_logger()


WRONG = "530 Wrong user name or password; after many wrong ones from an address the right one has to wait, too."
"""The one answer to whoever may not log in, whatever the reason: what it does not tell, nobody learns."""


class LoginCommands(BaseSession):
    """The commands with which a session begins and ends."""

    @command("USER", "begin to log in, forgetting an earlier login", syntax="<name>", login=False)
    def ftp_USER(self, line: str) -> None:
        """USER: begin to log in, forgetting an earlier login."""
        if self.host.settings.require_tls and not self.secured:
            self.respond("530 This server requires encryption: use AUTH TLS first.")
            return
        if self.login is not None:
            self._forget_login()
            if not self.alive:
                return
        self.username = line
        self.respond("331 Username ok, send password.")

    @command("PASS", "log in", syntax="[<password>]", login=False)
    def ftp_PASS(self, line: str) -> None:
        """PASS: log in."""
        if self.login is not None:
            self.respond("503 You are logged in already.")
            return
        if not self.username:
            self.respond("503 Log in with USER first.")
            return
        name, self.username = self.username, ""
        try:
            login = self.wait(self._login(name, line))
        except LoginRefused as refused:
            log.warning("login refused", session=self.number, user=name, peer=self.peer, reason=str(refused))
            self.end_with(f"421 {refused}")
            return
        except Unavailable:
            self.end_with("421 Too many logins at once; try again in a moment.")
            return
        except StoreError:
            self.end_with(
                "421 Too few nodes of the cluster can be reached; try again later or at another node."
            )
            return
        if login is None:
            if self.alive:
                self._refuse_login(name)
            return
        if not self.alive:
            login.close()
            return
        self.login = login
        self.attempted_logins = 0
        self.set_idle_timer(self.host.settings.idle_timeout)
        self.respond("230 Login successful.")
        log.info("login", session=self.number, user=name, peer=self.peer, tls=self.secured)

    async def _login(self, name: str, password: str) -> access.Session | None:
        user = await self.host.access.password(name, password, self.peer)
        if user is None:
            return None
        login = await self.host.access.open(user, "ftp", self.expel, peer=self.peer)
        try:
            if self.alive:
                self.host.connections.logged_in(self.slot, login.name, shared=not login.holder.account)
        except BaseException:
            login.close()
            raise
        return login

    def _refuse_login(self, name: str) -> None:
        self.attempted_logins += 1
        log.warning(
            "login refused",
            session=self.number,
            user=name,
            peer=self.peer,
            reason="password",
            attempt=self.attempted_logins,
        )
        if self.attempted_logins >= self.host.settings.max_login_attempts:
            self.end_with("421 Wrong user name or password, too often; goodbye.")
        else:
            self.respond(WRONG)

    def _forget_login(self) -> None:
        self.link.close()
        if self.login is not None:
            self.login.close()
        self.login = None
        self.username = ""
        self.take_range()
        self.announced = None
        self.rename_from = self.reported_begun = None
        self.set_idle_timer(self.host.settings.login_timeout)
        try:
            self.host.connections.logged_out(self.slot)
        except TooMany as refused:
            self.end_with(f"421 {refused}")

    @command("REIN", "log out; the connection stays")
    def ftp_REIN(self, line: str) -> None:
        """REIN: back to the state before USER."""
        self._forget_login()
        self.respond("220 Ready for a new user.")

    @command(
        "QUIT",
        "end the session, after the transfer under way; while an upload is open 221 comes at once, and then its result",
        login=False,
    )
    def ftp_QUIT(self, line: str) -> None:
        """QUIT."""
        self.forget_queue()
        self.end_with("" if self.goodbye_said else "221 Goodbye.")

    def ending(self) -> None:
        """See the base class."""
        with contextlib.suppress(AttributeError):
            self.password = ""
        super().ending()
