//! The gateway against fakes, spoken to over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod admin;
mod batch;
mod certificates;
mod client_ids;
mod clients;
mod connections;
mod console;
mod events;
mod fake_feeds;
mod fakes;
mod https;
mod keep_alive;
mod managed_clients;
mod managed_messages;
mod management;
mod presence;
mod publish;
mod raw_http;
mod refusals;
mod status;
mod wait;
