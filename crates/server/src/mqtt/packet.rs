//! The packets as bytes (MQTT 3.1.1).

/// PINGREQ (3.12).
pub(crate) const PINGREQ: [u8; 2] = [0xC0, 0];
/// DISCONNECT (3.14).
pub(crate) const DISCONNECT: [u8; 2] = [0xE0, 0];
/// Length of a CONNACK (3.2), in bytes.
pub(crate) const CONNACK_BYTES: usize = 4;

/// A CONNECT with a clean session and no will (3.1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connect<'a> {
    /// Client id, at most 65 535 bytes.
    pub(crate) client_id: &'a str,
    /// Seconds; 0 is off.
    pub(crate) keep_alive_s: u16,
    /// User name.
    pub(crate) username: Option<&'a str>,
    /// Password; only sent with a user name (MQTT-3.1.2-22).
    pub(crate) password: Option<&'a str>,
}

impl Connect<'_> {
    /// The packet; `None` where a field is longer than MQTT can say.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let password = self.password.filter(|_| self.username.is_some());
        let mut flags = 0b0000_0010;
        if self.username.is_some() {
            flags |= 0b1000_0000;
        }
        if password.is_some() {
            flags |= 0b0100_0000;
        }
        let mut body = Vec::with_capacity(64);
        push_text(&mut body, "MQTT")?;
        body.extend_from_slice(&[4, flags]);
        body.extend_from_slice(&self.keep_alive_s.to_be_bytes());
        for field in [Some(self.client_id), self.username, password].into_iter().flatten() {
            push_text(&mut body, field)?;
        }
        let mut packet = Vec::with_capacity(body.len() + 5);
        packet.push(0x10);
        push_length(&mut packet, body.len());
        packet.extend_from_slice(&body);
        Some(packet)
    }
}

/// The return code of a CONNACK; `None` where the bytes are no CONNACK.
pub(crate) fn connack_code(packet: [u8; CONNACK_BYTES]) -> Option<u8> {
    match packet {
        [0x20, 2, 0 | 1, code] => Some(code),
        _ => None,
    }
}

fn push_text(into: &mut Vec<u8>, text: &str) -> Option<()> {
    into.extend_from_slice(&u16::try_from(text.len()).ok()?.to_be_bytes());
    into.extend_from_slice(text.as_bytes());
    Some(())
}

/// The remaining length (2.2.3): seven bits a byte, the lowest first.
pub(crate) fn push_length(into: &mut Vec<u8>, mut length: usize) {
    loop {
        let seven = (length % 128) as u8;
        length /= 128;
        into.push(if length > 0 { seven | 0x80 } else { seven });
        if length == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Connect, connack_code, push_length};

    #[test]
    fn a_connect_is_as_the_standard_draws_it() {
        let connect = Connect { client_id: "ab", keep_alive_s: 258, username: Some("u"), password: Some("pw") };
        let expected =
            [&[0x10, 21][..], &[0, 4], b"MQTT", &[4, 0b1100_0010, 1, 2], &[0, 2], b"ab", &[0, 1], b"u", &[0, 2], b"pw"]
                .concat();
        assert_eq!(connect.encode().unwrap(), expected);
        // MQTT-3.1.2-22: no password without a user name.
        let connect = Connect { client_id: "ab", keep_alive_s: 0, username: None, password: Some("pw") };
        assert_eq!(connect.encode().unwrap(), [&[0x10, 14, 0, 4][..], b"MQTT", &[4, 2, 0, 0, 0, 2], b"ab"].concat());
    }

    #[test]
    fn lengths_use_as_many_bytes_as_they_need() {
        for (length, expected) in [
            (0, &[0][..]),
            (127, &[127]),
            (128, &[0x80, 1]),
            (16_383, &[0xFF, 0x7F]),
            (2_097_152, &[0x80, 0x80, 0x80, 1]),
        ] {
            let mut bytes = Vec::new();
            push_length(&mut bytes, length);
            assert_eq!(bytes, expected, "{length}");
        }
    }

    #[test]
    fn a_field_that_is_too_long_makes_no_packet() {
        let id = "x".repeat(65_536);
        assert!(Connect { client_id: &id, keep_alive_s: 0, username: None, password: None }.encode().is_none());
        let packet = Connect { client_id: &id[1..], keep_alive_s: 0, username: None, password: None }.encode();
        assert_eq!(packet.unwrap().len(), 1 + 3 + 10 + 2 + 65_535);
    }

    #[test]
    fn only_a_connack_has_a_code() {
        assert_eq!(connack_code([0x20, 2, 0, 0]), Some(0));
        assert_eq!(connack_code([0x20, 2, 1, 5]), Some(5));
        assert_eq!(connack_code([0x20, 3, 0, 0]), None);
        assert_eq!(connack_code([0x30, 2, 0, 0]), None);
    }
}
