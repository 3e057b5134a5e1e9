//! Control packets as bytes, right ones and wrong ones: whatever a test wants to send, nothing is checked here.

pub use rollcall_test_cluster::mqtt::Version;

/// Types of control packets, as the upper half of the first byte.
pub mod kind {
    /// CONNECT.
    pub const CONNECT: u8 = 1;
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
    /// SUBSCRIBE.
    pub const SUBSCRIBE: u8 = 8;
    /// SUBACK.
    pub const SUBACK: u8 = 9;
    /// UNSUBSCRIBE.
    pub const UNSUBSCRIBE: u8 = 10;
    /// UNSUBACK.
    pub const UNSUBACK: u8 = 11;
    /// PINGRESP.
    pub const PINGRESP: u8 = 13;
    /// DISCONNECT.
    pub const DISCONNECT: u8 = 14;
}

/// PINGREQ.
pub const PINGREQ: [u8; 2] = [0xC0, 0];
/// DISCONNECT, normal.
pub const DISCONNECT: [u8; 2] = [0xE0, 0];

/// A string or binary data: two bytes of length, then the bytes as they are. What is too long is cut.
#[must_use]
pub fn text(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), &bytes[..usize::from(length)]].concat()
}

/// First byte, remaining length, body.
#[must_use]
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first], variable(body.len()).as_slice(), body].concat()
}

/// A number in seven bits a byte, the lowest first.
#[must_use]
pub fn variable(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let seven = u8::try_from(number % 128).unwrap_or(0);
        number /= 128;
        bytes.push(if number > 0 { seven | 0x80 } else { seven });
        if number == 0 {
            return bytes;
        }
    }
}

/// Reads such a number; with how many bytes it took.
#[must_use]
pub fn read_variable(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (place, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, place + 1));
        }
    }
    None
}

/// The property list of MQTT 5 with its length; nothing in older versions.
#[must_use]
pub fn properties(version: Version, properties: &[u8]) -> Vec<u8> {
    if version == Version::V5 { [variable(properties.len()).as_slice(), properties].concat() } else { Vec::new() }
}

/// A will of a CONNECT.
#[derive(Clone, Debug)]
pub struct Will {
    /// Topic.
    pub topic: Vec<u8>,
    /// Payload.
    pub payload: Vec<u8>,
    /// Quality of service, 3 included.
    pub qos: u8,
    /// Retained.
    pub retain: bool,
}

/// A CONNECT.
#[derive(Clone, Debug)]
pub struct Connect {
    /// Version, which says name and level.
    pub version: Version,
    /// Protocol name.
    pub name: Vec<u8>,
    /// Protocol level.
    pub level: u8,
    /// Clean session or clean start.
    pub clean: bool,
    /// Keep-alive in seconds.
    pub keep_alive_s: u16,
    /// Client id.
    pub id: Vec<u8>,
    /// Will.
    pub will: Option<Will>,
    /// User name.
    pub username: Option<Vec<u8>>,
    /// Password.
    pub password: Option<Vec<u8>>,
    /// Properties without their length.
    pub properties: Vec<u8>,
    /// Flags turned round at the end.
    pub wrong_flags: u8,
}

impl Connect {
    /// A clean connection of the usual account.
    #[must_use]
    pub fn new(version: Version, id: &str) -> Self {
        let (username, password) = rollcall_test_cluster::config::USER;
        Connect {
            version,
            name: b"MQTT".to_vec(),
            level: if version == Version::V5 { 5 } else { 4 },
            clean: true,
            keep_alive_s: 300,
            id: id.as_bytes().to_vec(),
            will: None,
            username: Some(username.as_bytes().to_vec()),
            password: Some(password.as_bytes().to_vec()),
            properties: Vec::new(),
            wrong_flags: 0,
        }
    }

    /// The same with a session that outlives its connection.
    #[must_use]
    pub fn lasting(mut self, clean: bool) -> Self {
        self.clean = clean;
        if self.version == Version::V5 {
            // Session Expiry Interval: two minutes.
            self.properties.extend([0x11, 0, 0, 0, 120]);
        }
        self
    }

    /// The same with a will.
    #[must_use]
    pub fn will(mut self, topic: &str, payload: &str, qos: u8, retain: bool) -> Self {
        self.will = Some(Will { topic: topic.as_bytes().to_vec(), payload: payload.as_bytes().to_vec(), qos, retain });
        self
    }

    /// The packet.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let will_flags = self.will.as_ref().map_or(0, |will| 0b100 | will.qos << 3 | u8::from(will.retain) << 5);
        let flags = u8::from(self.clean) << 1
            | will_flags
            | u8::from(self.password.is_some()) << 6
            | u8::from(self.username.is_some()) << 7;
        let mut body = text(&self.name);
        body.extend([self.level, flags ^ self.wrong_flags]);
        body.extend(self.keep_alive_s.to_be_bytes());
        body.extend(properties(self.version, &self.properties));
        body.extend(text(&self.id));
        if let Some(will) = &self.will {
            body.extend(properties(self.version, &[]));
            body.extend(text(&will.topic));
            body.extend(text(&will.payload));
        }
        for field in [&self.username, &self.password].into_iter().flatten() {
            body.extend(text(field));
        }
        packet(0x10, &body)
    }
}

