"""The type of bytes that are passed on without a copy."""

from __future__ import annotations

Buffer = bytes | bytearray | memoryview
