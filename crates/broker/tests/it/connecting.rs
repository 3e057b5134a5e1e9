//! The way of a CONNECT: admission, turn, claim, and whether it is still so.

use crate::world::{World, id, next, poll};
use rollcall_broker::{BrokerConfig, ToConnection};
use rollcall_contracts::{AuthError, ClaimError, ConnectionEnding, EndingKind, Rated};
use rollcall_presence::Displaced;
use rollcall_session::{ConnectRefusal, Order};
use rollcall_types::{DisconnectReason, Epoch, Incarnation, NodeId, Owner};
use std::{sync::atomic::Ordering, task::Poll};

#[tokio::test]
async fn a_connect_claims_and_its_end_releases_with_the_epoch_and_reason() {
    let world = World::default();
    let held = world.connect("a").await;
    assert!(held.connection().may_send());
    assert_eq!(world.broker.sessions_online(), 1);
    let asked = world.store.asked.lock().unwrap()[0].clone();
    assert_eq!((asked.client_id, asked.username.as_str(), asked.bind_account), (id("a"), "user0", true));
    assert_eq!((asked.peer.as_str(), asked.keep_alive_s), ("10.0.0.1:4711", 60));
    let epoch = held.connection().epoch();
    held.release(DisconnectReason::KeepaliveTimeout);
    assert_eq!(world.store.released(), vec![(epoch, DisconnectReason::KeepaliveTimeout)]);
    assert_eq!(world.broker.sessions_online(), 0);
}

#[tokio::test]
async fn a_claim_whose_task_vanishes_is_released_as_lost() {
    let world = World::default();
    let held = world.connect("a").await;
    let epoch = held.connection().epoch();
    drop(held);
    assert_eq!(world.store.released(), vec![(epoch, DisconnectReason::ConnectionLost)]);
}

#[tokio::test]
async fn each_refusal_names_its_cause() {
    let world = World::default();
    for (error, refusal) in [
        (ClaimError::Unavailable, ConnectRefusal::Unavailable),
        (ClaimError::NotServing, ConnectRefusal::NotServing),
        (ClaimError::Displaced, ConnectRefusal::Displaced),
        (ClaimError::OtherAccount, ConnectRefusal::OtherAccount),
        (ClaimError::Busy, ConnectRefusal::Busy),
        (ClaimError::TooLarge, ConnectRefusal::WillTooLarge),
    ] {
        world.store.refuse(error);
        assert_eq!(world.refused("a").await, refusal);
    }
    world.admission.denied.store(true, Ordering::SeqCst);
    assert_eq!(world.refused("a").await, ConnectRefusal::NotAuthorized);
    for (error, refusal) in [
        (AuthError::Rejected, ConnectRefusal::BadCredentials),
        (AuthError::TooManyFailures { retry_after_s: 1 }, ConnectRefusal::TooManyFailures),
        (AuthError::Unavailable, ConnectRefusal::AccountsUnavailable),
    ] {
        *world.admission.auth_error.lock().unwrap() = Some(error);
        assert_eq!(world.refused("a").await, refusal);
    }
    world.lease.lose();
    assert_eq!(world.refused("a").await, ConnectRefusal::NotServing);
    assert_eq!(world.broker.sessions_online(), 0);
    assert_eq!(world.store.released(), vec![], "nothing was granted, nothing is owed");
}

#[tokio::test]
async fn b_127_a_connect_over_the_rate_costs_no_authentication_and_no_claim() {
    let world = World::default();
    world.admission.over_rate.lock().unwrap().insert(Rated::Connects);
    assert_eq!(world.refused("a").await, ConnectRefusal::RateExceeded);
    assert_eq!(world.admission.authenticated.load(Ordering::SeqCst), 0);
    assert_eq!(world.store.asked(), 0);
}

#[tokio::test]
async fn b_130_a_client_that_connects_too_often_is_told_to_wait() {
    let world = World::new(BrokerConfig { client_connects_per_minute: 2, ..BrokerConfig::default() });
    drop((world.connect("a").await, world.connect("a").await));
    assert_eq!(world.refused("a").await, ConnectRefusal::Flapping);
    world.connect("b").await.release(DisconnectReason::Normal);
    world.lease.pass(60_000);
    world.connect("a").await.release(DisconnectReason::Normal);
}

