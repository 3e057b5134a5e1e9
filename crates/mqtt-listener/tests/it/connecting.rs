//! CONNECT and CONNACK, byte for byte, for the three versions on one port.

use crate::{
    raw::{DISCONNECT, packet, text, v5, v5_with, v31, v311},
    world::{World, until},
};
use rollcall_contracts::{AuthError, ClaimError, Rated};
use rollcall_session::Limits;
use rollcall_types::{DisconnectReason, Protocol};
use std::sync::atomic::Ordering;

#[tokio::test]
async fn the_three_versions_connect_on_one_port_each_with_its_connack() {
    let world = World::new().await;
    let mut ends = 0;
    for (connect, connack, protocol) in [
        (v31("c31", 60), &b"\x20\x02\x00\x00"[..], Protocol::V31),
        (v311("c311", 60), b"\x20\x02\x00\x00", Protocol::V311),
        // Receive Maximum 1024, Maximum Packet Size 1 MiB, Topic Alias Maximum 32
        (v5("c5", 60), b"\x20\x0e\x00\x00\x0b\x21\x04\x00\x27\x00\x10\x00\x00\x22\x00\x20", Protocol::V5),
    ] {
        let mut raw = world.open().await;
        raw.send(&connect).await;
        assert_eq!(raw.exactly(connack.len()).await, connack, "{protocol:?}");
        raw.is_alive().await;
        let asked = world.store.asked.lock().unwrap().last().unwrap().clone();
        assert_eq!((asked.protocol, asked.keep_alive_s), (protocol, 60));
        assert_eq!(asked.peer, raw.0.local_addr().unwrap().to_string());
        raw.send(DISCONNECT).await;
        raw.closed().await;
        ends += 1;
        until("the release", || world.store.released().len() == ends).await;
        assert_eq!(world.store.released()[ends - 1].1, DisconnectReason::Normal);
    }
    until("all sockets to be counted out", || world.broker.connections() == 0).await;
}

#[tokio::test]
async fn no_connack_is_sent_before_the_claim_is_committed() {
    let world = World::new().await;
    world.store.hold();
    let mut raw = world.open().await;
    raw.send(&v311("a", 60)).await;
    raw.send(b"\xc0\x00").await;
    until("the claim", || world.store.asked() == 1).await;
    let mut byte = [0];
    let early = tokio::time::timeout(std::time::Duration::from_millis(100), raw.0.peek(&mut byte)).await;
    assert!(early.is_err(), "not a byte");
    assert_eq!((world.broker.connections(), world.broker.connections_pending()), (1, 1));
    world.store.answer();
    assert_eq!(raw.exactly(6).await, b"\x20\x02\x00\x00\xd0\x00");
    assert_eq!((world.broker.connections(), world.broker.connections_pending()), (1, 0));
}

#[tokio::test]
async fn mqtt_5_learns_its_assigned_id_and_server_keep_alive() {
    let world = World::with(Limits { keep_alive_max_s: 30, ..Limits::default() }).await;
    let mut raw = world.open().await;
    raw.send(&v5("", 60)).await;
    let connack = raw.packet().await;
    let client_id = world.store.asked.lock().unwrap()[0].client_id.to_string();
    assert_eq!(client_id.len(), 29);
    let assigned = [b"\x12", &text(&client_id)[..]].concat();
    assert!(connack.windows(assigned.len()).any(|window| window == assigned), "{connack:02x?}");
    assert!(connack.windows(3).any(|window| window == b"\x13\x00\x1e"), "{connack:02x?}");
    raw.is_alive().await;
    let second = world.connect(&packet(0x10, b"\x00\x04MQTT\x04\x02\x00\x00\x00\x00")).await;
    let ids: Vec<_> = world.store.asked.lock().unwrap().iter().map(|asked| asked.client_id.clone()).collect();
    assert_ne!(ids[0], ids[1]);
    drop(second);
}

