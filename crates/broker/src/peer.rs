//! Who is at the other end of a connection, as far as the transport knows.

use rollcall_contracts::ClientCertificate;
use std::{net::SocketAddr, sync::Arc};

/// The other end of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its address; behind a balancer that says so, the client's own.
    pub address: SocketAddr,
    /// The certificate it showed, where one was asked for. For authenticators.
    pub certificate: Option<Arc<ClientCertificate>>,
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Peer { address, certificate: None }
    }
}
