"""What a request must be to be taken, and what a browser is told to keep to. Pure.

A request that changes something has to come from a page of ours: by Sec-Fetch-Site, which pages cannot set, and by
Origin. Who sends neither is no browser of these days and has to say where it belongs by Origin (docs/web.md).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from raftstore.util.networks import Network

SAFE = frozenset({"GET", "HEAD"})
METHODS = SAFE | {"POST", "PUT", "DELETE"}

PAGE_POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
"""On every reply."""

STRICT_TRANSPORT = ("Strict-Transport-Security", "max-age=31536000")
"""On every reply over TLS."""

_SAFE_COOKIE = "__Host-pixraft"
_PLAIN_COOKIE = "pixraft"


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: the client's address, the scheme that its browser uses, and whether a trusted proxy says so."""

    address: str
    scheme: str
    proxied: bool = False

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        try:
            return ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            return False


def client_of(
    peer: str,
    scheme: str,
    headers: Iterable[tuple[bytes, bytes]],
    trusted: Sequence[Network],
    public_url: str = "",
) -> Client:
    """Return who asks: `peer`, or if that is a trusted proxy, the last address in its list that is none itself."""
    if not is_in(peer, trusted):
        return Client(peer, scheme)
    found = list(headers)
    hops = [
        hop.strip()
        for name, value in found
        if name == b"x-forwarded-for"
        for hop in value.decode("latin-1").split(",")
    ]
    address = peer
    for hop in reversed(hops):
        try:
            address = str(ipaddress.ip_address(hop.strip("[]")))
        except ValueError:
            break  # what comes before it is no better
        if not is_in(address, trusted):
            break
    said = [value.decode("latin-1").strip().lower() for name, value in found if name == b"x-forwarded-proto"]
    if said and said[-1] in ("http", "https"):
        scheme = said[-1]
    elif public_url:
        scheme = urlsplit(public_url).scheme
    return Client(address, scheme, proxied=True)


def is_in(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address is in one of the networks."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(parsed in network for network in networks)


def why_malformed(method: str, headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Say why a request's head is not taken, whoever sends it; "": it is.

    What two readers could take for different requests is none: a length beside a transfer coding (RFC 9112, 6.1), two
    hosts.
    """
    names = [name for name, _ in headers]
    if b"content-length" in names and b"transfer-encoding" in names:
        return "A request has a length or a transfer coding, not both."
    if names.count(b"content-length") > 1 or names.count(b"transfer-encoding") > 1:
        return "A request says once how long it is."
    if names.count(b"host") != 1:
        return "A request names one host."
    if method in SAFE and (b"transfer-encoding" in names or dict(headers).get(b"content-length", b"0") != b"0"):
        return "A request that only reads has no body."
    return ""


def origins(host: str, scheme: str, public_url: str) -> frozenset[str]:
    """Return the origins whose pages are ours."""
    own = {f"{scheme}://{host.lower()}"}
    return frozenset(own | {public_url}) if public_url else frozenset(own)


def why_foreign(method: str, headers: Mapping[str, str], own: Collection[str]) -> str:
    """Say why a request that would change something is not taken as one of a page of ours; "": it is, or reads only."""
    if method in SAFE:
        return ""
    site, origin = headers.get("sec-fetch-site", ""), headers.get("origin", "")
    if site and site != "same-origin":
        return "The request comes from a page of another site; nothing was changed."
    if not origin:
        return "The request does not say from which site it comes (Origin); nothing was changed."
    if origin.lower() not in own:
        return "The request comes from a page of another site; nothing was changed."
    return ""


def cookie_name(scheme: str) -> str:
    """Return the name of the session's cookie: over TLS one that no other site, and no plain page, can set."""
    return _SAFE_COOKIE if scheme == "https" else _PLAIN_COOKIE


def cookie(scheme: str, token: str, seconds: int) -> str:
    """Return the header Set-Cookie of a session; `seconds` 0: it is over."""
    secure = "; Secure" if scheme == "https" else ""
    return f"{cookie_name(scheme)}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"


def token_in(cookies: str, scheme: str) -> str:
    """Return the token in a header Cookie, "" when there is none, or several: somebody has planted one."""
    wanted = cookie_name(scheme)
    found = [
        value.strip()
        for name, _, value in (pair.partition("=") for pair in cookies.split(";"))
        if name.strip() == wanted
    ]
    return found[0] if len(found) == 1 else ""


def local_path(text: str, otherwise: str = "/") -> str:
    """Return `text` if it is a path of this site that a browser cannot take for another site's; else `otherwise`."""
    if not text.startswith("/") or text.startswith("//") or "\\" in text or not text.isprintable():
        return otherwise
    parts = urlsplit(text)
    return otherwise if parts.scheme or parts.netloc else text
