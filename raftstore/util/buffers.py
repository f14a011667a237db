"""The type of bytes that are passed on without a copy."""

from __future__ import annotations

Buffer = bytes | bytearray | memoryview
"""Who hands one over does not change it any more, unless the call says that it copies; who gets one never does."""
