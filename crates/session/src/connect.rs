//! What a CONNECT must be beyond its format, and what is asked of the broker when it is.

use crate::{ClientLimit, Connect, Fault, INFLIGHT_V3, Limits, LinkTerms, Password};
use rollcall_types::{ClientId, ClientIdError, MessageProperties, Protocol, TopicNameError, Will, check_topic_name};
use std::num::NonZeroU16;

/// A valid CONNECT, with the values in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectRequest {
    /// The client, assigned where the client left it to the broker.
    pub client_id: ClientId,
    /// The id was assigned.
    pub assigned: bool,
    /// Version spoken.
    pub protocol: Protocol,
    /// User name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Password>,
    /// Clean Start (v5), Clean Session (v3).
    pub clean_start: bool,
    /// Keep-alive in force, in seconds; 0 = off.
    pub keep_alive_s: u16,
    /// Session expiry in force, in seconds.
    pub session_expiry_s: u32,
    /// QoS 1 and 2 messages that may be under way to the client.
    pub receive_maximum: u16,
    /// Topic aliases the client takes.
    pub topic_alias_maximum: u16,
    /// The will.
    pub will: Option<Will>,
}

impl ConnectRequest {
    /// What the connection brings to its session.
    #[must_use]
    pub fn link_terms(&self) -> LinkTerms {
        LinkTerms {
            session_expiry_s: self.session_expiry_s,
            receive_maximum: self.receive_maximum,
            topic_alias_maximum: self.topic_alias_maximum,
        }
    }
}

/// Checks a CONNECT. `seed` is 128 random bits for an assigned client id.
pub(crate) fn check(connect: Connect, limits: &Limits, seed: u128) -> Result<ConnectRequest, Fault> {
    let (client_id, assigned) = client_id(&connect, limits, seed)?;
    if connect.username.as_deref().is_some_and(has_null) {
        return Err(Fault::Malformed);
    }
    if connect.protocol != Protocol::V5 && connect.password.is_some() && connect.username.is_none() {
        return Err(Fault::Malformed); // MQTT-3.1.2-22 of 3.1.1; MQTT 5 allows it
    }
    if let Some(will) = &connect.will {
        check_will(will, limits)?;
    }
    Ok(ConnectRequest {
        client_id,
        assigned,
        protocol: connect.protocol,
        username: connect.username,
        password: connect.password,
        clean_start: connect.clean_start,
        keep_alive_s: keep_alive_in_force(connect.protocol, connect.keep_alive_s, limits),
        session_expiry_s: match connect.protocol {
            Protocol::V5 => connect.session_expiry_s.min(limits.session_expiry_max_s),
            Protocol::V31 | Protocol::V311 if connect.clean_start => 0,
            Protocol::V31 | Protocol::V311 => limits.session_expiry_max_s,
        },
        receive_maximum: match (connect.protocol, limits.client_inflight) {
            (Protocol::V5, most) => most.map_or(u16::MAX, NonZeroU16::get).min(connect.receive_maximum),
            (Protocol::V31 | Protocol::V311, most) => most.map_or(INFLIGHT_V3, NonZeroU16::get),
        },
        topic_alias_maximum: connect.topic_alias_maximum,
        will: connect.will,
    })
}

/// The limit that a CONNECT is refused for, where it is one.
pub(crate) fn passed(connect: &Connect, limits: &Limits) -> Option<ClientLimit> {
    if connect.client_id.len() > limits.client_id_bytes_max {
        return Some(ClientLimit::ClientIdBytes);
    }
    let message = &connect.will.as_ref()?.message;
    limits
        .passed_by_topic(&message.topic)
        .or_else(|| (!limits.payload_fits(&message.payload)).then_some(ClientLimit::PayloadBytes))
}

/// MQTT 5 lets the server choose (MQTT-3.1.2-21); MQTT 3 clients would not learn of it and be cut off.
fn keep_alive_in_force(protocol: Protocol, asked_s: u16, limits: &Limits) -> u16 {
    let most = limits.keep_alive_max_s;
    if protocol != Protocol::V5 || most == 0 {
        asked_s
    } else if asked_s == 0 {
        most
    } else {
        asked_s.min(most)
    }
}

fn client_id(connect: &Connect, limits: &Limits, seed: u128) -> Result<(ClientId, bool), Fault> {
    if connect.client_id.is_empty() {
        let may_assign = match connect.protocol {
            Protocol::V31 => false,                // 3.1: 1 to 23 characters
            Protocol::V311 => connect.clean_start, // MQTT-3.1.3-8
            Protocol::V5 => true,                  // MQTT-3.1.3-6
        };
        if !may_assign {
            return Err(Fault::ClientIdInvalid);
        }
        // 24 digits of a 32-letter alphabet hold 120 of the 128 bits.
        let id: String = "auto-".chars().chain((0..24).map(|digit| letter(seed >> (digit * 5)))).collect();
        return ClientId::new(&id).map(|id| (id, true)).map_err(|_| Fault::ClientIdInvalid);
    }
    if connect.client_id.len() > limits.client_id_bytes_max {
        return Err(Fault::ClientIdInvalid);
    }
    match ClientId::new(&connect.client_id) {
        Ok(id) => Ok((id, false)),
        Err(ClientIdError::Null) => Err(Fault::Malformed),
        Err(ClientIdError::Empty | ClientIdError::TooLong) => Err(Fault::ClientIdInvalid),
    }
}

fn letter(bits: u128) -> char {
    const ALPHABET: [char; 32] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'j', 'k', 'm', 'n',
        'p', 'q', 'r', 's', 't', 'v', 'w', 'x', 'y', 'z',
    ];
    ALPHABET[usize::try_from(bits & 31).unwrap_or(0)]
}

fn check_will(will: &Will, limits: &Limits) -> Result<(), Fault> {
    check_name(&will.message.topic, limits)?;
    if !limits.payload_fits(&will.message.payload) {
        return Err(Fault::PacketTooLarge);
    }
    check_properties(&will.message.properties)
}

/// A topic name of a PUBLISH or a will.
pub(crate) fn check_name(topic: &str, limits: &Limits) -> Result<(), Fault> {
    match check_topic_name(topic) {
        Ok(()) if limits.topic_fits(topic) => Ok(()),
        Err(TopicNameError::Null) => Err(Fault::Malformed),
        Ok(()) | Err(TopicNameError::Empty | TopicNameError::TooLong | TopicNameError::Wildcard) => {
            Err(Fault::TopicNameInvalid)
        }
    }
}

/// Strings hold no U+0000 (MQTT-1.5.4-2), and a response topic no wildcard (MQTT-3.3.2-14).
pub(crate) fn check_properties(properties: &MessageProperties) -> Result<(), Fault> {
    if properties.content_type.as_deref().is_some_and(has_null)
        || properties.user.iter().any(|(key, value)| has_null(key) || has_null(value))
    {
        return Err(Fault::Malformed);
    }
    match properties.response_topic.as_deref().map(check_topic_name) {
        None | Some(Ok(())) => Ok(()),
        Some(Err(TopicNameError::Null)) => Err(Fault::Malformed),
        Some(Err(_)) => Err(Fault::ProtocolError),
    }
}

fn has_null(text: &str) -> bool {
    text.as_bytes().contains(&0)
}
