//! Control packets as bytes (MQTT 3.1.1 and 5.0, chapters 2 and 3).

use crate::config::USER;

/// Types of control packets, as the upper half of the first byte.
pub mod kind {
    /// CONNACK.
    pub const CONNACK: u8 = 2;
    /// PUBLISH.
    pub const PUBLISH: u8 = 3;
    /// PUBACK.
    pub const PUBACK: u8 = 4;
    /// PUBREC.
    pub const PUBREC: u8 = 5;
    /// PUBREL.
    pub const PUBREL: u8 = 6;
    /// PUBCOMP.
    pub const PUBCOMP: u8 = 7;
    /// SUBACK.
    pub const SUBACK: u8 = 9;
    /// PINGRESP.
    pub const PINGRESP: u8 = 13;
    /// DISCONNECT.
    pub const DISCONNECT: u8 = 14;
}

/// How a message is published.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Flags {
    /// QoS.
    pub(super) qos: u8,
    /// Packet identifier, where the QoS has one.
    pub(super) packet_id: u16,
    /// RETAIN.
    pub(super) retain: bool,
}

/// The protocol version of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// MQTT 3.1.
    V31,
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.0.
    V5,
}

/// One packet as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// The first byte: type and flags.
    pub first: u8,
    /// Everything after the remaining length.
    pub body: Vec<u8>,
}

impl Packet {
    /// The type, one of [`kind`].
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// Topic and payload of a PUBLISH at QoS 0.
    #[must_use]
    pub fn publish(&self, version: Version) -> Option<(String, Vec<u8>)> {
        if self.kind() != kind::PUBLISH {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([*self.body.first()?, *self.body.get(1)?]));
        let topic = String::from_utf8(self.body.get(2..2 + length)?.to_vec()).ok()?;
        let mut rest = self.body.get(2 + length..)?;
        if self.first & 0b110 != 0 {
            // Of QoS 1 and 2: a packet identifier.
            rest = rest.get(2..)?;
        }
        if version == Version::V5 {
            let (size, used) = variable_length(rest)?;
            rest = rest.get(used + size..)?;
        }
        Some((topic, rest.to_vec()))
    }
}

/// A will of a CONNECT.
#[derive(Clone, Debug)]
pub struct Will {
    /// Topic name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
}

/// What a CONNECT says.
#[derive(Clone, Debug)]
pub struct Connect {
    /// Protocol version.
    pub version: Version,
    /// Client id; may be empty.
    pub client_id: String,
    /// Clean session or clean start.
    pub clean: bool,
    /// Keep-alive in seconds.
    pub keep_alive_s: u16,
    /// User name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// Will at QoS 0, not retained.
    pub will: Option<Will>,
}

impl Connect {
    /// A clean connection of the usual account with five minutes of keep-alive.
    #[must_use]
    pub fn new(version: Version, client_id: &str) -> Self {
        Connect {
            version,
            client_id: client_id.to_owned(),
            clean: true,
            keep_alive_s: 300,
            username: Some(USER.0.to_owned()),
            password: Some(USER.1.to_owned()),
            will: None,
        }
    }

    /// The same with another keep-alive.
    #[must_use]
    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive_s = seconds;
        self
    }

    /// The same with another password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// The packet.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let (name, level) = match self.version {
            Version::V31 => ("MQIsdp", 3),
            Version::V311 => ("MQTT", 4),
            Version::V5 => ("MQTT", 5),
        };
        push_text(&mut body, name.as_bytes());
        body.push(level);
        let flags = u8::from(self.clean) << 1
            | u8::from(self.will.is_some()) << 2
            | u8::from(self.password.is_some()) << 6
            | u8::from(self.username.is_some()) << 7;
        body.push(flags);
        body.extend(self.keep_alive_s.to_be_bytes());
        if self.version == Version::V5 {
            body.push(0);
        }
        push_text(&mut body, self.client_id.as_bytes());
        if let Some(will) = &self.will {
            if self.version == Version::V5 {
                body.push(0);
            }
            push_text(&mut body, will.topic.as_bytes());
            push_text(&mut body, &will.payload);
        }
        for text in [&self.username, &self.password].into_iter().flatten() {
            push_text(&mut body, text.as_bytes());
        }
        packet(0x10, &body)
    }
}

/// A PUBLISH at QoS 0.
#[must_use]
pub fn publish(version: Version, topic: &str, payload: &[u8]) -> Vec<u8> {
    publish_with(version, topic, payload, Flags::default())
}

/// A PUBLISH.
#[must_use]
pub(super) fn publish_with(version: Version, topic: &str, payload: &[u8], flags: Flags) -> Vec<u8> {
    let mut body = Vec::new();
    push_text(&mut body, topic.as_bytes());
    if flags.qos > 0 {
        body.extend(flags.packet_id.to_be_bytes());
    }
    if version == Version::V5 {
        body.push(0);
    }
    body.extend(payload);
    packet(0x30 | flags.qos << 1 | u8::from(flags.retain), &body)
}

/// A SUBSCRIBE of one filter at QoS 0, with packet identifier 1.
#[must_use]
pub fn subscribe(version: Version, filter: &str) -> Vec<u8> {
    subscribe_with(version, filter, 0)
}

/// A SUBSCRIBE of one filter, with packet identifier 1.
#[must_use]
pub(super) fn subscribe_with(version: Version, filter: &str, qos: u8) -> Vec<u8> {
    let mut body = vec![0, 1];
    if version == Version::V5 {
        body.push(0);
    }
    push_text(&mut body, filter.as_bytes());
    body.push(qos);
    packet(0x82, &body)
}

/// First byte, remaining length, body.
#[must_use]
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = body.len();
    loop {
        let seven = u8::try_from(rest % 128).unwrap_or(0);
        rest /= 128;
        bytes.push(if rest > 0 { seven | 0x80 } else { seven });
        if rest == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

/// A variable byte integer (MQTT 5.0, 1.5.5) and how many bytes it took; `None` when it is not all there.
#[must_use]
pub(super) fn variable_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (place, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, place + 1));
        }
    }
    None
}

fn push_text(body: &mut Vec<u8>, text: &[u8]) {
    let length = u16::try_from(text.len()).expect("a text of a packet is at most 65535 bytes");
    body.extend(length.to_be_bytes());
    body.extend(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connect_is_what_the_standard_says() {
        let mut connect = Connect::new(Version::V311, "a").keep_alive(10);
        connect.username = None;
        connect.password = None;
        assert_eq!(connect.encode(), [0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 10, 0, 1, b'a']);
        connect.version = Version::V5;
        assert_eq!(connect.encode(), [0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 10, 0, 0, 1, b'a']);
    }

    #[test]
    fn a_publish_is_read_back() {
        for version in [Version::V311, Version::V5] {
            let bytes = publish(version, "a/b", b"hello");
            let read = Packet { first: bytes[0], body: bytes[2..].to_vec() };
            assert_eq!(read.publish(version), Some(("a/b".to_owned(), b"hello".to_vec())));
        }
    }

    #[test]
    fn lengths_take_one_to_four_bytes() {
        for (length, bytes) in [(127, 1), (128, 2), (16_383, 2), (16_384, 3), (65_536, 3)] {
            let encoded = packet(0x30, &vec![0; length]);
            assert_eq!(variable_length(&encoded[1..]), Some((length, bytes)));
        }
        assert_eq!(variable_length(&[0x80]), None);
    }
}
