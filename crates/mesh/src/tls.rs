//! Certificates as tonic takes them.

use crate::config::MeshTls;
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

/// What the accepting side shows and demands.
pub(crate) fn server(files: &MeshTls) -> ServerTlsConfig {
    ServerTlsConfig::new()
        .identity(Identity::from_pem(&files.cert, &files.key))
        .client_ca_root(Certificate::from_pem(&files.ca))
}

/// What the dialling side shows and demands of a host.
pub(crate) fn client(files: &MeshTls, host: &str) -> ClientTlsConfig {
    ClientTlsConfig::new()
        .identity(Identity::from_pem(&files.cert, &files.key))
        .ca_certificate(Certificate::from_pem(&files.ca))
        .domain_name(host)
}
