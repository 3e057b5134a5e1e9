//! The mesh over real sockets on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
#![forbid(unsafe_code)]

mod calls;
mod certificates;
mod fuzz;
mod links;
mod nodes;
mod protocol;
mod relayed_streams;
mod relaying;
mod snapshots;
mod speed;
mod streams;
mod trust;
mod wire;
