//! Sessions that outlive their connections, on the wire.

use crate::{
    raw::{DISCONNECT, Raw, packet, subscribe_v3, subscribe_v5, text},
    world::{World, until},
};
use tokio::sync::oneshot;

/// CONNECT without clean session.
fn v311_kept(client: &str) -> Vec<u8> {
    packet(0x10, &[b"\x00\x04MQTT\x04\x00\x00\x00", &text(client)[..]].concat())
}

/// CONNECT without clean start and with a session expiry of an hour.
fn v5_kept(client: &str) -> Vec<u8> {
    packet(0x10, &[b"\x00\x04MQTT\x05\x00\x00\x00\x05\x11\x00\x00\x0e\x10", &text(client)[..]].concat())
}

fn publish(first: u8, packet_id: u8, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    packet(first, &[&text("t")[..], &[0, packet_id], properties, payload].concat())
}

/// PUBREL of message 2.
fn is_pubrel(packet: &[u8]) -> bool {
    packet[0] == 0x62 && packet[2..4] == [0, 2]
}

/// Connects; CONNACK must say success, and whether a session was there.
async fn connect(world: &World, connect: &[u8], session_present: bool) -> Raw {
    let mut raw = world.open().await;
    raw.send(connect).await;
    let connack = raw.packet().await;
    assert_eq!((connack[0], connack[2], connack[3]), (0x20, u8::from(session_present), 0), "{connack:02x?}");
    raw
}

async fn leave(world: &World, mut raw: Raw, last: &[u8]) {
    let before = world.broker.sessions_online();
    raw.send(last).await;
    drop(raw);
    until("it to have left", || world.broker.sessions_online() < before).await;
}

#[tokio::test]
async fn messages_that_came_meanwhile_are_delivered_on_return_and_unacknowledged_ones_again() {
    let world = World::new().await;
    for (kept, none) in [(v311_kept("r3"), &b""[..]), (v5_kept("r5"), b"\x00")] {
        let mut reader = connect(&world, &kept, false).await;
        reader.send(&if none.is_empty() { subscribe_v3("t") } else { subscribe_v5("t") }).await;
        reader.packet().await;
        let mut writer = world.connect(&crate::raw::v311("w", 60)).await;
        writer.send(&publish(0x32, 1, b"", b"1")).await;
        assert_eq!(reader.packet().await, publish(0x32, 1, none, b"1"));
        writer.packet().await;
        leave(&world, reader, b"").await;
        writer.send(&publish(0x30, 1, b"", b"")[..]).await;
        writer.send(&publish(0x34, 2, b"", b"2")).await;
        writer.packet().await;
        let mut reader = connect(&world, &kept, true).await;
        assert_eq!(reader.packet().await, publish(0x3A, 1, none, b"1"), "with DUP");
        assert_eq!(reader.packet().await, publish(0x34, 2, none, b"2"), "without, and no QoS 0");
        reader.send(b"\x40\x02\x00\x01\x50\x02\x00\x02").await;
        assert!(is_pubrel(&reader.packet().await));
        leave(&world, reader, DISCONNECT).await;
        let mut reader = connect(&world, &kept, true).await;
        assert!(is_pubrel(&reader.packet().await), "again");
        reader.send(b"\x70\x02\x00\x02").await;
        reader.is_alive().await;
        leave(&world, reader, DISCONNECT).await;
    }
}

#[tokio::test]
async fn a_clean_start_discards_the_session_and_an_expiry_of_zero_ends_it() {
    let world = World::new().await;
    let raw = connect(&world, &v311_kept("a"), false).await;
    leave(&world, raw, b"").await;
    let raw = connect(&world, &crate::raw::v311("a", 60), false).await;
    leave(&world, raw, b"").await;
    let raw = connect(&world, &v5_kept("a"), false).await;
    // DISCONNECT with session expiry 0.
    leave(&world, raw, b"\xe0\x07\x00\x05\x11\x00\x00\x00\x00").await;
    connect(&world, &v5_kept("a"), false).await;
}

#[tokio::test]
async fn a_takeover_on_the_same_node_loses_nothing() {
    let world = World::new().await;
    let mut old = connect(&world, &v5_kept("a"), false).await;
    old.send(&subscribe_v5("t")).await;
    old.packet().await;
    let mut writer = world.connect(&crate::raw::v311("w", 60)).await;
    writer.send(&publish(0x32, 1, b"", b"1")).await;
    assert_eq!(old.packet().await, publish(0x32, 1, b"\x00", b"1"));
    let mut new = connect(&world, &v5_kept("a"), true).await;
    assert_eq!(new.packet().await, publish(0x3A, 1, b"\x00", b"1"));
    assert_eq!(old.rest().await, b"\xe0\x01\x8e");
    writer.send(&publish(0x32, 2, b"", b"2")).await;
    assert_eq!(new.packet().await, publish(0x32, 2, b"\x00", b"2"));
    new.is_alive().await;
}

#[tokio::test]
async fn a_qos_2_message_whose_verdict_comes_after_its_connection_is_acknowledged_on_the_next_and_not_handed_on_again()
{
    let world = World::new().await;
    let mut first = connect(&world, &v311_kept("w"), false).await;
    let (answer, waiting) = oneshot::channel();
    *world.peers.answer.lock().unwrap() = Some(waiting);
    first.send(&publish(0x34, 5, b"", b"once")).await;
    first.is_alive().await;
    leave(&world, first, b"").await;
    let mut second = connect(&world, &v311_kept("w"), true).await;
    second.send(&publish(0x3C, 5, b"", b"once")).await;
    second.is_alive().await;
    answer.send(true).unwrap();
    assert_eq!(second.packet().await, b"\x50\x02\x00\x05");
    assert_eq!(world.peers.published.lock().unwrap().len(), 1);
}
