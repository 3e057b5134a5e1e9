//! The gateway against fakes, spoken to over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admin;
mod batch;
mod client_ids;
mod clients;
mod connections;
mod fakes;
mod https;
mod management;
mod presence;
mod raw_http;
mod refusals;
mod status;
mod wait;
