"""Members and how they change (Raft dissertation, 4): configurations as entries of the log."""
