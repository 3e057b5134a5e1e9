//! Sessions that outlive their connections on one node, and shared subscriptions.

use crate::world::{World, id, message_at, next, publishes, topics};
use rollcall_broker::ToConnection;
use rollcall_contracts::DeliveryTarget;
use rollcall_session::{Order, Outgoing, Packet};
use rollcall_types::{DisconnectReason, Epoch, QoS};

#[tokio::test]
async fn a_session_is_kept_for_its_expiry_and_takes_messages_meanwhile() {
    let world = World::default();
    let first = world.connect_for("a", true, 100).await;
    world.subscribe_at(&first, "t", QoS::ExactlyOnce);
    first.release(DisconnectReason::ConnectionLost);
    assert_eq!(world.broker.sessions_online(), 0);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        world.broker.deliver_local(message_at("t", qos));
    }
    world.lease.pass(99_000);
    world.broker.sweep_sessions();
    let second = world.connect_for("a", false, 100).await;
    assert!(second.session_present());
    let got: Vec<_> = publishes(second.connection()).iter().map(|publish| publish.delivery.qos).collect();
    assert_eq!(got, [QoS::AtLeastOnce, QoS::ExactlyOnce], "QoS 0 is not kept");
    assert_eq!(world.broker.sessions_kept(), 0, "it is held again");
    second.release(DisconnectReason::Normal);
    world.lease.pass(100_000);
    // Whether the sweep came by or not.
    let third = world.connect_for("a", false, 100).await;
    assert!(!third.session_present());
    third.release(DisconnectReason::Normal);
    world.lease.pass(100_000);
    world.broker.sweep_sessions();
    assert_eq!(world.broker.sessions_kept(), 0);
}

#[tokio::test]
async fn a_session_that_ended_leaves_no_subscription_behind() {
    let world = World::default();
    let writer = world.connect("w").await;
    for (clean_start, expiry_s) in [(true, 0), (true, 1), (true, 100)] {
        let held = world.connect_for("a", clean_start, expiry_s).await;
        world.subscribe_at(&held, "t", QoS::AtLeastOnce);
        world.subscribe_at(&held, "$share/g/t", QoS::AtLeastOnce);
        held.release(DisconnectReason::ConnectionLost);
        world.lease.pass(1000);
        world.broker.sweep_sessions();
        let verdict = world.publish(writer.connection(), &message_at("t", QoS::AtLeastOnce));
        let kept = expiry_s == 100;
        assert_eq!(verdict, rollcall_session::PublishVerdict::Accepted { matched: kept }, "{expiry_s}");
    }
    // A clean start discards the last one.
    world.connect_for("a", true, 0).await.release(DisconnectReason::Normal);
    let verdict = world.publish(writer.connection(), &message_at("t", QoS::AtLeastOnce));
    assert_eq!(verdict, rollcall_session::PublishVerdict::Accepted { matched: false });
}

#[tokio::test]
async fn b_051_a_session_of_expiry_zero_ends_at_a_takeover() {
    let world = World::default();
    let old = world.connect_for("a", true, 0).await;
    world.subscribe_at(&old, "t", QoS::AtLeastOnce);
    let new = world.connect_for("a", false, 100).await;
    assert!(!new.session_present());
    world.broker.deliver_local(message_at("t", QoS::AtLeastOnce));
    assert_eq!(topics(new.connection()), [""; 0]);
    old.release(DisconnectReason::Takeovered);
    assert_eq!(world.broker.sessions_online(), 1);
}

#[tokio::test]
async fn a_takeover_hands_over_what_waits_and_what_is_under_way_whoever_ends_first() {
    for old_ends_first in [true, false] {
        let world = World::default();
        let old = world.connect_for("a", true, 100).await;
        world.subscribe_at(&old, "t", QoS::AtLeastOnce);
        world.broker.deliver_local(message_at("t", QoS::AtLeastOnce));
        assert_eq!(publishes(old.connection()).len(), 1);
        world.broker.deliver_local(message_at("t", QoS::AtLeastOnce));
        let new = world.connect_for("a", false, 100).await;
        assert!(new.session_present());
        assert_eq!(next(old.connection()), Some(ToConnection::End(Order::Takeover)));
        let old_connection = old.connection().clone();
        if old_ends_first {
            old.release(DisconnectReason::Takeovered);
        }
        let dups: Vec<_> = publishes(new.connection()).iter().map(|publish| publish.dup).collect();
        assert_eq!(dups, [true, false]);
        assert!(old_connection.with_session(|session| session.is_none()), "the old one touches it no more");
        new.release(DisconnectReason::ConnectionLost);
        let again = world.connect_for("a", false, 100).await;
        assert_eq!(publishes(again.connection()).len(), 2, "neither was acknowledged");
    }
}

