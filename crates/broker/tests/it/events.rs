//! Events under `$events/…`: to whom, at which QoS, to which member of a group, and how long who tells them waits.

use crate::world::{World, arrived, deliveries, id, poll, topics};
use rollcall_broker::{BrokerConfig, HeldClaim};
use rollcall_session::UnsubscribeAnswer;
use rollcall_types::QoS;
use std::{collections::BTreeMap, sync::Arc, task::Poll};
use tokio::task::JoinSet;

const CONNECTED: &str = "$events/client_connected";

fn json(client: &str, number: usize) -> String {
    format!("{{\"clientid\":\"{client}\",\"number\":{number}}}")
}

fn tell(world: &World, client: &str, number: usize) {
    world.broker.deliver_event(CONNECTED, &id(client), json(client, number));
}

fn payloads(held: &HeldClaim) -> Vec<String> {
    let payload = |d: rollcall_session::Delivery| String::from_utf8(d.message.payload.clone()).unwrap();
    deliveries(held.connection()).into_iter().map(payload).collect()
}

#[tokio::test]
async fn each_subscriber_gets_an_event_at_the_qos_it_asked_for_and_wildcards_do_not_reach_there() {
    let world = World::default();
    let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    let mut watchers = Vec::new();
    for (number, qos) in qos.into_iter().enumerate() {
        let watcher = world.connect(&format!("watcher-{number}")).await;
        world.subscribe_at(&watcher, ["$events/#", "$events/+", CONNECTED][number], qos);
        watchers.push(watcher);
    }
    let other = world.connect("other").await;
    assert!(world.broker.wants_event(CONNECTED) && world.broker.wants_event("$events/client_disconnected"));
    world.subscribe(&other, "#");
    world.subscribe(&other, "+/client_connected");
    tell(&world, "car", 1);
    for (watcher, qos) in watchers.iter().zip(qos) {
        let got = deliveries(watcher.connection());
        assert_eq!(got.len(), 1);
        assert_eq!(
            (got[0].qos, got[0].retain, got[0].message.payload.as_slice()),
            (qos, false, json("car", 1).as_bytes())
        );
    }
    assert_eq!(topics(other.connection()), Vec::<String>::new());
    drop(watchers.pop());
    let world = World::default();
    let other = world.connect("other").await;
    world.subscribe(&other, "#");
    assert!(!world.broker.wants_event(CONNECTED));
}

#[tokio::test]
async fn a_group_gets_each_event_once_and_all_of_a_client_at_one_member() {
    let world = World::default();
    let mut members = Vec::new();
    for number in 0..3 {
        let member = world.connect(&format!("member-{number}")).await;
        world.subscribe(&member, "$share/g/$events/#");
        members.push(member);
    }
    for round in 0..3 {
        for client in 0..60 {
            tell(&world, &format!("client-{client}"), round);
        }
    }
    let mut of_client: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, member) in members.iter().enumerate() {
        let got = payloads(member);
        assert!(!got.is_empty(), "{number}");
        for told in got {
            let client = told.split('"').nth(3).unwrap().to_owned();
            of_client.entry(client).or_default().push(number);
        }
    }
    assert_eq!(of_client.len(), 60);
    assert!(of_client.values().all(|by| by.len() == 3 && by.iter().all(|one| *one == by[0])), "{of_client:?}");
}

/// B-041: at QoS 0, too.
#[tokio::test]
async fn who_tells_events_waits_for_a_subscriber_before_its_queue_is_full() {
    let world = World::new(BrokerConfig { client_queue_messages: 10, ..BrokerConfig::default() });
    let watcher = world.connect("watcher").await;
    world.subscribe(&watcher, "$events/#");
    deliveries(watcher.connection());
    let mut told = 0;
    for number in 0..100 {
        let eased = world.broker.deliver_event(CONNECTED, &id("car"), json("car", number));
        let Some(mut eased) = eased else { continue };
        told += 1;
        assert_eq!(poll(&mut eased), Poll::Pending);
        let got = payloads(&watcher);
        assert_eq!((got.len(), got.last()), (6, Some(&json("car", number))), "over the half");
        assert_eq!(poll(&mut eased), Poll::Ready(()), "it has room again");
    }
    assert!(told >= 15, "{told}");
}

