//! Why a connection ended.

use serde::{Deserialize, Serialize};

/// The reason of a connection's end, as events and the rich answer name it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum DisconnectReason {
    /// DISCONNECT with reason 0x00: the will is discarded.
    Normal,
    /// A newer claim of the same client id displaced it.
    Takeovered,
    /// An operator ended it.
    Kicked,
    /// A newer connection asked for a clean start of the same client id.
    Discarded,
    /// No packet within 1.5 times the keep-alive.
    KeepaliveTimeout,
    /// The network connection ended without DISCONNECT.
    ConnectionLost,
    /// The client broke the protocol.
    ProtocolError,
    /// A permission was missing or withdrawn.
    NotAuthorized,
    /// The credentials' time ran out.
    AuthenticationExpired,
    /// A limit was passed.
    QuotaExceeded,
    /// The node drained.
    ServerShutdown,
    /// The node died, or its lease ran out.
    NodeLost,
    /// DISCONNECT with reason 0x04: the client asked for its will.
    NormalWithWill,
}

impl DisconnectReason {
    /// The stable name used in events, metrics and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DisconnectReason::Normal | DisconnectReason::NormalWithWill => "normal",
            DisconnectReason::Takeovered => "takeovered",
            DisconnectReason::Kicked => "kicked",
            DisconnectReason::Discarded => "discarded",
            DisconnectReason::KeepaliveTimeout => "keepalive_timeout",
            DisconnectReason::ConnectionLost => "connection_lost",
            DisconnectReason::ProtocolError => "protocol_error",
            DisconnectReason::NotAuthorized => "not_authorized",
            DisconnectReason::AuthenticationExpired => "authentication_expired",
            DisconnectReason::QuotaExceeded => "quota_exceeded",
            DisconnectReason::ServerShutdown => "server_shutdown",
            DisconnectReason::NodeLost => "node_lost",
        }
    }

    /// Whether this ending owes the connection's will: every ending but a clean DISCONNECT 0x00 (MQTT-3.1.2-8).
    #[must_use]
    pub fn owes_will(self) -> bool {
        self != DisconnectReason::Normal
    }
}
