//! What comes over HTTP: messages by the way of all others, and keep-alives of live connections.

use crate::{
    fakes::{FakeOwners, FakeRetained},
    world::{World, arrived, deliveries, id, message, message_at, next, poll},
};
use rollcall_broker::ToConnection;
use rollcall_contracts::{
    Account, CallError, ClaimError, DataPlane as _, HttpPublisher, KeepAliveError, PublishError, PublishTaken,
    QueryRefusal, RetainError, Role, StatusAnswer, StatusError,
};
use rollcall_types::{Epoch, LogIndex, Message, NodeName, PartitionId, QoS};
use std::{
    net::Ipv4Addr,
    sync::{Arc, atomic::Ordering},
};
use tokio::sync::oneshot;

fn from() -> HttpPublisher {
    let account = Arc::new(Account::new("user0", Role::Client));
    HttpPublisher { account, client_id: id("a"), source: Ipv4Addr::LOCALHOST.into() }
}

async fn publish(world: &World, message: &Message) -> Result<PublishTaken, PublishError> {
    world.broker.clone().publish(from(), message.clone()).await
}

fn status(online: bool, epoch: u64, node: &str) -> StatusAnswer {
    StatusAnswer {
        online,
        partition: PartitionId(0),
        index: LogIndex(9),
        epoch: Some(Epoch(epoch)),
        node: online.then(|| NodeName(node.to_owned())),
    }
}

#[tokio::test]
async fn subscribers_have_a_message_when_its_publisher_hears_so_and_it_costs_one() {
    let world = World::default();
    let a = world.connect("a").await;
    assert_eq!(publish(&world, &message("t")).await, Ok(PublishTaken { matched: false }));
    assert_eq!(world.admission.charged.load(Ordering::SeqCst), 1);
    world.subscribe(&a, "t");
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        assert_eq!(publish(&world, &message_at("t", qos)).await, Ok(PublishTaken { matched: true }));
        // It names the client of a connection, and is none of its messages.
        assert_eq!(deliveries(a.connection()).len(), 1, "{qos:?}");
    }
    assert_eq!(world.peers.published.lock().unwrap().len(), 4, "and the other nodes");
}

#[tokio::test]
async fn an_acknowledged_message_waits_for_the_other_nodes_and_for_the_lease() {
    let world = World::default();
    let (answer, held) = oneshot::channel();
    *world.peers.answer.lock().unwrap() = Some(held);
    let mut publishing =
        Box::pin(world.broker.clone().publish(from(), Message::clone(&message_at("t", QoS::AtLeastOnce))));
    assert!(poll(&mut publishing).is_pending());
    world.lease.lose();
    answer.send(true).unwrap();
    assert_eq!(publishing.await, Err(PublishError::Unavailable { may_have_happened: true }));
    assert_eq!(publish(&world, &message("t")).await, Err(PublishError::NotServing));
    world.lease.begin_next();
    assert_eq!(publish(&world, &message("t")).await, Ok(PublishTaken { matched: false }));
}

