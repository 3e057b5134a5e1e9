//! The machine of one connection, from outside: transcripts by table, and properties over any sequence of events.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod authenticating;
mod connecting;
mod endings;
mod keeping_alive;
mod publishing;
mod queueing;
mod resuming;
mod steps;
mod subscribing;
mod surviving;
