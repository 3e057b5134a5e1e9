//! Scenarios of the simulated raft crate. Each ends with the whole history held against the log.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod checker;
mod crashes;
mod disks;
mod fuzz;
mod membership;
mod partitions;
mod pauses;
mod replay;
mod snapshots;
