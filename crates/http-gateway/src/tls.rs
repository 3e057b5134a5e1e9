//! The TLS configuration of the `https` listener: rustls with ring, TLS 1.2 and 1.3, no client certificates. The HTTP
//! layer adds the protocols (`h2`, `http/1.1`) itself.

use crate::{config::Tls, error::GatewayError};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::sync::Arc;

/// Reads the PEM texts and checks that certificate and key belong together.
pub(crate) fn server_config(tls: &Tls) -> Result<ServerConfig, GatewayError> {
    let certificates = CertificateDer::pem_slice_iter(&tls.certificates_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| GatewayError::Tls(format!("certificates: {error}")))?;
    if certificates.is_empty() {
        return Err(GatewayError::Tls("no certificate in the PEM text".into()));
    }
    let key = PrivateKeyDer::from_pem_slice(&tls.key_pem)
        .map_err(|error| GatewayError::Tls(format!("private key: {error}")))?;
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(|error| GatewayError::Tls(error.to_string()))
}
