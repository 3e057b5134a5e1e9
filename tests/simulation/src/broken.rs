//! Rules that a run can break on purpose, to prove that the invariants would notice. None is broken unless a test asks for
//! it.

/// A rule that is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    /// A node sends to its clients whether or not its lease is valid.
    LeaseIgnored,
    /// A lease is counted from the acknowledgement's arrival, not from the heartbeat's sending.
    LeaseFromAcknowledgement,
    /// The leader retires an incarnation when half of its lease has passed.
    FenceBeforeSelfFence,
    /// A new leader counts on what it knows from an earlier term of its own, and waits for nobody.
    NewLeaderDoesNotWait,
    /// Heartbeats are acknowledged without asking a quorum who leads.
    HeartbeatsWithoutQuorum,
    /// A batch whose outcome is unknown is tried again under new numbers.
    RetryUnderNewNumber,
    /// Status is answered from the replica here, whatever it has applied.
    LocalReads,
    /// A leader gives read points without asking a quorum whether it still leads.
    PointsWithoutQuorum,
    /// The answer to a question that was sent before serves questions that came later.
    PointReused,
    /// The claim is released first, and the socket closed a moment later.
    ReleaseBeforeClose,
    /// A displaced connection does not hang up.
    DisplacedStays,
    /// Partition leaders never compare the cluster's fences with their own.
    FencesForgotten,
    /// The leader carries out a due will by itself, beside what the feed says.
    WillFiredByLeaderToo,
    /// Due wills are never fired.
    WillsForgotten,
    /// After a failed read a follower of a feed reads once more what it had read last.
    FeedReadTwice,
    /// After a failed read a follower of a feed goes on from where the feed ends.
    FeedSkipsOnRetry,
    /// A replica that starts from its snapshot leaves out the entry that follows it.
    EntrySkippedAtRestore,
    /// A claim is acknowledged when the leader has it, before a quorum has.
    AcknowledgedBeforeCommit,
    /// Whoever lost its lease never asks for a new incarnation.
    NeverRegistersAgain,
}
