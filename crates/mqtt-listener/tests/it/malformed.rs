//! Bytes that are no MQTT, or not allowed: the answer of the version, then the close.

use crate::{
    raw::{packet, text, v5, v5_with, v311},
    world::{World, until},
};
use rollcall_types::DisconnectReason;

#[tokio::test]
async fn what_is_no_connect_is_closed_without_an_answer() {
    let world = World::new().await;
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\xc0\x00", b"\x30\x03\x00\x01t", b"\x10\x06\x00\x04HTTP"] {
        let mut raw = world.open().await;
        raw.send(bytes).await;
        raw.closed().await;
    }
    until("all sockets to be counted out", || world.broker.connections() == 0).await;
    assert_eq!(world.store.asked(), 0);
}

#[tokio::test]
async fn an_unknown_protocol_level_is_answered_in_a_form_its_client_can_read() {
    let world = World::new().await;
    for (level, connack) in [(3, &b"\x20\x02\x00\x01"[..]), (6, b"\x20\x03\x00\x84\x00"), (0x84, b"\x20\x02\x00\x01")] {
        let mut raw = world.open().await;
        raw.send(&packet(0x10, &[b"\x00\x04MQTT", &[level][..], b"\x02\x00\x00\x00\x01c"].concat())).await;
        assert_eq!(raw.rest().await, connack, "level {level}");
    }
}

#[tokio::test]
async fn a_connect_that_breaks_a_rule_is_refused_as_its_version_can() {
    let world = World::new().await;
    let v5_will = [b"\x00\x04MQTT\x05\x06\x00\x00\x00", &text("c")[..], b"\x00", &text("a/#"), &text("m")].concat();
    for (connect, answer) in [
        (packet(0x10, b"\x00\x04MQTT\x04\x00\x00\x00\x00\x00"), &b"\x20\x02\x00\x02"[..]),
        (packet(0x10, b"\x00\x06MQIsdp\x03\x02\x00\x00\x00\x00"), b"\x20\x02\x00\x02"),
        (packet(0x10, b"\x00\x04MQTT\x04\x03\x00\x00\x00\x01c"), b""),
        (packet(0x10, b"\x00\x04MQTT\x05\x03\x00\x00\x00\x00\x01c"), b"\x20\x03\x00\x81\x00"),
        (v311("a\0", 0), b""),
        (v5("a\0", 0), b"\x20\x03\x00\x81\x00"),
        (packet(0x10, &v5_will), b"\x20\x03\x00\x90\x00"),
        (v5_with("c", 0, b"\x15\x00\x01m"), b"\x20\x03\x00\x8c\x00"),
    ] {
        let mut raw = world.open().await;
        raw.send(&connect).await;
        assert_eq!(raw.rest().await, answer, "{connect:02x?}");
    }
    assert_eq!(world.store.asked(), 0);
}

#[tokio::test]
async fn an_open_connection_that_breaks_a_rule_ends_with_the_code_and_its_claim_is_released() {
    let world = World::new().await;
    let mut ends = 0;
    for (bad, code) in [
        (v5("x", 60), 0x82),
        (b"\x30\x04\x00\x64ab".to_vec(), 0x81),
        (packet(0x30, &[&text("a\0")[..], b"\x00"].concat()), 0x81),
        (packet(0x30, &[&text("a/+")[..], b"\x00"].concat()), 0x81),
        (packet(0x30, &[&text("")[..], b"\x00"].concat()), 0x82),
        (packet(0x30, &[&text("t")[..], b"\x03\x23\x00\x21"].concat()), 0x94),
        (packet(0x82, b"\x00\x01\x00"), 0x82),
        (packet(0x82, &[b"\x00\x01\x00", &text("a#")[..], b"\x00"].concat()), 0x81),
        (b"\xf0\x00".to_vec(), 0x82),
        (b"\x20\x03\x00\x00\x00".to_vec(), 0x82),
        (b"\x00\x00".to_vec(), 0x82),
        (b"\x30\xff\xff\xff\x7f".to_vec(), 0x95),
    ] {
        let mut raw = world.connect(&v5("c", 60)).await;
        raw.send(&bad).await;
        let rest = raw.rest().await;
        assert_eq!(rest, [0xE0, 1, code], "{bad:02x?}: {rest:02x?}");
        ends += 1;
        until("the release", || world.store.released().len() == ends).await;
        assert_eq!(world.store.released()[ends - 1].1, DisconnectReason::ProtocolError);
        let mut raw = world.connect(&v311("c", 60)).await;
        raw.send(b"\x00\x00").await;
        raw.closed().await;
        ends += 1;
        until("the release", || world.store.released().len() == ends).await;
    }
}

#[tokio::test]
async fn a_farewell_arrives_although_the_client_goes_on_sending() {
    let world = World::new().await;
    let mut raw = world.connect(&v5("c", 60)).await;
    let mut bytes = b"\xe1\x00".to_vec();
    bytes.extend(vec![0xAA; 200_000]);
    raw.send(&bytes).await;
    let rest = raw.rest().await;
    assert_eq!((rest[0], rest[2]), (0xE0, 0x81), "{rest:02x?}");
}
