//! Sockets against claims: what stays wrong for the grace is put right, what is only late is left alone.

use crate::world::{World, id, next, poll};
use rollcall_broker::{BrokerConfig, Reconciled, ToConnection};
use rollcall_session::Order;
use rollcall_types::{DisconnectReason, Epoch};

fn world() -> World {
    World::new(BrokerConfig { reconcile_grace_ms: 100_000, ..BrokerConfig::default() })
}

#[tokio::test]
async fn a_claim_without_a_socket_is_released_after_the_grace() {
    let world = world();
    let claims = || vec![(id("ghost"), Epoch(7))];
    let waits = Reconciled { mismatched: 1, ..Reconciled::default() };
    assert_eq!(world.broker.reconcile(claims()), waits);
    world.lease.pass(50_000);
    assert_eq!(world.broker.reconcile(claims()), waits);
    world.lease.pass(50_000);
    assert_eq!(world.broker.reconcile(claims()).released, 1);
    assert_eq!(world.store.released(), vec![(Epoch(7), DisconnectReason::ConnectionLost)]);
}

#[tokio::test]
async fn a_socket_whose_epoch_is_not_current_is_closed_after_the_grace() {
    let world = world();
    let held = world.connect("a").await;
    assert_eq!(world.broker.reconcile(vec![]).mismatched, 1);
    assert_eq!(next(held.connection()), None);
    world.lease.pass(100_000);
    assert_eq!(world.broker.reconcile(vec![]).closed, 1);
    assert_eq!(next(held.connection()), Some(ToConnection::End(Order::Takeover)));
}

#[tokio::test]
async fn what_agrees_or_agrees_again_within_the_grace_is_left_alone() {
    let world = world();
    let held = world.connect("a").await;
    let claims = || vec![(id("a"), held.connection().epoch())];
    assert_eq!(world.broker.reconcile(claims()), Reconciled::default());
    world.broker.reconcile(vec![]);
    world.lease.pass(60_000);
    assert_eq!(world.broker.reconcile(claims()), Reconciled::default(), "the replica caught up");
    world.broker.reconcile(vec![]);
    world.lease.pass(60_000);
    assert_eq!(world.broker.reconcile(vec![]).closed, 0, "the grace began anew");
    assert!(held.connection().may_send());
}

#[tokio::test]
async fn a_claim_whose_connect_is_still_under_way_is_no_ghost() {
    let world = world();
    world.store.hold();
    let mut connecting = world.connecting("a");
    assert!(poll(&mut connecting).is_pending());
    for _ in 0..3 {
        assert_eq!(world.broker.reconcile(vec![(id("a"), Epoch(1))]), Reconciled::default());
        world.lease.pass(100_000);
    }
}
