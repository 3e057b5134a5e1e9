//! A planned stop, and the end of a lease.

use crate::world::{World, next, poll};
use rollcall_broker::{BrokerConfig, DrainReport, HeldClaim, OpenSocket, ToConnection};
use rollcall_session::{ConnectRefusal, Order};
use rollcall_types::DisconnectReason;
use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

async fn clients(world: &World, count: usize) -> Vec<(OpenSocket, HeldClaim)> {
    let mut clients = vec![];
    for number in 0..count {
        let mut socket = world.broker.socket_opened();
        let held = world.connect(&number.to_string()).await;
        socket.admitted();
        clients.push((socket, held));
    }
    clients
}

#[tokio::test]
async fn b_131_a_drain_closes_in_waves_and_waits_for_the_sockets_and_the_releases() {
    let world = Arc::new(World::new(BrokerConfig { drain_waves: 3, ..BrokerConfig::default() }));
    let clients = clients(&world, 9).await;
    let draining = {
        let world = world.clone();
        tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(world.broker.drain(Duration::from_millis(1200), Order::Moved, Some("n2:1883".into())))
        })
    };
    let told = |clients: &[(OpenSocket, HeldClaim)]| {
        clients.iter().filter(|(_, held)| held.connection().ordered() == Some(Order::Moved)).count()
    };
    let mut waves = vec![];
    while told(&clients) < 9 {
        let now = told(&clients);
        if now > 0 && waves.last() != Some(&now) {
            waves.push(now);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(waves, vec![3, 6], "three at a time, not all at once");
    assert_eq!(world.broker.elsewhere().as_deref(), Some("n2:1883"));
    assert_eq!(world.refused("late").await, ConnectRefusal::ShuttingDown);
    for (socket, held) in clients {
        held.release(DisconnectReason::ServerShutdown);
        drop(socket);
    }
    assert_eq!(draining.await.unwrap(), DrainReport { told: 9, left: 0, released: true });
    assert_eq!(world.store.released().len(), 9);
}

#[tokio::test]
async fn a_drain_ends_at_its_budget_even_if_a_socket_does_not_close() {
    let world = World::default();
    let clients = clients(&world, 1).await;
    world.store.all_released.store(false, Ordering::SeqCst);
    let report = world.broker.drain(Duration::from_millis(60), Order::Shutdown, None).await;
    assert_eq!(report, DrainReport { told: 1, left: 1, released: false });
    assert_eq!(next(clients[0].1.connection()), Some(ToConnection::End(Order::NodeLost)), "patience is over");
}

#[tokio::test]
async fn a_connect_under_way_when_the_drain_begins_is_refused_and_released() {
    let world = World::default();
    world.store.hold();
    let mut connecting = world.connecting("a");
    assert!(poll(&mut connecting).is_pending());
    let socket = world.broker.socket_opened();
    let mut draining = Box::pin(world.broker.drain(Duration::from_secs(5), Order::Shutdown, None));
    assert!(poll(&mut draining).is_pending());
    world.store.answer();
    assert_eq!(connecting.await.unwrap_err(), ConnectRefusal::ShuttingDown);
    assert_eq!(world.store.released().len(), 1);
    drop(socket);
    assert_eq!(draining.await.left, 0);
}

#[tokio::test]
async fn the_end_of_the_lease_closes_every_connection_without_a_word() {
    let world = World::default();
    let clients = clients(&world, 3).await;
    world.broker.publish(clients[0].1.connection(), &crate::world::message("x"));
    let mut signal = world.broker.closing_signal();
    world.lease.lose();
    assert!(clients.iter().all(|(_, held)| !held.connection().may_send()), "even before anybody is told");
    world.broker.close_all(DisconnectReason::NodeLost);
    for (_, held) in &clients {
        assert_eq!(next(held.connection()), Some(ToConnection::End(Order::NodeLost)));
        assert!(!held.connection().has_lease(), "no farewell either");
    }
    signal.closing().await;
    assert!(!world.broker.all_closed(Duration::from_millis(5)).await);
    drop(clients);
    assert!(world.broker.all_closed(Duration::from_millis(500)).await);
    world.lease.begin_next();
    world.connect("0").await;
}

#[tokio::test]
async fn a_lost_lease_silences_a_farewell_that_was_ordered_before() {
    let world = World::default();
    let clients = clients(&world, 1).await;
    world.broker.close_all(DisconnectReason::ServerShutdown);
    world.broker.close_all(DisconnectReason::NodeLost);
    assert_eq!(next(clients[0].1.connection()), Some(ToConnection::End(Order::NodeLost)));
}
