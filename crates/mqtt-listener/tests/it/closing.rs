//! Takeovers, kicks, lost leases, drains, and listeners that close and open again.

use crate::{
    raw::{Raw, publish_v3, subscribe_v3, v5, v31, v311},
    world::{PATIENCE, World, until},
};
use rollcall_contracts::{ConnectionEnding, DeliveryTarget, EndingKind};
use rollcall_session::Order;
use rollcall_types::{ClientId, DisconnectReason, Message, MessageProperties, QoS};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

#[tokio::test]
async fn b_062_b_081_the_loser_of_a_takeover_is_told_in_mqtt_5_and_closed_in_mqtt_3() {
    let world = World::new().await;
    for (old, farewell) in [(v5("a", 60), &b"\xe0\x02\x8e\x00"[..]), (v311("a", 60), b""), (v31("a", 60), b"")] {
        let mut old = world.connect(&old).await;
        let mut new = world.connect(&v5("a", 60)).await;
        let rest = old.rest().await;
        // DISCONNECT may leave out its property length (MQTT 5.0, 3.14.2.2.1).
        assert!(rest == farewell || (!farewell.is_empty() && rest == b"\xe0\x01\x8e"), "{rest:02x?}");
        new.is_alive().await;
        until("only one connection to be left", || world.broker.connections() == 1).await;
        assert_eq!(world.broker.sessions_online(), 1);
        new.send(b"\xe0\x00").await;
        new.closed().await;
        until("no connection to be left", || world.broker.connections() == 0).await;
    }
}

#[tokio::test]
async fn a_kicked_client_is_told_0x98() {
    let world = World::new().await;
    let mut raw = world.connect(&v5("a", 60)).await;
    world.broker.claim_ended(&ClientId::new("a").unwrap(), rollcall_types::Epoch(1), EndingKind::Kicked);
    let rest = raw.rest().await;
    assert!(rest == b"\xe0\x01\x98" || rest == b"\xe0\x02\x98\x00", "{rest:02x?}");
    until("the socket to be counted out", || world.broker.connections() == 0).await;
    assert_eq!(world.store.released(), vec![], "the claim is over already");
}

#[tokio::test]
async fn what_a_client_still_sends_after_its_farewell_does_not_reset_the_connection() {
    let world = World::new().await;
    let mut raw = world.connect(&v5("a", 60)).await;
    raw.send(b"\x36\x03\x00\x01t").await;
    assert_eq!(raw.rest().await, b"\xe0\x01\x81");
    until("the socket to be counted out", || world.broker.connections() == 0).await;
    // A reset would come back at once and fail the next.
    for _ in 0..3 {
        raw.send(b"\xc0\x00").await;
    }
}

#[tokio::test]
async fn a_lease_lost_between_claim_and_connack_gives_nothing_but_the_close() {
    let world = World::new().await;
    world.store.hold();
    let mut raw = world.open().await;
    raw.send(&v5("a", 60)).await;
    until("the claim", || world.store.asked() == 1).await;
    world.lease.lose();
    world.store.answer();
    raw.closed().await;
    until("the release", || world.store.released().len() == 1).await;
    assert_eq!(world.store.released()[0].1, DisconnectReason::NodeLost);
}

#[tokio::test]
async fn after_the_lease_not_a_byte_is_sent_even_before_anybody_closes() {
    let world = World::new().await;
    let mut raw = world.connect(&v311("a", 60)).await;
    raw.send(&subscribe_v3("t")).await;
    raw.packet().await;
    world.lease.lose();
    world.broker.deliver_local(message("t", vec![1]));
    raw.closed().await;
    let mut pinging = World::new().await;
    let mut raw = pinging.connect(&v311("a", 60)).await;
    pinging.lease.lose();
    raw.send(b"\xc0\x00").await;
    raw.closed().await;
    pinging = World::new().await;
    pinging.lease.lose();
    drop(pinging);
}

#[tokio::test]
async fn bytes_that_wait_for_a_slow_client_do_not_reach_it_after_the_lease() {
    let world = World::new().await;
    let mut raw = world.connect(&v311("slow", 0)).await;
    raw.send(&subscribe_v3("t")).await;
    raw.packet().await;
    // More than all buffers on the way hold: some of it waits in this process.
    let payload = vec![7; 900 * 1024];
    for _ in 0..40 {
        world.broker.deliver_local(message("t", payload.clone()));
    }
    // Wait until the kernel takes no more: what has arrived does not grow any more.
    let mut arrived = 0;
    let mut probe = vec![0; 64 * 1024 * 1024];
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = raw.0.peek(&mut probe).await.unwrap();
        if now == arrived {
            break;
        }
        arrived = now;
    }
    world.lease.lose();
    let rest = raw.rest().await;
    assert!(rest.len() >= arrived && rest.len() < 40 * payload.len(), "what the kernel had, and no more");
    assert_ne!(rest.len() % (payload.len() + 7), 0, "the packet under way was cut short");
    until("the socket to be counted out", || world.broker.connections() == 0).await;
}

