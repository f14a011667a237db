"""pysyncobj made durable and safe: an ordered log of commands that every member applies.

Invariant: a command whose result was returned is in the log of a majority, synced there, and no later crash,
loss of power or change of leader takes it away, changes it, or has it applied twice; a read after a barrier
sees it. What contradicts that (a disk that fails, a log unlike what is committed) stops the node. DESIGN.md argues it.

It knows nothing of pictures, names or FTP: commands are bytes, the state machine is a protocol (`statemachine`), links
to other nodes are a protocol (`links`), and so are time, chance and threads (`runtime`).

    engine      one member, all parts put together          driver      ticks, timer, syncs, and the end
    proposer    operations, batches, attempts, deadlines    applier     committed entries -> state machine
    elections   timeouts, polls before votes, stickiness    opening     the first command of a new log
    log         journal, segments, recovery, term and vote (`hardstate`), syncs by the kernel
    replication `leader` and `follower`, `normalise` (what an append means for the log that is there), `reads`
                (read index), `mailbox` and `envelopes` (messages in and out)
    membership  who belongs to the cluster (MEMBERSHIP.md)
    snapshots   for who is too far behind; when and how far the log is cut
    pysyncobj   the only modules that know the library's inside
"""
