//! Certificates of clients (mutual TLS): whom a verified certificate stands for, and whether the device it belongs to is
//! registered.
//!
//! The handshake proved that the client holds the certificate's key and that an authority of this node signed it. Where
//! devices are registered, a certificate counts only while it is active; one that comes for the first time may be
//! registered on the spot.

use async_trait::async_trait;
use rollcall_cluster::{CertificateState, DeviceCertificate};
use rollcall_contracts::{
    Account, Authenticator, CannotSay, CertificateTold, ClientCertificate, DeviceRegistry, Presented, Role, Verdict,
};
use std::{fmt, sync::Arc};

/// Which part of a certificate is the account's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IdentityFrom {
    /// The common name of its subject.
    CommonName,
    /// Its whole subject, as RFC 4514 writes it.
    DistinguishedName,
    /// The first of its alternative names.
    AlternativeName,
}

/// Which certificates count.
#[derive(Clone)]
pub enum Devices {
    /// Any that an authority of this node signed.
    Any,
    /// Those that are registered and active.
    Registered {
        /// What is registered.
        registry: Arc<dyn DeviceRegistry>,
        /// The state in which others are registered at their first connect; `None`: they are refused.
        just_in_time: Option<CertificateState>,
    },
}

/// See the module.
pub struct X509 {
    identity: IdentityFrom,
    devices: Devices,
}

impl fmt::Debug for X509 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl X509 {
    /// An authenticator of certificates.
    #[must_use]
    pub fn new(identity: IdentityFrom, devices: Devices) -> Self {
        X509 { identity, devices }
    }

    fn name(&self, certificate: &ClientCertificate) -> Option<String> {
        let name = match self.identity {
            IdentityFrom::CommonName => certificate.fields.common_name.as_deref(),
            IdentityFrom::DistinguishedName => Some(certificate.distinguished_name.as_str()),
            IdentityFrom::AlternativeName => certificate.alternative_names.first().map(String::as_str),
        };
        name.filter(|name| !name.is_empty()).map(str::to_owned)
    }
}

#[async_trait]
impl Authenticator for X509 {
    fn name(&self) -> &'static str {
        "x509"
    }

    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Verdict, CannotSay> {
        let Some(certificate) = presented.certificate else { return Ok(Verdict::NotMine) };
        let Some(name) = self.name(certificate) else {
            tracing::debug!("a certificate has no such name as auth.x509.username_from says");
            return Ok(Verdict::Refused);
        };
        let registered_certificate = match &self.devices {
            Devices::Any => None,
            Devices::Registered { registry, just_in_time } => {
                if !may_connect(&**registry, *just_in_time, certificate, presented.client_id).await? {
                    return Ok(Verdict::Refused);
                }
                Some(certificate.fingerprint)
            }
        };
        Ok(Verdict::Accepted(Arc::new(Account {
            certificate: Some(Arc::clone(&certificate.fields)),
            registered_certificate,
            expires_at_ms: Some(certificate.not_after_s.saturating_mul(1000)),
            ..Account::new(name, Role::Client)
        })))
    }
}

async fn may_connect(
    registry: &dyn DeviceRegistry,
    just_in_time: Option<CertificateState>,
    certificate: &ClientCertificate,
    client_id: &str,
) -> Result<bool, CannotSay> {
    let device = match registry.device(&certificate.fingerprint)? {
        Some(device) => device,
        None => {
            // Without an authority that is registered, nobody answers for it.
            let (Some(state), Some(authority)) = (just_in_time, certificate.authority) else { return Ok(false) };
            let device = first_seen(certificate, &authority, state);
            if registry.register(&certificate.fingerprint, device.clone()).await? {
                registry.tell(CertificateTold::Registered, client_id, &certificate.fingerprint, &device);
            }
            registry.device(&certificate.fingerprint)?.unwrap_or(device)
        }
    };
    let its_own = device.client_id.as_deref().is_none_or(|own| own == client_id);
    let counts = device.state == CertificateState::Active && registry.counts(&certificate.fingerprint)?;
    if !counts {
        registry.tell(CertificateTold::Rejected, client_id, &certificate.fingerprint, &device);
    }
    Ok(counts && its_own)
}

fn first_seen(certificate: &ClientCertificate, authority: &[u8], state: CertificateState) -> DeviceCertificate {
    DeviceCertificate {
        serial: certificate.serial.clone(),
        common_name: certificate.fields.common_name.as_deref().unwrap_or_default().to_owned(),
        authority: rollcall_contracts::certificate_id(authority),
        client_id: None,
        state,
        just_in_time: true,
        not_before_s: certificate.not_before_s,
        not_after_s: certificate.not_after_s,
        registered_at: Default::default(),
        changed_at: Default::default(),
    }
}
