//! Why the gateway did not start.

use std::{io, net::SocketAddr};

/// Nothing was started when [`crate::Gateway::start`] returns one of these.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A listener could not be opened.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// A listener that was handed over cannot be used.
    #[error("the listener that was handed over cannot be used: {0}")]
    Listener(io::Error),
    /// The gateway's thread could not be started, or ended before it listened.
    #[error("the gateway's thread could not be started: {0}")]
    Thread(String),
    /// Neither `http`, `https` nor `admin` is configured.
    #[error("the gateway has no listener at all")]
    NoListener,
}
