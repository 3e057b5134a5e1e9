//! What a node keeps on its disk: the Raft logs, votes and committed positions of all its groups, their snapshots, and
//! the header of the data directory.
//!
//! What belongs here: sled, the files beside it, and openraft's storage traits. What does not: what an entry means (its
//! payload is opaque bytes), when to take a snapshot, and networking. sled's types never leave this crate.
//!
//! # What holds
//! - Nothing is acknowledged before it is durable: one flush of sled and one `fdatasync` of its file serve all groups
//!   and all waiting writes (`writer`). sled's own flush is no fsync on Linux.
//! - A damaged or lost byte ends in the right data or in a refusal that names the group and, where there is one, the
//!   index. Every record carries a format version and a checksum over its place and content (`record`), each entry
//!   names the term of the one before it (`recovery` walks the chain), and a small file beside the database remembers
//!   how far each group was acknowledged (`witness`), since sled drops a torn tail without a word.
//! - After one failed write, flush or sync the store is failed for good ([`Store::health`]) and acknowledges nothing.
//!
//! Start reading at [`Store`], then [`LogStore`], then `writer`.

#![forbid(unsafe_code)]

mod atomic_file;
#[cfg(test)]
mod bytes_test;
mod config;
mod directory;
mod entry_cache;
mod envelope;
mod error;
#[cfg(test)]
mod failure_test;
mod group;
mod header;
mod health;
mod log_store;
pub mod metrics;
mod purge;
mod queue;
mod raft_types;
mod record;
mod recovery;
#[cfg(test)]
mod recovery_test;
#[cfg(feature = "simulation")]
mod runtime;
#[cfg(feature = "simulation")]
pub mod simulation;
mod snapshot_file;
mod snapshot_store;
mod store;
#[cfg(test)]
mod stored_test;
mod witness;
mod writer;

pub use config::StoreConfig;
pub use directory::DataDirectory;
pub use error::{CorruptLog, DirectoryError, SnapshotError, StoreError};
pub use header::{ClusterId, DirectoryId, Identity};
pub use log_store::LogStore;
pub use raft_types::{
    CommittedLeaderId, EmptyNode, Entry, EntryPayload, LeaderId, LogId, LogPayload, Membership, Snapshot, SnapshotMeta,
    StoredMembership, TypeConfig, Vote,
};
pub use record::ENTRY_BYTES_MAX;
pub use snapshot_store::SnapshotStore;
pub use store::{GROUPS_MAX, Store};