#[tokio::test]
async fn b_130_two_clients_of_one_id_stop_displacing_each_other_and_the_last_stays() {
    let world = World::new(BrokerConfig { client_takeovers_per_minute: 2, ..BrokerConfig::default() });
    let first = world.connect("a").await;
    let owner = Owner { node: NodeId(1), incarnation: Incarnation(1) };
    *world.store.displaced.lock().unwrap() = Some(Displaced { owner, epoch: Epoch(1) });
    let second = world.connect("a").await;
    let third = world.connect("a").await;
    assert_eq!([&first, &second].map(|held| held.connection().ordered()), [Some(Order::Takeover); 2]);
    assert_eq!(world.refused("a").await, ConnectRefusal::Flapping);
    assert_eq!(world.store.asked(), 3, "no claim for the one refused");
    assert_eq!(third.connection().ordered(), None, "who has the id keeps it");
    drop(world.connect("b").await);
    world.lease.pass(60_000);
    drop(world.connect("a").await);
}

#[tokio::test]
async fn connects_that_displace_nobody_are_no_takeovers() {
    let world = World::new(BrokerConfig { client_takeovers_per_minute: 1, ..BrokerConfig::default() });
    for _ in 0..3 {
        world.connect("a").await.release(DisconnectReason::Normal);
    }
}

#[tokio::test]
async fn a_will_that_may_not_be_published_keeps_its_client_out() {
    let world = World::default();
    for topic in ["forbidden/x", "$events/x", "$SYS/x"] {
        let mut request = crate::world::request("a");
        request.will = Some(rollcall_types::Will { message: (*crate::world::message(topic)).clone(), delay_s: 0 });
        let refused = world.broker.connect(request, crate::world::peer()).await.unwrap_err();
        assert_eq!(refused, ConnectRefusal::NotAuthorized, "{topic}");
    }
}

#[tokio::test]
async fn a_lease_lost_while_the_claim_waits_gives_nothing_but_the_close_and_a_release() {
    let world = World::default();
    world.store.hold();
    let mut connecting = world.connecting("a");
    assert!(poll(&mut connecting).is_pending());
    world.lease.lose();
    world.store.answer();
    let refused = connecting.await.unwrap_err();
    assert_eq!(refused, ConnectRefusal::LeaseLost);
    assert_eq!(refused.reason_code(), None, "not a word");
    assert_eq!(world.store.released(), vec![(Epoch(1), DisconnectReason::NodeLost)]);
    assert_eq!(world.broker.sessions_online(), 0);
}

#[tokio::test]
async fn a_claim_made_under_one_incarnation_does_not_serve_under_the_next() {
    let world = World::default();
    let held = world.connect("a").await;
    world.store.hold();
    let mut connecting = world.connecting("b");
    assert!(poll(&mut connecting).is_pending());
    world.lease.lose();
    assert!(!held.connection().may_send());
    world.lease.begin_next();
    assert!(!held.connection().may_send() && !held.connection().has_lease(), "a lost lease never comes back");
    world.store.answer();
    assert_eq!(connecting.await.unwrap_err(), ConnectRefusal::LeaseLost);
    assert!(world.connect("c").await.connection().may_send());
}

#[tokio::test]
async fn connects_of_one_id_queue_up_and_each_takes_over_from_the_one_before() {
    let world = World::default();
    world.store.hold();
    let mut first = world.connecting("a");
    let mut second = world.connecting("a");
    let mut other = world.connecting("b");
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending() && poll(&mut other).is_pending());
    assert_eq!(world.store.asked(), 2, "one claim of a, one of b; the second of a waits its turn");
    world.store.answer();
    let (first, _other) = (first.await.unwrap(), other.await.unwrap());
    assert_eq!(next(first.connection()), None);
    let second = second.await.unwrap();
    assert_eq!(next(first.connection()), Some(ToConnection::End(Order::Takeover)));
    assert!(second.connection().epoch() > first.connection().epoch());
    assert!(second.connection().may_send() && !first.connection().may_send());
}

