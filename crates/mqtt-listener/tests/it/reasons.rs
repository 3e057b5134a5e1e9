//! Reason strings of MQTT 5: who is refused something learns why in words, if it wants to and has room.

use crate::{
    raw::{Raw, packet, subscribe_v5, text, v5_with, v311},
    world::World,
};
use rollcall_mqtt_listener::ListenerConfig;
use std::{net::SocketAddr, sync::atomic::Ordering};

/// Request Problem Information: no.
const NOT_WANTED: &[u8] = b"\x17\x00";
/// Maximum Packet Size.
const LITTLE_ROOM: &[u8] = b"\x27\x00\x00\x00\x30";

async fn world() -> World {
    let mqtt = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    World::with_config(ListenerConfig { mqtt, reason_strings: true, ..ListenerConfig::default() }).await
}

/// Properties that are nothing but a reason string.
fn why(words: &str) -> Vec<u8> {
    let property = [b"\x1f", &text(words)[..]].concat();
    [vec![u8::try_from(property.len()).unwrap()], property].concat()
}

fn publish(packet_id: u8, topic: &str) -> Vec<u8> {
    packet(0x32, &[&text(topic)[..], &[0, packet_id, 0]].concat())
}

/// What the broker answers to a refused publish and subscription, and to a packet that is malformed.
async fn refusals(mut raw: Raw) -> [Vec<u8>; 3] {
    raw.send(&publish(1, "forbidden")).await;
    let puback = raw.packet().await;
    raw.send(&subscribe_v5("forbidden")).await;
    let suback = raw.packet().await;
    raw.send(b"\x36\x03\x00\x01t").await;
    [puback, suback, raw.rest().await]
}

#[tokio::test]
async fn refusals_are_explained() {
    let world = world().await;
    let [puback, suback, disconnect] = refusals(world.connect(&v5_with("a", 60, b"")).await).await;
    let words = why("not authorized to publish to this topic");
    assert_eq!(puback, packet(0x40, &[&b"\x00\x01\x87"[..], &words].concat()));
    let words = why("not authorized to subscribe to a filter");
    assert_eq!(suback, packet(0x90, &[&b"\x00\x01"[..], &words, b"\x87"].concat()));
    assert_eq!(disconnect, packet(0xE0, &[&b"\x81"[..], &why("a packet is malformed")].concat()));
    world.admission.denied.store(true, Ordering::SeqCst);
    let mut refused = world.open().await;
    refused.send(&v5_with("a", 60, b"")).await;
    assert_eq!(refused.rest().await, packet(0x20, &[&b"\x00\x87"[..], &why("not authorized")].concat()));
    let mut three = world.open().await;
    three.send(&v311("a", 60)).await;
    assert_eq!(three.rest().await, b"\x20\x02\x00\x05", "MQTT 3 has no words");
}

#[tokio::test]
async fn who_wants_no_words_or_has_no_room_for_them_gets_the_code_alone() {
    // MQTT-3.1.2-29, MQTT-3.1.2-24
    let world = world().await;
    for properties in [NOT_WANTED, LITTLE_ROOM] {
        let [puback, suback, disconnect] = refusals(world.connect(&v5_with("a", 60, properties)).await).await;
        assert_eq!(puback, b"\x40\x03\x00\x01\x87");
        assert_eq!(suback, b"\x90\x04\x00\x01\x00\x87");
        assert_eq!(disconnect, b"\xe0\x01\x81");
    }
}

#[tokio::test]
async fn what_is_accepted_is_not_explained() {
    let world = world().await;
    let mut raw = world.connect(&v5_with("a", 60, b"")).await;
    raw.send(&subscribe_v5("t")).await;
    assert_eq!(raw.packet().await, b"\x90\x04\x00\x01\x00\x02");
    raw.send(&publish(1, "nobody")).await;
    assert_eq!(raw.packet().await, b"\x40\x03\x00\x01\x10");
}
