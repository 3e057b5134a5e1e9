//! A session moves to the node its client connects to.

use crate::fakes::FakeBoard;
use crate::world::{World, deliveries, id, message_at, next, poll, topics};
use async_trait::async_trait;
use bytes::Bytes;
use rollcall_broker::{Broker, HeldClaim, ToConnection};
use rollcall_contracts::{CallError, DeliveryTarget, SessionLinks};
use rollcall_presence::Displaced;
use rollcall_session::{ConnectRequest, Order, RequestedSubscription, SubscribeAnswer};
use rollcall_types::{DisconnectReason, Epoch, Incarnation, NodeId, Owner, QoS};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::task::JoinSet;

const OLD: NodeId = NodeId(1);

/// Calls the old node directly. What `arrives` comes to both nodes while the new one waits for the flush.
struct Direct {
    old: Arc<Broker>,
    arrives: Mutex<Vec<(Arc<Broker>, &'static str, QoS)>>,
    silent: bool,
}

#[async_trait]
impl SessionLinks for Direct {
    fn others(&self) -> Vec<NodeId> {
        vec![OLD]
    }

    async fn ask(&self, node: NodeId, request: Bytes, _: Duration) -> Result<Bytes, CallError> {
        if self.silent {
            return Err(CallError::Unknown("no answer".to_owned()));
        }
        assert_eq!(node, OLD);
        self.old.answer_handover(&request).await.map_err(CallError::Refused)
    }

