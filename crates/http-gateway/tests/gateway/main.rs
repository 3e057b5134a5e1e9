//! The gateway against fakes, spoken to over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admin;
mod client_ids;
mod connections;
mod fakes;
mod https;
mod management;
mod raw_http;
mod refusals;
mod status;
