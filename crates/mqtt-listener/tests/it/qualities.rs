//! QoS 1 and 2 on the wire, both ways, in every version; windows, aliases, shared subscriptions.

use crate::{
    raw::{Raw, packet, publish_v5, subscribe_v3, subscribe_v5, text, v5, v5_with, v311},
    world::World,
};
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;

/// An acknowledgement of success, with or without reason code and properties.
fn acknowledges(packet: &[u8], first: u8, packet_id: u8) -> bool {
    packet[0] == first && packet[2..4] == [0, packet_id] && packet[4..].iter().all(|byte| *byte == 0)
}

/// PUBLISH to topic `t`: first byte, packet identifier, payload.
fn publish(first: u8, packet_id: u8, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    packet(first, &[&text("t")[..], &[0, packet_id], properties, payload].concat())
}

async fn subscriber(world: &World, connect: &[u8]) -> Raw {
    let mut raw = world.connect(connect).await;
    raw.send(&if connect[8] == 5 { subscribe_v5("t") } else { subscribe_v3("t") }).await;
    raw.packet().await;
    raw
}

#[tokio::test]
async fn every_quality_is_acknowledged_and_delivered_as_published() {
    let world = World::new().await;
    let mut readers = [subscriber(&world, &v311("r3", 60)).await, subscriber(&world, &v5("r5", 60)).await];
    let mut expected_id = 1;
    for connect in [v311("w", 60), v5("w", 60)] {
        let none = if connect[8] == 5 { &b"\x00"[..] } else { b"" };
        let mut writer = world.connect(&connect).await;
        writer.send(&publish(0x32, 7, none, b"one")).await;
        assert!(acknowledges(&writer.packet().await, 0x40, 7));
        let twice = publish(0x34, 8, none, b"two");
        writer.send(&twice).await;
        writer.send(&[&[twice[0] | 8], &twice[1..]].concat()).await;
        for _ in 0..2 {
            assert!(acknowledges(&writer.packet().await, 0x50, 8));
        }
        writer.send(b"\x62\x02\x00\x08").await;
        assert!(acknowledges(&writer.packet().await, 0x70, 8));
        for (reader, none) in readers.iter_mut().zip([&b""[..], b"\x00"]) {
            assert_eq!(reader.packet().await, publish(0x32, expected_id, none, b"one"));
            assert_eq!(reader.packet().await, publish(0x34, expected_id + 1, none, b"two"));
            reader.send(&[0x40, 2, 0, expected_id]).await;
            reader.send(&[0x50, 2, 0, expected_id + 1]).await;
            assert!(acknowledges(&reader.packet().await, 0x62, expected_id + 1));
            reader.send(&[0x70, 2, 0, expected_id + 1]).await;
            reader.is_alive().await;
        }
        expected_id += 2;
    }
}

#[tokio::test]
async fn no_more_is_sent_unacknowledged_than_the_client_takes() {
    // MQTT-3.3.4-9; MQTT 3 has the broker's own bound of 16.
    let world = World::new().await;
    let mut five = subscriber(&world, &v5_with("five", 60, b"\x21\x00\x02")).await;
    let mut three = subscriber(&world, &v311("three", 60)).await;
    let mut writer = world.connect(&v311("w", 60)).await;
    for number in 1..=20 {
        writer.send(&publish(0x32, number, b"", &[number])).await;
        writer.packet().await;
    }
    for number in 1..=2 {
        assert_eq!(five.packet().await, publish(0x32, number, b"\x00", &[number]));
    }
    for number in 1..=16 {
        assert_eq!(three.packet().await, publish(0x32, number, b"", &[number]));
    }
    five.is_alive().await;
    three.is_alive().await;
    five.send(b"\x40\x02\x00\x01").await;
    assert_eq!(five.packet().await, publish(0x32, 3, b"\x00", &[3]));
}

#[tokio::test]
async fn topic_aliases_work_in_both_directions() {
    let world = World::new().await;
    let mut reader = subscriber(&world, &v5_with("r", 60, b"\x22\x00\x05")).await;
    let mut writer = world.connect(&v5("w", 60)).await;
    writer.send(&packet(0x30, &[&text("t")[..], b"\x03\x23\x00\x07a"].concat())).await;
    writer.send(b"\x30\x07\x00\x00\x03\x23\x00\x07b").await;
    assert_eq!(reader.packet().await, packet(0x30, &[&text("t")[..], b"\x03\x23\x00\x01a"].concat()));
    assert_eq!(reader.packet().await, b"\x30\x07\x00\x00\x03\x23\x00\x01b");
    // MQTT-3.3.2-7: an alias that was never told.
    writer.send(b"\x30\x06\x00\x00\x03\x23\x00\x08").await;
    assert_eq!(writer.rest().await, b"\xe0\x01\x82");
}

