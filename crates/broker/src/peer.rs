//! Who is at the other end of a connection, as far as the transport knows.

use std::{net::SocketAddr, sync::Arc};

/// The other end of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its address; behind a balancer that says so, the client's own.
    pub address: SocketAddr,
    /// The common name of the certificate it showed, where one was demanded. For authenticators.
    pub certificate_subject: Option<Arc<str>>,
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Peer { address, certificate_subject: None }
    }
}
