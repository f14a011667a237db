"""Why a client may not log in now."""

from __future__ import annotations


class LoginRefused(Exception):
    """A client may not log in now, whatever its password; `str()` is a sentence for it."""
