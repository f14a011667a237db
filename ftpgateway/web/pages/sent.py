"""What a person has sent, and what has become of it."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response

from ftpgateway.web.asking import Asked, page
from ftpgateway.web.pages.rendering import rendered, with_query
from ftpgateway.web.refusals import BadRequest
from raftstore.types import NEWEST_SENT, DeliveryState, SentItem

ITEMS = 100

STATES = {
    DeliveryState.DELIVERED: ("Delivered", "It is in the inbox, and was not opened yet."),
    DeliveryState.OPENED: ("Opened", "It was opened."),
    DeliveryState.KEPT: ("Kept", "It was opened, and is kept."),
    DeliveryState.RECALLED: ("Recalled", "You have taken it back before it was opened."),
    DeliveryState.EXPIRED: ("Expired", "Its time was over."),
    DeliveryState.REFUSED: ("Not taken", "It was not taken."),
    DeliveryState.BOUNCED: ("Bounced", "The account was removed before it was opened."),
}
"""Each state in a word, and in a sentence."""


@page("/sent", "GET")
async def sent(asked: Asked) -> Response:
    """Show it, the newest first."""
    if not asked.files.has_mount("send"):
        raise BadRequest("That is for persons, and this account is none.", 404)
    ended = "ended" in asked.query
    items = await asked.files.sent(ITEMS, before=key_of(asked.query.get("before", "")), ended=ended)
    following = with_query("/sent", before=key_text(items), ended="1" if ended else "")
    return rendered(
        "sent.html",
        asked,
        active="send",
        items=items,
        states=STATES,
        ended=ended,
        following=following if len(items) == ITEMS else "",
    )


def key_of(text: str) -> tuple[int, int]:
    """Return the key of an item as a page's address has it; "" is before all. Raises BadRequest."""
    if not text:
        return NEWEST_SENT
    record, _, delivery = text.partition(".")
    if not all(each.isascii() and each.isdigit() and len(each) < 20 for each in (record, delivery)):
        raise BadRequest("There is no such page.")
    return min(int(record), NEWEST_SENT[0]), min(int(delivery), NEWEST_SENT[1])


def key_text(items: Sequence[SentItem]) -> str:
    """Return the key of the last of some items for an address."""
    return ".".join(map(str, items[-1].key)) if items else ""
