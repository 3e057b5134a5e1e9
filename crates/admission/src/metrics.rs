//! Names and handles of admission's metrics. The recorder must be installed before admission is made.

use metrics::{Counter, counter, describe_counter};
use rollcall_contracts::Rated;

/// Refused because a limit was reached, by kind of limit (`messages`, those of [`Rated`], `auth_failures`).
pub(crate) const QUOTA_LIMITED_TOTAL: &str = "rollcall_quota_limited_total";
/// Credentials checked, by result (`ok`, `rejected`, `unavailable`); those the cache knew are not counted.
pub(crate) const AUTHENTICATIONS_TOTAL: &str = "rollcall_authentications_total";
/// What the authenticators said, by authenticator and result (`accepted`, `refused`, `ignored`, `unavailable`).
pub(crate) const AUTHENTICATOR_RESULTS_TOTAL: &str = "rollcall_authenticator_results_total";
/// Password hashes computed.
pub(crate) const PASSWORD_HASHES_TOTAL: &str = "rollcall_password_hashes_total";

/// Handles.
pub(crate) struct AdmissionMetrics {
    pub(crate) limited_messages: Counter,
    /// In the order of [`Rated::ALL`].
    pub(crate) limited_packets: [Counter; 4],
    pub(crate) limited_auth_failures: Counter,
    pub(crate) auth_ok: Counter,
    pub(crate) auth_rejected: Counter,
    pub(crate) auth_unavailable: Counter,
    pub(crate) password_hashes: Counter,
}

impl AdmissionMetrics {
    pub(crate) fn new() -> Self {
        describe_counter!(QUOTA_LIMITED_TOTAL, "refused because a limit was reached, by kind of limit");
        describe_counter!(AUTHENTICATIONS_TOTAL, "credentials checked, by result; cached ones are not counted");
        describe_counter!(AUTHENTICATOR_RESULTS_TOTAL, "what the authenticators said, by authenticator and result");
        describe_counter!(PASSWORD_HASHES_TOTAL, "password hashes computed");
        AdmissionMetrics {
            limited_messages: counter!(QUOTA_LIMITED_TOTAL, "kind" => "messages"),
            limited_packets: Rated::ALL.map(|packet| counter!(QUOTA_LIMITED_TOTAL, "kind" => packet.name())),
            limited_auth_failures: counter!(QUOTA_LIMITED_TOTAL, "kind" => "auth_failures"),
            auth_ok: counter!(AUTHENTICATIONS_TOTAL, "result" => "ok"),
            auth_rejected: counter!(AUTHENTICATIONS_TOTAL, "result" => "rejected"),
            auth_unavailable: counter!(AUTHENTICATIONS_TOTAL, "result" => "unavailable"),
            password_hashes: counter!(PASSWORD_HASHES_TOTAL),
        }
    }
}

/// What one authenticator said.
pub(crate) struct LinkMetrics {
    pub(crate) accepted: Counter,
    pub(crate) refused: Counter,
    pub(crate) ignored: Counter,
    pub(crate) unavailable: Counter,
}

impl LinkMetrics {
    pub(crate) fn of(authenticator: &'static str) -> Self {
        let of = |result: &'static str| counter!(AUTHENTICATOR_RESULTS_TOTAL, "authenticator" => authenticator, "result" => result);
        LinkMetrics {
            accepted: of("accepted"),
            refused: of("refused"),
            ignored: of("ignored"),
            unavailable: of("unavailable"),
        }
    }
}
