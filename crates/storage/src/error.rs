//! What can go wrong, one type per operation. Each message is a sentence for the operator and says what to do where
//! there is something to do.

use crate::header::ClusterId;
use rollcall_types::{GroupId, NodeId};
use std::{io, path::PathBuf};

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The file system refused.
    #[error("cannot use the data directory {path}: {source}", path = path.display())]
    Io {
        /// The directory or the file in it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds it.
    #[error("the data directory {path} is in use by another process; stop that one, or give this node its own", path = path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// It belongs elsewhere.
    #[error("the data directory {path} belongs to cluster {found}, not to {expected}; give this node the directory of its cluster, or an empty one", path = path.display())]
    OtherCluster {
        /// The directory.
        path: PathBuf,
        /// The cluster this node is to serve.
        expected: ClusterId,
        /// The cluster the directory was adopted for.
        found: ClusterId,
    },
    /// It was adopted for another node of the cluster.
    #[error("the data directory {path} belongs to node {found}, not to node {expected}; give this node its own directory, or an empty one", path = path.display())]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// The node that wants it.
        expected: NodeId,
        /// The node it was adopted for.
        found: NodeId,
    },
    /// Written by a newer release.
    #[error("the data directory {path} has format {found}, newer than format {known} of this program; start the release that wrote it, or a later one", path = path.display())]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u8,
        /// The newest format this program knows.
        known: u8,
    },
    /// The header is not what was written.
    #[error("the header of the data directory {path} is damaged: {reason}; restore the directory from a backup, or empty it and let this node join anew", path = path.display())]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// How it was noticed.
        reason: String,
    },
}

/// A log, vote or mark on disk is not what was acknowledged. The replica must not serve from it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the log of {group} is damaged{}: {reason}; this node must not serve from it: restore its data directory from a backup, or empty it and let the node join anew",
    index.map_or_else(String::new, |index| format!(" at index {index}"))
)]
pub struct CorruptLog {
    /// The group.
    pub group: GroupId,
    /// The entry, where the damage has one place.
    pub index: Option<u64>,
    /// How it was noticed.
    pub reason: String,
}

impl From<CorruptLog> for io::Error {
    fn from(error: CorruptLog) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

/// Why a store, or a group of it, cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot open the store in {path}: {source}", path = path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database did not open.
    #[error("the database in {path} cannot be opened: {reason}; if its files are damaged, restore the data directory from a backup, or empty it and let the node join anew", path = path.display())]
    Database {
        /// The database's directory.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// The record of what was acknowledged is damaged or missing, so nothing can be trusted.
    #[error("the record of acknowledged writes {path} cannot be used: {reason}; restore the data directory from a backup, or empty it and let the node join anew", path = path.display())]
    Witness {
        /// The file.
        path: PathBuf,
        /// How it was noticed.
        reason: String,
    },
    /// A group's log is damaged.
    #[error(transparent)]
    Corrupt(#[from] CorruptLog),
    /// A group's snapshot is damaged or missing.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// More groups than the witness has room for.
    #[error("this node holds {limit} groups already, the most a store takes")]
    TooManyGroups {
        /// The bound.
        limit: usize,
    },
    /// The store failed or was closed before.
    #[error("{0}")]
    Unavailable(String),
}

/// Why a snapshot cannot be saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file system refused.
    #[error("cannot use the snapshot of {group} in {path}: {source}", path = path.display())]
    Io {
        /// The group.
        group: GroupId,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what was written.
    #[error("the snapshot {path} of {group} is damaged: {reason}; this node must not serve from it: restore its data directory from a backup, or empty it and let the node join anew", path = path.display())]
    Damaged {
        /// The group.
        group: GroupId,
        /// The file.
        path: PathBuf,
        /// How it was noticed.
        reason: String,
    },
    /// The log begins after the newest snapshot ends.
    #[error(
        "the log of {group} begins after index {purged}, and no snapshot reaches that far; restore the data directory from a backup, or empty it and let the node join anew"
    )]
    Missing {
        /// The group.
        group: GroupId,
        /// Index of the last entry removed from the log.
        purged: u64,
    },
}

impl From<SnapshotError> for io::Error {
    fn from(error: SnapshotError) -> Self {
        let kind = match &error {
            SnapshotError::Io { source, .. } => source.kind(),
            SnapshotError::Damaged { .. } | SnapshotError::Missing { .. } => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}
