//! Authenticators against real keys and real HTTP servers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod http;
mod jwks;
mod jwt;
mod keys;
mod server;
mod x509;

use rollcall_contracts::Presented;
use std::net::IpAddr;

/// What a client presents that has the client id `c`.
fn presented<'a>(username: Option<&'a str>, password: Option<&'a str>) -> Presented<'a> {
    let source = IpAddr::from([127, 0, 0, 1]);
    Presented { client_id: "c", username, password: password.map(str::as_bytes), source, certificate: None }
}
