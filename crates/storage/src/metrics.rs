//! The metrics of the store.
//!
//! Handles are fetched when a store is opened: a recorder must be installed before.

use metrics::{Counter, Histogram};

/// Seconds from the first byte given to sled until a group commit is durable.
pub const SYNC_SECONDS: &str = "rollcall_storage_sync_seconds";
/// Log entries in one group commit.
pub const COMMIT_ENTRIES: &str = "rollcall_storage_commit_entries";
/// Bytes of records in one group commit.
pub const COMMIT_BYTES: &str = "rollcall_storage_commit_bytes";
/// Group commits.
pub const COMMITS_TOTAL: &str = "rollcall_storage_commits_total";
/// Values of removed entries deleted from the database.
pub const PURGED_TOTAL: &str = "rollcall_storage_purged_values_total";
/// Failures after which the store stopped.
pub const FAILURES_TOTAL: &str = "rollcall_storage_failures_total";

/// Handles of all metrics.
pub(crate) struct Metrics {
    pub(crate) sync_seconds: Histogram,
    pub(crate) commit_entries: Histogram,
    pub(crate) commit_bytes: Histogram,
    pub(crate) commits: Counter,
    pub(crate) purged: Counter,
    pub(crate) failures: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Metrics {
            sync_seconds: metrics::histogram!(SYNC_SECONDS),
            commit_entries: metrics::histogram!(COMMIT_ENTRIES),
            commit_bytes: metrics::histogram!(COMMIT_BYTES),
            commits: metrics::counter!(COMMITS_TOTAL),
            purged: metrics::counter!(PURGED_TOTAL),
            failures: metrics::counter!(FAILURES_TOTAL),
        }
    }
}
