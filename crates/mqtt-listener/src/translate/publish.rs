//! PUBLISH to a client, written straight into the connection's buffer: it is the one packet whose cost counts, and the
//! codec would copy topic, payload and properties once more each. It also counts Maximum Packet Size as the standard
//! does, with the fixed header (MQTT-3.1.2-24).

use ntex::util::BytePages;
use rollcall_session::OutgoingPublish;
use rollcall_types::{MessageProperties, Protocol, QoS};

/// Largest body of a packet: four bytes of length (MQTT 5.0, 2.1.4).
const BODY_BYTES_MAX: usize = 268_435_455;

/// Writes the packet; false, with nothing written, when it does not fit what the client, or MQTT, can carry. `most` is
/// the client's Maximum Packet Size; 0 is none.
pub(crate) fn write(publish: &OutgoingPublish, protocol: Protocol, most: u32, buf: &mut BytePages) -> bool {
    let message = &publish.delivery.message;
    let topic = match publish.alias {
        Some(alias) if !alias.is_new => "",
        _ => message.topic.as_str(),
    };
    let properties_len = match protocol {
        Protocol::V5 => match properties_len(publish) {
            Some(len) => Some(len),
            None => return false,
        },
        Protocol::V31 | Protocol::V311 => None,
    };
    let id_len = if publish.packet_id.is_some() { 2 } else { 0 };
    let properties_all = properties_len.map_or(0, |len| len + varint_len(len));
    let body = 2 + topic.len() + id_len + properties_all + message.payload.len();
    let most = if most == 0 { usize::MAX } else { usize::try_from(most).unwrap_or(usize::MAX) };
    let Ok(topic_len) = u16::try_from(topic.len()) else { return false };
    if body > BODY_BYTES_MAX || 1 + varint_len(body) + body > most {
        return false;
    }
    buf.extend_from_slice(&[first_byte(publish)]);
    put_varint(body, buf);
    buf.extend_from_slice(&topic_len.to_be_bytes());
    buf.extend_from_slice(topic.as_bytes());
    if let Some(packet_id) = publish.packet_id {
        buf.extend_from_slice(&packet_id.get().to_be_bytes());
    }
    if let Some(len) = properties_len {
        put_varint(len, buf);
        if len > 0 {
            put_properties(publish, buf);
        }
    }
    buf.extend_from_slice(&message.payload);
    true
}

fn first_byte(publish: &OutgoingPublish) -> u8 {
    let qos = match publish.delivery.qos {
        QoS::AtMostOnce => 0,
        QoS::AtLeastOnce => 0x02,
        QoS::ExactlyOnce => 0x04,
    };
    0x30 | qos | (u8::from(publish.dup) << 3) | u8::from(publish.delivery.retain)
}

/// `None` when a string or binary is longer than two bytes can tell.
fn properties_len(publish: &OutgoingPublish) -> Option<usize> {
    let MessageProperties { utf8_payload, content_type, response_topic, correlation_data, user, .. } =
        &publish.delivery.message.properties;
    let counted = |len: usize| u16::try_from(len).is_ok().then_some(len + 2);
    let mut all = 0;
    all += if *utf8_payload { 2 } else { 0 };
    all += if publish.expiry_s.is_some() { 5 } else { 0 };
    all += if publish.alias.is_some() { 3 } else { 0 };
    for len in [
        content_type.as_ref().map(String::len),
        response_topic.as_ref().map(String::len),
        correlation_data.as_ref().map(Vec::len),
    ]
    .into_iter()
    .flatten()
    {
        all += 1 + counted(len)?;
    }
    for (key, value) in user {
        all += 1 + counted(key.len())? + counted(value.len())?;
    }
    for id in &publish.delivery.subscription_ids {
        all += 1 + varint_len(usize::try_from(id.get()).ok()?);
    }
    Some(all)
}

fn put_properties(publish: &OutgoingPublish, buf: &mut BytePages) {
    let properties = &publish.delivery.message.properties;
    if properties.utf8_payload {
        buf.extend_from_slice(&[0x01, 0x01]);
    }
    if let Some(expiry_s) = publish.expiry_s {
        buf.extend_from_slice(&[0x02]);
        buf.extend_from_slice(&expiry_s.to_be_bytes());
    }
    if let Some(content_type) = &properties.content_type {
        buf.extend_from_slice(&[0x03]);
        put_counted(content_type.as_bytes(), buf);
    }
    if let Some(response_topic) = &properties.response_topic {
        buf.extend_from_slice(&[0x08]);
        put_counted(response_topic.as_bytes(), buf);
    }
    if let Some(correlation_data) = &properties.correlation_data {
        buf.extend_from_slice(&[0x09]);
        put_counted(correlation_data, buf);
    }
    for id in &publish.delivery.subscription_ids {
        buf.extend_from_slice(&[0x0B]);
        put_varint(usize::try_from(id.get()).unwrap_or(0), buf);
    }
    if let Some(alias) = publish.alias {
        buf.extend_from_slice(&[0x23]);
        buf.extend_from_slice(&alias.alias.get().to_be_bytes());
    }
    for (key, value) in &properties.user {
        buf.extend_from_slice(&[0x26]);
        put_counted(key.as_bytes(), buf);
        put_counted(value.as_bytes(), buf);
    }
}

