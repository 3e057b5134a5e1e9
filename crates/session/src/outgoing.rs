//! Packets to a client, neutral of the protocol version.

use crate::{
    Auth, OutgoingPublish, ReasonCode,
    event::{SubscribeAnswer, UnsubscribeAnswer},
};
use std::{num::NonZeroU16, sync::Arc};

/// One packet to a client. What MQTT 3 cannot say is left out by the encoder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outgoing {
    /// CONNACK.
    ConnAck(Box<ConnAck>),
    /// PUBLISH.
    Publish(OutgoingPublish),
    /// PUBACK.
    PubAck(NonZeroU16, ReasonCode),
    /// PUBREC.
    PubRec(NonZeroU16, ReasonCode),
    /// PUBREL.
    PubRel(NonZeroU16, ReasonCode),
    /// PUBCOMP.
    PubComp(NonZeroU16, ReasonCode),
    /// SUBACK, one answer for each filter.
    SubAck(NonZeroU16, Vec<SubscribeAnswer>),
    /// UNSUBACK; MQTT 3 has no answers in it.
    UnsubAck(NonZeroU16, Vec<UnsubscribeAnswer>),
    /// PINGRESP.
    PingResp,
    /// AUTH (MQTT 5 only).
    Auth(Box<Auth>),
    /// DISCONNECT (MQTT 5 only).
    Disconnect {
        /// Why.
        code: ReasonCode,
        /// Where to connect instead, for a node that drains: a list separated by spaces (MQTT 5.0, 4.13).
        server_reference: Option<Arc<str>>,
        /// Why, in words; empty for none.
        why: &'static str,
    },
}

/// CONNACK.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnAck {
    /// Success or why not.
    pub code: ReasonCode,
    /// The session was resumed.
    pub session_present: bool,
    /// The id the broker chose (MQTT 5).
    pub assigned_client_id: Option<String>,
    /// The keep-alive in force when it is not the one asked for, in seconds.
    pub server_keep_alive_s: Option<u16>,
    /// The session expiry in force when it is not the one asked for, in seconds.
    pub session_expiry_s: Option<u32>,
    /// Receive Maximum of the broker.
    pub receive_maximum: u16,
    /// Maximum Packet Size of the broker, in bytes.
    pub packet_bytes_max: u32,
    /// Topic Alias Maximum of the broker.
    pub topic_alias_maximum: u16,
    /// The authentication method of CONNECT, with the last data for the client (MQTT 5).
    pub authentication: Option<(String, Vec<u8>)>,
    /// Why not, in words (MQTT 5); empty for none.
    pub why: &'static str,
}

impl ConnAck {
    /// A refusal.
    #[must_use]
    pub fn refused(code: ReasonCode, why: &'static str) -> Self {
        ConnAck {
            code,
            session_present: false,
            assigned_client_id: None,
            server_keep_alive_s: None,
            session_expiry_s: None,
            receive_maximum: u16::MAX,
            packet_bytes_max: 0,
            topic_alias_maximum: 0,
            authentication: None,
            why,
        }
    }
}
