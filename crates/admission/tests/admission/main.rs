//! Admission against a list of users in memory.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod chain;
mod credentials;
mod failures;
mod permissions;
mod rates;
mod scram;
mod users;
