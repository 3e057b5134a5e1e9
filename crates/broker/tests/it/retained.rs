//! Retained messages: committed before they are acknowledged, and sent to whoever subscribes.

use crate::{
    fakes::FakeRetained,
    world::{World, arrived, message, topics},
};
use rollcall_broker::{BrokerConfig, Published};
use rollcall_contracts::{ConnectionEnding, EndingKind, RetainError};
use rollcall_session::PublishVerdict;
use rollcall_types::{Message, QoS};
use std::{
    num::NonZeroU32,
    sync::{Arc, atomic::Ordering},
};
use tokio::task::JoinSet;

/// A broker with a store, and what serves its subscriptions.
struct Serving {
    world: World,
    store: Arc<FakeRetained>,
    /// Ends when this is dropped.
    _serving: JoinSet<()>,
}

impl Serving {
    fn new(config: BrokerConfig) -> Self {
        let world = World::new(config);
        let store = Arc::new(FakeRetained::default());
        world.broker.set_retained(store.clone());
        let mut serving = JoinSet::new();
        serving.spawn(world.broker.clone().answer_retained());
        Serving { world, store, _serving: serving }
    }
}

fn retained(topic: &str, qos: QoS) -> Arc<Message> {
    Arc::new(Message { retain: true, qos, ..Message::clone(&message(topic)) })
}

#[tokio::test]
async fn a_connection_knows_whether_messages_wait_and_whether_behind_what_is_retained() {
    let world = World::default();
    let (a, b) = (world.connect("a").await, world.connect("b").await);
    let known = || (a.connection().owes_messages(), a.connection().holds_back());
    world.subscribe(&a, "t");
    assert_eq!(known(), (false, false));
    world.broker.hold_back(a.connection());
    assert_eq!(known(), (false, false), "nothing waits yet");
    world.publish(b.connection(), &message("t"));
    assert_eq!(known(), (true, true));
    world.broker.let_go(a.connection());
    assert_eq!(known(), (true, false));
    assert_eq!(topics(a.connection()), ["t"]);
    assert_eq!(known(), (false, false));
}

#[tokio::test]
async fn a_new_subscription_gets_what_is_retained_with_the_flag_and_its_identifier() {
    let Serving { world, store, .. } = &Serving::new(BrokerConfig::default());
    for topic in ["a/1", "b", "a/2", "a/3", "$x"] {
        store.kept.lock().unwrap().push(retained(topic, QoS::AtLeastOnce));
    }
    store.failures.store(2, Ordering::SeqCst);
    let a = world.connect("a").await;
    world.subscribe_for_retained(&a, NonZeroU32::new(7), "a/#");
    let got = arrived(a.connection(), 3).await;
    assert_eq!(got.iter().map(|d| d.message.topic.as_str()).collect::<Vec<_>>(), ["a/1", "a/2", "a/3"]);
    assert!(got.iter().all(|d| d.retain && d.subscription_ids == [NonZeroU32::new(7).unwrap()]), "{got:?}");
}

#[tokio::test]
async fn a_client_gets_more_retained_messages_than_its_queue_holds() {
    let Serving { world, store, .. } =
        &Serving::new(BrokerConfig { client_queue_messages: 2, ..BrokerConfig::default() });
    for n in 0..7 {
        store.kept.lock().unwrap().push(retained(&format!("a/{n}"), QoS::AtMostOnce));
    }
    let a = world.connect("a").await;
    world.subscribe_for_retained(&a, None, "#");
    arrived(a.connection(), 7).await;
}

#[tokio::test]
async fn a_message_that_is_to_be_acknowledged_is_kept_before_anybody_gets_it() {
    let Serving { world, store, .. } = &Serving::new(BrokerConfig::default());
    let a = world.connect("a").await;
    world.subscribe(&a, "t");
    let (soon, sure) = (retained("t", QoS::AtMostOnce), retained("t", QoS::AtLeastOnce));
    assert!(matches!(world.broker.publish(a.connection(), &sure), Published::First(_)));
    let matched = PublishVerdict::Accepted { matched: true };
    assert_eq!(world.publish(a.connection(), &soon), matched);
    assert_eq!(world.broker.publish(a.connection(), &sure).verdict().await, matched);
    assert_eq!((store.kept.lock().unwrap().len(), topics(a.connection()).len()), (2, 2));
    for (error, verdict) in [
        (RetainError::LimitReached, PublishVerdict::RetainedLimit),
        (RetainError::TooLarge, PublishVerdict::RetainedLimit),
        (RetainError::Unavailable, PublishVerdict::Unavailable { may_have_happened: true }),
        (RetainError::Busy, PublishVerdict::Unavailable { may_have_happened: false }),
    ] {
        *store.refuse.lock().unwrap() = Some(error);
        assert_eq!(world.broker.publish(a.connection(), &sure).verdict().await, verdict);
    }
    assert_eq!(topics(a.connection()), [""; 0], "what is refused leaves no trace");
    let forbidden = retained("$SYS/broker/version", QoS::AtLeastOnce);
    assert_eq!(world.broker.publish(a.connection(), &forbidden).verdict().await, PublishVerdict::NotAuthorized);
}

#[tokio::test]
async fn a_connection_that_ends_is_not_waited_for() {
    let Serving { world, store, .. } =
        &Serving::new(BrokerConfig { client_queue_messages: 1, ..BrokerConfig::default() });
    for n in 0..3 {
        store.kept.lock().unwrap().push(retained(&format!("a/{n}"), QoS::AtMostOnce));
    }
    let gone = world.connect("gone").await;
    world.subscribe_for_retained(&gone, None, "#");
    arrived(gone.connection(), 1).await;
    world.broker.claim_ended(gone.connection().client_id(), gone.connection().epoch(), EndingKind::Takeover);
    let a = world.connect("a").await;
    world.subscribe_for_retained(&a, None, "#");
    arrived(a.connection(), 3).await;
}

#[tokio::test]
async fn what_is_retained_comes_before_live_messages() {
    let Serving { world, store, .. } = &Serving::new(BrokerConfig::default());
    store.kept.lock().unwrap().push(retained("t", QoS::AtMostOnce));
    store.failures.store(3, Ordering::SeqCst);
    let a = world.connect("a").await;
    world.broker.hold_back(a.connection());
    world.subscribe_for_retained(&a, None, "t");
    world.broker.let_go(a.connection());
    world.publish(a.connection(), &message("t"));
    assert_eq!(topics(a.connection()), [""; 0], "the store has not answered yet");
    let got = arrived(a.connection(), 2).await;
    assert_eq!(got.iter().map(|delivery| delivery.retain).collect::<Vec<_>>(), [true, false]);
    world.publish(a.connection(), &message("t"));
    assert_eq!(topics(a.connection()), ["t"], "nothing is held back any more");
}
