"""Replication (Raft, 5.3): the leader's side, the followers' side, and the messages between them."""
