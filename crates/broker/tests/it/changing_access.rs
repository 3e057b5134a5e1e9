//! Users, policies and block rules change while clients are connected, or away.

use crate::world::{World, deliveries, message_at, now, requested, topics};
use rollcall_session::{Order, PublishVerdict, ReasonCode, SubscribeAnswer};
use rollcall_types::{DisconnectReason, QoS};
use std::sync::atomic::Ordering;
use tokio::task::JoinSet;

fn forbid(world: &World, topic: &str) {
    *world.admission.forbidden.lock().unwrap() = Some(topic.to_owned());
    world.admission.version.fetch_add(1, Ordering::SeqCst);
}

#[tokio::test]
async fn a_subscription_that_is_allowed_no_more_is_taken_away_and_told() {
    let world = World::default();
    let (reader, writer, watcher) = (world.connect("r").await, world.connect("w").await, world.connect("e").await);
    world.subscribe(&watcher, "$events/session_unsubscribed");
    let mut telling = JoinSet::new();
    telling.spawn(world.broker.clone().tell_session_events());
    for filter in ["t", "u", "$share/g/t"] {
        world.subscribe_at(&reader, filter, QoS::AtLeastOnce);
    }
    forbid(&world, "t");
    world.broker.access_changed().await;
    assert_eq!(reader.connection().ordered(), None, "it stays connected");
    for topic in ["t", "u"] {
        let verdict = world.publish(writer.connection(), &message_at(topic, QoS::AtMostOnce));
        let expected =
            if topic == "t" { PublishVerdict::NotAuthorized } else { PublishVerdict::Accepted { matched: true } };
        assert_eq!(verdict, expected, "{topic}");
    }
    assert_eq!(topics(reader.connection()), ["u"]);
    let refused = now(world.broker.subscribe(reader.connection(), None, &[(requested("t"), None)]));
    assert_eq!(refused, [SubscribeAnswer::Refused(ReasonCode::NotAuthorized)]);
    let told = crate::world::arrived(watcher.connection(), 2).await;
    let mut told: Vec<String> =
        told.into_iter().map(|one| String::from_utf8(one.message.payload.clone()).unwrap()).collect();
    told.sort_by_key(String::len);
    for (event, filter) in told.iter().zip(["t", "$share/g/t"]) {
        for part in [r#""event":"session.unsubscribed""#, r#""clientid":"r""#, &format!(r#""topic":"{filter}""#)] {
            assert!(event.contains(part), "a group's name gives no permission: {part} in {event}");
        }
    }
    telling.shutdown().await;
}

#[tokio::test]
async fn who_may_be_connected_no_more_is_closed() {
    let world = World::default();
    let held = world.connect("a").await;
    world.broker.access_changed().await;
    assert_eq!(held.connection().ordered(), None);
    world.admission.denied.store(true, Ordering::SeqCst);
    world.broker.access_changed().await;
    assert_eq!(held.connection().ordered(), Some(Order::NotAuthorized));
    assert!(!held.connection().may_send(), "nothing but the close");
}

#[tokio::test]
async fn the_connections_of_a_deleted_user_are_closed_and_its_sessions_end() {
    let world = World::default();
    let (held, writer) = (world.connect("a").await, world.connect("w").await);
    let away = world.connect_for("b", true, 100).await;
    world.subscribe_at(&away, "t", QoS::AtLeastOnce);
    away.release(DisconnectReason::ConnectionLost);
    assert_eq!(world.broker.sessions_kept(), 1);
    *world.admission.deleted.lock().unwrap() = Some("user0".to_owned());
    world.broker.access_changed().await;
    assert_eq!(held.connection().ordered(), Some(Order::NotAuthorized));
    assert_eq!(world.broker.sessions_kept(), 0);
    let verdict = world.publish(writer.connection(), &message_at("t", QoS::AtMostOnce));
    assert_eq!(verdict, PublishVerdict::Accepted { matched: false });
}

#[tokio::test]
async fn a_session_away_loses_what_it_may_read_no_more() {
    let world = World::default();
    let writer = world.connect("w").await;
    let away = world.connect_for("a", true, 100).await;
    for filter in ["t", "u", "+"] {
        world.subscribe_at(&away, filter, QoS::AtLeastOnce);
    }
    away.release(DisconnectReason::ConnectionLost);
    forbid(&world, "+");
    world.broker.access_changed().await;
    for topic in ["t", "v"] {
        world.publish(writer.connection(), &message_at(topic, QoS::AtLeastOnce));
    }
    // What nobody has looked at since is looked at when the client returns.
    forbid(&world, "u");
    let back = world.connect_for("a", false, 100).await;
    assert!(back.session_present());
    *world.admission.forbidden.lock().unwrap() = None;
    world.publish(writer.connection(), &message_at("u", QoS::AtLeastOnce));
    let got: Vec<String> = deliveries(back.connection()).iter().map(|one| one.message.topic.clone()).collect();
    assert_eq!(got, ["t"]);
}
