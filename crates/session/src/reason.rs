//! Reason codes that the broker sends (MQTT 5.0, 2.4), and what MQTT 3 has instead.

/// A reason code of CONNACK, PUBACK, PUBREC, PUBCOMP, SUBACK, UNSUBACK or DISCONNECT.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum ReasonCode {
    /// Success, normal disconnection, QoS 0 granted.
    Success = 0x00,
    /// QoS 1 granted.
    GrantedQos1 = 0x01,
    /// QoS 2 granted.
    GrantedQos2 = 0x02,
    /// DISCONNECT of a client that wants its will published.
    DisconnectWithWill = 0x04,
    /// The message is accepted and nobody subscribes to it.
    NoMatchingSubscribers = 0x10,
    /// UNSUBACK: there was no such subscription.
    NoSubscriptionExisted = 0x11,
    /// No better code.
    UnspecifiedError = 0x80,
    /// The packet cannot be parsed.
    MalformedPacket = 0x81,
    /// The packet is not allowed here.
    ProtocolError = 0x82,
    /// The packet is valid and not accepted.
    ImplementationSpecificError = 0x83,
    /// Unsupported protocol version.
    UnsupportedProtocolVersion = 0x84,
    /// The client id is not valid.
    ClientIdentifierNotValid = 0x85,
    /// User name or password wrong.
    BadUserNameOrPassword = 0x86,
    /// Not authorized.
    NotAuthorized = 0x87,
    /// The server cannot serve now.
    ServerUnavailable = 0x88,
    /// The server is busy; try again later.
    ServerBusy = 0x89,
    /// The server shuts down.
    ServerShuttingDown = 0x8B,
    /// The authentication method is not supported.
    BadAuthenticationMethod = 0x8C,
    /// Nothing was received within 1.5 times the keep-alive.
    KeepAliveTimeout = 0x8D,
    /// A newer connection uses the same client id.
    SessionTakenOver = 0x8E,
    /// The topic filter is well formed and not accepted.
    TopicFilterInvalid = 0x8F,
    /// The topic name is well formed and not accepted.
    TopicNameInvalid = 0x90,
    /// The packet identifier is in use.
    PacketIdentifierInUse = 0x91,
    /// The packet identifier is not known.
    PacketIdentifierNotFound = 0x92,
    /// More messages under way than Receive Maximum allows.
    ReceiveMaximumExceeded = 0x93,
    /// The topic alias is greater than the maximum, or 0.
    TopicAliasInvalid = 0x94,
    /// The packet is larger than Maximum Packet Size.
    PacketTooLarge = 0x95,
    /// A quota or limit was passed.
    QuotaExceeded = 0x97,
    /// An operator ended the connection.
    AdministrativeAction = 0x98,
    /// The server is gone for good; the client is to use another.
    ServerMoved = 0x9D,
    /// Shared subscriptions are not supported.
    SharedSubscriptionsNotSupported = 0x9E,
    /// More connects in a second than allowed.
    ConnectionRateExceeded = 0x9F,
}

impl ReasonCode {
    /// The byte on the wire.
    #[must_use]
    pub fn byte(self) -> u8 {
        self as u8
    }

    /// The CONNACK return code of MQTT 3 (3.1.1, 3.2.2.3) for this refusal; `None` where MQTT 3 has none and the
    /// connection is closed without an answer.
    #[must_use]
    pub fn v3_return_code(self) -> Option<u8> {
        match self {
            ReasonCode::Success => Some(0),
            ReasonCode::UnsupportedProtocolVersion => Some(1),
            ReasonCode::ClientIdentifierNotValid => Some(2),
            ReasonCode::ServerUnavailable
            | ReasonCode::ServerBusy
            | ReasonCode::QuotaExceeded
            | ReasonCode::ConnectionRateExceeded => Some(3),
            ReasonCode::BadUserNameOrPassword => Some(4),
            ReasonCode::NotAuthorized => Some(5),
            _ => None,
        }
    }
}
