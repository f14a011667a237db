"""Chunks on one node's disk: append-only volumes, verified reads, compaction."""
