//! Authorities that may sign certificates of clients, and certificates of devices, as the cluster stores them. What is in
//! a certificate is read, and verified, elsewhere; here stands which ones count.
//!
//! Both are known by the SHA-256 over their DER, in hexadecimal digits.

use crate::{AccessState, ClusterOutcome, ClusterRefusal, ClusterState, state::too_many};
use rollcall_types::ClusterTime;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Most registered authorities. Part of the replicated rules, as the one below.
pub const AUTHORITIES_MAX: usize = 32;
/// Most registered certificates of devices.
pub const DEVICE_CERTIFICATES_MAX: usize = 100_000;

/// An authority whose signature on a client's certificate counts.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Authority {
    /// Its certificate.
    pub der: Vec<u8>,
    /// Common name of its subject; empty when it has none.
    pub common_name: String,
    /// Otherwise nobody it signed may connect.
    pub active: bool,
    /// Seconds since the Unix epoch.
    pub not_before_s: u64,
    /// Seconds since the Unix epoch.
    pub not_after_s: u64,
    /// Set when it is registered.
    pub registered_at: ClusterTime,
    /// Set with each change.
    pub changed_at: ClusterTime,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("common_name", &self.common_name)
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}

/// Whether a device may connect with its certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CertificateState {
    /// It may.
    Active,
    /// It may not, for the time being.
    Inactive,
    /// It may never again.
    Revoked,
    /// It was registered at its first connect, and waits to be activated.
    PendingActivation,
}

impl CertificateState {
    /// Its name outside.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            CertificateState::Active => "ACTIVE",
            CertificateState::Inactive => "INACTIVE",
            CertificateState::Revoked => "REVOKED",
            CertificateState::PendingActivation => "PENDING_ACTIVATION",
        }
    }
}

/// One device's certificate.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct DeviceCertificate {
    /// Serial number, in hexadecimal digits.
    pub serial: String,
    /// Common name of its subject; empty when it has none.
    pub common_name: String,
    /// Which authority signed it.
    pub authority: String,
    /// The one client id it may be used for; none means any.
    pub client_id: Option<String>,
    /// Whether it counts.
    pub state: CertificateState,
    /// It was registered at its first connect.
    pub just_in_time: bool,
    /// Seconds since the Unix epoch.
    pub not_before_s: u64,
    /// Seconds since the Unix epoch.
    pub not_after_s: u64,
    /// Set when it is registered.
    pub registered_at: ClusterTime,
    /// Set with each change.
    pub changed_at: ClusterTime,
}

impl AccessState {
    /// All registered authorities.
    #[must_use]
    pub fn authorities(&self) -> &BTreeMap<String, Authority> {
        &self.authorities
    }

    /// All registered certificates of devices.
    #[must_use]
    pub fn certificates(&self) -> &BTreeMap<String, DeviceCertificate> {
        &self.certificates
    }

    /// Whether a device may connect with this certificate: it is active, and so is the authority that signed it.
    #[must_use]
    pub fn certificate_counts(&self, id: &str) -> bool {
        self.certificates.get(id).is_some_and(|certificate| {
            certificate.state == CertificateState::Active
                && self.authorities.get(&certificate.authority).is_some_and(|authority| authority.active)
        })
    }
}

impl ClusterState {
    pub(crate) fn register_authority(
        &mut self,
        id: String,
        authority: Authority,
    ) -> Result<ClusterOutcome, ClusterRefusal> {
        let known = &mut self.access.authorities;
        if known.contains_key(&id) {
            return Ok(ClusterOutcome::Unchanged);
        }
        if known.len() >= AUTHORITIES_MAX {
            return Err(too_many(AUTHORITIES_MAX));
        }
        known.insert(id, Authority { registered_at: self.time, changed_at: self.time, ..authority });
        Ok(self.access_changed())
    }

    pub(crate) fn set_authority_active(&mut self, id: &str, active: bool) -> Result<ClusterOutcome, ClusterRefusal> {
        let authority = self.access.authorities.get_mut(id).ok_or(ClusterRefusal::UnknownAuthority)?;
        if authority.active == active {
            return Ok(ClusterOutcome::Unchanged);
        }
        (authority.active, authority.changed_at) = (active, self.time);
        Ok(self.access_changed())
    }

    /// One that signed a registered certificate stays.
    pub(crate) fn delete_authority(&mut self, id: &str) -> Result<ClusterOutcome, ClusterRefusal> {
        if !self.access.authorities.contains_key(id) {
            return Err(ClusterRefusal::UnknownAuthority);
        }
        if self.access.certificates.values().any(|certificate| certificate.authority == id) {
            return Err(ClusterRefusal::AuthorityInUse);
        }
        self.access.authorities.remove(id);
        Ok(self.access_changed())
    }

    pub(crate) fn register_certificate(
        &mut self,
        id: String,
        certificate: DeviceCertificate,
    ) -> Result<ClusterOutcome, ClusterRefusal> {
        if self.access.certificates.contains_key(&id) {
            return Ok(ClusterOutcome::Unchanged);
        }
        if !self.access.authorities.contains_key(&certificate.authority) {
            return Err(ClusterRefusal::UnknownAuthority);
        }
        if self.access.certificates.len() >= DEVICE_CERTIFICATES_MAX {
            return Err(too_many(DEVICE_CERTIFICATES_MAX));
        }
        let certificate = DeviceCertificate { registered_at: self.time, changed_at: self.time, ..certificate };
        self.access.certificates.insert(id, certificate);
        Ok(self.access_changed())
    }

    /// What is revoked stays so.
    pub(crate) fn set_certificate_state(
        &mut self,
        id: &str,
        state: CertificateState,
    ) -> Result<ClusterOutcome, ClusterRefusal> {
        let certificate = self.access.certificates.get_mut(id).ok_or(ClusterRefusal::UnknownCertificate)?;
        if certificate.state == state {
            return Ok(ClusterOutcome::Unchanged);
        }
        if certificate.state == CertificateState::Revoked {
            return Err(ClusterRefusal::CertificateRevoked);
        }
        (certificate.state, certificate.changed_at) = (state, self.time);
        Ok(self.access_changed())
    }

    pub(crate) fn delete_certificate(&mut self, id: &str) -> Result<ClusterOutcome, ClusterRefusal> {
        self.access.certificates.remove(id).ok_or(ClusterRefusal::UnknownCertificate)?;
        Ok(self.access_changed())
    }
}
