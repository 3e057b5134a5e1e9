//! The rules of the cluster group as their users meet them: transcripts to read, properties, a small model.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod bytes;
mod clock;
mod encoding;
mod exhaustive;
mod formation;
mod leases;
mod notation;
mod planner;
mod policies;
mod policy_cost;
mod policy_sources;
mod rebalance;
mod stored;
mod stored_v2;
mod topics;
mod transcripts;
