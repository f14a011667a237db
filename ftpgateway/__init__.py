"""Front-ends (FTP, FTPS), the node that joins them to a store, and the `pixraft` command.

Invariant: a front-end says "done" to a client only after `raftstore.store.facade` said so to it.
"""
