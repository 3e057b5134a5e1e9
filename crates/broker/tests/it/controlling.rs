//! What operators do to a client whose session is here, or on another node.

use crate::world::{World, arrived, id, message_at, next, topics};
use async_trait::async_trait;
use bytes::Bytes;
use rollcall_broker::{Broker, ToConnection};
use rollcall_contracts::{
    CallError, ClientControl, ControlError, DeliveryTarget, HeldSubscription, SessionLinks, StatusAnswer, StatusError,
};
use rollcall_session::Order;
use rollcall_types::{DisconnectReason, Epoch, LogIndex, NodeId, PartitionId, QoS};
use std::{num::NonZeroU32, sync::Arc, time::Duration};

/// Straight to the brokers of the others; one that is not there says nothing.
struct Straight(Vec<Option<Arc<Broker>>>);

#[async_trait]
impl SessionLinks for Straight {
    fn others(&self) -> Vec<NodeId> {
        (0..self.0.len() as u64).map(NodeId).collect()
    }

    async fn ask(&self, node: NodeId, request: Bytes, _: Duration) -> Result<Bytes, CallError> {
        match &self.0[usize::try_from(node.0).unwrap()] {
            Some(broker) => broker.answer_handover(&request).await.map_err(CallError::Refused),
            None => Err(CallError::Unknown("no answer".to_owned())),
        }
    }

    async fn flush(&self, _: NodeId) {}
}

/// A node that is asked, among others.
fn asked(others: Vec<Option<Arc<Broker>>>) -> World {
    let world = World::default();
    world.broker.set_session_links(Arc::new(Straight(others)));
    world
}

/// What the record of the client says at this node.
fn on_record(world: &World, epoch: Epoch) {
    let answer =
        StatusAnswer { online: true, partition: PartitionId(0), index: LogIndex(1), epoch: Some(epoch), node: None };
    *world.store.status.lock().unwrap() = Some(Ok(answer));
}

fn wanted(filter: &str) -> HeldSubscription {
    HeldSubscription {
        filter: filter.into(),
        qos: QoS::AtLeastOnce,
        no_local: false,
        retain_as_published: true,
        subscription_id: NonZeroU32::new(9),
    }
}

#[tokio::test]
async fn subscriptions_are_seen_made_and_taken_on_the_node_that_is_asked() {
    let world = asked(Vec::new());
    let held = world.connect("c").await;
    let broker = world.broker.clone();
    assert_eq!(broker.subscriptions_of(&id("c")).await, Ok(vec![]));
    assert_eq!(broker.clone().subscribe_client(&id("c"), wanted("a/+")).await, Ok(true));
    assert_eq!(broker.clone().subscribe_client(&id("c"), wanted("a/+")).await, Ok(false), "there already");
    assert_eq!(broker.clone().subscribe_client(&id("c"), wanted("$share/g/b")).await, Ok(true));
    assert_eq!(broker.subscriptions_of(&id("c")).await, Ok(vec![wanted("a/+"), wanted("$share/g/b")]));
    broker.deliver_local(message_at("a/1", QoS::AtLeastOnce));
    assert_eq!(topics(held.connection()), ["a/1"]);
    assert_eq!(broker.unsubscribe_client(&id("c"), "a/+").await, Ok(()));
    assert_eq!(broker.unsubscribe_client(&id("c"), "a/+").await, Err(ControlError::NotSubscribed));
    broker.deliver_local(message_at("a/1", QoS::AtLeastOnce));
    assert_eq!(topics(held.connection()), [""; 0]);
}

#[tokio::test]
async fn and_on_another_node() {
    let (there, elsewhere) = (World::default(), World::default());
    let held = there.connect("c").await;
    there.subscribe(&held, "own");
    let world = asked(vec![Some(elsewhere.broker.clone()), Some(there.broker.clone())]);
    on_record(&world, held.connection().epoch());
    let broker = world.broker.clone();
    assert_eq!(broker.clone().subscribe_client(&id("c"), wanted("a")).await, Ok(true));
    let filters: Vec<String> =
        broker.subscriptions_of(&id("c")).await.unwrap().into_iter().map(|one| one.filter).collect();
    assert_eq!(filters, ["a", "own"]);
    there.broker.deliver_local(message_at("a", QoS::AtLeastOnce));
    assert_eq!(topics(held.connection()), ["a"]);
    assert_eq!(broker.unsubscribe_client(&id("c"), "own").await, Ok(()));
    assert_eq!(broker.unsubscribe_client(&id("c"), "own").await, Err(ControlError::NotSubscribed));
}

