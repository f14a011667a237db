"""The store as front-ends use it, and the node beneath, opened step by step.

Invariant: what `facade` acknowledges is durable on a write quorum and visible at every node; every name that is read or
changed is judged by its actor's rights. DESIGN.md argues it.

    opendisk, node  what is open: a disk, a node that runs  nodestatus    what it says of itself and the cluster
    facade      what front-ends call                        accounts      users, read and changed
    sessions    one upload, one download                    names         reads and changes, by rights
    publishing, publishbatch, targets                       how an upload becomes a version, several at a time
    confirmations   what an upload knows of its copies      reservations  names taken for open files
    spool       bytes that were written out of order        freespace     what is free, roughly
"""
