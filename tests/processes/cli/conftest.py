"""A node that was just made, and that does not run; the log stays as it is."""

from clifixtures import log_as_it_is, node

__all__ = ["log_as_it_is", "node"]
