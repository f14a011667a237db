"""A whole cluster on one machine, of real node processes, and a scenario that shows what it does.

Invariant: whatever happens to it, no process that it started outlives it: nodes are stopped by process id,
and each node stops by itself when its supervisor is gone. It is a package of its own because it drives nodes
only from outside, as a user would; tests use it the same way.
"""
