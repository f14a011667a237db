"""The replicated picture store: consensus, metadata, chunks and the façade that front-ends use.

Invariant: what `raftstore.store.facade` acknowledges is durable on a write quorum and visible at every node.
Nothing in here knows of FTP. Each package has a DESIGN.md that states its invariant and argues it.
"""
