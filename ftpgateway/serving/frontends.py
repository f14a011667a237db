"""What a front-end is to its node: a name, a section of the configuration, and who builds it.

A front-end is a package with a `FrontendKind`, named in the tuple `ftpgateway.node.frontends.FRONTENDS`. The node asks
the kind whatever it needs: its section's keys, where it listens, what would keep it from starting; it knows none by
name. Kinds are imported by every command that reads a configuration, so they import what serves only in `build`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from raftstore.peers.calls import Answered
from raftstore.util.addresses import Address
from raftstore.util.metrics import Metrics
from raftstore.util.networks import Network
from raftstore.util.settings import Mistake

if TYPE_CHECKING:
    from ftpgateway.access.access import Access
    from ftpgateway.serving.logs.transferlog import TransferSink
    from ftpgateway.serving.opensessions import OpenSessions
    from raftstore.store.checks import Checks as NodeChecks
    from raftstore.store.transfers.spool import Spools


_Context = TypeVar("_Context")


class Secrets(Protocol):
    """Where the cluster keeps what all its nodes must know."""

    async def secret(self, name: str, *, newest: bool = False) -> bytes | None:
        """Return a secret of the cluster, None when there is none yet. Raises StoreError."""
        ...

    async def agree_on_secret(self, name: str, value: bytes, *, replaces: bytes = b"") -> bytes:
        """Make `value` the cluster's secret unless it has one that `replaces` does not stand for. Raises StoreError."""
        ...


class News(Protocol):
    """What the nodes tell each other in passing."""

    def listen(self, topic: str, heard: Callable[[str, bytes], None]) -> None:
        """Give what other nodes tell about `topic` to `heard`, with the node's name, on the loop."""
        ...

    def tell(self, topic: str, body: bytes) -> None:
        """Tell the other nodes: who cannot be reached now never hears of it."""
        ...


class SecretsAndNews(Secrets, News, Protocol):
    """What a front-end with sessions at all nodes shares with the others."""


class ClusterCalls(SecretsAndNews, Protocol):
    """What a front-end may use of the store beside what its clients' sessions do."""

    def answer(self, calls: Iterable[Answered[_Context, Any, Any]], context: _Context) -> None:
        """Answer these admin calls, too, with what `context` offers."""
        ...


@dataclass(frozen=True, slots=True)
class FrontendContext:
    """What a front-end is given of its node, beside its own section of the configuration."""

    cluster: ClusterCalls
    access: Access
    """Logs clients in; their sessions are the way to the store."""
    spools: Spools
    metrics: Metrics
    """Of the node: a front-end adds its own."""
    transfers: TransferSink | None = None
    """Gets a line for each transfer; None: nobody wants it."""
    checks: NodeChecks | None = None
    """What supervisors and balancers ask; None: of a node made up of parts."""
    proxy_networks: tuple[Network, ...] = ()
    """Networks of balancers, which tell by the PROXY protocol who the client is."""
    sessions: OpenSessions | None = None
    """Gets each client that is served, for operators; None: nobody asks."""


class Frontend(Protocol):
    """A front-end of a running node."""

    async def start(self) -> None:
        """Listen and serve. Raises OSError when an address is taken."""
        ...

    async def stop(self, grace: float = ...) -> None:
        """Accept nobody any more, give what is under way `grace` seconds to end, end the rest."""
        ...


class PassivePorts(NamedTuple):
    """Ports for data connections, first and last both used, and the key that says so."""

    key: str
    first: int
    last: int


class PrivateFile(NamedTuple):
    """A file that only the node may read: the key that names it, where it is, and what it is, for people.

    `certificate`: one comes first in it, or behind its key.
    """

    key: str
    path: Path
    what: str
    certificate: bool = False


S = TypeVar("S")


class FrontendKind(ABC, Generic[S]):
    """One kind of front-end. `settings` are those of the section, a dataclass with `declared` fields."""

    name: ClassVar[str]
    """Names the section, and in log and status the service that `services` has under it."""
    settings: type[S]
    for_clients: ClassVar[bool] = True
    """Whether the status tells the whole cluster where it listens."""

    @abstractmethod
    def services(self, settings: S) -> Mapping[str, Address | None]:
        """Return where each service listens, by the name that the status has for it; None: it is not offered."""

    @abstractmethod
    def build(self, context: FrontendContext, settings: S) -> Frontend | None:
        """Return the front-end, on the running loop, not started; None: it is not offered."""

    def serve_calls(self, cluster: ClusterCalls) -> None:
        """Register the admin calls, which a node answers whether or not it offers the front-end."""
        return

    def private_files(self, settings: S) -> Iterable[PrivateFile]:
        """Return the files that others must not read."""
        return ()

    def passive_ports(self, settings: S) -> PassivePorts | None:
        """Return the ports for data connections; None: there is no bound."""
        return None

    def anonymous_root(self, settings: S) -> str | None:
        """Return the directory of the store that everybody may read; None: nobody may without an account."""
        return None

    def problems(self, settings: S) -> Iterable[Mistake]:
        """Yield what on this machine, addresses aside, keeps the front-end from starting."""
        return ()

    def warnings(self, settings: S) -> Iterable[Mistake]:
        """Yield what should be mended, and takes a look elsewhere (at the DNS)."""
        return ()


AnyKind = FrontendKind[Any]
