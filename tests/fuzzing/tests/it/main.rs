//! Targets in the rules, which are pure and so cannot have a searcher among their own tests.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod examples;
mod policies;
mod records;
mod session;
mod topics;
