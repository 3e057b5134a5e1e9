//! Who may do what, and how much: permissions and quotas as the edges ask for them.

use crate::{Account, Presented};
use async_trait::async_trait;
use rollcall_cluster::Action;
use rollcall_types::QoS;
use std::{net::IpAddr, sync::Arc};

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

/// What an account asks to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked<'a> {
    /// To do what.
    pub action: Action,
    /// As which client; only a connect may be asked for without: then as whichever.
    pub client_id: Option<&'a str>,
    /// Topic of a publish, filter of a subscription without its share; empty for a connect.
    pub resource: &'a str,
    /// QoS of the publish or subscription.
    pub qos: QoS,
    /// RETAIN flag of the publish.
    pub retain: bool,
    /// Where the client is.
    pub source: SourceAddress,
}

impl<'a> Asked<'a> {
    /// To connect from there.
    #[must_use]
    pub fn connect(client_id: Option<&'a str>, source: SourceAddress) -> Self {
        Asked { action: Action::Connect, client_id, resource: "", qos: QoS::AtMostOnce, retain: false, source }
    }

    /// To publish to a topic from there, with QoS 0 and without RETAIN.
    #[must_use]
    pub fn publish(client_id: &'a str, topic: &'a str, source: SourceAddress) -> Self {
        Asked { action: Action::Pub, resource: topic, ..Asked::connect(Some(client_id), source) }
    }

    /// To subscribe to a filter from there, with QoS 0.
    #[must_use]
    pub fn subscribe(client_id: &'a str, filter: &'a str, source: SourceAddress) -> Self {
        Asked { action: Action::Sub, resource: filter, ..Asked::connect(Some(client_id), source) }
    }
}

/// What decided, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// The verdict.
    pub allowed: bool,
    /// Whose rule decided: `block_rule`, `client_id_binding`, `conformance_profile`, or a name of
    /// [`rollcall_cluster::DecidedBy`].
    pub by: &'static str,
    /// The rule, where it has a name.
    pub rule: Option<String>,
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

    /// Verifies the credentials of an MQTT CONNECT: the authenticators are asked in their order.
    async fn authenticate_mqtt(&self, presented: &Presented<'_>) -> Result<Arc<Account>, AuthError>;

    /// May the account connect as this client id from this address? Without a client id: some connect rule that
    /// matches account and address must allow it, and none that needs no client id may deny it first.
    fn may_connect(&self, account: &Account, client_id: Option<&str>, source: SourceAddress) -> ConnectPermission;

    /// Verifies an `Authorization: Bearer …` header value (the whole value), which names a token of the management API.
    ///
    /// # Errors
    /// When it names none that counts.
    fn authenticate_bearer(&self, authorization: &[u8], source: SourceAddress) -> Result<Arc<Account>, AuthError>;

    /// May the account do this? Policies and the binding of client ids decide, and for a connect block rules as well.
    fn may(&self, account: &Account, asked: &Asked<'_>) -> bool;

    /// What [`Admission::may`] says, and which rule decides it.
    fn explain(&self, account: &Account, asked: &Asked<'_>) -> Explanation;

    /// Whether the account is still there: a stored user may have been deleted since it connected.
    fn is_known(&self, account: &Account) -> bool;

    /// Grows with every change of users, policies, block rules and tokens, and not before it is in force here.
    fn access_version(&self) -> u64;

    /// Charges `n` units of the instance's quota (one query = one QoS 0 publish = 1). Never waits.
    fn charge(&self, n: u32) -> Result<(), QueryRefusal>;

    /// Charges `n` units for what is done whatever the quota says, since it was promised already: where there is no room
    /// they are owed, and nothing new is admitted before they are paid. Never waits.
    fn owe(&self, n: u32);

    /// May there be one more of these now? Never waits.
    fn admit(&self, packet: Rated) -> Result<(), QueryRefusal>;

    /// Whether a takeover or a claim must be refused when another account holds the id.
    fn bind_account(&self) -> bool;
}
