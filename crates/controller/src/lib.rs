//! Leases: how a node keeps the right to serve clients, and how the cluster group's leader takes it from a node that
//! does not renew.
//!
//! [`NodeLeaseGate`] is what every packet to a client asks; [`keep_lease`] renews it; [`LeaderDuties`] answers
//! heartbeats and retires incarnations while this node leads the cluster group, and keeps leadership spread. What does
//! not belong here: the arithmetic of leases (`cluster`), fences of partitions (`raft`), and what a node does when its
//! lease is over (`node`).

#![forbid(unsafe_code)]

mod duties;
mod gate;
mod keep;
pub mod metrics;
mod walk;

pub use duties::LeaderDuties;
pub use gate::NodeLeaseGate;
pub use keep::{Keeper, LeaseEnd, keep_lease};
