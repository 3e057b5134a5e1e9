//! Who may do what, and how much: accounts and quotas as the edges see them.

use async_trait::async_trait;
use std::{net::IpAddr, sync::Arc};

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

/// An authenticated account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// User name; empty when anonymous.
    pub username: String,
    /// Its role.
    pub role: Role,
}

/// Where a request came from.
pub type SourceAddress = IpAddr;

/// Why credentials were not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AuthError {
    /// Missing, malformed or wrong.
    #[error("user name or password wrong")]
    Rejected,
    /// Too many failures from this source; wait so many seconds.
    #[error("too many failed authentications; wait {retry_after_s} s")]
    TooManyFailures {
        /// Seconds to wait, at least 1.
        retry_after_s: u32,
    },
    /// The accounts cannot be read now.
    #[error("accounts are not available")]
    Unavailable,
}

/// Verdict on the CONNECT permission.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectPermission {
    /// Allowed.
    Allowed,
    /// Denied by a policy, or by none allowing it.
    Denied,
}

/// Why a query (or message) is not admitted by the instance's quota.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueryRefusal {
    /// Over quota; wait so many seconds.
    OverQuota {
        /// Seconds to wait, at least 1.
        retry_after_s: u32,
    },
    /// The node holds no valid grant.
    NoGrant,
}

/// What the instance's rates other than that of messages are of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Rated {
    /// CONNECT packets.
    Connects,
    /// CONNECT packets that carry a will; each is one of [`Rated::Connects`] as well.
    WillConnects,
    /// SUBSCRIBE packets.
    Subscribes,
    /// UNSUBSCRIBE packets.
    Unsubscribes,
}

impl Rated {
    /// All of them.
    pub const ALL: [Rated; 4] = [Rated::Connects, Rated::WillConnects, Rated::Subscribes, Rated::Unsubscribes];

    /// The kind that metrics count a reached limit by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Rated::Connects => "connects",
            Rated::WillConnects => "will_connects",
            Rated::Subscribes => "subscribes",
            Rated::Unsubscribes => "unsubscribes",
        }
    }
}

/// Credentials, permissions and quota, implemented by `admission`.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// The quick way: an account for an `Authorization` header value whose credentials were verified before and have
    /// not changed since. No hash is computed, nothing waits.
    fn cached_basic(&self, authorization: &[u8]) -> Option<Arc<Account>>;

    /// Verifies an `Authorization: Basic …` header value (the whole value, scheme included).
    async fn authenticate_basic(
        &self,
        authorization: Option<&[u8]>,
        source: SourceAddress,
    ) -> Result<Arc<Account>, AuthError>;

    /// Verifies the credentials of an MQTT CONNECT.
    async fn authenticate_mqtt(
        &self,
        username: Option<&str>,
        password: Option<&[u8]>,
        source: SourceAddress,
    ) -> Result<Arc<Account>, AuthError>;

    /// May the account connect as this client id from this address? Without a client id: some connect rule that
    /// matches account and address must allow it, and none that needs no client id may deny it first.
    fn may_connect(&self, account: &Account, client_id: Option<&str>, source: SourceAddress) -> ConnectPermission;

    /// May the account publish to this topic?
    fn may_publish(&self, account: &Account, client_id: &str, topic: &str, source: SourceAddress) -> bool;

    /// May the account subscribe to this filter?
    fn may_subscribe(&self, account: &Account, client_id: &str, filter: &str, source: SourceAddress) -> bool;

    /// Charges `n` units of the instance's quota (one query = one QoS 0 publish = 1). Never waits.
    fn charge(&self, n: u32) -> Result<(), QueryRefusal>;

    /// May there be one more of these now? Never waits.
    fn admit(&self, packet: Rated) -> Result<(), QueryRefusal>;

    /// Whether a takeover or a claim must be refused when another account holds the id.
    fn bind_account(&self) -> bool;
}
