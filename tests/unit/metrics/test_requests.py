"""Requests: what is read, and what is refused with which status."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftpgateway.metrics.access import permits, read_token
from ftpgateway.metrics.requests import Refused, Request, parse


def head(line: str, *fields: str) -> bytes:
    return "\r\n".join([line, *fields, "", ""]).encode("latin-1")


def test_a_request_with_its_options_and_its_token() -> None:
    asked = parse(head("GET /readyz?writable&verbose=1&a%62 HTTP/1.1", "Host: x", "AUTHORIZATION:  Bearer t "))
    assert asked == Request("GET", "/readyz", frozenset(("writable", "verbose", "ab")), "Bearer t")
    assert parse(head("HEAD /livez HTTP/1.0")) == Request("HEAD", "/livez", frozenset())


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (head("POST /metrics HTTP/1.1"), 405),
        (head("GET /metrics HTTP/1.1", "Content-Length: 1"), 413),
        (head("GET /metrics HTTP/1.1", "Transfer-Encoding: chunked"), 413),
        (head("GET http://x/metrics HTTP/1.1"), 400),
        (head("GET /metrics HTTP/2"), 400),
        (head("GET /a b HTTP/1.1"), 400),
        (head("get /metrics HTTP/1.1"), 400),
        (head("GET /metrics HTTP/1.1", "no field"), 400),
        (head("GET /metrics HTTP/1.1", "A : b"), 400),
        (head("GET /metrics HTTP/1.1", " folded"), 400),
        (head("GET /metrics HTTP/1.1", "A: b\nc"), 400),
        (head("GET /metrics HTTP/1.1", "Authorization: a", "authorization: b"), 400),
        (b"\x00\xff\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
    ],
)
def test_what_is_refused(request_: bytes, status: int) -> None:
    with pytest.raises(Refused) as refused:
        parse(request_)
    assert refused.value.status == status


def test_an_empty_body_is_none() -> None:
    assert parse(head("GET / HTTP/1.1", "Content-Length: 0")).path == "/"


@pytest.mark.parametrize(
    ("header", "good"),
    [
        ("Bearer 0123456789abcdef", True),
        ("bearer  0123456789abcdef ", True),
        ("Bearer 0123456789abcdeg", False),
        ("Basic 0123456789abcdef", False),
        ("Bearer \xff", False),
        ("0123456789abcdef", False),
        ("", False),
    ],
)
def test_the_token(header: str, good: bool) -> None:
    assert permits(b"0123456789abcdef", header) is good
    assert permits(None, header)


def test_the_file_of_the_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{'a' * 16}\n")
    assert read_token(file) == b"a" * 16
    for text in ("a" * 15, "a" * 513, f"{'a' * 16} b", ""):
        file.write_text(text)
        with pytest.raises(ValueError, match="holds no token"):
            read_token(file)
