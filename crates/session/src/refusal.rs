//! Why a CONNECT is refused after it was found valid, and what its client is told.

use crate::ReasonCode;

/// Why the broker does not let a connection in. Each may be tried again unless it says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConnectRefusal {
    /// More connects per second than allowed. Nothing happened.
    #[error("too many connects per second")]
    RateExceeded,
    /// This client id connects too often. Nothing happened.
    #[error("this client id connects too often")]
    Flapping,
    /// User name or password wrong; do not retry unchanged.
    #[error("user name or password wrong")]
    BadCredentials,
    /// Too many failed authentications from this address.
    #[error("too many failed authentications from this address")]
    TooManyFailures,
    /// The accounts cannot be read now.
    #[error("accounts are not available")]
    AccountsUnavailable,
    /// The account may not connect as this client id, or not publish its will; do not retry unchanged.
    #[error("not authorized")]
    NotAuthorized,
    /// Another account holds the client id; do not retry unchanged.
    #[error("the client id is held by another account")]
    OtherAccount,
    /// Too many connects wait, of this client id or in all. Nothing happened.
    #[error("too many connects wait")]
    Busy,
    /// No quorum in time; whether the claim was applied is unknown, its release follows.
    #[error("no quorum for the client's partition")]
    Unavailable,
    /// This node serves no clients now. Nothing happened.
    #[error("this node serves no clients now")]
    NotServing,
    /// This node drains. Nothing happened.
    #[error("this node is shutting down")]
    ShuttingDown,
    /// A newer connection of the same client id came first. Applied and over.
    #[error("displaced by a newer connection")]
    Displaced,
    /// The node's lease ran out while the claim was under way: from then on nothing but the close. Release follows.
    #[error("the lease of this node ran out")]
    LeaseLost,
    /// The will, with its properties, is larger than a claim may be; do not retry unchanged. Nothing happened.
    #[error("the will is too large")]
    WillTooLarge,
}

impl ConnectRefusal {
    /// The CONNACK code; `None`: the socket is closed without a word.
    #[must_use]
    pub fn reason_code(self) -> Option<ReasonCode> {
        match self {
            ConnectRefusal::RateExceeded | ConnectRefusal::TooManyFailures => Some(ReasonCode::QuotaExceeded),
            ConnectRefusal::Flapping | ConnectRefusal::Busy => Some(ReasonCode::ServerBusy),
            ConnectRefusal::BadCredentials => Some(ReasonCode::BadUserNameOrPassword),
            ConnectRefusal::NotAuthorized | ConnectRefusal::OtherAccount => Some(ReasonCode::NotAuthorized),
            ConnectRefusal::AccountsUnavailable
            | ConnectRefusal::Unavailable
            | ConnectRefusal::NotServing
            | ConnectRefusal::ShuttingDown => Some(ReasonCode::ServerUnavailable),
            ConnectRefusal::WillTooLarge => Some(ReasonCode::PacketTooLarge),
            ConnectRefusal::Displaced | ConnectRefusal::LeaseLost => None,
        }
    }

    /// The stable name used in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ConnectRefusal::RateExceeded => "rate_exceeded",
            ConnectRefusal::Flapping => "flapping",
            ConnectRefusal::BadCredentials => "bad_credentials",
            ConnectRefusal::TooManyFailures => "too_many_failures",
            ConnectRefusal::AccountsUnavailable => "accounts_unavailable",
            ConnectRefusal::NotAuthorized => "not_authorized",
            ConnectRefusal::OtherAccount => "other_account",
            ConnectRefusal::Busy => "busy",
            ConnectRefusal::Unavailable => "unavailable",
            ConnectRefusal::NotServing => "not_serving",
            ConnectRefusal::ShuttingDown => "shutting_down",
            ConnectRefusal::Displaced => "displaced",
            ConnectRefusal::LeaseLost => "lease_lost",
            ConnectRefusal::WillTooLarge => "will_too_large",
        }
    }
}
