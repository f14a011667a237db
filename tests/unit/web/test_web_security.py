"""What is taken of whom: heads, origins, proxies, cookies, paths to go on to."""

from __future__ import annotations

import ipaddress

import pytest

from ftpgateway.web.http import security
from ftpgateway.web.http.security import Client

OWN = security.origins("Pictures.example.org", "https", "https://public.example.org")
PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({"origin": "https://pictures.example.org"}, True),
        ({"origin": "https://public.example.org", "sec-fetch-site": "same-origin"}, True),
        ({"origin": "HTTPS://Pictures.Example.org"}, True),
        ({"origin": "https://pictures.example.org", "sec-fetch-site": "cross-site"}, False),
        ({"origin": "https://pictures.example.org", "sec-fetch-site": "same-site"}, False),
        ({"origin": "https://pictures.example.org", "sec-fetch-site": "none"}, False),
        ({"origin": "http://pictures.example.org"}, False),
        ({"origin": "https://pictures.example.org.evil.example"}, False),
        ({"origin": "https://pictures.example.org:444"}, False),
        ({"origin": "null"}, False),
        ({"sec-fetch-site": "same-origin"}, False),
        ({}, False),
    ],
)
def test_what_changes_something_comes_from_a_page_of_ours(headers: dict[str, str], taken: bool) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert (security.why_foreign(method, headers, OWN) == "") is taken
    for method in ("GET", "HEAD"):
        assert security.why_foreign(method, headers, OWN) == ""


@pytest.mark.parametrize(
    ("method", "headers", "taken"),
    [
        ("POST", [(b"host", b"a"), (b"content-length", b"3")], True),
        ("POST", [(b"host", b"a"), (b"transfer-encoding", b"chunked")], True),
        ("GET", [(b"host", b"a")], True),
        ("GET", [(b"host", b"a"), (b"content-length", b"0")], True),
        ("POST", [(b"host", b"a"), (b"content-length", b"3"), (b"transfer-encoding", b"chunked")], False),
        ("POST", [(b"host", b"a"), (b"content-length", b"3"), (b"content-length", b"3")], False),
        ("GET", [(b"host", b"a"), (b"host", b"b")], False),
        ("GET", [], False),
        ("GET", [(b"host", b"a"), (b"content-length", b"3")], False),
        ("GET", [(b"host", b"a"), (b"transfer-encoding", b"chunked")], False),
    ],
)
def test_heads_that_could_be_read_in_two_ways(
    method: str, headers: list[tuple[bytes, bytes]], taken: bool
) -> None:
    assert (security.why_malformed(method, headers) == "") is taken


def forwarded(*hops: str, scheme: str = "") -> list[tuple[bytes, bytes]]:
    found = [(b"x-forwarded-for", hop.encode()) for hop in hops]
    return [*found, (b"x-forwarded-proto", scheme.encode())] if scheme else found


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        ("1.2.3.4", forwarded("9.9.9.9", scheme="https"), Client("1.2.3.4", "http")),
        ("10.0.0.1", forwarded("9.9.9.9", scheme="https"), Client("9.9.9.9", "https", True)),
        ("10.0.0.1", forwarded("6.6.6.6, 9.9.9.9"), Client("9.9.9.9", "http", True)),
        ("10.0.0.1", forwarded("6.6.6.6, 9.9.9.9, 10.0.0.2"), Client("9.9.9.9", "http", True)),
        ("10.0.0.1", forwarded("6.6.6.6", "9.9.9.9"), Client("9.9.9.9", "http", True)),
        ("10.0.0.1", forwarded("9.9.9.9, nonsense"), Client("10.0.0.1", "http", True)),
        ("10.0.0.1", forwarded(scheme="gopher"), Client("10.0.0.1", "http", True)),
        ("fd00::1", forwarded("[2001:db8::7]"), Client("2001:db8::7", "http", True)),
        ("not an address", forwarded("9.9.9.9"), Client("not an address", "http")),
    ],
)
def test_only_trusted_proxies_tell_who_the_client_is(
    peer: str, headers: list[tuple[bytes, bytes]], expected: Client
) -> None:
    assert security.client_of(peer, "http", headers, PROXIES) == expected


def test_a_proxy_that_tells_no_scheme_has_that_of_the_public_address() -> None:
    assert security.client_of("10.0.0.1", "http", [], PROXIES, "https://a.example").scheme == "https"


def test_cookies() -> None:
    assert security.cookie("https", "abc", 60) == (
        "__Host-pixraft=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
    )
    assert security.cookie("http", "abc", 60) == "pixraft=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
    assert security.token_in("a=b; __Host-pixraft=abc", "https") == "abc"
    assert security.token_in("pixraft=abc", "https") == "", "that could have been set by a page without TLS"
    assert security.token_in("pixraft=abc; pixraft=planted", "http") == ""
    assert security.token_in("", "http") == security.token_in("pixraft", "http") == ""


@pytest.mark.parametrize(
    "text",
    [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "",
        "a",
        "/a\r\nX: y",
        "/\t/evil.example",
        "/a\u202e",
    ],
)
def test_nobody_is_sent_to_another_site(text: str) -> None:
    assert security.local_path(text) == "/"


def test_where_one_may_be_sent() -> None:
    assert security.local_path("/folders/a%20b?sort=new") == "/folders/a%20b?sort=new"


def test_the_policy_allows_no_script_in_pages() -> None:
    assert "unsafe" not in security.PAGE_POLICY and "default-src 'none'" in security.PAGE_POLICY
    assert "frame-ancestors 'none'" in security.PAGE_POLICY
