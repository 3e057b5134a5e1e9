//! Listeners behind a balancer that speaks the PROXY protocol.

use crate::{
    raw::{Raw, v5, v311},
    web_socket::{BINARY, Web},
    world::{World, until},
};
use rollcall_mqtt_listener::ListenerConfig;
use rollcall_session::Limits;
use std::{net::SocketAddr, sync::Arc, time::Instant};

async fn behind_a_balancer(connect_timeout_ms: u64) -> World {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    World::with_config(ListenerConfig {
        mqtt: Some(free),
        ws: Some(free),
        proxy_protocol: true,
        limits: Arc::new(Limits { connect_timeout_ms, ..Limits::default() }),
        ..ListenerConfig::default()
    })
    .await
}

#[tokio::test]
async fn the_clients_own_address_is_the_one_that_counts() {
    let world = behind_a_balancer(10_000).await;
    let mut raw = world.open().await;
    // Header and CONNECT in one piece: not a byte of the client may be lost.
    raw.send(&[b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 1883\r\n", &v5("a", 60)[..]].concat()).await;
    assert_eq!(raw.packet().await[3], 0);
    raw.is_alive().await;
    assert_eq!(world.store.asked.lock().unwrap()[0].peer, "192.0.2.7:8080");
    let mut raw = Raw::open(world.ws()).await;
    raw.send(b"PROXY TCP6 2001:db8::1 ::1 80 1883\r\n").await;
    let mut web = Web::over(raw).await;
    web.send(BINARY, &v311("b", 60)).await;
    assert_eq!(web.packet().await, b"\x20\x02\x00\x00");
    assert_eq!(world.store.asked.lock().unwrap()[1].peer, "[2001:db8::1]:80");
}

#[tokio::test]
async fn without_a_well_formed_header_nobody_comes_in() {
    let world = behind_a_balancer(10_000).await;
    for bytes in [v311("a", 60), b"PROXY TCP4 192.0.2.7 10.0.0.1 8080\r\n".to_vec()] {
        let mut raw = world.open().await;
        raw.send(&[&bytes[..], &v311("a", 60)].concat()).await;
        raw.closed().await;
    }
    until("all sockets to be counted out", || world.broker.connections() == 0).await;
    assert_eq!(world.store.asked(), 0);
}

#[tokio::test]
async fn a_header_that_does_not_come_is_not_waited_for_longer_than_a_connect() {
    let world = behind_a_balancer(300).await;
    let start = Instant::now();
    let mut raw = world.open().await;
    raw.send(b"PROXY TCP4 192.0.2.7").await;
    raw.closed().await;
    assert!(start.elapsed().as_millis() >= 295);
}
