//! B-062 to B-095: one owner per client id, and nobody's end touches another's connection.

use crate::world::{World, id, next, poll};
use rollcall_broker::ToConnection;
use rollcall_contracts::{ConnectionEnding, EndingKind};
use rollcall_session::Order;
use rollcall_types::{DisconnectReason, Epoch};

#[tokio::test]
async fn b_062_b_081_the_old_connection_is_told_at_once_and_the_new_one_serves() {
    let world = World::default();
    let old = world.connect("a").await;
    let new = world.connect("a").await;
    assert_eq!(next(old.connection()), Some(ToConnection::End(Order::Takeover)));
    assert!(!old.connection().may_send() && old.connection().has_lease(), "only the farewell is left");
    assert!(new.connection().may_send());
    assert_eq!(next(new.connection()), None, "B-067: it is not told to step down by itself");
    assert_eq!(world.broker.sessions_online(), 1);
}

#[tokio::test]
async fn b_078_b_083_b_089_the_end_of_the_old_connection_does_not_touch_the_new_one() {
    let world = World::default();
    let old = world.connect("a").await;
    world.subscribe(&old, "t");
    let new = world.connect("a").await;
    world.subscribe(&new, "t");
    let old_epoch = old.connection().epoch();
    old.release(DisconnectReason::Takeovered);
    assert_eq!(world.broker.sessions_online(), 1);
    assert!(new.connection().may_send());
    assert_eq!(world.store.released(), vec![], "the old claim is over in the log: nothing to release");
    // A late word about the old epoch changes nothing either.
    world.broker.claim_ended(&id("a"), old_epoch, EndingKind::Takeover);
    world.broker.claim_ended(&id("a"), old_epoch, EndingKind::Kicked);
    assert_eq!(next(new.connection()), None);
    let verdict = world.publish(new.connection(), &crate::world::message("t"));
    assert_eq!(verdict, rollcall_session::PublishVerdict::Accepted { matched: true });
    assert!(matches!(next(new.connection()), Some(ToConnection::Send(_))));
    new.release(DisconnectReason::Normal);
    assert_eq!(world.broker.sessions_online(), 0);
}

#[tokio::test]
async fn b_091_the_store_may_tell_of_the_takeover_before_or_after_the_new_claim_is_answered() {
    for store_first in [true, false] {
        let world = World::default();
        let old = world.connect("a").await;
        let old_epoch = old.connection().epoch();
        world.store.hold();
        let mut connecting = world.connecting("a");
        assert!(poll(&mut connecting).is_pending());
        if store_first {
            world.broker.claim_ended(&id("a"), old_epoch, EndingKind::Takeover);
            assert_eq!(next(old.connection()), Some(ToConnection::End(Order::Takeover)));
        } else {
            assert_eq!(next(old.connection()), None, "not before the claim is committed");
        }
        world.store.answer();
        let new = connecting.await.unwrap();
        if !store_first {
            world.broker.claim_ended(&id("a"), old_epoch, EndingKind::Takeover);
        }
        assert_eq!(next(old.connection()), Some(ToConnection::End(Order::Takeover)));
        old.release(DisconnectReason::Takeovered);
        assert!(new.connection().may_send());
        assert_eq!(next(new.connection()), None);
        assert_eq!(world.broker.sessions_online(), 1);
        assert_eq!(world.store.released(), vec![]);
    }
}

#[tokio::test]
async fn the_old_connection_may_be_gone_before_the_new_claim_is_answered() {
    let world = World::default();
    let old = world.connect("a").await;
    world.store.hold();
    let mut connecting = world.connecting("a");
    assert!(poll(&mut connecting).is_pending());
    let old_epoch = old.connection().epoch();
    old.release(DisconnectReason::ConnectionLost);
    assert_eq!(world.store.released(), vec![(old_epoch, DisconnectReason::ConnectionLost)]);
    world.store.answer();
    let new = connecting.await.unwrap();
    assert!(new.connection().may_send());
    assert_eq!(world.broker.sessions_online(), 1);
}

#[tokio::test]
async fn a_takeover_elsewhere_a_kick_and_a_lost_node_are_told_each_in_its_way() {
    let world = World::default();
    for (kind, order) in [
        (EndingKind::Takeover, Order::Takeover),
        (EndingKind::Kicked, Order::Kick),
        (EndingKind::NodeLost, Order::NodeLost),
    ] {
        let held = world.connect("a").await;
        let epoch = held.connection().epoch();
        world.broker.claim_ended(&id("b"), epoch, kind);
        world.broker.claim_ended(&id("a"), Epoch(epoch.0 + 1), kind);
        assert_eq!(next(held.connection()), None, "another client, another epoch");
        world.broker.claim_ended(&id("a"), epoch, kind);
        assert!(!held.connection().may_send());
        assert_eq!(next(held.connection()), Some(ToConnection::End(order)));
        held.release(DisconnectReason::Kicked);
    }
    assert_eq!(world.store.released(), vec![], "claims ended by others are not released");
}

#[tokio::test]
async fn a_failed_claim_leaves_the_old_connection_alone() {
    let world = World::default();
    let old = world.connect("a").await;
    world.store.refuse(rollcall_contracts::ClaimError::Unavailable);
    world.refused("a").await;
    assert!(old.connection().may_send());
    assert_eq!(next(old.connection()), None);
}
