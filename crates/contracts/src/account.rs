//! An authenticated account: the name, and all that the credentials said beside it.
//!
//! What does not belong here: how credentials are verified, and what the account may do.

use crate::{ClientCertificate, FINGERPRINT_BYTES};
use rollcall_cluster::{CertificateFields, OwnRules};
use std::sync::Arc;

/// What an account may do on the management API; `Client` may only use the data plane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Role {
    /// Devices and back ends: MQTT and the status query, as policies allow.
    Client,
    /// Reads the management API.
    Viewer,
    /// Operates: kick, drain.
    Operator,
    /// Everything.
    Admin,
}

/// Who vouches for an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum AccountOrigin {
    /// Nobody: no credentials were presented.
    Anonymous,
    /// A user that the cluster stores. When it is deleted, its connections end.
    StoredUser,
    /// An authenticator beside the stored users: a certificate, a signed token, an HTTP service.
    External,
    /// An API token of the management API.
    ApiToken,
}

/// An authenticated account. Holds no secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// User name; empty when anonymous.
    pub username: String,
    /// Its role.
    pub role: Role,
    /// Who vouches for it.
    pub origin: AccountOrigin,
    /// Policies do not apply to it; only what nobody may do stays refused.
    pub superuser: bool,
    /// Rules that came with the credentials (a token's ACL claim), compiled once. They are asked before the cluster's
    /// policies, and the first match decides.
    pub own_rules: Option<Arc<OwnRules>>,
    /// What the client's verified certificate says of it, for variables in policies and for binding client ids.
    pub certificate: Option<Arc<CertificateFields>>,
    /// Fingerprint of the registered certificate that it rests on, where it does: the connection ends when that counts no
    /// more.
    pub registered_certificate: Option<[u8; FINGERPRINT_BYTES]>,
    /// When the credentials expire, in milliseconds since the Unix epoch on the wall clock; `None` for never. The
    /// connection ends then with `authentication_expired`.
    pub expires_at_ms: Option<u64>,
}

impl Account {
    /// An account that an authenticator beside the stored users vouches for, with nothing said beside its name.
    #[must_use]
    pub fn new(username: impl Into<String>, role: Role) -> Self {
        Account {
            username: username.into(),
            role,
            origin: AccountOrigin::External,
            superuser: false,
            own_rules: None,
            certificate: None,
            registered_certificate: None,
            expires_at_ms: None,
        }
    }

    /// The account of a user that the cluster stores.
    #[must_use]
    pub fn of_user(username: impl Into<String>, role: Role) -> Self {
        Account { origin: AccountOrigin::StoredUser, ..Account::new(username, role) }
    }

    /// The same account of a client that showed this certificate, unless it has one already.
    #[must_use]
    pub fn with_certificate(self: Arc<Self>, certificate: Option<&Arc<ClientCertificate>>) -> Arc<Self> {
        match certificate {
            Some(shown) if self.certificate.is_none() => {
                Arc::new(Account { certificate: Some(Arc::clone(&shown.fields)), ..Account::clone(&self) })
            }
            _ => self,
        }
    }

    /// The account of whoever presented nothing.
    #[must_use]
    pub fn anonymous() -> Self {
        Account { origin: AccountOrigin::Anonymous, ..Account::new("", Role::Client) }
    }
}
