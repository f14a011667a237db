"""pysyncobj made durable and safe: an ordered log of commands that every member applies.

Invariant: a command whose result was returned is in the log of a majority, synced there, and no later crash,
loss of power or change of leader takes it away, changes it, or has it applied twice; a read after a barrier
sees it. What contradicts that (a disk that fails, a log unlike what is committed) stops the node.

It is a package of its own because it knows nothing of pictures, names or FTP: commands are bytes, the state
machine is a protocol (`statemachine`), links to other nodes are a protocol (`links`), and so are time, chance
and threads (`runtime`). That lets a simulator run the code as it is.

    engine      one member, all parts put together          driver      ticks, timer, syncs, and the end
    raft        pysyncobj as the others see it; `library` knows its inside, `codec` stands in for its pickle
    mailbox     messages in and out: members only, terms        post        stamps and sends
    acceptor    follower: take appends, acknowledge what is durable
    normalise   what an append means for the log that is there
    replicator  leader: one append under way a follower, count what is durable
    elections   timeouts, polls before votes, stickiness        applier     committed entries -> state machine
    proposer    operations, batches, attempts, deadlines        reads       read index
    opening     the first command of a new log
    snapshots   for who is too far behind                       compaction  when and how far the log is cut
    shortlog    these two put together
    membership  who belongs to the cluster (MEMBERSHIP.md); `configuration`, `watchedlog`: as of which entry
    journal     the log, term and vote on disk (`records`, `segments`, `recovery`, `hardstate`);
                `raftstore.consensus.log.kernelsync` syncs it
"""

from raftstore.consensus.engine import Consensus
from raftstore.consensus.links import Links
from raftstore.consensus.log.journal import Journal
from raftstore.consensus.runtime import Runtime
from raftstore.consensus.settings import ConsensusSettings
from raftstore.consensus.statemachine import StateMachine

__all__ = ["Consensus", "ConsensusSettings", "Journal", "Links", "Runtime", "StateMachine"]
