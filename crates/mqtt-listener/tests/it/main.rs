//! The listeners over real sockets, with raw bytes, against a broker among fakes.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod authenticating;
mod closing;
mod connecting;
#[allow(dead_code)] // shared with the tests of the broker, which use more of it
#[path = "../../../broker/tests/it/fakes.rs"]
mod fakes;
mod limits;
mod malformed;
mod messages;
mod proxied;
mod qualities;
mod raw;
mod reasons;
mod resuming;
mod secure;
mod timing;
mod web_socket;
mod world;
