//! Reason strings of MQTT 5: why something is refused, in words.

use rollcall_session::{Outgoing, ReasonCode, SubscribeAnswer};

/// Bytes that a packet with a reason string has at most beside the string and what its length depends on.
const FIXED_BYTES: usize = 32;

/// The words for a refusal; `None` for packets that refuse nothing.
pub(crate) fn of(outgoing: &Outgoing) -> Option<&'static str> {
    match outgoing {
        Outgoing::ConnAck(connack) => Some(connack.why).filter(|why| !why.is_empty()),
        Outgoing::Disconnect { why, .. } => Some(*why).filter(|why| !why.is_empty()),
        Outgoing::PubAck(_, code) | Outgoing::PubRec(_, code) => publish_refused(*code),
        Outgoing::SubAck(_, answers) => answers.iter().find_map(|answer| match answer {
            SubscribeAnswer::Refused(code) => subscribe_refused(*code),
            SubscribeAnswer::Granted { .. } => None,
        }),
        _ => None,
    }
}

/// At most so many bytes are in the packet beside the reason string.
pub(crate) fn bytes_beside(outgoing: &Outgoing) -> usize {
    FIXED_BYTES
        + match outgoing {
            Outgoing::SubAck(_, answers) => answers.len(),
            Outgoing::Disconnect { server_reference: Some(reference), .. } => reference.len(),
            _ => 0,
        }
}

fn publish_refused(code: ReasonCode) -> Option<&'static str> {
    Some(match code {
        ReasonCode::NotAuthorized => "not authorized to publish to this topic",
        ReasonCode::QuotaExceeded => "a quota or limit was reached; try again later",
        ReasonCode::UnspecifiedError => "the message could not be handed on; try again",
        ReasonCode::PacketIdentifierInUse => "a QoS 2 message with this packet identifier is under way",
        _ => return None,
    })
}

fn subscribe_refused(code: ReasonCode) -> Option<&'static str> {
    Some(match code {
        ReasonCode::NotAuthorized => "not authorized to subscribe to a filter",
        ReasonCode::QuotaExceeded => "too many subscriptions, or too many in a second",
        ReasonCode::TopicFilterInvalid => "a filter is too long or has too many levels",
        ReasonCode::UnspecifiedError => "a filter is refused",
        _ => return None,
    })
}