#[tokio::test]
async fn members_of_a_shared_subscription_take_turns() {
    let world = World::new().await;
    let mut members = [world.connect(&v5("m1", 60)).await, world.connect(&v5("m2", 60)).await];
    for member in &mut members {
        member.send(&subscribe_v5("$share/g/t")).await;
        assert_eq!(member.packet().await, b"\x90\x04\x00\x01\x00\x02");
    }
    let mut writer = world.connect(&v5("w", 60)).await;
    for payload in [b"1", b"2", b"3", b"4"] {
        writer.send(&publish_v5("t", payload)).await;
    }
    writer.is_alive().await;
    for (member, payloads) in members.iter_mut().zip([[b"1", b"3"], [b"2", b"4"]]) {
        for payload in payloads {
            assert_eq!(member.packet().await, publish_v5("t", payload));
        }
        member.is_alive().await;
    }
}

#[tokio::test]
async fn what_a_client_publishes_to_itself_comes_before_its_handshake_ends() {
    let world = World::new().await;
    let mut raw = world.connect(&v5_with("a", 60, b"\x21\x00\x02")).await;
    raw.send(&subscribe_v5("t")).await;
    raw.packet().await;
    for number in 1..=20 {
        let (own, theirs) = (2 * number, 2 * number - 1);
        raw.send(&publish(0x32, own, b"\x00", b"once")).await;
        assert_eq!(raw.packet().await, publish(0x32, theirs, b"\x00", b"once"));
        assert_eq!(raw.packet().await, [0x40, 2, 0, own]);
        raw.send(&publish(0x34, own, b"\x00", b"exactly")).await;
        assert_eq!(raw.packet().await, [0x50, 2, 0, own]);
        assert_eq!(raw.packet().await, publish(0x34, theirs + 1, b"\x00", b"exactly"));
        raw.send(&[0x62, 2, 0, own]).await;
        assert_eq!(raw.packet().await, [0x70, 2, 0, own]);
        raw.send(&[0x40, 2, 0, theirs]).await;
        raw.send(&[0x50, 2, 0, theirs + 1]).await;
        assert_eq!(raw.packet().await, [0x62, 2, 0, theirs + 1]);
        raw.send(&[0x70, 2, 0, theirs + 1]).await;
    }
    // One that does not acknowledge, and so gets no more, is answered all the same.
    for number in 1..=70 {
        raw.send(&publish(0x32, number, b"\x00", b"")).await;
    }
    let mut answered = 0;
    while answered < 70 {
        let got = raw.packet().await;
        answered += u8::from(got[0] == 0x40);
    }
}

#[tokio::test]
async fn acknowledgements_wait_for_the_other_nodes_and_keep_their_order() {
    // MQTT-4.6.0-2
    let world = World::new().await;
    let mut writer = world.connect(&v5("w", 60)).await;
    let (answer, waiting) = oneshot::channel();
    *world.peers.answer.lock().unwrap() = Some(waiting);
    writer.send(&publish(0x32, 1, b"\x00", b"waits")).await;
    writer.is_alive().await;
    writer.send(&publish(0x32, 2, b"\x00", b"decided")).await;
    writer.is_alive().await;
    answer.send(true).unwrap();
    assert_eq!(writer.packet().await, b"\x40\x02\x00\x01", "what others matched is not known");
    assert_eq!(writer.packet().await, b"\x40\x03\x00\x02\x10", "nobody subscribes");
    // Without the lease the others may have counted this node out: no acknowledgement, and the client sends again.
    let (answer, waiting) = oneshot::channel();
    *world.peers.answer.lock().unwrap() = Some(waiting);
    writer.send(&publish(0x32, 3, b"\x00", b"")).await;
    writer.is_alive().await;
    world.lease.lose();
    answer.send(true).unwrap();
    assert_eq!(writer.rest().await, b"");
}

#[tokio::test]
async fn a_message_too_large_for_its_client_leaves_its_place_to_the_next() {
    // MQTT-3.1.2-25: a window of one is not blocked by what was never sent.
    let world = World::new().await;
    let mut small = subscriber(&world, &v5_with("small", 60, b"\x27\x00\x00\x00\x40\x21\x00\x01")).await;
    let mut writer = world.connect(&v311("w", 60)).await;
    for (number, payload) in [(1, vec![0; 100]), (2, b"fits".to_vec())] {
        writer.send(&publish(0x32, number, b"", &payload)).await;
        writer.packet().await;
    }
    assert_eq!(small.packet().await, publish(0x32, 2, b"\x00", b"fits"));
    assert!(world.admission.charged.load(Ordering::SeqCst) >= 4, "deliveries are charged whatever comes of them");
}
