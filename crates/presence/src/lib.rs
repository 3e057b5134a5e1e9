//! Who holds which client id: the replicated rules of one partition.
//!
//! [`PartitionState::apply`] takes a [`PartitionCommand`] at a log position and returns one [`Outcome`] for each
//! operation; plain functions answer questions. Everything is deterministic: time, owners and numbers travel inside
//! the commands. What does not belong here: I/O, clocks, randomness, logging, the Raft log itself, and any knowledge
//! of how a node talks to its clients.
//!
//! The rules by example are the transcripts beside the tests; the promises are the functions of [`invariants`].

#![forbid(unsafe_code)]

mod claim;
mod command;
mod connection_facts;
mod ending;
mod feed;
mod fence;
mod forget;
pub mod invariants;
mod outcome;
mod page;
mod query;
mod record;
mod state;
mod stored_v1;
mod timeline;
mod will;

pub use command::{Batch, ClaimDetails, Housekeeping, Operation, PartitionCommand};
pub use connection_facts::{ConnectionFacts, UnpackedFacts};
pub use feed::{FEED_AGE_MS_MAX_DEFAULT, Feed, FeedEntry, FeedGap, Transition};
pub use outcome::{Displaced, Outcome, Refusal, Status};
pub use page::{ClientFacts, ClientFilter, ClientPage, ClientPageLimits, PagePlace};
pub use record::{Offline, Record, SESSION_NEVER_EXPIRES_S};
pub use state::{PartitionLimits, PartitionState};
pub use stored_v1::{FeedEntryV1, PartitionStateV1};
pub use will::OwedWill;