#[tokio::test]
async fn close_all_ends_sockets_with_and_without_a_claim() {
    let world = World::new().await;
    let mut with = world.connect(&v5("a", 60)).await;
    let mut without = world.open().await;
    let mut upgrading = Raw::open(world.ws()).await;
    until("three sockets", || world.broker.connections() == 3).await;
    world.lease.lose();
    world.broker.close_all(DisconnectReason::NodeLost);
    with.closed().await;
    without.closed().await;
    upgrading.closed().await;
    assert!(world.broker.all_closed(PATIENCE).await);
}

#[tokio::test]
async fn a_drain_tells_mqtt_5_clients_and_refuses_new_ones() {
    let world = World::new().await;
    let mut five = world.connect(&v5("a", 60)).await;
    let mut three = world.connect(&v311("b", 60)).await;
    let mut silent = world.open().await;
    until("three sockets", || world.broker.connections() == 3).await;
    let report = world.broker.drain(Duration::from_millis(800), Order::Shutdown, Some("n2:1883".into())).await;
    assert_eq!((report.told, report.left, report.released), (2, 0, true));
    let rest = five.rest().await;
    assert_eq!(rest, b"\xe0\x0c\x8b\x0a\x1c\x00\x07n2:1883", "with a server reference");
    three.closed().await;
    silent.closed().await;
    let mut reasons: Vec<_> = world.store.released().iter().map(|(_, reason)| *reason).collect();
    reasons.dedup();
    assert_eq!(reasons, vec![DisconnectReason::ServerShutdown]);
    let mut late = world.open().await;
    late.send(&v5("late", 60)).await;
    assert_eq!(late.rest().await, b"\x20\x03\x00\x88\x00");
}

#[tokio::test]
async fn listeners_close_and_open_again_at_the_same_address_while_connections_live() {
    let world = World::new().await;
    let mut raw = world.connect(&v5("a", 60)).await;
    let (mqtt, ws) = (world.mqtt(), world.ws());
    let start = Instant::now();
    world.listeners.close().await;
    for address in [mqtt, ws] {
        let refused = tokio::net::TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    }
    raw.is_alive().await;
    let reopened = world.listeners.open().await.unwrap();
    assert_eq!((reopened.mqtt, reopened.ws), (Some(mqtt), Some(ws)));
    assert!(start.elapsed() < PATIENCE);
    world.connect(&v5("b", 60)).await;
    raw.is_alive().await;
    // Closing twice and opening twice changes nothing.
    world.listeners.open().await.unwrap();
    world.listeners.close().await;
    world.listeners.close().await;
    world.listeners.open().await.unwrap();
    world.connect(&v5("c", 60)).await;
}

#[tokio::test]
async fn an_address_in_use_is_told_and_nothing_listens() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let world = World::new().await;
    let config = rollcall_mqtt_listener::ListenerConfig {
        mqtt: Some(taken.local_addr().unwrap()),
        ..rollcall_mqtt_listener::ListenerConfig::default()
    };
    let error = rollcall_mqtt_listener::MqttListeners::start(config, world.broker.clone()).await.unwrap_err();
    assert!(error.to_string().contains(&taken.local_addr().unwrap().to_string()), "{error}");
}

#[tokio::test]
async fn shutdown_stops_listening_and_drops_what_is_left() {
    let world = World::new().await;
    let mut raw = world.connect(&v311("a", 60)).await;
    let address = world.mqtt();
    let World { broker, listeners, store, .. } = world;
    listeners.shutdown().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    raw.closed().await;
    until("the socket to be counted out", || broker.connections() == 0).await;
    assert_eq!(store.released().len(), 1, "even a dropped task gives its claim back");
}

#[tokio::test]
async fn the_socket_is_closed_before_its_claim_is_released() {
    let world = World::new().await;
    for number in 0..20 {
        let mut raw = world.connect(&v311("a", 60)).await;
        raw.send(&publish_v3("x", b"1")).await;
        raw.send(b"\xe0\x00").await;
        until("the release", || world.store.released().len() > number).await;
        // Released: so the end is there to be read at once.
        let mut byte = [0];
        let end = tokio::time::timeout(Duration::from_millis(500), raw.0.peek(&mut byte)).await;
        assert_eq!(end.expect("closed already").unwrap(), 0);
    }
}

fn message(topic: &str, payload: Vec<u8>) -> Arc<Message> {
    let properties = MessageProperties::default();
    Arc::new(Message { topic: topic.into(), payload, qos: QoS::AtMostOnce, retain: false, properties })
}
