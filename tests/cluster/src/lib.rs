//! Clusters of real processes: `rollcall server`, N times, on loopback or in network namespaces, with small raw clients
//! for HTTP and MQTT that show every byte.
//!
//! The scenarios in `tests/it` use it. A wait is always for a condition with a deadline ([`deadline`]), every process is
//! killed when its [`Cluster`] is dropped, and a test that fails prints the end of each node's log. What does not belong
//! here: anything of the server's own code. These tests see what a user sees.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a harness, a failure is the failure of the test")]

pub mod binary;
pub mod cluster;
pub mod config;
pub mod deadline;
pub mod disk;
pub mod event_stream;
pub mod http;
pub mod metrics;
pub mod mqtt;
pub mod network;
pub mod node;
pub mod ports;
pub mod tools;

pub use cluster::{Answer, Cluster};
pub use config::Options;
