//! Registered certificates of devices, as an authenticator asks for them.

use crate::{CannotSay, FINGERPRINT_BYTES};
use async_trait::async_trait;
use rollcall_cluster::DeviceCertificate;

/// What happened to a certificate at a connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CertificateTold {
    /// It was registered.
    Registered,
    /// It was refused, since it does not count.
    Rejected,
}

/// What the cluster holds about certificates of devices.
#[async_trait]
pub trait DeviceRegistry: Send + Sync + 'static {
    /// The certificate with this fingerprint, as this node knows it.
    ///
    /// # Errors
    /// When this node has not caught up.
    fn device(&self, fingerprint: &[u8; FINGERPRINT_BYTES]) -> Result<Option<DeviceCertificate>, CannotSay>;

    /// Whether it is active, and its authority too.
    ///
    /// # Errors
    /// When this node has not caught up.
    fn counts(&self, fingerprint: &[u8; FINGERPRINT_BYTES]) -> Result<bool, CannotSay>;

    /// Registers one, and waits until this node knows of it; false when it was registered already.
    ///
    /// # Errors
    /// When it was not, as far as is known.
    async fn register(
        &self,
        fingerprint: &[u8; FINGERPRINT_BYTES],
        device: DeviceCertificate,
    ) -> Result<bool, CannotSay>;

    /// Tells subscribers of events. Never waits.
    fn tell(
        &self,
        what: CertificateTold,
        client_id: &str,
        fingerprint: &[u8; FINGERPRINT_BYTES],
        device: &DeviceCertificate,
    );
}

/// What a certificate is known by outside: its fingerprint in hexadecimal digits.
#[must_use]
pub fn certificate_id(fingerprint: &[u8]) -> String {
    fingerprint.iter().map(|byte| format!("{byte:02x}")).collect()
}
