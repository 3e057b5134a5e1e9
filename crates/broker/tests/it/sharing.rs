//! Shared subscriptions with members on several nodes: what this node serves, and what it hands to others.

use crate::world::{World, message, message_at, poll, publishes, topics};
use rollcall_broker::{BrokerConfig, HeldClaim, Published};
use rollcall_contracts::{DeliveryTarget, Part, Spread};
use rollcall_routing::Strategy;
use rollcall_session::PublishVerdict;
use rollcall_types::{ClientId, DisconnectReason, Home, NodeId, QoS};
use std::{sync::Arc, task::Poll, time::Duration};

const GROUP: &str = "$share/g/s";
const ACCEPTED: PublishVerdict = PublishVerdict::Accepted { matched: true };

fn peer(number: u64) -> Home {
    Home::Peer(NodeId(number))
}

fn named(groups: &[&str]) -> Vec<Arc<str>> {
    groups.iter().map(|group| Arc::from(*group)).collect()
}

/// Nodes that were handed a message for the group, in order.
fn dispatched(world: &World) -> Vec<u64> {
    let dispatched = std::mem::take(&mut *world.peers.dispatched.lock().unwrap());
    dispatched.into_iter().map(|(node, group, _)| (*group == *GROUP).then_some(node.0).unwrap()).collect()
}

/// A publish at QoS 1 that has to wait for another node, to the end.
async fn publish(world: &World, from: &HeldClaim, topic: &str) -> PublishVerdict {
    let published = world.broker.publish(from.connection(), &message_at(topic, QoS::AtLeastOnce));
    assert!(matches!(published, Published::Later(_)), "{published:?}");
    tokio::time::timeout(Duration::from_secs(10), published.verdict()).await.unwrap()
}

/// A member whose queue takes no more.
async fn full_member(world: &World) -> HeldClaim {
    let member = world.connect_for("member", true, 60).await;
    world.subscribe_at(&member, GROUP, QoS::AtLeastOnce);
    world.broker.deliver_local(message_at("s", QoS::AtLeastOnce));
    member
}

fn small() -> World {
    World::new(BrokerConfig { client_queue_messages: 1, ..BrokerConfig::default() })
}

#[tokio::test]
async fn a_group_that_another_node_was_chosen_for_is_not_served_here() {
    let world = World::default();
    let (member, plain) = (world.connect("member").await, world.connect("plain").await);
    world.subscribe(&member, GROUP);
    world.subscribe(&member, "$share/h/s");
    world.subscribe(&plain, "s");
    let here = Part { except: Some(named(&[GROUP])), ..Part::whole() };
    let there = Part { groups: named(&[GROUP]), ..Part::none() };
    let spread = Spread { here, peers: vec![(NodeId(2), there)], view: None };
    *world.peers.spread.lock().unwrap() = Some(spread);
    *world.peers.homes.lock().unwrap() = vec![(peer(2), true)];
    let published = world.broker.publish(plain.connection(), &message_at("s", QoS::AtLeastOnce));
    assert_eq!(published.verdict().await, ACCEPTED);
    assert_eq!(dispatched(&world), [2]);
    assert_eq!(topics(member.connection()), ["s"], "for the other group");
    assert_eq!(topics(plain.connection()), ["s"]);
}

#[tokio::test]
async fn a_peer_that_chose_this_node_hears_what_cannot_be_served() {
    let world = World::default();
    let (member, plain) = (world.connect("member").await, world.connect("plain").await);
    world.subscribe(&member, GROUP);
    world.subscribe(&plain, "s");
    let both = Part { groups: named(&[GROUP, "$share/gone/s"]), ..Part::none() };
    let unserved = world.broker.deliver_part(message_at("s", QoS::AtLeastOnce), &both).unserved;
    assert_eq!(unserved, named(&["$share/gone/s"]));
    assert_eq!((topics(member.connection()).len(), topics(plain.connection()).len()), (1, 0));
    assert_eq!(world.broker.deliver_part(message("s"), &both).unserved, named(&[]), "nobody asks again at QoS 0");
    assert_eq!(world.broker.deliver_part(message("s"), &Part::plain()).unserved, named(&[]));
    assert_eq!((topics(member.connection()).len(), topics(plain.connection()).len()), (1, 1));
    let but = Part { except: Some(named(&[GROUP])), ..Part::plain() };
    assert_eq!(world.broker.deliver_part(message("s"), &but).unserved, named(&[]));
    assert_eq!((topics(member.connection()).len(), topics(plain.connection()).len()), (0, 1));
}

