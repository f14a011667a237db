"""The store as front-ends use it, and the runtime that opens and closes the packages beneath.

Invariant: what `facade` acknowledges is durable on a write quorum and visible at every node; every name that is read or
changed is judged by its actor's rights. DESIGN.md argues it.

    facade      what front-ends call                        runtime       opens and closes the packages
    sessions    one upload, one download                    names         reads and changes, by rights
    publishing, publishbatch, targets                       how an upload becomes a version, several at a time
    confirmations   what an upload knows of its copies      reservations  names taken for open files
    spool       bytes that were written out of order        freespace     what is free, roughly
"""
