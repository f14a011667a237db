"""Picture bytes: volumes on disk, placement of copies, replication, verified reads.

Invariant: a chunk is named by the BLAKE3 hash of its bytes. What an upload reports is durable on W stores of
different nodes under that name; a chunk that was synced here is found again whatever crashes; damaged bytes are
quarantined and reported; bytes that do not have the name that they were asked by leave this package nowhere.
DESIGN.md argues it.

    format      the needle and the scan of a volume; the index and its checkpoint
    volumes     one node's disk: `volumeset` ties it together; group commit, recovery, verified reads, quarantine,
                compaction, scrub; `files` holds the system calls, where tests put a failing disk
    placement   which stores get a chunk; the cluster as seen from here (`topology`)
    transfer    `upload` and `spread`: bytes -> chunks -> W of R stores; `replicator`: one chunk to one store;
                `download`: references -> verified bytes; `service`: what this node answers to the others
"""
