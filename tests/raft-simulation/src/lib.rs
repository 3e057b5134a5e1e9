//! The raft crate, simulated: real openraft, read points, proposers and housekeeping on several nodes, with a network,
//! disks and a clock that a script and a seed command. The scenarios in `tests/it` use it.
//!
//! Each node has a runtime of its own, which runs for one simulated millisecond at a time, one node after the other on
//! one thread. So a scenario of minutes takes moments, and a seed decides what happens (`docs/decisions/` says how far).
//! Start reading at [`World`]. What does not belong here: a rule of the system. What is not simulated: the mesh and the
//! store, which have tests of their own.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a harness, a failure is the failure of the test")]

pub mod chance;
pub mod check;
mod clients;
mod disk;
pub mod history;
mod links;
mod log;
#[cfg(test)]
mod log_test;
mod network;
mod node;
mod verdict;
mod watch;
mod world;

pub use disk::Faults;
pub use network::{Cut, Weather};
pub use world::{Pending, Setting, WITHIN, World, ms};