#[tokio::test]
async fn what_the_client_itself_may_not_is_refused() {
    let world = asked(Vec::new());
    let _held = world.connect("c").await;
    *world.admission.forbidden.lock().unwrap() = Some("secret".into());
    let broker = world.broker.clone();
    assert_eq!(broker.clone().subscribe_client(&id("c"), wanted("secret")).await, Err(ControlError::NotAuthorized));
    broker.set_instance_limits(usize::MAX, 0);
    assert_eq!(broker.clone().subscribe_client(&id("c"), wanted("a")).await, Err(ControlError::LimitReached));
    assert_eq!(broker.subscriptions_of(&id("c")).await, Ok(vec![]));
}

#[tokio::test]
async fn a_session_without_a_connection_can_be_seen_and_lightened_and_not_subscribed() {
    let there = World::default();
    let held = there.connect_for("c", false, 60).await;
    there.subscribe(&held, "own");
    let epoch = held.connection().epoch();
    held.release(DisconnectReason::ConnectionLost);
    let world = asked(vec![Some(there.broker.clone())]);
    on_record(&world, epoch);
    let broker = world.broker.clone();
    assert_eq!(broker.subscriptions_of(&id("c")).await.unwrap().len(), 1);
    assert_eq!(broker.clone().subscribe_client(&id("c"), wanted("a")).await, Err(ControlError::NotConnected));
    assert_eq!(broker.unsubscribe_client(&id("c"), "own").await, Ok(()));
    assert_eq!(broker.subscriptions_of(&id("c")).await, Ok(vec![]));
}

#[tokio::test]
async fn the_session_of_the_latest_claim_counts_and_a_silent_node_might_have_it() {
    let (early, late) = (World::default(), World::default());
    let first = early.connect_for("c", false, 60).await;
    early.subscribe(&first, "early");
    late.store.skip_epochs(50);
    let second = late.connect_for("c", false, 60).await;
    late.subscribe(&second, "late");
    let world = asked(vec![Some(late.broker.clone()), Some(early.broker.clone()), None]);
    on_record(&world, second.connection().epoch());
    let filter = |subscriptions: &[HeldSubscription]| subscriptions[0].filter.clone();
    assert_eq!(filter(&world.broker.subscriptions_of(&id("c")).await.unwrap()), "late");
    let world = asked(vec![Some(early.broker.clone()), None]);
    on_record(&world, second.connection().epoch());
    let not_now = ControlError::Unavailable { may_have_happened: false };
    assert_eq!(world.broker.subscriptions_of(&id("c")).await, Err(not_now));
    let world = asked(vec![Some(World::default().broker)]);
    on_record(&world, second.connection().epoch());
    assert_eq!(world.broker.subscriptions_of(&id("c")).await, Err(ControlError::NoSession));
    *world.store.status.lock().unwrap() = Some(Err(StatusError::NoQuorum));
    assert_eq!(world.broker.subscriptions_of(&id("c")).await, Err(ControlError::NoAnswer(StatusError::NoQuorum)));
}

#[tokio::test]
async fn a_kick_ends_the_session_too_where_that_is_asked_for() {
    let there = World::default();
    let held = there.connect_for("c", false, 60).await;
    let world = asked(vec![Some(there.broker.clone())]);
    on_record(&world, held.connection().epoch());
    // No claim holds at this store, and without the session nothing is ended.
    assert_eq!(world.broker.kick(&id("c"), false).await, Err(ControlError::NotConnected));
    assert_eq!(next(held.connection()), None);
    assert_eq!(world.broker.kick(&id("c"), true).await, Ok(()));
    assert_eq!(next(held.connection()), Some(ToConnection::End(Order::Kick)));
    held.release(DisconnectReason::Kicked);
    assert_eq!(there.broker.sessions_kept(), 0);
    assert_eq!(world.broker.kick(&id("c"), true).await, Err(ControlError::NotConnected), "it is over");
    let back = there.connect_for("c", false, 60).await;
    assert!(!back.session_present());
}

#[tokio::test]
async fn who_comes_back_meanwhile_keeps_the_session() {
    let there = World::default();
    let held = there.connect_for("c", false, 60).await;
    let world = asked(vec![Some(there.broker.clone()), None]);
    on_record(&world, Epoch(held.connection().epoch().0 - 1));
    let unknown = ControlError::Unavailable { may_have_happened: true };
    assert_eq!(world.broker.kick(&id("c"), true).await, Err(unknown), "a node said nothing");
    assert_eq!(next(held.connection()), None);
}

#[tokio::test]
async fn what_is_retained_comes_with_a_subscription_that_an_operator_makes() {
    let world = asked(Vec::new());
    let store = Arc::new(crate::fakes::FakeRetained::default());
    store.kept.lock().unwrap().push(message_at("a", QoS::AtLeastOnce));
    world.broker.set_retained(store);
    let mut answering = tokio::task::JoinSet::new();
    answering.spawn(world.broker.clone().answer_retained());
    let held = world.connect("c").await;
    assert_eq!(world.broker.clone().subscribe_client(&id("c"), wanted("a")).await, Ok(true));
    let retained = arrived(held.connection(), 1).await;
    assert_eq!(retained[0].message.topic, "a");
}
