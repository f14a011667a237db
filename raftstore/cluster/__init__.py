"""What concerns the cluster as a whole: who is there, how it is, and the work that the leader hands out.

Invariant: nothing here decides what is committed or where a chunk lies; it observes, reports, and proposes changes
through the same log as everybody. It reads consensus, metadata and chunks, and none of them reads it. DESIGN.md argues
it.

    calls       what a node answers to operators and to other nodes, a module a subject
    membership  tokens, joining, roster, the steward that carries out changes, who may vote, upgrades
    jobs        the dispatcher on the leader, the worker of each node; a module a kind of job
    replicas    copies made, recorded, counted, balanced, collected
    status      health of the members, and one word for the cluster
"""
