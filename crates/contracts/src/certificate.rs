//! What a client's verified certificate says. The handshake proved that the client holds its key, and that an authority of
//! this node signed it; which account it stands for is for an authenticator to say.

use rollcall_cluster::CertificateFields;
use std::sync::Arc;

/// Bytes of a certificate's fingerprint (SHA-256).
pub const FINGERPRINT_BYTES: usize = 32;

/// One certificate of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientCertificate {
    /// SHA-256 over its DER: what it is known by.
    pub fingerprint: [u8; FINGERPRINT_BYTES],
    /// Its serial number in lower-case hexadecimal digits, two for each byte.
    pub serial: String,
    /// Fields of its subject.
    pub fields: Arc<CertificateFields>,
    /// Its whole subject (RFC 4514), the most specific part first; empty when it has none.
    pub distinguished_name: String,
    /// DNS names, mail addresses, URIs and IP addresses it was made for, in its order.
    pub alternative_names: Vec<String>,
    /// SHA-256 over the DER of the registered authority that signed it, where one did.
    pub authority: Option<[u8; FINGERPRINT_BYTES]>,
    /// Seconds since the Unix epoch from which on it counts.
    pub not_before_s: u64,
    /// Seconds since the Unix epoch after which it counts no more.
    pub not_after_s: u64,
}