#[tokio::test]
async fn a_session_is_out_of_date_once_its_client_was_on_another_node() {
    let world = World::default();
    let held = world.connect_for("a", true, 100).await;
    held.release(DisconnectReason::ConnectionLost);
    world.store.elsewhere.lock().unwrap().insert(id("a"), Epoch(1000));
    assert!(!world.connect_for("a", false, 100).await.session_present());
}

#[tokio::test]
async fn b_158_another_account_never_gets_a_session() {
    let world = World::default();
    world.connect_for("a", true, 100).await.release(DisconnectReason::Normal);
    let other = |clean_start| rollcall_session::ConnectRequest {
        username: Some("other".into()),
        clean_start,
        session_expiry_s: 100,
        ..crate::world::request("a")
    };
    for clean_start in [false, true] {
        let refused = world.broker.connect(other(clean_start), crate::world::peer()).await.unwrap_err();
        assert_eq!(refused, rollcall_session::ConnectRefusal::OtherAccount, "neither taken nor discarded");
    }
    assert!(world.connect_for("a", false, 100).await.session_present());
    // Its time is over a while after its client left; then the id is free.
    world.lease.pass(100_000);
    let held = world.broker.connect(other(true), crate::world::peer()).await.unwrap();
    assert!(!held.session_present());
}

#[tokio::test]
async fn a_shared_subscription_prefers_members_that_are_there() {
    let world = World::default();
    let away = world.connect_for("away", true, 100).await;
    let here = world.connect_for("here", true, 100).await;
    for held in [&away, &here] {
        world.subscribe_at(held, "$share/g/+", QoS::AtLeastOnce);
    }
    away.release(DisconnectReason::ConnectionLost);
    for _ in 0..3 {
        world.broker.deliver_local(message_at("t", QoS::AtLeastOnce));
    }
    assert_eq!(topics(here.connection()).len(), 3);
    here.release(DisconnectReason::ConnectionLost);
    for _ in 0..4 {
        world.broker.deliver_local(message_at("u", QoS::AtLeastOnce));
    }
    let away = world.connect_for("away", false, 100).await;
    assert_eq!(topics(away.connection()), ["u", "u"], "when nobody is there they take turns too");
}

#[tokio::test]
async fn what_a_member_leaves_unacknowledged_when_its_session_ends_goes_to_another() {
    let world = World::default();
    let first = world.connect_for("first", true, 0).await;
    world.subscribe_at(&first, "$share/g/t", QoS::AtLeastOnce);
    for _ in 0..3 {
        world.broker.deliver_local(message_at("t", QoS::AtLeastOnce));
    }
    let Some(ToConnection::Send(Outgoing::Publish(publish))) = next(first.connection()) else { panic!() };
    let second = world.connect_for("second", true, 0).await;
    world.subscribe_at(&second, "$share/g/t", QoS::AtLeastOnce);
    let acknowledged = Packet::PubAck(publish.packet_id.unwrap());
    let mut machine = opened();
    first.connection().with_session(|session| {
        machine.handle(rollcall_session::Event::Packet(acknowledged), session, world_time());
    });
    first.release(DisconnectReason::ConnectionLost);
    assert_eq!(topics(second.connection()), ["t", "t"], "all but the acknowledged one");
}

fn world_time() -> rollcall_types::BootTime {
    rollcall_types::BootTime(1)
}

/// A connection's machine that is open.
fn opened() -> rollcall_session::Connection {
    use rollcall_session::{Connect, Connection, Event, Limits};
    let mut machine = Connection::new(Limits::default().into(), 1, world_time());
    let connect = Connect {
        protocol: rollcall_types::Protocol::V5,
        client_id: "first".into(),
        clean_start: true,
        keep_alive_s: 0,
        username: None,
        password: None,
        will: None,
        session_expiry_s: 0,
        receive_maximum: 10,
        topic_alias_maximum: 0,
        authentication_method: None,
        authentication_data: Vec::new(),
    };
    machine.handle(Event::Packet(Packet::Connect(Box::new(connect))), None, world_time());
    machine.handle(Event::Admitted { session_present: false }, None, world_time());
    machine
}
