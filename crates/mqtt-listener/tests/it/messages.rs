//! Messages between clients of all versions, and their acknowledgements.

use crate::{
    raw::{packet, publish_v3, publish_v5, subscribe_v3, subscribe_v5, text, v5, v5_with, v31, v311},
    world::{World, until},
};
use std::{sync::atomic::Ordering, time::Duration};

#[tokio::test]
async fn clients_of_all_versions_talk_to_each_other() {
    let world = World::new().await;
    let mut five = world.connect(&v5("five", 60)).await;
    let mut three = world.connect(&v311("three", 60)).await;
    let mut old = world.connect(&v31("old", 60)).await;
    five.send(&subscribe_v5("t/#")).await;
    assert_eq!(five.packet().await, b"\x90\x04\x00\x01\x00\x02", "QoS 2 is granted as asked");
    for raw in [&mut three, &mut old] {
        raw.send(&subscribe_v3("t/#")).await;
        assert_eq!(raw.packet().await, b"\x90\x03\x00\x01\x02");
    }
    for number in 0..3 {
        let topic = format!("t/{number}");
        let sender = [&mut five, &mut three, &mut old].into_iter().nth(number).unwrap();
        sender.send(&if number == 0 { publish_v5(&topic, b"hello") } else { publish_v3(&topic, b"hello") }).await;
        assert_eq!(five.packet().await, publish_v5(&topic, b"hello"));
        assert_eq!(three.packet().await, publish_v3(&topic, b"hello"));
        assert_eq!(old.packet().await, publish_v3(&topic, b"hello"));
    }
    three.send(&packet(0xA2, &[b"\x00\x02", &text("t/#")[..]].concat())).await;
    assert_eq!(three.packet().await, b"\xb0\x02\x00\x02");
    five.send(&packet(0xA2, &[b"\x00\x03\x00", &text("t/#")[..], &text("none")].concat())).await;
    assert_eq!(five.packet().await, b"\xb0\x05\x00\x03\x00\x00\x11");
    old.send(&publish_v3("t/x", b"")).await;
    assert_eq!(old.packet().await, publish_v3("t/x", b""));
    three.is_alive().await;
    five.is_alive().await;
}

#[tokio::test]
async fn properties_of_mqtt_5_travel_with_the_message_and_stay_behind_for_mqtt_3() {
    let world = World::new().await;
    let mut five = world.connect(&v5("five", 60)).await;
    let mut three = world.connect(&v311("three", 60)).await;
    // Subscription identifier 5.
    five.send(&packet(0x82, &[b"\x00\x01\x02\x0b\x05", &text("t")[..], b"\x00"].concat())).await;
    five.packet().await;
    three.send(&subscribe_v3("t")).await;
    three.packet().await;
    // UTF-8 payload, expiry 60, content type, response topic, correlation data, user property.
    let properties = [
        b"\x01\x01\x02\x00\x00\x00\x3c\x03",
        &text("json")[..],
        b"\x08",
        &text("answer"),
        b"\x09\x00\x02\x01\x02\x26",
        &text("k"),
        &text("v"),
    ]
    .concat();
    let len = [u8::try_from(properties.len()).unwrap()];
    five.send(&packet(0x30, &[&text("t")[..], &len, &properties, b"{}"].concat())).await;
    let got = five.packet().await;
    for part in [&b"\x01\x01"[..], b"\x02\x00\x00\x00\x3c", b"\x03\x00\x04json", b"\x08\x00\x06answer", b"\x0b\x05"] {
        assert!(got.windows(part.len()).any(|window| window == part), "{part:02x?} in {got:02x?}");
    }
    assert!(got.ends_with(b"{}"));
    assert_eq!(three.packet().await, publish_v3("t", b"{}"));
}

#[tokio::test]
async fn a_message_that_expires_at_once_is_acknowledged_and_reaches_nobody() {
    let world = World::new().await;
    let mut raw = world.connect(&v5("a", 60)).await;
    raw.send(&subscribe_v5("t")).await;
    raw.packet().await;
    raw.send(&packet(0x32, &[&text("t")[..], b"\x00\x01\x05\x02\x00\x00\x00\x00never"].concat())).await;
    assert_eq!(raw.packet().await, b"\x40\x02\x00\x01");
    raw.send(&publish_v5("t", b"next")).await;
    assert_eq!(raw.packet().await, publish_v5("t", b"next"));
}

