//! The certificates a node shows its clients: several, chosen by the server name they ask for (SNI), read again when
//! their files change, with or without certificates of the clients. rustls with ring, TLS 1.2 and 1.3.
//!
//! One [`Certificates`] serves all listeners of a node, whatever library speaks on them: the `ServerConfig` it gives
//! stays the same and looks the certificate up at each handshake.
//!
//! What does not belong here: sockets, handshakes, the mesh's own certificates.

#![forbid(unsafe_code)]

mod certificates;
mod client;
mod entry;
mod metrics;
mod verifier;
mod watch;

pub use certificates::{Admitted, Certificates, ClientRefused};
pub use client::{GivenCertificate, given_certificate, is_signed_by};
pub use entry::{CertificateFiles, LoadError};
pub use metrics::describe_metrics;
pub use watch::{FileWatch, WATCH_EVERY};