#[tokio::test]
async fn b_069_the_queue_of_one_id_is_bounded() {
    let world = World::new(BrokerConfig { client_connects_waiting: 2, ..BrokerConfig::default() });
    world.store.hold();
    let mut waiting: Vec<_> = (0..3).map(|_| world.connecting("a")).collect();
    for connecting in &mut waiting {
        assert!(poll(connecting).is_pending());
    }
    assert_eq!(world.refused("a").await, ConnectRefusal::Busy);
    // Whoever gave up makes room.
    waiting.pop();
    let mut late = world.connecting("a");
    assert!(poll(&mut late).is_pending());
    world.store.answer();
    for connecting in waiting {
        connecting.await.unwrap();
    }
    late.await.unwrap();
}

#[tokio::test]
async fn connects_under_way_are_bounded_in_all() {
    let world = World::new(BrokerConfig { connects_waiting: 2, ..BrokerConfig::default() });
    world.store.hold();
    let (mut a, mut b) = (world.connecting("a"), world.connecting("b"));
    assert!(poll(&mut a).is_pending() && poll(&mut b).is_pending());
    assert_eq!(world.refused("c").await, ConnectRefusal::Busy);
    drop(b);
    world.store.answer();
    world.connect("c").await;
    a.await.unwrap();
}

#[tokio::test]
async fn a_client_that_goes_away_while_its_claim_waits_gives_up_the_claim_and_the_turn() {
    // B-083: CONNECT handled for a closed socket.
    let world = World::default();
    world.store.hold();
    let mut first = world.connecting("a");
    let mut second = world.connecting("a");
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    drop(first);
    assert_eq!(world.store.abandoned.load(Ordering::SeqCst), 1, "the store releases it by itself");
    assert!(poll(&mut second).is_pending());
    assert_eq!(world.store.asked(), 2, "the next in line has the turn");
    world.store.answer();
    let held = second.await.unwrap();
    assert_eq!(held.connection().epoch(), Epoch(2));
    assert_eq!(world.broker.sessions_online(), 1);
}

#[tokio::test]
async fn a_turn_given_to_one_who_has_gone_is_passed_on() {
    let world = World::default();
    world.store.hold();
    let mut waiting: Vec<_> = (0..4).map(|_| world.connecting("a")).collect();
    for connecting in &mut waiting {
        assert!(poll(connecting).is_pending());
    }
    let last = waiting.pop().unwrap();
    // The first gives its turn to the second, which goes before it looks; so does the third.
    drop(waiting.remove(0));
    drop(waiting);
    world.store.answer();
    last.await.unwrap();
}

#[tokio::test]
async fn b_077_a_claim_that_never_answers_ends_at_the_deadline() {
    let world = World::new(BrokerConfig { connect_deadline_ms: 30, ..BrokerConfig::default() });
    world.store.hold();
    assert_eq!(world.refused("a").await, ConnectRefusal::Unavailable);
    assert_eq!(world.store.abandoned.load(Ordering::SeqCst), 1);
    world.store.answer();
    world.connect("a").await;
}

#[tokio::test]
async fn a_claim_ended_before_its_answer_arrives_is_no_connection() {
    let world = World::default();
    world.store.hold();
    let mut connecting = world.connecting("a");
    assert!(poll(&mut connecting).is_pending());
    // The feed runs ahead of the answer: another node took the id.
    world.broker.claim_ended(&id("a"), Epoch(1), EndingKind::Takeover);
    world.store.answer();
    assert_eq!(connecting.await.unwrap_err(), ConnectRefusal::Displaced);
    assert_eq!(world.store.released(), vec![], "its claim is over already");
    assert_eq!(world.broker.sessions_online(), 0);
    // What was noted does not outlive the turn.
    let held = world.connect("a").await;
    assert!(held.connection().may_send());
    assert!(matches!(poll(&mut world.connecting("b")), Poll::Ready(Ok(_))));
}
