//! The retained messages of one partition: replicated rules, beside those of `presence` in the same log.
//!
//! [`RetainedState::apply`] takes a [`RetainedCommand`] and returns one [`RetainedOutcome`] for each operation;
//! [`RetainedState::matching`] answers a topic filter page by page. Everything is deterministic: time, limits and
//! numbers travel inside the commands. What does not belong here: which partition a topic belongs to, who may publish
//! or subscribe, the log, and how a message reaches a client.

#![forbid(unsafe_code)]

mod command;
mod matching;
mod state;
mod topic_key;

pub use command::{
    RetainedBatch, RetainedCommand, RetainedLimits, RetainedOperation, RetainedOutcome, RetainedRefusal,
};
pub use matching::{Page, PageLimits, RetainedCursor};
pub use state::{EXPIRED_PER_ENTRY_MAX, RetainedState};
