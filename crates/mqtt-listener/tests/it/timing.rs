//! B-007, B-020, B-120, B-122, B-123: deadlines on real sockets, to one second.

use crate::{
    raw::{Raw, v5, v311},
    web_socket::Web,
    world::{World, until},
};
use rollcall_session::Limits;
use rollcall_types::{ClientId, DisconnectReason, Epoch};
use std::time::{Duration, Instant};

fn assert_about(took: Duration, wanted_ms: u64) {
    let took_ms = u64::try_from(took.as_millis()).unwrap();
    // Never early, and at most a second late.
    assert!((wanted_ms - 5..wanted_ms + 1000).contains(&took_ms), "{took_ms} ms instead of {wanted_ms}");
}

#[tokio::test]
async fn b_007_b_020_a_silent_client_is_closed_at_one_and_a_half_times_its_keep_alive_on_every_transport() {
    let world = World::new().await;
    let start = Instant::now();
    let mut five = world.connect(&v5("five", 1)).await;
    let mut three = world.connect(&v311("three", 1)).await;
    let mut web = Web::connect(world.ws(), &v311("web", 1)).await;
    let rest = five.rest().await;
    assert!(rest == b"\xe0\x01\x8d" || rest == b"\xe0\x02\x8d\x00", "{rest:02x?}");
    three.closed().await;
    web.closed().await;
    assert_about(start.elapsed(), 1500);
    until("three releases", || world.store.released().len() == 3).await;
    assert!(world.store.released().iter().all(|(_, reason)| *reason == DisconnectReason::KeepaliveTimeout));
}

#[tokio::test]
async fn b_120_a_client_that_pings_stays_and_is_closed_counting_from_its_last_packet() {
    let world = World::new().await;
    let mut raw = world.connect(&v311("a", 1)).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(900)).await;
        raw.is_alive().await;
    }
    let last = Instant::now();
    raw.closed().await;
    assert_about(last.elapsed(), 1500);
}

#[tokio::test]
async fn another_keep_alive_holds_an_open_connection_without_dropping_it() {
    let world = World::new().await;
    let (mut shorter, mut longer) = (world.connect(&v5("shorter", 60)).await, world.connect(&v311("longer", 1)).await);
    for (client, epoch, keep_alive_s) in [("longer", 2, 60), ("shorter", 1, 1)] {
        let client_id = ClientId::new(client).unwrap();
        world.broker.change_keep_alive_here(&client_id, Epoch(epoch), keep_alive_s).await.unwrap();
    }
    shorter.is_alive().await;
    let last = Instant::now();
    let rest = shorter.rest().await;
    assert!(rest == b"\xe0\x01\x8d" || rest == b"\xe0\x02\x8d\x00", "{rest:02x?}");
    assert_about(last.elapsed(), 1500);
    // Its own would have ended it by now.
    longer.is_alive().await;
}

#[tokio::test]
async fn a_client_without_keep_alive_stays() {
    let world = World::new().await;
    let mut raw = world.connect(&v311("a", 0)).await;
    tokio::time::sleep(Duration::from_millis(2000)).await;
    raw.is_alive().await;
}

#[tokio::test]
async fn b_123_a_socket_without_connect_is_closed_at_its_deadline_without_a_word() {
    let world = World::with(Limits { connect_timeout_ms: 400, ..Limits::default() }).await;
    let start = Instant::now();
    let mut silent = world.open().await;
    let mut half = world.open().await;
    half.send(&v311("a", 60)[..7]).await;
    let mut web = Raw::open(world.ws()).await;
    web.send(b"GET /mqtt HTTP/1.1\r\n").await;
    let mut upgraded = Web::open(world.ws()).await;
    silent.closed().await;
    half.closed().await;
    web.closed().await;
    upgraded.closed().await;
    assert_about(start.elapsed(), 400);
    until("all sockets to be counted out", || world.broker.connections() == 0).await;
}
