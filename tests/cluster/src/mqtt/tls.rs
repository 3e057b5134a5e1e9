//! TLS under a connection, with a certificate of the client's own or without.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::TcpStream;
use std::sync::Arc;

/// A stream over TLS.
pub(super) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Certificate and private key in PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// Speaks TLS to `localhost`, whose certificate this authority signed.
///
/// # Errors
/// A sentence, when the certificates cannot be used.
pub(super) fn over(tcp: TcpStream, authority: &str, identity: Option<&Identity>) -> Result<Stream, String> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(authority.as_bytes()).map_err(|error| error.to_string())?;
    roots.add(authority).map_err(|error| error.to_string())?;
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes());
            let (certificate, key) =
                (certificate.map_err(|error| error.to_string())?, key.map_err(|error| error.to_string())?);
            builder.with_client_auth_cert(vec![certificate], key).map_err(|error| error.to_string())?
        }
    };
    let name = ServerName::try_from("localhost").map_err(|error| error.to_string())?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    Ok(StreamOwned::new(connection, tcp))
}
