//! Bytes to packets: versions, frames, and what must not pass.

use super::{Names, Wire, frame};
use ntex::{codec::Decoder, util::BytesMut};
use rollcall_session::{Connect, DecodeFault, Packet};
use rollcall_types::{Protocol, QoS};

const V31: &[u8] = b"\x10\x13\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x05cli31";
const V311: &[u8] = b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06cli311";
const V5: &[u8] = b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x04cli5";

fn decode_with(wire: &Wire, bytes: &[u8]) -> Result<Option<Packet>, DecodeFault> {
    wire.decode(&mut BytesMut::copy_from_slice(bytes))
}

fn first(bytes: &[u8]) -> Result<Option<Packet>, DecodeFault> {
    decode_with(&Wire::new(1000, Names::Any, false), bytes)
}

fn connected(connect: &[u8]) -> Wire {
    let wire = Wire::new(1000, Names::Any, false);
    assert!(matches!(decode_with(&wire, connect), Ok(Some(Packet::Connect(_)))));
    wire
}

fn after(connect: &[u8], bytes: &[u8]) -> Result<Option<Packet>, DecodeFault> {
    decode_with(&connected(connect), bytes)
}

fn as_connect(bytes: &[u8]) -> Connect {
    match first(bytes) {
        Ok(Some(Packet::Connect(connect))) => *connect,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_version_is_told_from_connect() {
    for (bytes, protocol, client_id) in
        [(V31, Protocol::V31, "cli31"), (V311, Protocol::V311, "cli311"), (V5, Protocol::V5, "cli5")]
    {
        let connect = as_connect(bytes);
        assert_eq!((connect.protocol, connect.client_id.as_str(), connect.keep_alive_s), (protocol, client_id, 60));
        assert!(connect.clean_start);
    }
}

#[test]
fn a_connect_arrives_in_any_pieces() {
    for bytes in [V31, V311, V5] {
        for cut in 1..bytes.len() {
            let wire = Wire::new(1000, Names::Any, false);
            let mut src = BytesMut::copy_from_slice(&bytes[..cut]);
            assert_eq!(wire.decode(&mut src), Ok(None), "{cut}");
            src.extend_from_slice(&bytes[cut..]);
            src.extend_from_slice(b"\xc0\x00\xe0\x00");
            assert!(matches!(wire.decode(&mut src), Ok(Some(Packet::Connect(_)))));
            assert_eq!(wire.decode(&mut src), Ok(Some(Packet::PingReq)));
            assert!(matches!(wire.decode(&mut src), Ok(Some(Packet::Disconnect { .. }))));
            assert!(src.is_empty());
        }
    }
}

#[test]
fn a_long_connect_of_mqtt_31_keeps_its_length_when_dressed_as_311() {
    for id_len in [1_usize, 100, 110, 114, 115, 116, 120, 800] {
        let mut body = b"\x00\x06MQIsdp\x03\x02\x00\x3c".to_vec();
        body.extend_from_slice(&u16::try_from(id_len).unwrap().to_be_bytes());
        body.extend(vec![b'i'; id_len]);
        let mut bytes = vec![0x10];
        if body.len() > 127 {
            bytes.push(u8::try_from(body.len() & 0x7F).unwrap() | 0x80);
        }
        bytes.push(u8::try_from(if body.len() > 127 { body.len() >> 7 } else { body.len() }).unwrap());
        bytes.extend(body);
        assert_eq!(as_connect(&bytes).client_id.len(), id_len);
    }
}

#[test]
fn what_is_no_mqtt_is_known_at_once() {
    assert_eq!(first(b"G"), Err(DecodeFault::NotMqtt));
    assert_eq!(first(b"\xc0\x00"), Err(DecodeFault::NotMqtt), "MQTT-3.1.0-1");
    assert_eq!(first(b"\x10\x0a\x00\x04HTTP\x04\x02\x00\x00"), Err(DecodeFault::NotMqtt));
    assert_eq!(first(b"\x10\x02\x00\x04"), Err(DecodeFault::NotMqtt));
    for (name, level, fault) in [
        ("MQTT", 3, DecodeFault::UnsupportedLevel(3)),
        ("MQTT", 6, DecodeFault::UnsupportedLevel(6)),
        ("MQTT", 0x84, DecodeFault::UnsupportedLevel(0x84)),
        ("MQIsdp", 4, DecodeFault::UnsupportedLevel(4)),
    ] {
        let mut body = vec![0, u8::try_from(name.len()).unwrap()];
        body.extend(name.bytes());
        body.extend([level, 2, 0, 0, 0, 1, b'c']);
        let bytes = [&[0x10, u8::try_from(body.len()).unwrap()], &body[..]].concat();
        assert_eq!(first(&bytes), Err(fault), "{name} {level}");
    }
}

#[test]
fn the_flags_of_connect_are_checked() {
    // MQTT-3.1.2-3, -11 to -13 and, in MQTT 3, -22.
    let v311 = |flags: u8, rest: &[u8]| {
        let mut body = b"\x00\x04MQTT\x04".to_vec();
        body.push(flags);
        body.extend_from_slice(b"\x00\x00\x00\x01c");
        body.extend_from_slice(rest);
        first(&[&[0x10, u8::try_from(body.len()).unwrap()], &body[..]].concat())
    };
    let malformed = Err(DecodeFault::Malformed(Some(Protocol::V311)));
    assert_eq!(v311(0x03, b""), malformed, "reserved");
    assert_eq!(v311(0x0A, b""), malformed, "will QoS without a will");
    assert_eq!(v311(0x22, b""), malformed, "will retain without a will");
    assert_eq!(v311(0x1E, b"\x00\x01w\x00\x00"), Err(DecodeFault::NotMqtt), "will QoS 3: no answer");
    assert_eq!(v311(0x42, b"\x00\x01p"), malformed, "password without user name");
    assert_eq!(v311(0x82, b""), Err(DecodeFault::NotMqtt), "user name missing: no answer");
    assert_eq!(v311(0x02, b"x"), malformed, "bytes after the end");
    assert!(matches!(v311(0xE6, b"\x00\x01w\x00\x01m\x00\x01u\x00\x01p"), Ok(Some(_))));
    let v5 = b"\x10\x11\x00\x04MQTT\x05\x42\x00\x00\x00\x00\x01c\x00\x01p";
    assert_eq!(as_connect(v5).password.map(|password| password.0), Some(b"p".to_vec()));
}

#[test]
fn an_empty_client_id_without_clean_session_is_named_as_such() {
    // MQTT-3.1.3-8
    let v311 = b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x00\x00\x00";
    assert_eq!(first(v311), Err(DecodeFault::EmptyClientId(Protocol::V311)));
    let v31 = b"\x10\x0e\x00\x06MQIsdp\x03\x00\x00\x00\x00\x00";
    assert_eq!(first(v31), Err(DecodeFault::EmptyClientId(Protocol::V31)));
    assert!(as_connect(b"\x10\x0d\x00\x04MQTT\x05\x00\x00\x00\x00\x00\x00").client_id.is_empty());
}

#[test]
fn a_publish_is_never_in_pieces() {
    let mut bytes = b"\x32\xf6\x03\x00\x01t\x00\x07".to_vec(); // 502 bytes follow, 497 of them payload
    bytes.extend([0; 497]);
    let wire = connected(V311);
    let mut src = BytesMut::copy_from_slice(&bytes[..400]);
    assert_eq!(wire.decode(&mut src), Ok(None));
    src.extend_from_slice(&bytes[400..]);
    let Ok(Some(Packet::Publish(publish))) = wire.decode(&mut src) else { panic!() };
    assert_eq!((publish.message.payload.len(), publish.message.qos), (497, QoS::AtLeastOnce));
}

#[test]
fn a_length_inside_a_publish_that_reaches_beyond_it_is_malformed() {
    for connect in [V311, V5] {
        let protocol = connected(connect).protocol();
        let malformed = Err(DecodeFault::Malformed(protocol));
        // Topic of 100 bytes in a packet of 4, with enough bytes of other packets behind it.
        let mut bytes = b"\x30\x04\x00\x64ab".to_vec();
        bytes.extend([b'x'; 300]);
        assert_eq!(after(connect, &bytes), malformed);
        assert_eq!(after(connect, b"\x32\x04\x00\x01t\x00"), malformed, "half a packet identifier");
        let zero = after(connect, b"\x32\x06\x00\x01t\x00\x00\x00");
        assert_eq!(zero, Err(DecodeFault::ProtocolError(protocol)), "packet identifier 0");
        assert_eq!(after(connect, b"\x36\x05\x00\x01t\x00\x01"), malformed, "QoS 3");
        assert_eq!(after(connect, b"\x30\x01\x00"), malformed);
    }
    let reach = b"\x30\x05\x00\x01t\x7fx";
    assert_eq!(after(V5, reach), Err(DecodeFault::Malformed(Some(Protocol::V5))), "properties beyond the packet");
}

#[test]
fn reserved_bits_trailing_bytes_and_wrong_flags_are_malformed() {
    for (connect, bytes) in [
        (V311, &b"\x82\x06\x00\x01\x00\x01a\x04"[..]),
        (V311, b"\x82\x06\x00\x01\x00\x01a\x03"),
        (V311, b"\x80\x06\x00\x01\x00\x01a\x00"),
        (V311, b"\x8a\x06\x00\x01\x00\x01a\x00"),
        (V311, b"\x82\x05\x00\x01\x00\x01a"),
        (V311, b"\xe0\x01\x00"),
        (V311, b"\xe1\x00"),
        (V311, b"\x40\x03\x00\x01\x00"),
        (V311, b"\x60\x02\x00\x01"),
        (V311, b"\xf0\x00"),
        (V5, b"\x82\x07\x00\x01\x00\x00\x01a\x40"),
        (V5, b"\xe0\x03\x00\x00\x00"),
    ] {
        let protocol = connected(connect).protocol();
        assert_eq!(after(connect, bytes), Err(DecodeFault::Malformed(protocol)), "{bytes:02x?}");
    }
    for connect in [V311, V5] {
        assert_eq!(after(connect, b"\xc0\x01\x00"), Err(DecodeFault::NotMqtt), "PINGREQ with a body: no answer");
        assert_eq!(after(connect, b"\xc0\xff\xff\xff\xff\x01"), Err(DecodeFault::NotMqtt), "length of five bytes");
    }
    let retain_handling_3 = b"\x82\x07\x00\x01\x00\x00\x01a\x30";
    assert_eq!(after(V5, retain_handling_3), Err(DecodeFault::ProtocolError(Some(Protocol::V5))));
}

#[test]
fn mqtt_31_may_repeat_with_dup_what_later_versions_may_not() {
    let repeated = b"\x8a\x06\x00\x01\x00\x01a\x01";
    assert!(matches!(after(V31, repeated), Ok(Some(Packet::Subscribe(_)))));
    assert!(after(V311, repeated).is_err());
}

#[test]
fn a_packet_too_large_is_refused_when_its_length_is_known() {
    let wire = Wire::new(1000, Names::Any, false);
    assert_eq!(decode_with(&wire, b"\x10\xe6\x07"), Err(DecodeFault::TooLarge(None)), "998 + 3");
    assert_eq!(decode_with(&wire, b"\x10\xe5\x07"), Ok(None), "997 + 3 just fits");
    let known = connected(V5);
    assert_eq!(decode_with(&known, b"\x30\xff\xff\x7f"), Err(DecodeFault::TooLarge(Some(Protocol::V5))));
}

#[test]
fn a_length_of_five_bytes_or_more_than_it_needs_is_malformed() {
    for (bytes, result) in [
        (&b"\x30\xff\xff\xff\xff\x01"[..], Err(frame::FrameFault::Endless)),
        (b"\x30\x80\x00", Err(frame::FrameFault::Malformed)),
        (b"\x30\xff\xff\xff", Ok(None)),
        (b"\x30", Ok(None)),
        (b"", Ok(None)),
    ] {
        assert_eq!(frame::peek(bytes, u32::MAX), result, "{bytes:02x?}");
    }
    let whole = frame::peek(b"\x30\x80\x01", u32::MAX).unwrap().unwrap();
    assert_eq!(whole.len(), 131);
}

#[test]
fn a_second_connect_is_passed_on_as_one_whatever_its_version() {
    for known in [V31, V311, V5] {
        for second in [V31, V311, V5] {
            assert!(matches!(after(known, second), Ok(Some(Packet::Connect(_)))));
        }
    }
}

#[test]
fn no_bytes_make_the_decoder_panic_or_loop() {
    // A small generator of its own, so that a failure can be repeated from its seed.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 40).unwrap()
    };
    let seeds: [&[u8]; 6] = [
        V31,
        V5,
        b"\x32\x0b\x00\x01t\x00\x07\x03\x01\x01\x02abc",
        b"\x82\x0a\x00\x01\x02\x0b\x07\x00\x01a\x01",
        b"\x62\x04\x00\x01\x92\x00",
        b"\xe0\x07\x00\x05\x11\x00\x00\x00\x09",
    ];
    for round in 0..30_000 {
        let connect = [V31, V311, V5][round % 3];
        let wire = connected(connect);
        let mut bytes = seeds[random() % seeds.len()].to_vec();
        for _ in 0..=random() % 4 {
            let place = random() % bytes.len();
            bytes[place] = u8::try_from(random() % 256).unwrap();
        }
        bytes.truncate(1 + random() % bytes.len());
        let mut src = BytesMut::copy_from_slice(&bytes);
        for _ in 0..8 {
            let before = src.len();
            match wire.decode(&mut src) {
                Ok(Some(_)) => assert!(src.len() < before, "a packet consumes bytes: {bytes:02x?}"),
                Ok(None) | Err(_) => break,
            }
        }
    }
}

#[test]
fn each_rule_of_mqtt_5_has_its_code() {
    let malformed = DecodeFault::Malformed(Some(Protocol::V5));
    let forbidden = DecodeFault::ProtocolError(Some(Protocol::V5));
    for (bytes, fault, rule) in [
        (&b"\x08\xc0"[..], forbidden, "packet type 0"),
        (b"\x20\x03\x00\x00\x00", forbidden, "CONNACK of a client"),
        (b"\x90\x04\x00\x01\x00\x00", forbidden, "SUBACK of a client"),
        (b"\x91\x04\x00\x01\x00\x00", malformed, "flags"),
        (b"\x38\x04\x00\x01t\x00", malformed, "MQTT-3.3.1-2: DUP with QoS 0"),
        (b"\x36\x06\x00\x01t\x00\x01\x00", malformed, "MQTT-3.3.1-4: QoS 3"),
        (b"\x30\x06\x00\x03a/#\x00", malformed, "MQTT-3.3.2-2: wildcard"),
        (b"\x30\x05\x00\x02a\x00\x00", malformed, "MQTT-1.5.4-2: U+0000"),
        (b"\x30\x05\x00\x01t\x01\x24", malformed, "a property cut short"),
        (b"\x30\x06\x00\x01t\x02\x01\x02", forbidden, "3.3.2.3.2: payload format 2"),
        (b"\x30\x07\x00\x01t\x03\x21\x00\x01", forbidden, "Receive Maximum in PUBLISH"),
        (b"\x30\x08\x00\x01t\x04\x01\x01\x01\x01", forbidden, "payload format twice"),
        (b"\x30\x0a\x00\x01t\x06\x08\x00\x03a/#", forbidden, "MQTT-3.3.2-14: response topic"),
        (b"\x40\x02\x00\x00", forbidden, "MQTT-2.2.1-3: packet identifier 0"),
        (b"\x40\x03\x00\x01\x01", forbidden, "a code that PUBACK does not have"),
        (b"\x40\x01\x00", malformed, "half a packet identifier"),
        (b"\x60\x02\x00\x01", malformed, "MQTT-3.6.1-1: flags"),
        (b"\x82\x03\x00\x01\x00", forbidden, "MQTT-3.8.3-2: no filter"),
        (b"\x82\x06\x00\x01\x00\x00\x00\x00", malformed, "MQTT-4.7.3-1: empty filter"),
        (b"\x82\x09\x00\x01\x02\x0b\x00\x00\x01a\x00", forbidden, "MQTT 5.0, 3.8.2.1.2: identifier 0"),
        (b"\x82\x0f\x00\x01\x00\x00\x09$share/g/a", malformed, "no options"),
        (b"\x82\x10\x00\x01\x00\x00\x0a$share/g/a\x04", forbidden, "MQTT-3.8.3-4: no local"),
        (b"\xa2\x03\x00\x01\x00", forbidden, "MQTT-3.10.3-2: no filter"),
        (b"\xe1\x00", malformed, "MQTT-3.14.1-1: flags"),
        (b"\xe0\x01\x8e", DecodeFault::NotMqtt, "a code of servers: the client is leaving"),
        (b"\xf0\x00", forbidden, "AUTH without a method"),
        (b"\xf0\x01\x18", forbidden, "AUTH without a method"),
        (b"\xf1\x00", malformed, "flags"),
    ] {
        assert_eq!(after(V5, bytes), Err(fault), "{rule}: {bytes:02x?}");
    }
}

#[test]
fn control_characters_pass_unless_plain_names_are_asked_for() {
    let connect = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01\x01";
    let publish = b"\x30\x04\x00\x01\x1f\x00";
    assert!(matches!(first(connect), Ok(Some(Packet::Connect(_)))));
    assert!(matches!(after(V5, publish), Ok(Some(Packet::Publish(_)))));
    let plain = || Wire::new(1000, Names::Plain, false);
    assert_eq!(decode_with(&plain(), connect), Err(DecodeFault::EmptyClientId(Protocol::V5)));
    let wire = plain();
    assert!(decode_with(&wire, V5).is_ok());
    assert_eq!(decode_with(&wire, publish), Err(DecodeFault::Malformed(Some(Protocol::V5))));
}

#[test]
fn mqtt_31_does_not_use_the_bits_that_later_versions_reserve() {
    let mut bytes = V31.to_vec();
    (bytes[0], bytes[11]) = (0x14, 0x03);
    assert!(matches!(first(&bytes), Ok(Some(Packet::Connect(_)))));
    let mut bytes = V311.to_vec();
    bytes[0] = 0x14;
    assert_eq!(first(&bytes), Err(DecodeFault::NotMqtt));
}

#[test]
fn a_message_may_expire_at_once() {
    // MQTT 5.0, 3.3.2.3.3 sets no least value.
    for (properties, content_type) in [
        (&b"\x02\x00\x00\x00\x00"[..], None),
        (b"\x02\x00\x00\x00\x00\x03\x00\x01c", Some("c")),
        (b"\x03\x00\x01c\x02\x00\x00\x00\x00", Some("c")),
    ] {
        let len = u8::try_from(properties.len()).unwrap();
        let publish = [&[0x30, 3 + 1 + len + 5][..], b"\x00\x01t", &[len], properties, b"\x00\x00\x00\x00p"].concat();
        let Ok(Some(Packet::Publish(got))) = after(V5, &publish) else { panic!("{publish:02x?}") };
        assert_eq!(got.message.properties.expiry_s, Some(0));
        assert_eq!(got.message.properties.content_type.as_deref(), content_type);
        assert_eq!(got.message.payload, b"\x00\x00\x00\x00p");
    }
    let later = after(V5, b"\x30\x0a\x00\x01t\x05\x02\x00\x00\x01\x00p");
    assert!(matches!(later, Ok(Some(Packet::Publish(got))) if got.message.properties.expiry_s == Some(256)));
    let will = b"\x10\x1d\x00\x04MQTT\x05\x06\x00\x3c\x00\x00\x04cli5\x05\x02\x00\x00\x00\x00\x00\x01t\x00\x01p";
    let message = as_connect(will).will.unwrap().message;
    assert_eq!((message.properties.expiry_s, message.topic.as_str(), message.payload), (Some(0), "t", b"p".to_vec()));
}