#[tokio::test]
async fn what_is_not_admitted_reaches_nobody_and_a_forbidden_topic_costs_nothing() {
    let world = World::default();
    let a = world.connect("a").await;
    world.subscribe(&a, "#");
    for topic in ["forbidden/x", "$SYS/broker/version", "$events/client_connected", "$share/g/t"] {
        assert_eq!(publish(&world, &message(topic)).await, Err(PublishError::NotAuthorized), "{topic}");
    }
    assert_eq!(world.admission.charged.load(Ordering::SeqCst), 0);
    world.admission.over_quota.store(true, Ordering::SeqCst);
    let refusal = QueryRefusal::OverQuota { retry_after_s: 1 };
    assert_eq!(publish(&world, &message("t")).await, Err(PublishError::Quota(refusal)));
    assert_eq!(deliveries(a.connection()).len(), 0);
    assert!(world.peers.published.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_retained_message_is_committed_before_anybody_gets_it_whatever_its_qos() {
    let world = World::default();
    let store = Arc::new(FakeRetained::default());
    world.broker.set_retained(store.clone());
    let a = world.connect("a").await;
    world.subscribe(&a, "t");
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let retained = Message { retain: true, ..Message::clone(&message_at("t", qos)) };
        for (error, expected) in [
            (RetainError::LimitReached, PublishError::RetainedLimit),
            (RetainError::TooLarge, PublishError::RetainedLimit),
            (RetainError::Busy, PublishError::Unavailable { may_have_happened: false }),
            (RetainError::Unavailable, PublishError::Unavailable { may_have_happened: true }),
        ] {
            *store.refuse.lock().unwrap() = Some(error);
            assert_eq!(publish(&world, &retained).await, Err(expected), "{qos:?} {error:?}");
        }
        assert_eq!(deliveries(a.connection()).len(), 0, "what is refused leaves no trace");
        *store.refuse.lock().unwrap() = None;
        store.kept.lock().unwrap().clear();
        assert_eq!(publish(&world, &retained).await, Ok(PublishTaken { matched: true }));
        assert_eq!((store.kept.lock().unwrap().len(), deliveries(a.connection()).len()), (1, 1));
    }
}

#[tokio::test]
async fn a_publisher_that_hangs_up_stops_no_message_that_is_under_way() {
    let world = World::default();
    let a = world.connect("a").await;
    world.subscribe(&a, "t");
    let store = Arc::new(FakeRetained::default());
    world.broker.set_retained(store.clone());
    let retained = Message { retain: true, ..Message::clone(&message_at("t", QoS::AtLeastOnce)) };
    let mut publishing = Box::pin(world.broker.clone().publish(from(), retained));
    assert!(poll(&mut publishing).is_pending());
    drop(publishing);
    assert_eq!(arrived(a.connection(), 1).await.len(), 1);
    assert_eq!(store.kept.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_message_for_one_client_goes_to_its_connection_or_its_node() {
    let world = World::default();
    let owners = Arc::new(FakeOwners::default());
    world.broker.set_owner_links(owners.clone());
    let b = world.connect("b").await;
    *world.store.status.lock().unwrap() = Some(Ok(status(true, b.connection().epoch().0, "here")));
    assert_eq!(publish(&world, &message("x/p2p/b")).await, Ok(PublishTaken { matched: true }));
    assert_eq!(deliveries(b.connection()).len(), 1);
    *world.store.status.lock().unwrap() = Some(Ok(status(true, 77, "n2")));
    assert_eq!(publish(&world, &message("x/p2p/b")).await, Ok(PublishTaken { matched: true }));
    *owners.answer.lock().unwrap() = Some(Err(CallError::Unknown("cut".to_owned())));
    let unavailable = |may_have_happened| Err(PublishError::Unavailable { may_have_happened });
    assert_eq!(publish(&world, &message("x/p2p/b")).await, unavailable(true));
    *world.store.status.lock().unwrap() = Some(Err(StatusError::NoQuorum));
    assert_eq!(publish(&world, &message("x/p2p/b")).await, unavailable(false));
    *world.store.status.lock().unwrap() = Some(Ok(status(false, 77, "")));
    assert_eq!(publish(&world, &message("x/p2p/b")).await, Ok(PublishTaken { matched: false }));
    assert_eq!(deliveries(b.connection()).len(), 0);
}

#[tokio::test]
async fn another_keep_alive_is_on_record_and_told_to_the_connection_that_holds() {
    let world = World::default();
    let a = world.connect("a").await;
    let epoch = a.connection().epoch();
    *world.store.status.lock().unwrap() = Some(Ok(status(true, epoch.0, "here")));
    assert_eq!(world.broker.change_keep_alive(&id("a"), 120).await, Ok(()));
    assert_eq!(world.broker.change_keep_alive(&id("a"), 90).await, Ok(()));
    assert_eq!(*world.store.keep_alives.lock().unwrap(), [(id("a"), epoch, 120), (id("a"), epoch, 90)]);
    assert_eq!(next(a.connection()), Some(ToConnection::KeepAlive(90)));
    assert_eq!(next(a.connection()), None);
    let later = Epoch(epoch.0 + 1);
    let refused = world.broker.change_keep_alive_here(&id("a"), later, 60).await;
    assert_eq!(refused, Err(KeepAliveError::NotConnected), "another connection is meant");
    assert_eq!(next(a.connection()), None);
}

#[tokio::test]
async fn a_keep_alive_that_cannot_be_queued_for_the_record_is_not_in_force_either() {
    let world = World::default();
    let a = world.connect("a").await;
    *world.store.status.lock().unwrap() = Some(Ok(status(true, a.connection().epoch().0, "here")));
    *world.store.keep_alive.lock().unwrap() = Some(Err(ClaimError::Busy));
    let unavailable = |may_have_happened| Err(KeepAliveError::Unavailable { may_have_happened });
    assert_eq!(world.broker.change_keep_alive(&id("a"), 120).await, unavailable(false));
    assert_eq!(next(a.connection()), None);
    // Queued, it will be on record, and is in force.
    *world.store.keep_alive.lock().unwrap() = Some(Err(ClaimError::Unavailable));
    assert_eq!(world.broker.change_keep_alive(&id("a"), 120).await, unavailable(true));
    assert_eq!(next(a.connection()), Some(ToConnection::KeepAlive(120)));
    *world.store.keep_alive.lock().unwrap() = Some(Ok(false));
    assert_eq!(world.broker.change_keep_alive(&id("a"), 60).await, unavailable(false), "its claim is over each time");
}

#[tokio::test]
async fn a_connection_without_a_keep_alive_is_given_none() {
    let world = World::default();
    let a = world.connect_without_keep_alive("a").await;
    *world.store.status.lock().unwrap() = Some(Ok(status(true, a.connection().epoch().0, "here")));
    assert_eq!(world.broker.change_keep_alive(&id("a"), 120).await, Err(KeepAliveError::Off));
    assert!(world.store.keep_alives.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_owner_on_another_node_is_asked_for_the_epoch_that_holds() {
    let world = World::default();
    let owners = Arc::new(FakeOwners::default());
    world.broker.set_owner_links(owners.clone());
    *world.store.status.lock().unwrap() = Some(Ok(status(true, 40, "n2")));
    assert_eq!(world.broker.change_keep_alive(&id("a"), 120).await, Ok(()));
    assert_eq!(*owners.sent.lock().unwrap(), [("n2".to_owned(), "a".to_owned(), Epoch(40))]);
    *owners.keep_alive.lock().unwrap() = Some(Err(KeepAliveError::Off));
    assert_eq!(world.broker.change_keep_alive(&id("a"), 120).await, Err(KeepAliveError::Off));
    owners.sent.lock().unwrap().clear();
    *owners.keep_alive.lock().unwrap() = Some(Err(KeepAliveError::NotConnected));
    let gone = world.broker.change_keep_alive(&id("a"), 120).await;
    assert_eq!(gone, Err(KeepAliveError::Unavailable { may_have_happened: false }));
    assert_eq!(owners.sent.lock().unwrap().len(), 3, "it may have moved meanwhile");
    *world.store.status.lock().unwrap() = Some(Ok(status(false, 40, "")));
    assert_eq!(world.broker.change_keep_alive(&id("a"), 120).await, Err(KeepAliveError::NotConnected));
    *world.store.status.lock().unwrap() = Some(Err(StatusError::NoQuorum));
    let unknown = world.broker.change_keep_alive(&id("a"), 120).await;
    assert_eq!(unknown, Err(KeepAliveError::NoAnswer(StatusError::NoQuorum)));
}