#[tokio::test]
async fn what_no_member_here_can_take_goes_to_other_nodes_until_one_does() {
    let world = small();
    let from = world.connect("publisher").await;
    let member = full_member(&world).await;
    *world.peers.homes.lock().unwrap() = vec![(Home::Here, false), (peer(2), false), (peer(3), true), (peer(4), true)];
    assert_eq!(publish(&world, &from, "s").await, ACCEPTED);
    assert_eq!(dispatched(&world), [2, 3]);
    assert_eq!(topics(member.connection()), ["s"], "the one before");
}

#[tokio::test]
async fn so_many_nodes_are_tried_and_no_more() {
    let world = small();
    let from = world.connect("publisher").await;
    let _member = full_member(&world).await;
    *world.peers.homes.lock().unwrap() = (2..30).map(|number| (peer(number), false)).collect();
    assert_eq!(publish(&world, &from, "s").await, ACCEPTED, "it is dropped, and counted");
    assert_eq!(dispatched(&world), (2..9).collect::<Vec<_>>(), "this node was the first");
}

#[tokio::test]
async fn a_message_that_its_node_did_not_serve_comes_back_here() {
    let world = World::default();
    let (from, member) = (world.connect("publisher").await, world.connect("member").await);
    world.subscribe_at(&member, GROUP, QoS::AtLeastOnce);
    let there = Part { groups: named(&[GROUP]), ..Part::none() };
    let here = Part { except: Some(named(&[GROUP])), ..Part::whole() };
    *world.peers.spread.lock().unwrap() = Some(Spread { here, peers: vec![(NodeId(2), there)], view: None });
    *world.peers.homes.lock().unwrap() = vec![(peer(2), false), (Home::Here, true)];
    assert_eq!(publish(&world, &from, "s").await, ACCEPTED);
    let got = publishes(member.connection());
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].delivery.qos, QoS::AtLeastOnce, "as the member's own subscription asks for it");
}

#[tokio::test]
async fn without_the_lease_it_is_not_known_that_nobody_wants_a_message() {
    let world = World::default();
    let from = world.connect("publisher").await;
    world.lease.lose();
    let published = world.broker.publish(from.connection(), &message_at("x", QoS::AtLeastOnce));
    assert_eq!(published.verdict().await, PublishVerdict::Failed);
}

#[tokio::test]
async fn the_lease_counts_after_the_last_node_that_was_tried() {
    let world = small();
    let from = world.connect("publisher").await;
    let _member = full_member(&world).await;
    *world.peers.homes.lock().unwrap() = vec![(peer(2), true)];
    let published = world.broker.publish(from.connection(), &message_at("s", QoS::AtLeastOnce));
    world.lease.lose();
    assert_eq!(published.verdict().await, PublishVerdict::Failed);
}