/// A PUBLISH.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publish {
    /// DUP.
    pub dup: bool,
    /// Quality of service, 3 included.
    pub qos: u8,
    /// RETAIN.
    pub retain: bool,
    /// Topic.
    pub topic: Vec<u8>,
    /// Packet identifier, written when the quality of service is not 0.
    pub id: u16,
    /// Properties without their length.
    pub properties: Vec<u8>,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Publish {
    /// At QoS 0, not retained.
    #[must_use]
    pub fn new(topic: &str, payload: &str) -> Self {
        Publish {
            dup: false,
            qos: 0,
            retain: false,
            topic: topic.as_bytes().to_vec(),
            id: 0,
            properties: Vec::new(),
            payload: payload.as_bytes().to_vec(),
        }
    }

    /// The same at this quality, under this packet identifier.
    #[must_use]
    pub fn at(mut self, qos: u8, id: u16) -> Self {
        (self.qos, self.id) = (qos, id);
        self
    }

    /// The same retained.
    #[must_use]
    pub fn retained(mut self) -> Self {
        self.retain = true;
        self
    }

    /// The same with properties.
    #[must_use]
    pub fn with(mut self, properties: &[u8]) -> Self {
        self.properties = properties.to_vec();
        self
    }

    /// The packet.
    #[must_use]
    pub fn bytes(&self, version: Version) -> Vec<u8> {
        let mut body = text(&self.topic);
        if self.qos > 0 {
            body.extend(self.id.to_be_bytes());
        }
        body.extend(properties(version, &self.properties));
        body.extend(&self.payload);
        packet(0x30 | u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain), &body)
    }

    /// Reads one back.
    #[must_use]
    pub fn read(version: Version, first: u8, body: &[u8]) -> Option<Self> {
        let length = usize::from(u16::from_be_bytes([*body.first()?, *body.get(1)?]));
        let topic = body.get(2..2 + length)?.to_vec();
        let mut rest = body.get(2 + length..)?;
        let qos = first >> 1 & 3;
        let mut id = 0;
        if qos > 0 {
            id = u16::from_be_bytes([*rest.first()?, *rest.get(1)?]);
            rest = rest.get(2..)?;
        }
        let mut properties = Vec::new();
        if version == Version::V5 {
            let (size, used) = read_variable(rest)?;
            properties = rest.get(used..used + size)?.to_vec();
            rest = rest.get(used + size..)?;
        }
        let (dup, retain) = (first & 8 != 0, first & 1 != 0);
        Some(Publish { dup, qos, retain, topic, id, properties, payload: rest.to_vec() })
    }
}

/// A SUBSCRIBE with this identifier; each filter with its options.
#[must_use]
pub fn subscribe(version: Version, id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(properties(version, &[]));
    for (filter, options) in filters {
        body.extend(text(filter.as_bytes()));
        body.push(*options);
    }
    packet(0x82, &body)
}

/// An UNSUBSCRIBE with this identifier.
#[must_use]
pub fn unsubscribe(version: Version, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(properties(version, &[]));
    filters.iter().for_each(|filter| body.extend(text(filter.as_bytes())));
    packet(0xA2, &body)
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP of this identifier, by its first byte.
#[must_use]
pub fn acknowledge(first: u8, id: u16) -> Vec<u8> {
    packet(first, &id.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::{Connect, Publish, Version, packet, read_variable, variable};

    #[test]
    fn a_publish_is_read_back() {
        for version in [Version::V311, Version::V5] {
            let publish = Publish::new("a/b", "hello").at(2, 77).retained();
            let bytes = publish.bytes(version);
            assert_eq!(Publish::read(version, bytes[0], &bytes[2..]), Some(publish));
        }
    }

    #[test]
    fn a_connect_is_as_the_standard_draws_it() {
        let mut connect = Connect::new(Version::V311, "a").will("w", "x", 1, true);
        (connect.username, connect.password) = (None, None);
        let body = [&[0, 4][..], b"MQTT", &[4, 0b0010_1110, 1, 44, 0, 1], b"a", &[0, 1], b"w", &[0, 1], b"x"].concat();
        assert_eq!(connect.bytes(), packet(0x10, &body));
    }

    #[test]
    fn numbers_are_read_back() {
        for number in [0, 127, 128, 16_384, 268_435_455] {
            let bytes = variable(number);
            assert_eq!(read_variable(&bytes), Some((number, bytes.len())));
        }
        assert_eq!(read_variable(&[0x80, 0x80, 0x80, 0x80, 1]), None);
    }
}
