//! The metrics of the listeners.

use metrics::{Unit, counter, describe_counter};

/// Sockets closed before their CONNACK, by cause.
const UNANSWERED: &str = "rollcall_connections_unanswered_total";
/// Failures to accept a socket.
const ACCEPT_FAILURES: &str = "rollcall_accept_failures_total";

/// Registers the descriptions of the listeners' metrics with the recorder in force.
pub fn describe_metrics() {
    describe_counter!(UNANSWERED, Unit::Count, "sockets that ended before CONNACK, by cause");
    describe_counter!(ACCEPT_FAILURES, Unit::Count, "sockets that could not be accepted");
}

/// Why a socket ended before CONNACK.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unanswered {
    /// No CONNECT in time (B-123).
    ConnectTimeout,
    /// Bytes that are no valid CONNECT, or no valid upgrade.
    Invalid,
    /// The client went away.
    PeerGone,
    /// No well-formed header of the PROXY protocol where one is expected.
    ProxyHeader,
    /// The TLS handshake failed, or the client's certificate is not accepted.
    Tls,
    /// The broker refused.
    Refused,
    /// The node closes.
    Closing,
}

pub(crate) fn unanswered(cause: Unanswered) {
    let cause = match cause {
        Unanswered::ConnectTimeout => "connect_timeout",
        Unanswered::Invalid => "invalid",
        Unanswered::PeerGone => "peer_gone",
        Unanswered::ProxyHeader => "proxy_header",
        Unanswered::Tls => "tls",
        Unanswered::Refused => "refused",
        Unanswered::Closing => "closing",
    };
    counter!(UNANSWERED, "cause" => cause).increment(1);
}

pub(crate) fn accept_failed() {
    counter!(ACCEPT_FAILURES).increment(1);
}
