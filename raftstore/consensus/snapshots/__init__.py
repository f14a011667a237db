"""Snapshots (Raft, 7): how the log is kept short, and what followers get that need what was cut."""
