//! The events of certificates as the outside reads them: one was registered at a connect, or rejected since it does not
//! count.

use crate::CertificateTold;
use rollcall_cluster::DeviceCertificate;
use serde::Serialize;

/// One such event.
#[derive(Clone, Copy, Debug)]
pub struct CertificateEvent<'a> {
    /// What happened.
    pub told: CertificateTold,
    /// Which client it was, as it calls itself.
    pub client_id: &'a str,
    /// What the certificate is known by.
    pub id: &'a str,
    /// The certificate.
    pub device: &'a DeviceCertificate,
}

#[derive(Serialize)]
struct Fields<'a> {
    event: &'static str,
    clientid: &'a str,
    node: &'a str,
    certificate: &'a str,
    serial: &'a str,
    common_name: &'a str,
    authority: &'a str,
    state: &'static str,
    timestamp: u64,
}

impl CertificateTold {
    /// The value of the field `event`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            CertificateTold::Registered => "certificate.registered",
            CertificateTold::Rejected => "certificate.rejected",
        }
    }

    /// The topic on which MQTT clients receive it.
    #[must_use]
    pub fn topic(self) -> &'static str {
        match self {
            CertificateTold::Registered => "$events/certificate_registered",
            CertificateTold::Rejected => "$events/certificate_rejected",
        }
    }
}

impl CertificateEvent<'_> {
    /// The event as a JSON object, told by this node at this time in milliseconds since the Unix epoch.
    #[must_use]
    pub fn to_json(&self, node: &str, at_ms: u64) -> String {
        let fields = Fields {
            event: self.told.name(),
            clientid: self.client_id,
            node,
            certificate: self.id,
            serial: &self.device.serial,
            common_name: &self.device.common_name,
            authority: &self.device.authority,
            state: self.device.state.name(),
            timestamp: at_ms,
        };
        // Texts and a number: nothing that cannot be told in JSON.
        serde_json::to_string(&fields).unwrap_or_default()
    }
}
