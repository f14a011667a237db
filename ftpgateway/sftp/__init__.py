"""SFTP in front of the store: SSH in worker processes, everything that decides in the node.

Invariant: the status of a close is success only after the whole file is durable and visible at every node; a session
that ends before leaves nothing but what its owner can resume. A worker turns SSH into a stream of SFTP packets and back
and knows neither accounts nor the store; what it says is believed only as to a client having proven a key.

It is a package of its own because SSH needs threads and much processor time, which the rest of the node does without.
"""