/// The length was looked at before.
fn put_counted(bytes: &[u8], buf: &mut BytePages) {
    buf.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(0).to_be_bytes());
    buf.extend_from_slice(bytes);
}

fn varint_len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

fn put_varint(mut value: usize, buf: &mut BytePages) {
    loop {
        let low = u8::try_from(value & 0x7F).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            return buf.extend_from_slice(&[low]);
        }
        buf.extend_from_slice(&[low | 0x80]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntex::{codec::Decoder, util::BytesMut};
    use ntex_mqtt::v5::codec::{Codec, Decoded};
    use rollcall_session::{Delivery, OutgoingAlias};
    use rollcall_types::{BootTime, Message};
    use std::{num::NonZeroU16, num::NonZeroU32, sync::Arc};

    fn full(payload: usize) -> OutgoingPublish {
        let properties = MessageProperties {
            utf8_payload: true,
            expiry_s: Some(9),
            content_type: Some("json".into()),
            response_topic: Some("answer".into()),
            correlation_data: Some(vec![1, 2]),
            user: vec![("k".into(), "v".into()), ("k".into(), "x".repeat(300))],
        };
        let message =
            Message {
                topic: "a/ü".into(), payload: vec![7; payload], qos: QoS::ExactlyOnce, retain: true, properties
            };
        let ids = [1, 200, 20_000, 3_000_000].map(|id| NonZeroU32::new(id).unwrap());
        OutgoingPublish {
            delivery: Delivery {
                retain: true,
                subscription_ids: ids.to_vec(),
                ..Delivery::new(Arc::new(message), QoS::ExactlyOnce, BootTime(0))
            },
            packet_id: NonZeroU16::new(258),
            dup: true,
            expiry_s: Some(5),
            alias: Some(OutgoingAlias { alias: NonZeroU16::MIN, is_new: true }),
        }
    }

    fn written(publish: &OutgoingPublish, protocol: Protocol, most: u32) -> Option<Vec<u8>> {
        let mut buf = BytePages::default();
        let done = write(publish, protocol, most, &mut buf);
        let bytes = buf.freeze().to_vec();
        assert!(done || bytes.is_empty(), "all or nothing");
        done.then_some(bytes)
    }

    #[test]
    fn what_is_written_is_what_the_codec_reads() {
        for payload in [0, 100, 20_000, 3_000_000] {
            let publish = full(payload);
            let mut bytes = BytesMut::copy_from_slice(written(&publish, Protocol::V5, 0).unwrap());
            let Some(Decoded::Publish(read, body, _)) = Codec::new().decode(&mut bytes).unwrap() else { panic!() };
            assert!(bytes.is_empty());
            assert_eq!((read.dup, read.retain, read.packet_id), (true, true, NonZeroU16::new(258)));
            assert_eq!((read.topic.as_ref(), body.len()), ("a/ü", payload));
            let properties = read.properties;
            assert_eq!(properties.subscription_ids, publish.delivery.subscription_ids);
            assert_eq!(properties.message_expiry_interval, NonZeroU32::new(5));
            assert_eq!(properties.user_properties.len(), 2);
            assert_eq!(properties.user_properties[1].1.len(), 300);
            assert_eq!(properties.topic_alias, NonZeroU16::new(1));
            assert_eq!(properties.response_topic.as_deref(), Some("answer"));
            assert_eq!(properties.content_type.as_deref(), Some("json"));
            assert_eq!(properties.correlation_data.as_deref(), Some(&[1, 2][..]));
            assert!(properties.is_utf8_payload);
        }
    }

    #[test]
    fn mqtt_3_gets_no_properties() {
        let bytes = written(&OutgoingPublish { alias: None, ..full(1) }, Protocol::V311, 0).unwrap();
        assert_eq!(bytes, b"\x3d\x09\x00\x04a/\xc3\xbc\x01\x02\x07");
    }

    #[test]
    fn the_clients_maximum_counts_every_byte_of_the_packet() {
        // MQTT-3.1.2-24
        let publish = full(100);
        let size = u32::try_from(written(&publish, Protocol::V5, 0).unwrap().len()).unwrap();
        assert!(written(&publish, Protocol::V5, size).is_some());
        assert!(written(&publish, Protocol::V5, size - 1).is_none());
    }

    #[test]
    fn what_mqtt_cannot_carry_is_not_written() {
        let with = |change: fn(&mut Message)| {
            let mut publish = full(0);
            let mut message = (*publish.delivery.message).clone();
            change(&mut message);
            publish.delivery.message = Arc::new(message);
            written(&publish, Protocol::V5, 0)
        };
        assert!(with(|message| message.topic = "t".repeat(65_536)).is_none());
        assert!(with(|message| message.properties.content_type = Some("t".repeat(65_536))).is_none());
        assert!(with(|message| message.properties.user.push(("t".repeat(65_536), String::new()))).is_none());
        assert!(with(|message| message.payload = vec![0; BODY_BYTES_MAX]).is_none());
    }
}