#[tokio::test]
async fn what_the_last_member_here_leaves_goes_to_other_nodes() {
    let world = World::default();
    let member = world.connect_for("member", true, 60).await;
    world.subscribe_at(&member, GROUP, QoS::AtLeastOnce);
    for qos in [QoS::AtLeastOnce, QoS::AtMostOnce] {
        world.broker.deliver_local(message_at("s", qos));
    }
    *world.peers.homes.lock().unwrap() = vec![(Home::Here, false), (peer(2), true)];
    let mut finding = Box::pin(world.broker.clone().find_members());
    member.release(DisconnectReason::ConnectionLost);
    assert!(poll(&mut finding).is_pending());
    assert_eq!(dispatched(&world), [0; 0], "the session is kept");
    drop(world.connect("member").await);
    let found = async {
        tokio::select! {
            () = &mut finding => panic!("it goes on"),
            () = async { while world.peers.dispatched.lock().unwrap().is_empty() { tokio::task::yield_now().await } } => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found).await.unwrap();
    assert_eq!(dispatched(&world), [2], "QoS 0 is not kept for anybody");
}

#[tokio::test]
async fn one_node_finds_members_for_a_will_and_all_serve_their_plain_subscribers() {
    let world = World::default();
    let (member, plain) = (world.connect("member").await, world.connect("plain").await);
    world.subscribe(&member, GROUP);
    world.subscribe(&plain, "s");
    world.broker.will_due(&ClientId::new("w").unwrap(), &message("s"), false);
    assert_eq!((topics(member.connection()).len(), topics(plain.connection()).len()), (0, 1));
    world.broker.will_due(&ClientId::new("w").unwrap(), &message("s"), true);
    assert_eq!((topics(member.connection()).len(), topics(plain.connection()).len()), (1, 1));
    let here = Part { except: Some(named(&[GROUP])), ..Part::whole() };
    let there = Part { groups: named(&[GROUP]), ..Part::plain() };
    *world.peers.spread.lock().unwrap() = Some(Spread { here, peers: vec![(NodeId(2), there)], view: None });
    *world.peers.homes.lock().unwrap() = vec![(peer(2), true)];
    world.broker.will_due(&ClientId::new("w").unwrap(), &message("s"), true);
    let mut finding = Box::pin(world.broker.clone().find_members());
    let found = async {
        tokio::select! {
            () = &mut finding => panic!("it goes on"),
            () = async { while world.peers.dispatched.lock().unwrap().is_empty() { tokio::task::yield_now().await } } => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found).await.unwrap();
    assert_eq!(dispatched(&world), [2]);
    assert_eq!((topics(member.connection()).len(), topics(plain.connection()).len()), (0, 1));
    assert_eq!(world.peers.published.lock().unwrap().len(), 0, "the other nodes' plain subscribers have their own");
}

#[tokio::test]
async fn a_publish_that_only_others_want_has_matched() {
    let world = World::default();
    let from = world.connect("publisher").await;
    let spread = Spread { peers: vec![(NodeId(2), Part::plain())], ..Spread::here() };
    *world.peers.spread.lock().unwrap() = Some(spread);
    let mut published = Box::pin(world.broker.publish(from.connection(), &message_at("x", QoS::AtLeastOnce)).verdict());
    assert_eq!(poll(&mut published), Poll::Ready(ACCEPTED));
}

/// How many of so many messages from each of the clients with these hashes the members a, b and c get.
async fn given(strategy: Strategy, hashes: std::ops::Range<u64>, messages: usize) -> Vec<[usize; 3]> {
    let world = World::new(BrokerConfig { shared_strategy: strategy, ..BrokerConfig::default() });
    let members = [world.connect("a").await, world.connect("b").await, world.connect("c").await];
    for member in &members {
        world.subscribe(member, GROUP);
    }
    let counts = |client_hash| {
        for _ in 0..messages {
            let part = Part { groups: named(&[GROUP]), client_hash, ..Part::none() };
            world.broker.deliver_part(message("s"), &part);
        }
        members.each_ref().map(|member| topics(member.connection()).len())
    };
    hashes.map(counts).collect()
}

#[tokio::test]
async fn each_strategy_chooses_members_in_its_own_way() {
    assert_eq!(given(Strategy::RoundRobin, 0..1, 30).await, [[10, 10, 10]]);
    let by_hash = given(Strategy::HashOfClient, 0..3, 30).await;
    assert_eq!(by_hash, [[30, 0, 0], [0, 30, 0], [0, 0, 30]]);
    let by_chance = given(Strategy::Random, 0..1, 300).await[0];
    assert!(by_chance.iter().all(|count| (30..=170).contains(count)), "{by_chance:?}");
    assert_ne!(by_chance, [100, 100, 100], "as good as impossible");
}

#[tokio::test]
async fn by_the_hash_a_member_that_is_away_or_full_hands_its_clients_to_one_other() {
    let config =
        BrokerConfig { shared_strategy: Strategy::HashOfClient, client_queue_messages: 1, ..BrokerConfig::default() };
    let world = World::new(config);
    let (a, b) = (world.connect_for("a", true, 60).await, world.connect_for("b", true, 60).await);
    for member in [&a, &b] {
        world.subscribe_at(member, GROUP, QoS::AtLeastOnce);
    }
    let send = |topic: &str| {
        let part = Part { groups: named(&[GROUP]), client_hash: 2, ..Part::none() };
        world.broker.deliver_part(message_at(topic, QoS::AtLeastOnce), &part).unserved
    };
    assert_eq!(send("s"), []);
    assert_eq!(send("s"), [], "a is full");
    assert_eq!((publishes(a.connection()).len(), publishes(b.connection()).len()), (1, 1));
    a.release(DisconnectReason::ConnectionLost);
    assert_eq!(send("s"), []);
    assert_eq!(publishes(b.connection()).len(), 1);
}

#[test]
fn what_the_members_of_a_group_are_behind_can_be_read() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let behind = |all: u64, group: u64| {
        let text = handle.render();
        for line in
            [format!("rollcall_shared_lag {all}"), format!("rollcall_shared_group_lag{{group=\"{GROUP}\"}} {group}")]
        {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    };
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let world = World::default();
            let (a, b) = (world.connect("a").await, world.connect("b").await);
            for member in [&a, &b] {
                world.subscribe_at(member, GROUP, QoS::AtLeastOnce);
            }
            world.subscribe_at(&b, "$share/other/s", QoS::AtLeastOnce);
            for _ in 0..4 {
                world.broker.deliver_local(message_at("s", QoS::AtLeastOnce));
            }
            assert_eq!(publishes(a.connection()).len(), 2, "sent, and not acknowledged");
            world.broker.count_shared_lag().await;
            behind(8, 4);
            a.release(DisconnectReason::Normal);
            world.broker.count_shared_lag().await;
            behind(8, 4); // what it left is the other one's now
            b.release(DisconnectReason::Normal);
            world.broker.count_shared_lag().await;
            behind(0, 0);
        });
    });
}
