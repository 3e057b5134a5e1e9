//! How a store runs, and the bounds it keeps.

use std::time::Duration;

/// How a [`Store`](crate::Store) runs.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Memory that sled may use for its pages, in bytes.
    pub cache_capacity_bytes: u64,
    /// Memory for the newest entries of each group, in bytes. Followers that lag further are served from disk. Entries
    /// that are not durable yet are always in memory, on top of this if need be; they are bounded by the queue.
    pub group_cache_bytes: usize,
    /// How long the witness may stay unsynced after it was written. Zero: it is synced before anything is
    /// acknowledged, at the price of a second `fdatasync` for each group commit (`docs/decisions/0003-storage-witness.md`).
    pub witness_sync: Duration,
}

impl Default for StoreConfig {
    fn default() -> Self {
        StoreConfig {
            cache_capacity_bytes: 16 << 20,
            group_cache_bytes: 512 << 10,
            witness_sync: Duration::from_millis(200),
        }
    }
}
