//! A small HTTP/1.1 client for plain connections: cheap enough to measure servers with, and enough for the demo.
//!
//! Not here: TLS, redirects, cookies, proxies. Whoever needs those (`rollcall status`) uses a whole client.

mod authorization;
mod client_id_path;
mod connection;
mod response;
mod url;

pub(crate) use authorization::basic;
pub(crate) use client_id_path::encode_segment;
pub(crate) use connection::{ExchangeError, HttpConnection};
pub(crate) use url::PlainUrl;
