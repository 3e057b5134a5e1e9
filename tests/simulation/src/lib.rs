//! The rules of the cluster, run in one process under a scheduler, a network, clocks and disks that a seed commands.
//!
//! The real rule crates are at work: `presence` and `cluster` apply every command, `LeaseTable` and `NodeLease` decide
//! who is dead and who may serve. In place of Raft stands a log that is agreed upon by itself, with leaders that fall
//! and proposals whose outcome gets lost; the shells (`controller`, `raft`, `broker`, `node`) are modelled as thinly as
//! their logic allows. What each seed does follows from the seed alone.
//!
//! A run has a fault phase and a healing phase. The oracle sees everything and knows only facts: what was sent, closed,
//! acknowledged. Each promise has a file under [`invariants`]. What does not belong here: Raft itself, sockets, sled.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a simulator, a failure is the failure of the test")]

mod broker;
mod clients;
mod faults;
mod group;
pub mod invariants;
mod leases;
mod network;
mod node;
mod operations;
mod oracle;
mod plan;
mod questions;
mod replicas;
mod run;
mod trace;
mod world;

pub use invariants::Violation;
pub use plan::{Broken, Plan};
pub use run::{Outcome, run, run_broken, run_traced};
