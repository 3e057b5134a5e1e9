//! Packets of a client, decoded and neutral of the protocol version.

use crate::{Auth, ReasonCode};
use rollcall_types::{Message, Protocol, QoS, Will};
use std::{fmt, num::NonZeroU16, num::NonZeroU32, sync::Arc};

/// One packet from a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Packet {
    /// CONNECT.
    Connect(Box<Connect>),
    /// PUBLISH.
    Publish(Publish),
    /// PUBACK; whatever its reason code, it ends the message's way.
    PubAck(NonZeroU16),
    /// PUBREC.
    PubRec {
        /// Packet identifier.
        packet_id: NonZeroU16,
        /// MQTT 5: its reason code says that the client did not take the message.
        refused: bool,
    },
    /// PUBREL.
    PubRel(NonZeroU16),
    /// PUBCOMP.
    PubComp(NonZeroU16),
    /// SUBSCRIBE.
    Subscribe(Subscribe),
    /// UNSUBSCRIBE.
    Unsubscribe {
        /// Packet identifier.
        packet_id: NonZeroU16,
        /// Topic filters.
        filters: Vec<String>,
    },
    /// PINGREQ.
    PingReq,
    /// DISCONNECT.
    Disconnect {
        /// Reason code; 0 in MQTT 3.
        reason: u8,
        /// MQTT 5: a new session expiry in seconds.
        session_expiry_s: Option<u32>,
    },
    /// AUTH (MQTT 5).
    Auth(Box<Auth>),
    /// A packet that only a server may send.
    ServerOnly,
}

impl Packet {
    /// The message in it: that of a PUBLISH, or the will of a CONNECT.
    pub fn message_mut(&mut self) -> Option<&mut Message> {
        match self {
            Packet::Publish(publish) => Some(Arc::make_mut(&mut publish.message)),
            Packet::Connect(connect) => connect.will.as_mut().map(|will| &mut will.message),
            _ => None,
        }
    }
}

/// CONNECT.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connect {
    /// Version spoken.
    pub protocol: Protocol,
    /// Client id; empty asks for an assigned one.
    pub client_id: String,
    /// Clean Start (v5), Clean Session (v3).
    pub clean_start: bool,
    /// Keep-alive in seconds; 0 = off.
    pub keep_alive_s: u16,
    /// User name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Password>,
    /// The will, its delay included.
    pub will: Option<Will>,
    /// MQTT 5: session expiry in seconds; 0 when absent.
    pub session_expiry_s: u32,
    /// MQTT 5: QoS 1 and 2 messages the client takes at a time; 65 535 when absent.
    pub receive_maximum: u16,
    /// MQTT 5: topic aliases the client takes; 0 when absent.
    pub topic_alias_maximum: u16,
    /// MQTT 5: authentication method.
    pub authentication_method: Option<String>,
    /// MQTT 5: authentication data.
    pub authentication_data: Vec<u8>,
}

/// A password. Its `Debug` form tells nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub Vec<u8>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// PUBLISH.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publish {
    /// The message; its topic is empty when only an alias was sent. Shared from the start, as it will be by all who get
    /// it: a packet is handed from step to step, and is small this way.
    pub message: Arc<Message>,
    /// Packet identifier of QoS 1 and 2.
    pub packet_id: Option<NonZeroU16>,
    /// DUP flag.
    pub dup: bool,
    /// MQTT 5: a topic alias was sent.
    pub topic_alias: Option<u16>,
    /// MQTT 5: a subscription identifier was sent, which a client must not (MQTT-3.3.4-6).
    pub has_subscription_id: bool,
}

/// SUBSCRIBE.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscribe {
    /// Packet identifier.
    pub packet_id: NonZeroU16,
    /// MQTT 5: subscription identifier.
    pub subscription_id: Option<NonZeroU32>,
    /// What is asked for.
    pub filters: Vec<RequestedSubscription>,
}

/// One topic filter of a SUBSCRIBE with its options (MQTT 5.0, 3.8.3.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestedSubscription {
    /// Topic filter.
    pub filter: String,
    /// Maximum QoS asked for.
    pub qos: QoS,
    /// Do not send back the subscriber's own messages.
    pub no_local: bool,
    /// Keep the RETAIN flag as published.
    pub retain_as_published: bool,
    /// Which retained messages are sent at subscribe time.
    pub retain_handling: RetainHandling,
}

/// Retain Handling of a subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RetainHandling {
    /// At each SUBSCRIBE.
    #[default]
    AtSubscribe,
    /// Only when the subscription is new.
    AtNewSubscribe,
    /// Never.
    Never,
}

/// Why bytes are no packet, as far as the protocol cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeFault {
    /// The first packet is no CONNECT or names another protocol, or bytes break off where no answer is due.
    NotMqtt,
    /// CONNECT with a protocol level that is not spoken here.
    UnsupportedLevel(u8),
    /// MQTT 3.1.1: an empty client id without clean session (MQTT-3.1.3-8), which is answered before all else.
    EmptyClientId(Protocol),
    /// The bytes break the packet format. The version is known once CONNECT named it.
    Malformed(Option<Protocol>),
    /// The packet is not allowed by the rules of its fields.
    ProtocolError(Option<Protocol>),
    /// The packet is larger than allowed.
    TooLarge(Option<Protocol>),
}

impl DecodeFault {
    /// What it is, in words for the client.
    pub(crate) fn text(self) -> &'static str {
        match self {
            DecodeFault::NotMqtt => "",
            DecodeFault::UnsupportedLevel(_) => "this protocol level is not spoken here",
            DecodeFault::EmptyClientId(_) => "an empty client id needs a clean session",
            DecodeFault::Malformed(_) => "a packet is malformed",
            DecodeFault::ProtocolError(_) => "a field of a packet breaks a rule",
            DecodeFault::TooLarge(_) => "a packet is larger than Maximum Packet Size",
        }
    }

    /// The version the client named, where it did.
    #[must_use]
    pub fn protocol(self) -> Option<Protocol> {
        match self {
            DecodeFault::NotMqtt => None,
            DecodeFault::UnsupportedLevel(level) => Some(answer_version(level)),
            DecodeFault::EmptyClientId(protocol) => Some(protocol),
            DecodeFault::Malformed(protocol)
            | DecodeFault::ProtocolError(protocol)
            | DecodeFault::TooLarge(protocol) => protocol,
        }
    }

    /// The code that names the fault; `None` where no answer is due.
    #[must_use]
    pub fn reason_code(self) -> Option<ReasonCode> {
        match self {
            DecodeFault::NotMqtt => None,
            DecodeFault::UnsupportedLevel(_) => Some(ReasonCode::UnsupportedProtocolVersion),
            DecodeFault::EmptyClientId(_) => Some(ReasonCode::ClientIdentifierNotValid),
            DecodeFault::Malformed(_) => Some(ReasonCode::MalformedPacket),
            DecodeFault::ProtocolError(_) => Some(ReasonCode::ProtocolError),
            DecodeFault::TooLarge(_) => Some(ReasonCode::PacketTooLarge),
        }
    }
}

/// The version in which a level that is not spoken is answered: levels above 5 are of later versions, which know the
/// CONNACK of 5, and 2 was never one; all others, bridges' 0x83 and 0x84 among them, know that of 3.
fn answer_version(level: u8) -> Protocol {
    if level == 2 || (6..0x80).contains(&level) { Protocol::V5 } else { Protocol::V311 }
}
