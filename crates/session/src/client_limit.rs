//! The limits that the machine of a connection sees reached, by the names they have in the configuration.

/// A limit of one client, reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientLimit {
    /// It asked for a longer session expiry, and has the longest there is.
    SessionExpiry,
    /// It asked for a longer keep-alive or none, and has the longest there is.
    KeepAlive,
    /// A packet.
    PacketBytes,
    /// A payload.
    PayloadBytes,
    /// A topic or filter.
    TopicBytes,
    /// A topic or filter.
    TopicLevels,
    /// A client id.
    ClientIdBytes,
    /// A topic alias.
    TopicAliases,
    /// Messages under way from it.
    ReceiveMaximum,
}

impl ClientLimit {
    /// All of them.
    pub const ALL: [ClientLimit; 9] = [
        ClientLimit::SessionExpiry,
        ClientLimit::KeepAlive,
        ClientLimit::PacketBytes,
        ClientLimit::PayloadBytes,
        ClientLimit::TopicBytes,
        ClientLimit::TopicLevels,
        ClientLimit::ClientIdBytes,
        ClientLimit::TopicAliases,
        ClientLimit::ReceiveMaximum,
    ];

    /// Its name: that of the key in `[limits]`, where it has one.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ClientLimit::SessionExpiry => "session_expiry_max_s",
            ClientLimit::KeepAlive => "keep_alive_max_s",
            ClientLimit::PacketBytes => "packet_bytes_max",
            ClientLimit::PayloadBytes => "payload_bytes_max",
            ClientLimit::TopicBytes => "topic_bytes_max",
            ClientLimit::TopicLevels => "topic_levels_max",
            ClientLimit::ClientIdBytes => "client_id_bytes_max",
            ClientLimit::TopicAliases => "topic_alias_max",
            ClientLimit::ReceiveMaximum => "receive_maximum",
        }
    }
}
