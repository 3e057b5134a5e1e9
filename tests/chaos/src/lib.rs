//! Chaos: real nodes in network namespaces, real clients, faults, and a judgement of everything the clients saw.
//!
//! A run writes what happened as lines of JSON ([`history`]); the checks ([`check`]) are pure and read nothing else, so
//! that anyone can judge a run again. What does not belong here: anything of the server's own code, and scenarios with
//! one expected course, which are in the process clusters.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a harness, a failure is the failure of the run")]

pub mod cells;
pub mod check;
mod crash_points;
pub mod delay;
pub mod disks;
pub mod history;
pub mod membership;
mod messengers;
pub mod packets;
pub mod run;
pub mod system;
pub mod workload;
