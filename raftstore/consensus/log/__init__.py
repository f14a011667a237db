"""The Raft log on disk: records, segments, term and vote, recovery."""