#[tokio::test]
async fn credentials_and_the_will_reach_the_claim() {
    let world = World::new().await;
    let body = [
        b"\x00\x04MQTT\x05\xf6\x00\x3c\x05\x11\x00\x00\x00\x64",
        &text("c")[..],
        b"\x0a\x18\x00\x00\x00\x07\x02\x00\x00\x00\x09",
        &text("will/topic"),
        &text("gone"),
        &text("user0"),
        &text("secret0"),
    ]
    .concat();
    world.connect(&packet(0x10, &body)).await;
    let asked = world.store.asked.lock().unwrap()[0].clone();
    assert_eq!((asked.username.as_str(), asked.session_expiry_s), ("user0", 100));
    let will = asked.will.unwrap();
    assert_eq!((will.delay_s, will.message.topic.as_str(), &will.message.payload[..]), (7, "will/topic", &b"gone"[..]));
    assert_eq!((will.message.retain, will.message.properties.expiry_s), (true, Some(9)));
}

#[tokio::test]
async fn each_refusal_is_told_in_the_code_of_its_version_and_the_connection_closed() {
    let world = World::new().await;
    let told = |v5_code: u8, v3_code: u8, what: &'static str| {
        let world = &world;
        async move {
            let mut raw = world.open().await;
            raw.send(&v5("c", 60)).await;
            assert_eq!(raw.rest().await, [0x20, 3, 0, v5_code, 0], "{what}");
            for connect in [v31("c", 60), v311("c", 60)] {
                let mut raw = world.open().await;
                raw.send(&connect).await;
                assert_eq!(raw.rest().await, [0x20, 2, 0, v3_code], "{what}");
            }
        }
    };
    for (error, v5_code, v3_code) in [
        (ClaimError::Unavailable, 0x88, 3),
        (ClaimError::NotServing, 0x88, 3),
        (ClaimError::Busy, 0x89, 3),
        (ClaimError::OtherAccount, 0x87, 5),
    ] {
        world.store.refuse(error);
        told(v5_code, v3_code, "claim").await;
    }
    world.store.refuse(ClaimError::TooLarge);
    let mut raw = world.open().await;
    raw.send(&v5("c", 60)).await;
    assert_eq!(raw.rest().await, [0x20, 3, 0, 0x95, 0]);
    for connect in [v31("c", 60), v311("c", 60)] {
        let mut raw = world.open().await;
        raw.send(&connect).await;
        assert_eq!(raw.rest().await, b"", "no return code of MQTT 3 applies: MQTT-3.2.2-6");
    }
    world.admission.denied.store(true, Ordering::SeqCst);
    told(0x87, 5, "not authorized").await;
    *world.admission.auth_error.lock().unwrap() = Some(AuthError::Rejected);
    told(0x86, 4, "bad credentials").await;
    *world.admission.auth_error.lock().unwrap() = Some(AuthError::Unavailable);
    told(0x88, 3, "no accounts").await;
    world.admission.over_rate.lock().unwrap().insert(Rated::Connects);
    told(0x9F, 3, "connect rate").await;
    world.lease.lose();
    told(0x88, 3, "not serving").await;
    until("all sockets to be counted out", || world.broker.connections() == 0).await;
    assert_eq!(world.store.released(), vec![]);
}

#[tokio::test]
async fn a_client_that_goes_away_while_its_claim_waits_holds_nothing() {
    // B-083
    let world = World::new().await;
    world.store.hold();
    let mut raw = world.open().await;
    raw.send(&v311("a", 60)).await;
    until("the claim", || world.store.asked() == 1).await;
    drop(raw);
    until("the claim to be given up", || world.store.abandoned.load(Ordering::SeqCst) == 1).await;
    until("the socket to be counted out", || world.broker.connections() == 0).await;
    world.store.answer();
    assert_eq!(world.broker.sessions_online(), 0);
}

#[tokio::test]
async fn client_ids_of_any_text_and_length_connect() {
    let world = World::new().await;
    let long = "x".repeat(65_535);
    for client in ["a/b%c+d e", "😀", "..", long.as_str()] {
        let raw = world.connect(&v5_with(client, 60, b"")).await;
        assert_eq!(world.store.asked.lock().unwrap().last().unwrap().client_id.as_str(), client);
        drop(raw);
    }
}
