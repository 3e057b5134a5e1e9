//! Who holds which client id: the replicated rules of one partition.
//!
//! [`PartitionState::apply`] takes a [`PartitionCommand`] at a log position and returns one [`Outcome`] for each
//! operation; plain functions answer questions. Everything is deterministic: time, owners and numbers travel inside
//! the commands. What does not belong here: I/O, clocks, randomness, logging, the Raft log itself, and any knowledge
//! of how a node talks to its clients.

#![forbid(unsafe_code)]

mod command;
mod feed;
mod outcome;

pub use command::{Batch, ClaimDetails, Housekeeping, Operation, PartitionCommand};
pub use feed::{FeedEntry, Transition};
pub use outcome::{Displaced, Outcome, Refusal, Status};
