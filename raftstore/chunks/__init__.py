"""Picture bytes: volumes on disk, placement of copies, replication, verified reads.

Invariant: a chunk is named by the BLAKE3 hash of its bytes. What an upload reports is durable on W stores of
different nodes under that name; a chunk that was synced here is found again whatever crashes; damaged bytes are
quarantined and reported; bytes that do not have the name that they were asked by leave this package nowhere.

A package of its own because it knows nothing of names, users or Raft: it turns bytes into chunk references and
back. Which stores there are, it learns through `topology`; who keeps the references is not its business.

    needle, scan           the format of a volume (pure)
    files                  the system calls under the volumes: where tests put a failing disk
    volume, recovery       one volume; opening what a crash left       quarantine  what was found damaged
    groupcommit, room      the writer thread, and the bound on what waits for it
    index, holdings        where each chunk lies, and what of a volume is live, dead or needed (no I/O)
    reading, storing       verified reads; changes on their way to the disk
    walking, compaction    going through a volume: scrub; copying the living out of one that is mostly dead
    checkpoint, opening    the index on disk; a start from it, or by a scan of all volumes
    volumes                the set that ties it together
    topology, placement    the cluster as seen from here; which stores get a chunk
    upload, spread         bytes -> chunks -> W of R stores      download    references -> verified bytes
    path, budget, hashing  what transfers share                  replicator  one chunk, one store
    service                what this node answers to the others
"""