#[tokio::test]
async fn large_payloads_pass_whole_in_both_directions() {
    let world = World::new().await;
    let mut raw = world.connect(&v311("a", 60)).await;
    raw.send(&subscribe_v3("t")).await;
    raw.packet().await;
    let payload: Vec<u8> = (0..1_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    raw.send(&publish_v3("t", &payload)).await;
    assert_eq!(raw.packet().await, publish_v3("t", &payload));
}

#[tokio::test]
async fn a_message_larger_than_the_client_takes_is_not_sent_to_it() {
    // MQTT-3.1.2-25
    let world = World::new().await;
    let mut small = world.connect(&v5_with("small", 60, b"\x27\x00\x00\x00\x40")).await;
    small.send(&subscribe_v5("t")).await;
    small.packet().await;
    let mut writer = world.connect(&v311("w", 60)).await;
    writer.send(&publish_v3("t", &[0; 100])).await;
    writer.send(&publish_v3("t", b"fits")).await;
    assert_eq!(small.packet().await, publish_v5("t", b"fits"));
}

#[tokio::test]
async fn over_quota_mqtt_5_is_told_qos_0_is_dropped_and_mqtt_3_waits() {
    let world = World::new().await;
    let mut five = world.connect(&v5("five", 60)).await;
    let mut three = world.connect(&v311("three", 1)).await;
    world.admission.over_quota.store(true, Ordering::SeqCst);
    five.send(&publish_v5("t", b"")).await;
    five.send(&packet(0x32, &[&text("t")[..], b"\x00\x07\x00"].concat())).await;
    assert_eq!(five.packet().await, b"\x40\x03\x00\x07\x97");
    five.send(&packet(0x34, &[&text("t")[..], b"\x00\x08\x00"].concat())).await;
    assert_eq!(five.packet().await, b"\x50\x03\x00\x08\x97");
    // Its pings wait behind the message, and it is not cut off for that although its keep-alive is a second.
    three.send(&packet(0x32, &[&text("t")[..], b"\x00\x09"].concat())).await;
    three.send(b"\xc0\x00").await;
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(2500), three.0.peek(&mut byte)).await;
    assert!(early.is_err(), "neither acknowledged nor closed");
    world.admission.over_quota.store(false, Ordering::SeqCst);
    assert_eq!(three.packet().await, b"\x40\x02\x00\x09");
    assert_eq!(three.exactly(2).await, b"\xd0\x00");
}

#[tokio::test]
async fn a_slow_reader_loses_messages_and_keeps_its_connection_and_others_lose_nothing() {
    let world = World::new().await;
    let mut slow = world.connect(&v311("slow", 0)).await;
    let mut quick = world.connect(&v311("quick", 0)).await;
    for raw in [&mut slow, &mut quick] {
        raw.send(&subscribe_v3("t")).await;
        raw.packet().await;
    }
    let mut writer = world.connect(&v311("w", 0)).await;
    let payload = vec![1; 20_000];
    let mut got = 0;
    for _ in 0..150 {
        for _ in 0..20 {
            writer.send(&publish_v3("t", &payload)).await;
        }
        for _ in 0..20 {
            assert_eq!(quick.packet().await.len(), 20_000 + 7);
            got += 1;
        }
    }
    assert_eq!(got, 3000);
    // All that was kept for it: some in buffers, a thousand in its queue. A last message tells the end.
    let mut received = 0;
    let mut last_sent = false;
    loop {
        let packet = slow.packet().await;
        if packet == publish_v3("t", b"last") {
            break;
        }
        received += 1;
        if !last_sent && received > 500 {
            // There is room in the queue again.
            writer.send(&publish_v3("t", b"last")).await;
            last_sent = true;
        }
    }
    assert!((1000..3000).contains(&received), "{received}");
    until("all to be there still", || world.broker.connections() == 3).await;
}

#[tokio::test]
async fn a_client_that_sends_and_never_reads_is_no_longer_read_from_once_its_answers_pile_up() {
    let world = World::new().await;
    let mut raw = world.connect(&v311("flood", 0)).await;
    let pings = [0xC0, 0].repeat(32 * 1024);
    let mut sent = 0;
    // The kernel takes what both sides buffer, then no more.
    while let Ok(()) = tokio::time::timeout(Duration::from_millis(500), raw.send(&pings)).await {
        sent += pings.len();
        assert!(sent < 256 * 1024 * 1024, "it must come to a halt");
    }
    // Others are served meanwhile, and what was read is answered once it reads.
    world.connect(&v311("other", 60)).await.is_alive().await;
    assert_eq!(raw.exactly(1024).await, [0xD0, 0].repeat(512));
}
