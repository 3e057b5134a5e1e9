//! Why a CONNECT is refused after it was found valid, and what its client is told.

use crate::ReasonCode;
use std::{error, fmt};

/// Why the broker does not let a connection in. Each may be tried again unless it says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectRefusal {
    /// As many connections as allowed are there. Nothing happened, or a release follows.
    TooManyConnections,
    /// More connects per second than allowed, or more with a will. Nothing happened.
    RateExceeded,
    /// This client id connects too often. Nothing happened.
    Flapping,
    /// User name or password wrong; do not retry unchanged.
    BadCredentials,
    /// Too many failed authentications from this address.
    TooManyFailures,
    /// The accounts cannot be read now.
    AccountsUnavailable,
    /// The account may not connect as this client id, or not publish its will; do not retry unchanged.
    NotAuthorized,
    /// Another account holds the client id; do not retry unchanged.
    OtherAccount,
    /// Too many connects wait, of this client id or in all. Nothing happened.
    Busy,
    /// No quorum in time; whether the claim was applied is unknown, its release follows.
    Unavailable,
    /// Whether the client has a session cannot be known now.
    SessionsUnavailable,
    /// This node serves no clients now. Nothing happened.
    NotServing,
    /// This node drains. Nothing happened.
    ShuttingDown,
    /// A newer connection of the same client id came first. Applied and over.
    Displaced,
    /// The node's lease ran out while the claim was under way: from then on nothing but the close. Release follows.
    LeaseLost,
    /// The will, with its properties, is larger than a claim may be; do not retry unchanged. Nothing happened.
    WillTooLarge,
}

impl ConnectRefusal {
    /// The CONNACK code; `None`: the socket is closed without a word.
    #[must_use]
    pub fn reason_code(self) -> Option<ReasonCode> {
        match self {
            ConnectRefusal::RateExceeded => Some(ReasonCode::ConnectionRateExceeded),
            ConnectRefusal::TooManyConnections | ConnectRefusal::TooManyFailures => Some(ReasonCode::QuotaExceeded),
            ConnectRefusal::Flapping | ConnectRefusal::Busy => Some(ReasonCode::ServerBusy),
            ConnectRefusal::BadCredentials => Some(ReasonCode::BadUserNameOrPassword),
            ConnectRefusal::NotAuthorized | ConnectRefusal::OtherAccount => Some(ReasonCode::NotAuthorized),
            ConnectRefusal::AccountsUnavailable
            | ConnectRefusal::Unavailable
            | ConnectRefusal::SessionsUnavailable
            | ConnectRefusal::NotServing
            | ConnectRefusal::ShuttingDown => Some(ReasonCode::ServerUnavailable),
            ConnectRefusal::WillTooLarge => Some(ReasonCode::PacketTooLarge),
            ConnectRefusal::Displaced | ConnectRefusal::LeaseLost => None,
        }
    }

    /// Why, in words for the client.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            ConnectRefusal::TooManyConnections => "too many connections",
            ConnectRefusal::RateExceeded => "too many connects per second",
            ConnectRefusal::Flapping => "this client id connects too often",
            ConnectRefusal::BadCredentials => "user name or password wrong",
            ConnectRefusal::TooManyFailures => "too many failed authentications from this address",
            ConnectRefusal::AccountsUnavailable => "accounts are not available",
            ConnectRefusal::NotAuthorized => "not authorized",
            ConnectRefusal::OtherAccount => "the client id is held by another account",
            ConnectRefusal::Busy => "too many connects wait",
            ConnectRefusal::Unavailable => "no quorum for the client's partition",
            ConnectRefusal::SessionsUnavailable => "the client's session cannot be read now",
            ConnectRefusal::NotServing => "this node serves no clients now",
            ConnectRefusal::ShuttingDown => "this node is shutting down",
            ConnectRefusal::Displaced => "displaced by a newer connection",
            ConnectRefusal::LeaseLost => "the lease of this node ran out",
            ConnectRefusal::WillTooLarge => "the will is too large",
        }
    }

    /// The stable name used in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ConnectRefusal::TooManyConnections => "too_many_connections",
            ConnectRefusal::RateExceeded => "rate_exceeded",
            ConnectRefusal::Flapping => "flapping",
            ConnectRefusal::BadCredentials => "bad_credentials",
            ConnectRefusal::TooManyFailures => "too_many_failures",
            ConnectRefusal::AccountsUnavailable => "accounts_unavailable",
            ConnectRefusal::NotAuthorized => "not_authorized",
            ConnectRefusal::OtherAccount => "other_account",
            ConnectRefusal::Busy => "busy",
            ConnectRefusal::Unavailable => "unavailable",
            ConnectRefusal::SessionsUnavailable => "sessions_unavailable",
            ConnectRefusal::NotServing => "not_serving",
            ConnectRefusal::ShuttingDown => "shutting_down",
            ConnectRefusal::Displaced => "displaced",
            ConnectRefusal::LeaseLost => "lease_lost",
            ConnectRefusal::WillTooLarge => "will_too_large",
        }
    }
}

impl fmt::Display for ConnectRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl error::Error for ConnectRefusal {}
