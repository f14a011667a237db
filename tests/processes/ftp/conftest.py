"""A server that the tests of a module share, and a client of it."""

from ftpfixtures import client, server, shared

__all__ = ["client", "server", "shared"]
