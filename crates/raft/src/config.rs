//! Timings and bounds of the groups.

use rollcall_presence::{FEED_AGE_MS_MAX_DEFAULT, PartitionLimits};
use rollcall_retained::RetainedLimits;
use std::time::Duration;

/// How the groups of this node run.
#[derive(Clone, Debug)]
pub struct GroupsConfig {
    /// The leader's heartbeat to followers.
    pub heartbeat: Duration,
    /// Shortest time without a leader before a follower stands for election.
    pub election_min: Duration,
    /// Longest such time; also the leader's lease towards its followers.
    pub election_max: Duration,
    /// A status question ends in an error after this.
    pub status_deadline: Duration,
    /// A claim ends in an error after this; a release then follows it by itself.
    pub claim_deadline: Duration,
    /// Offline records without a session are forgotten after this many milliseconds.
    pub offline_record_keep_ms: u64,
    /// Log entries between two snapshots of a group: what a node keeps in memory of its log grows until then. A snapshot
    /// of a partition of 165 000 clients is some 50 MB, and a proposal carries many operations.
    pub snapshot_every: u64,
    /// Feed entries a partition keeps. The same on all nodes, since the feed is replicated state.
    pub feed_entries_max: u32,
    /// How long it keeps them at most, in milliseconds. The same on all nodes, too.
    pub feed_age_ms_max: u64,
    /// Bounds of one partition's retained messages.
    pub retained: RetainedLimits,
}

impl Default for GroupsConfig {
    fn default() -> Self {
        GroupsConfig {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(300),
            election_max: Duration::from_millis(600),
            status_deadline: Duration::from_millis(1000),
            claim_deadline: Duration::from_millis(5000),
            offline_record_keep_ms: 604_800_000,
            snapshot_every: 5_000,
            feed_entries_max: 131_072,
            feed_age_ms_max: FEED_AGE_MS_MAX_DEFAULT,
            retained: RetainedLimits::default(),
        }
    }
}

impl GroupsConfig {
    /// Bounds of one partition's clients and their feed.
    pub(crate) fn partition_limits(&self) -> PartitionLimits {
        PartitionLimits { feed_entries_max: self.feed_entries_max, feed_age_ms_max: self.feed_age_ms_max }
    }
}

/// How often a proposal is forwarded: from the node where it began to the leader. Who receives it and does not lead
/// answers with the leader's name.
pub(crate) const FORWARD_HOPS_MAX: u32 = 1;
/// Pause before a replica that could not be opened is tried again.
pub(crate) const HOSTING_RETRY: Duration = Duration::from_secs(1);
/// Most operations in one batch of one node.
pub(crate) const BATCH_OPERATIONS_MAX: usize = 512;
/// The largest operation, in bytes: what a claim may carry.
pub(crate) const OPERATION_BYTES_MAX: usize = 2 << 20;
/// Bytes of operations at which a batch is closed. It may pass this by its last operation.
pub(crate) const BATCH_BYTES_MAX: usize = 512 << 10;
/// Bytes of operations at which a log entry is closed. It may pass this by its last batch, and stays far below what
/// the mesh carries in one message and the store in one entry; heartbeats share the link and must not wait long.
pub(crate) const ENTRY_BYTES_MAX: usize = 1 << 20;
/// A follower has this long to take entries and sync them. openraft would give it one heartbeat's time, which a busy
/// disk or a large entry needs at times; what is given up is sent again, and makes it later still.
pub(crate) const APPEND_WITHIN: Duration = Duration::from_secs(2);
/// Most operations that wait for one partition on one node.
pub(crate) const OPERATIONS_WAITING_MAX: usize = 65_536;
/// Most batches merged into one log entry.
pub(crate) const BATCHES_PER_ENTRY_MAX: usize = 64;
/// Most batches that wait at a partition's leader.
pub(crate) const BATCHES_WAITING_MAX: usize = 4096;
/// Most log entries of one partition under way at once.
pub(crate) const ENTRIES_UNDER_WAY_MAX: usize = 4;
/// Most status questions that wait in one lane.
pub(crate) const QUESTIONS_WAITING_MAX: usize = 65_536;
/// Most status questions served by one request.
pub(crate) const QUESTIONS_PER_ROUND_MAX: usize = 4096;
/// One try of a status question at one leader ends after this.
pub(crate) const READ_TRY: Duration = Duration::from_millis(250);
/// Pause before a question or a batch is tried again.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(15);
/// One try to have a batch committed ends after this; the outcome is unknown then and the batch is tried again under
/// its numbers.
pub(crate) const PROPOSE_TRY: Duration = Duration::from_millis(2000);
/// How often a leader looks for housekeeping.
pub(crate) const HOUSEKEEPING_EVERY: Duration = Duration::from_millis(100);
/// Most wills fired, or records looked at, by one entry.
pub(crate) const HOUSEKEEPING_LIMIT: u32 = 1000;
/// Most feed entries in one reply.
pub(crate) const FEED_ENTRIES_PER_REPLY: usize = 512;
/// Longest wait of a feed reader at a peer.
pub(crate) const FEED_WAIT: Duration = Duration::from_millis(1000);
/// Entries of each partition that this node keeps at hand for readers; who is further behind reads from a replica.
pub(crate) const FEED_WINDOW_ENTRIES: usize = 4096;
/// Longest wait for entries that came before those at hand: they are there or not.
pub(crate) const FEED_CATCH_UP_WAIT: Duration = Duration::ZERO;
/// Most readers that wait for a quorum's word on how far the feeds have come.
pub(crate) const CONFIRMATIONS_WAITING_MAX: usize = 16_384;
/// Pause before a feed is looked at again that nobody could be asked about.
pub(crate) const FEED_UNREAD_PAUSE: Duration = Duration::from_millis(200);
/// Most retained messages in one answer of a partition.
pub(crate) const RETAINED_PER_PAGE: usize = 512;
/// Bytes of retained messages at which such an answer ends; it may pass this by its last message.
pub(crate) const RETAINED_PAGE_BYTES: usize = 1 << 20;
/// Most topics looked at for one such answer.
pub(crate) const RETAINED_LOOKS_PER_PAGE: usize = 20_000;
/// Most changes of retained messages that wait for one partition on one node.
pub(crate) const RETAINED_WAITING_MAX: usize = 4096;
/// Most ids in one question of a batch, from here or from a peer.
pub(crate) const BATCH_IDS_MAX: usize = 4096;
/// Most clients on one page.
pub(crate) const CLIENTS_PER_PAGE_MAX: usize = 1000;
/// Bytes of ids and user names at which a partition's part of a page ends; it may pass this by its last client.
pub(crate) const CLIENTS_PAGE_BYTES: usize = 1 << 20;
/// Most records of a partition looked at for one page: what holds up the partition's next entry, a few milliseconds.
pub(crate) const CLIENT_LOOKS_PER_PAGE: usize = 10_000;
