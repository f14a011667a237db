"""What concerns the cluster as a whole: who is there, how it is, and the work that the leader hands out.

Invariant: nothing here decides what is committed or where a chunk lies; it observes, reports, and proposes changes
through the same log as everybody. A package of its own because it reads all the other rooms and none reads it.
"""
