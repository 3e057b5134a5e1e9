//! The address behind a target's name.

use crate::failure::Failure;
use std::net::SocketAddr;

/// The first address of `host:port`.
pub(super) async fn resolve(target: &str) -> Result<SocketAddr, Failure> {
    let mut found = tokio::net::lookup_host(target)
        .await
        .map_err(|error| Failure::io(format_args!("cannot resolve {target}"), &error))?;
    found.next().ok_or_else(|| Failure::new(format!("{target} has no address")))
}
