"""How accounts are shown: a line of a table, all about one, JSON."""

from __future__ import annotations

from typing import Any

from ftpgateway.access.login import keys
from ftpgateway.cli import output
from ftpgateway.cli.durations import in_words
from ftpgateway.cli.helpers.useroptions import PERSON
from raftstore.rights import word_of
from raftstore.wire import admin_pb2

_SHOWN = (
    *("name", "home", "rights", "quota_bytes", "used_bytes", "quota_files", "used_files", "replicas"),
    *("upload_rate", "download_rate", "max_sessions", "disabled"),
    *("person", "inbox_bytes", "inbox_files", "sender_bytes", "sender_files"),
)
_SECOND = 10**9


def as_json(user: admin_pb2.User) -> dict[str, Any]:
    """Return an account as `user list -o json` shows it."""
    shown = {name: getattr(user, name) for name in _SHOWN}
    shown["role"] = role(user)
    shown["expires"] = user.expires_ns // _SECOND
    shown["trash"] = user.trash_ns // _SECOND
    shown["rules"] = [
        {"path": rule.path, "rights": rule.rights, "role": word_of(rule.rights)} for rule in user.rules
    ]
    shown["keys"] = len(user.authorized_keys)
    return shown


def role(user: admin_pb2.User) -> str:
    """Return the word for what it may do, "" when there is none."""
    word = word_of(user.rights)
    return PERSON if user.person and word == "member" else word


def described(line: str) -> dict[str, str]:
    """Return what a public key is."""
    kind, blob, comment = keys.parse(line)
    return {"type": kind, "fingerprint": keys.fingerprint(blob), "comment": comment, "key": line}


def inbox_as_json(inbox: admin_pb2.Inbox) -> dict[str, Any]:
    """Return how full an inbox is, and what it takes."""
    return {
        "bytes": inbox.bytes,
        "files": inbox.files,
        "max_bytes": inbox.max_bytes,
        "max_files": inbox.max_files,
        "max_sender_bytes": inbox.sender_bytes,
        "max_sender_files": inbox.sender_files,
        "blocks": list(inbox.blocks),
    }


def whole_as_json(account: admin_pb2.Account) -> dict[str, Any]:
    """Return all about one account: what `as_json` does, and more."""
    shown = as_json(account.user)
    shown["authorized_keys"] = [described(line) for line in account.user.authorized_keys]
    shown["inbox"] = inbox_as_json(account.inbox) if account.HasField("inbox") else None
    shown["trash_files"], shown["trash_bytes"] = account.trash_files, account.trash_bytes
    shown["groups"] = list(account.groups)
    return shown


def of_most(used: int, most: int) -> str:
    """Say how many bytes there are, and how many there may be (0: any number)."""
    return output.human_bytes(used) + (f" of {output.human_bytes(most)}" if most else "")


def whole(account: admin_pb2.Account) -> list[str]:
    """Return the lines that tell all about one account."""
    user = account.user
    word = role(user)
    facts = [
        ("enabled", "no" if user.disabled else "yes"),
        ("role", f"{word} ({user.rights})" if word and user.rights else word or user.rights or "none"),
        ("home", user.home),
        *(("rule", f"{rule.path}: {word_of(rule.rights) or 'none'}") for rule in user.rules),
        ("used", _used(user)),
        ("copies", str(user.replicas) if user.replicas else "as the cluster makes"),
        ("rates", _rates(user)),
        ("sessions", f"at most {user.max_sessions} at a node" if user.max_sessions else "no limit"),
        *(("key", _key(line)) for line in user.authorized_keys),
        *(_personal(account) if account.HasField("inbox") else ()),
        *((("groups", ", ".join(account.groups)),) if account.groups else ()),
        ("trash", _trash(account)),
    ]
    width = max(len(title) for title, _ in facts)
    return [f"User {user.name!r}", *(f"  {title.ljust(width)}  {text}" for title, text in facts)]


def _used(user: admin_pb2.User) -> str:
    files = f"{user.used_files} of {user.quota_files}" if user.quota_files else str(user.used_files)
    quota = "" if user.quota_bytes else "; no quota"
    return f"{of_most(user.used_bytes, user.quota_bytes)}, {files} files and directories{quota}"


def _rates(user: admin_pb2.User) -> str:
    rates = limits_of_rate(user)
    return f"{', '.join(rates)}, at a node" if rates else "no limit"


def _key(line: str) -> str:
    key = described(line)
    return f"{key['type']} {key['fingerprint']} {key['comment']}".rstrip()


def _personal(account: admin_pb2.Account) -> list[tuple[str, str]]:
    inbox, expires = account.inbox, account.user.expires_ns // _SECOND
    return [
        ("sends", f"what is gone after {in_words(expires)}" if expires else "what stays until it is removed"),
        (
            "inbox",
            f"{of_most(inbox.bytes, inbox.max_bytes)}, {inbox.files} of {inbox.max_files} files and directories",
        ),
        ("of a sender", f"at most {output.human_bytes(inbox.sender_bytes)}, {inbox.sender_files} files"),
        ("blocks", ", ".join(inbox.blocks) or "nobody"),
    ]


def _trash(account: admin_pb2.Account) -> str:
    kept = account.user.trash_ns // _SECOND
    there = f"{account.trash_files} files, {output.human_bytes(account.trash_bytes)}"
    if kept:
        return f"{there}; kept for {in_words(kept)}"
    return f"off; {there} from before" if account.trash_files else "off"


def limits_of_rate(user: admin_pb2.User) -> list[str]:
    """Return the limits of its rates that there are."""
    limits = []
    if user.upload_rate:
        limits.append(f"up {output.human_bytes(user.upload_rate)}/s")
    if user.download_rate:
        limits.append(f"down {output.human_bytes(user.download_rate)}/s")
    return limits


def _limits(user: admin_pb2.User) -> str:
    limits = limits_of_rate(user)
    if user.max_sessions:
        limits.append(f"{user.max_sessions} sessions")
    if user.replicas:
        limits.append(f"{user.replicas} copies")
    return ", ".join(limits)


def _one_word(text: str) -> str:
    """Quote what would look like several words in a table."""
    return text if text and not any(character.isspace() for character in text) else repr(text)


def rows(user: admin_pb2.User) -> list[list[str]]:
    """Return the lines of an account in the table of all: its own, and one for each rule."""
    of_bytes = f"/ {output.human_bytes(user.quota_bytes)}" if user.quota_bytes else ""
    of_files = f"/ {user.quota_files}" if user.quota_files else ""
    first = [
        _one_word(user.name),
        _one_word(user.home),
        role(user) or "none",
        f"{output.human_bytes(user.used_bytes)} {of_bytes}".strip(),
        f"{user.used_files} {of_files}".strip(),
        _limits(user),
        "no" if user.disabled else "yes",
    ]
    return [
        first,
        *(
            ["", f"  {_one_word(rule.path)}", word_of(rule.rights) or "none", "", "", "", ""]
            for rule in user.rules
        ),
    ]
