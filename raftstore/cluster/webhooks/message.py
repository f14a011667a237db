"""What is sent to a webhook, and its signature, as Standard Webhooks has both (standardwebhooks.com, version 1)."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
from collections.abc import Iterable
from typing import Any

from raftstore.types import Event, owner_name

PREFIX = "whsec_"
"""Of a secret as people see it."""


def shown_secret(secret: bytes) -> str:
    """Return a secret as receivers take it."""
    return PREFIX + base64.b64encode(secret).decode()


def signature(secret: bytes, name: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`: HMAC-SHA256 over name, time (s since the epoch) and body."""
    signed = b"%b.%d.%b" % (name.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def headers(secret: bytes, name: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that a message has beside those of every request."""
    return {
        "content-type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, name, timestamp, body),
    }


def moment(time_ns: int) -> str:
    """Return a time as RFC 3339 has it, in UTC, to the millisecond."""
    made = datetime.datetime.fromtimestamp(time_ns // 10**6 / 1000, datetime.UTC)
    return made.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shape(event: Event, path: str) -> dict[str, Any]:
    """Return an event as JSON has it, like `pixraft events -o json`."""
    return {
        "number": event.number,
        "index": event.index,
        "time": moment(event.time_ns),
        "event": event.kind.name.lower(),
        "actor": owner_name(event.actor) or None,
        "subject": owner_name(event.subject) or None,
        "files": event.files,
        "path": path or None,
    }


def events_body(shapes: Iterable[dict[str, Any]], time_ns: int) -> bytes:
    """Return the body of a message with events. `time_ns`: of the newest of them."""
    return _body("pixraft.events", moment(time_ns), {"events": list(shapes)})


def trial_body(webhook: str, node: str, time_ns: int) -> bytes:
    """Return the body of a message that only shows that messages arrive."""
    return _body("pixraft.test", moment(time_ns), {"webhook": webhook, "node": node})


def _body(kind: str, timestamp: str, data: dict[str, Any]) -> bytes:
    whole = {"type": kind, "timestamp": timestamp, "data": data}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