    async fn flush(&self, node: NodeId) {
        assert_eq!(node, OLD);
        for (broker, topic, qos) in self.arrives.lock().unwrap().drain(..) {
            broker.deliver_local(message_at(topic, qos));
        }
    }
}

/// Two nodes, and what both know of the last claim.
struct Pair {
    old: World,
    new: World,
    links: Arc<Direct>,
}

impl Pair {
    async fn with(arrives: &[(bool, &'static str, QoS)], silent: bool) -> (Pair, HeldClaim) {
        let (old, new) = (World::default(), World::default());
        let held = old.connect_for("c", false, 60).await;
        new.store.elsewhere.lock().unwrap().insert(id("c"), held.connection().epoch());
        new.store.skip_epochs(100);
        let broker = |on_old| if on_old { old.broker.clone() } else { new.broker.clone() };
        let arrives = arrives.iter().map(|(on_old, topic, qos)| (broker(*on_old), *topic, *qos)).collect();
        let links = Arc::new(Direct { old: old.broker.clone(), arrives: Mutex::new(arrives), silent });
        new.broker.set_session_links(links.clone());
        (Pair { old, new, links }, held)
    }

    async fn of_two() -> (Pair, HeldClaim) {
        Pair::with(&[], false).await
    }
}

fn subscribe_shared(world: &World, held: &HeldClaim) {
    let requested = RequestedSubscription { qos: QoS::AtLeastOnce, ..crate::world::requested("$share/g/s") };
    let answers = crate::world::now(world.broker.subscribe(held.connection(), None, &[(requested, None)]));
    assert!(matches!(answers[..], [SubscribeAnswer::Granted { .. }]), "{answers:?}");
}

#[tokio::test]
async fn a_session_comes_with_its_queue_and_its_subscriptions() {
    let (pair, held) = Pair::of_two().await;
    pair.old.subscribe_at(&held, "a", QoS::AtLeastOnce);
    subscribe_shared(&pair.old, &held);
    held.release(DisconnectReason::ConnectionLost);
    for topic in ["a", "s", "a"] {
        pair.old.broker.deliver_local(message_at(topic, QoS::AtLeastOnce));
    }
    let moved = pair.new.connect_for("c", false, 60).await;
    assert!(moved.session_present());
    assert_eq!(topics(moved.connection()), ["a", "s", "a"]);
    pair.new.broker.deliver_local(message_at("a", QoS::AtLeastOnce));
    pair.new.broker.deliver_local(message_at("s", QoS::AtLeastOnce));
    assert_eq!(topics(moved.connection()), ["a", "s"]);
    assert_eq!(pair.old.broker.sessions_kept(), 0);
    assert_eq!(pair.new.broker.sessions_kept(), 0);
    let back = pair.old.connect_for("c", false, 60).await;
    assert!(!back.session_present(), "nothing stays behind");
}

#[tokio::test]
async fn what_is_under_way_is_sent_again_under_its_identifier() {
    let (pair, held) = Pair::of_two().await;
    pair.old.subscribe_at(&held, "a", QoS::ExactlyOnce);
    pair.old.broker.deliver_local(message_at("a", QoS::ExactlyOnce));
    let first = crate::world::publishes(held.connection());
    let moved = pair.new.connect_for("c", false, 60).await;
    assert_eq!(next(held.connection()), Some(ToConnection::End(Order::Takeover)), "its connection has to leave");
    held.release(DisconnectReason::Takeovered);
    assert!(moved.session_present());
    let again = crate::world::publishes(moved.connection());
    assert_eq!(again.len(), 1);
    assert!(again[0].dup);
    assert_eq!(again[0].packet_id, first[0].packet_id);
    assert_eq!(pair.old.store.released(), vec![], "the claim was displaced");
}

#[tokio::test]
async fn what_arrives_on_the_way_is_neither_lost_nor_doubled() {
    let late = [
        (true, "only/old", QoS::AtLeastOnce),
        (true, "both", QoS::ExactlyOnce),
        (false, "both", QoS::ExactlyOnce),
        (false, "only/new", QoS::AtLeastOnce),
    ];
    let (pair, held) = Pair::with(&late, false).await;
    pair.old.subscribe_at(&held, "#", QoS::ExactlyOnce);
    held.release(DisconnectReason::ConnectionLost);
    pair.old.broker.deliver_local(message_at("before", QoS::AtLeastOnce));
    let moved = pair.new.connect_for("c", false, 60).await;
    assert_eq!(topics(moved.connection()), ["before", "only/old", "both", "only/new"]);
}

#[tokio::test]
async fn nothing_is_flushed_before_the_others_know_of_the_new_place() {
    let (pair, held) = Pair::with(&[(true, "a", QoS::AtLeastOnce)], false).await;
    let board = Arc::new(FakeBoard::default());
    let known = board.others();
    pair.new.broker.set_routes(board.clone());
    pair.old.subscribe_at(&held, "a", QoS::AtLeastOnce);
    subscribe_shared(&pair.old, &held);
    held.release(DisconnectReason::ConnectionLost);
    let request = ConnectRequest { clean_start: false, session_expiry_s: 60, ..crate::world::request("c") };
    let broker = pair.new.broker.clone();
    let mut moving = JoinSet::new();
    moving.spawn(async move { broker.connect(request, crate::world::peer()).await });
    let told = tokio::time::timeout(Duration::from_secs(10), async {
        while board.told.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
    });
    told.await.unwrap();
    assert_eq!(board.told(), ["+a", "$share/g/s 1 away"]);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(pair.links.arrives.lock().unwrap().len(), 1, "no flush yet");
    known.send_replace(Some(true));
    let moved = moving.join_next().await.unwrap().unwrap().unwrap();
    assert!(moved.session_present());
    assert_eq!(topics(moved.connection()), ["a"]);
}

#[tokio::test]
async fn a_session_of_an_earlier_claim_does_not_come() {
    let (pair, held) = Pair::of_two().await;
    pair.old.subscribe_at(&held, "a", QoS::AtLeastOnce);
    held.release(DisconnectReason::ConnectionLost);
    pair.old.broker.deliver_local(message_at("a", QoS::AtLeastOnce));
    pair.new.store.elsewhere.lock().unwrap().insert(id("c"), Epoch(50));
    let anew = pair.new.connect_for("c", false, 60).await;
    assert!(!anew.session_present());
    assert!(deliveries(anew.connection()).is_empty());
    assert_eq!(pair.old.broker.sessions_kept(), 1);
}

#[tokio::test]
async fn without_an_answer_the_client_begins_anew() {
    let (pair, held) = Pair::with(&[], true).await;
    held.release(DisconnectReason::ConnectionLost);
    let anew = pair.new.connect_for("c", false, 60).await;
    assert!(!anew.session_present());
    assert!(anew.connection().may_send());
    assert_eq!(pair.new.store.released(), vec![]);
}

#[tokio::test]
async fn a_clean_start_elsewhere_ends_the_session_of_the_connection_it_displaces() {
    let (pair, held) = Pair::of_two().await;
    pair.old.subscribe_at(&held, "a", QoS::AtLeastOnce);
    let owner = Owner { node: OLD, incarnation: Incarnation(1) };
    *pair.new.store.displaced.lock().unwrap() = Some(Displaced { owner, epoch: held.connection().epoch() });
    let anew = pair.new.connect_for("c", true, 60).await;
    assert!(!anew.session_present());
    let ended = std::future::poll_fn(|cx| held.connection().poll_next(cx, true));
    let ended = tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
    assert_eq!(ended, ToConnection::End(Order::Takeover));
    held.release(DisconnectReason::Takeovered);
    assert_eq!(pair.old.broker.sessions_kept(), 0);
}

#[tokio::test]
async fn a_connect_that_is_given_up_on_the_way_leaves_the_session_whole() {
    let (pair, held) = Pair::of_two().await;
    pair.old.subscribe_at(&held, "a", QoS::AtLeastOnce);
    held.release(DisconnectReason::ConnectionLost);
    pair.old.broker.deliver_local(message_at("a", QoS::AtLeastOnce));
    let broker = pair.new.broker.clone();
    let request = ConnectRequest { clean_start: false, session_expiry_s: 60, ..crate::world::request("c") };
    let mut connecting = Box::pin(async move { broker.connect(request, crate::world::peer()).await });
    assert!(poll(&mut connecting).is_pending());
    drop(connecting);
    assert_eq!(pair.new.store.released(), vec![(Epoch(100), DisconnectReason::ConnectionLost)]);
    pair.new.store.elsewhere.lock().unwrap().insert(id("c"), Epoch(100));
    let again = pair.new.connect_for("c", false, 60).await;
    assert!(again.session_present());
    assert_eq!(topics(again.connection()), ["a"]);
}
