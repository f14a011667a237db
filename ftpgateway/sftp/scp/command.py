"""A channel that was asked to run scp: it takes or gives files, and nothing else is run."""

from __future__ import annotations

from ftpgateway.access.sessions import Session
from ftpgateway.serving.logs.refusallog import RefusalLog
from ftpgateway.sftp.link import SessionOver
from ftpgateway.sftp.refusals import INTERNAL
from ftpgateway.sftp.scp.giving import Giving
from ftpgateway.sftp.scp.messages import BadScp, Command
from ftpgateway.sftp.scp.session import OnTransfer, ScpLink
from ftpgateway.sftp.scp.taking import Taking


class ScpSession(ScpLink):
    """`run` is the session; what goes wrong in it ends this channel, not the connection."""

    def __init__(
        self,
        session: Session,
        command: Command,
        *,
        idle_timeout: float,
        wait_limit: float,
        refused: RefusalLog,
        on_transfer: OnTransfer,
    ) -> None:
        super().__init__(
            session, idle_timeout=idle_timeout, wait_limit=wait_limit, refused=refused, on_transfer=on_transfer
        )
        self._command = command
        self._ended = False

    async def run(self) -> None:
        """Serve until all is done, or the client ends. Nothing that is not whole is published then."""
        work = Taking(self, self._command) if self._command.sends else Giving(self, self._command)
        try:
            await work.run()
            self._ended = True
        except BadScp as error:
            await self._over(str(error), tell=True)
        except SessionOver as over:
            await self._over(str(over), tell=False)
        except Exception:
            await self._over(INTERNAL, tell=True)
            raise
        finally:
            self.finish()

    async def _over(self, why: str, *, tell: bool) -> None:
        try:
            await self.end_with(why, tell=tell)
        except SessionOver:
            pass  # it has left before it could be told

    @property
    def status(self) -> int:
        """The exit status of the command: 0 when all that was asked for is done."""
        return 0 if self._ended and not self.failures else 1