/// B-041: nothing under that root is ever retained, so a subscription that is still being made holds no event back, and
/// none is lost however long that takes.
#[tokio::test]
async fn events_do_not_wait_for_what_is_retained() {
    let world = World::new(BrokerConfig { client_queue_messages: 10, ..BrokerConfig::default() });
    let watcher = world.connect("watcher").await;
    world.broker.hold_back(watcher.connection());
    world.subscribe(&watcher, "$events/#");
    for number in 0..100 {
        tell(&world, "car", number);
        assert_eq!(payloads(&watcher), [json("car", number)]);
    }
    world.broker.let_go(watcher.connection());
    assert_eq!(payloads(&watcher), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_client_subscribes_to_is_told_in_order() {
    let world = World::new(BrokerConfig { node_name: "n1".to_owned(), ..BrokerConfig::default() });
    let watcher = world.connect("watcher").await;
    world.subscribe(&watcher, "$events/#");
    let client = world.connect("car").await;
    for round in 0..10 {
        world.subscribe_at(&client, &format!("f/{round}"), QoS::AtLeastOnce);
        assert_eq!(
            world.broker.unsubscribe(client.connection(), &[format!("f/{round}"), "none".into()]),
            Ok(vec![UnsubscribeAnswer::Removed, UnsubscribeAnswer::NoneThere])
        );
    }
    let mut telling = JoinSet::new();
    telling.spawn(Arc::clone(&world.broker).tell_session_events());
    let got = arrived(watcher.connection(), 21).await;
    assert_eq!(got[0].message.topic, "$events/session_subscribed", "its own");
    for (round, pair) in got[1..].chunks(2).enumerate() {
        let told = pair.iter().map(|d| String::from_utf8(d.message.payload.clone()).unwrap()).collect::<Vec<_>>();
        let common = format!(
            r#""clientid":"car","username":"user0","node":"n1","peerhost":"10.0.0.1","topic":"f/{round}","qos":1"#
        );
        for (told, (event, topic)) in told.iter().zip([
            ("session.subscribed", "$events/session_subscribed"),
            ("session.unsubscribed", "$events/session_unsubscribed"),
        ]) {
            assert!(told.starts_with(&format!(r#"{{"event":"{event}",{common}"#)), "{told}");
            assert!(pair.iter().any(|d| d.message.topic == topic));
        }
    }
    telling.shutdown().await;
}

/// B-048: one event for all its subscriptions, and none for a session without any.
#[tokio::test]
async fn the_end_of_a_session_is_told_once_with_the_number_of_its_subscriptions() {
    let world = World::new(BrokerConfig { node_name: "n1".to_owned(), ..BrokerConfig::default() });
    let watcher = world.connect("watcher").await;
    world.subscribe(&watcher, "$events/session_ended");
    let without = world.connect("without").await;
    drop(without);
    let car = world.connect("car").await;
    for filter in ["a", "b/#", "$share/g/c"] {
        world.subscribe(&car, filter);
    }
    drop(car);
    let mut telling = JoinSet::new();
    telling.spawn(Arc::clone(&world.broker).tell_session_events());
    let got = arrived(watcher.connection(), 1).await;
    let told = String::from_utf8(got[0].message.payload.clone()).unwrap();
    assert!(
        told.starts_with(
            r#"{"event":"session.ended","clientid":"car","username":"user0","node":"n1","subscriptions":3,"#
        ),
        "{told}"
    );
    assert_eq!(got.len(), 1);
    telling.shutdown().await;
}

/// B-041: a client that stands still for a moment, as on a busy machine, misses nothing: events have more patience than an
/// acknowledgement, and no endless one.
#[tokio::test]
async fn events_wait_on_for_a_subscriber_that_stands_still_for_a_moment() {
    let world = World::new(BrokerConfig { client_queue_messages: 10, ..BrokerConfig::default() });
    let watcher = world.connect("watcher").await;
    world.subscribe(&watcher, "$events/#");
    deliveries(watcher.connection());
    let tell = |number| world.broker.deliver_event(CONNECTED, &id("car"), json("car", number));
    let mut told: Vec<_> = (0..6).map(tell).collect();
    let mut waiting = told.pop().unwrap().expect("the queue is over the half");
    world.lease.pass(600);
    let mut next = tell(6).expect("an acknowledgement would wait for it no more");
    assert_eq!((poll(&mut waiting), poll(&mut next)), (Poll::Pending, Poll::Pending));
    world.lease.pass(4_400);
    assert!(tell(7).is_none(), "it may have died");
    assert_eq!(payloads(&watcher).len(), 8, "nothing was lost");
    assert_eq!((poll(&mut waiting), poll(&mut next)), (Poll::Ready(()), Poll::Ready(())), "it has room again");
}
