//! Scenarios of the simulated raft crate.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod partitions;
mod replay;
