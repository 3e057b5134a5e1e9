//! Messages: who gets them, how often, and who pays.

use crate::world::{World, deliveries, id, message, message_at, now, requested, topics};
use rollcall_broker::BrokerConfig;
use rollcall_contracts::{ConnectionEnding, DeliveryTarget, EndingKind};
use rollcall_session::{PublishVerdict, ReasonCode, RequestedSubscription, SubscribeAnswer, UnsubscribeAnswer};
use rollcall_types::{DisconnectReason, QoS};
use std::{
    num::NonZeroU32,
    sync::{Arc, atomic::Ordering},
};

#[tokio::test]
async fn a_message_reaches_each_matching_session_once_and_every_other_node() {
    let world = World::default();
    let (a, b, c) = (world.connect("a").await, world.connect("b").await, world.connect("c").await);
    world.subscribe(&a, "t/+");
    world.subscribe(&a, "t/#");
    world.subscribe(&b, "t/1");
    world.subscribe(&c, "other");
    let verdict = world.publish(c.connection(), &message("t/1"));
    assert_eq!(verdict, PublishVerdict::Accepted { matched: true });
    assert_eq!(topics(a.connection()), ["t/1"], "two filters, one message");
    assert_eq!(topics(b.connection()), ["t/1"]);
    assert_eq!(topics(c.connection()), [""; 0]);
    assert_eq!(world.peers.published.lock().unwrap().len(), 1);
    let nobody = world.publish(c.connection(), &message("nobody"));
    assert_eq!(nobody, PublishVerdict::Accepted { matched: false });
}

#[tokio::test]
async fn what_another_node_hands_over_is_delivered_here_and_goes_no_further() {
    let world = World::default();
    let a = world.connect("a").await;
    world.subscribe(&a, "t");
    world.broker.deliver_local(message("t"));
    assert_eq!(topics(a.connection()), ["t"]);
    assert!(world.peers.published.lock().unwrap().is_empty());
}

#[tokio::test]
async fn subscription_identifiers_of_all_matching_filters_come_with_the_one_message() {
    let world = World::default();
    let a = world.connect("a").await;
    for (filter, number) in [("t", 1), ("#", 2), ("x", 3)] {
        world.broker.subscribe(a.connection(), NonZeroU32::new(number), &[(requested(filter), None)]);
    }
    world.broker.deliver_local(message("t"));
    let got = deliveries(a.connection());
    let mut ids: Vec<u32> = got[0].subscription_ids.iter().map(|id| id.get()).collect();
    ids.sort_unstable();
    assert_eq!((got.len(), ids), (1, vec![1, 2]));
}

#[tokio::test]
async fn no_local_keeps_ones_own_messages_away_and_nobody_elses() {
    let world = World::default();
    let (a, b) = (world.connect("a").await, world.connect("b").await);
    let quiet = RequestedSubscription { no_local: true, ..requested("t") };
    world.broker.subscribe(a.connection(), None, &[(quiet, None)]);
    let own = world.publish(a.connection(), &message("t"));
    assert_eq!(topics(a.connection()), [""; 0]);
    assert_eq!(own, PublishVerdict::Accepted { matched: true }, "its subscription matched");
    world.publish(b.connection(), &message("t"));
    assert_eq!(topics(a.connection()), ["t"]);
}

#[tokio::test]
async fn the_retain_flag_is_kept_only_where_asked_for() {
    let world = World::default();
    let (a, b) = (world.connect("a").await, world.connect("b").await);
    world.subscribe(&a, "t");
    let keeping = RequestedSubscription { retain_as_published: true, ..requested("t") };
    world.broker.subscribe(b.connection(), None, &[(keeping, None)]);
    let mut retained = (*message("t")).clone();
    retained.retain = true;
    world.broker.deliver_local(Arc::new(retained));
    assert!(!deliveries(a.connection())[0].retain);
    assert!(deliveries(b.connection())[0].retain);
}

#[tokio::test]
async fn messages_beyond_a_full_queue_are_dropped_and_the_rest_keeps_its_order() {
    let world = World::new(BrokerConfig { client_queue_messages: 3, ..BrokerConfig::default() });
    let a = world.connect("a").await;
    world.subscribe(&a, "#");
    for number in 0..5 {
        world.broker.deliver_local(message(&number.to_string()));
    }
    assert_eq!(topics(a.connection()), ["0", "1", "2"]);
    world.broker.deliver_local(message("5"));
    assert_eq!(topics(a.connection()), ["5"]);
}

#[tokio::test]
async fn only_the_broker_publishes_under_its_own_topics() {
    let world = World::default();
    let a = world.connect("a").await;
    world.subscribe(&a, "$events/#");
    for topic in ["$events/client_connected", "$SYS/x", "forbidden/x"] {
        let verdict = world.publish(a.connection(), &message(topic));
        assert_eq!(verdict, PublishVerdict::NotAuthorized, "{topic}");
    }
    assert_eq!(topics(a.connection()), [""; 0]);
    assert!(world.peers.published.lock().unwrap().is_empty());
    world.broker.deliver_local(message("$events/client_connected"));
    assert_eq!(topics(a.connection()), ["$events/client_connected"]);
}

#[tokio::test]
async fn publishes_and_deliveries_are_charged_and_over_quota_nothing_goes_on() {
    let world = World::default();
    let (a, b) = (world.connect("a").await, world.connect("b").await);
    world.subscribe(&a, "t");
    world.subscribe(&b, "t");
    world.publish(a.connection(), &message("t"));
    assert_eq!(world.admission.charged.load(Ordering::SeqCst), 3, "one in, two out");
    assert_eq!((topics(a.connection()).len(), topics(b.connection()).len()), (1, 1));
    world.admission.over_quota.store(true, Ordering::SeqCst);
    let verdict = world.publish(a.connection(), &message("t"));
    assert_eq!(verdict, PublishVerdict::OverQuota { retry_after_s: 1 });
    world.broker.deliver_local(message("t"));
    assert_eq!((topics(a.connection()).len(), topics(b.connection()).len()), (0, 0));
    assert_eq!(world.peers.published.lock().unwrap().len(), 1);
    // Somebody was promised this one, wherever it was published: it is owed.
    world.subscribe_at(&b, "t", QoS::AtLeastOnce);
    world.broker.deliver_local(message_at("t", QoS::AtLeastOnce));
    assert_eq!((topics(a.connection()).len(), topics(b.connection()).len()), (0, 1));
    assert_eq!(world.admission.charged.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn subscriptions_are_answered_one_by_one() {
    let world = World::new(BrokerConfig { client_filters: 2, ..BrokerConfig::default() });
    let a = world.connect("a").await;
    let filters = vec![
        (requested("a"), None),
        (requested("forbidden"), None),
        (requested("$share/g/forbidden"), None),
        (requested("long"), Some(ReasonCode::TopicFilterInvalid)),
        (requested("b"), None),
        (requested("c"), None),
        (requested("a"), None),
    ];
    let refused = SubscribeAnswer::Refused;
    let granted = |is_new| SubscribeAnswer::Granted { qos: QoS::AtMostOnce, is_new };
    assert_eq!(
        now(world.broker.subscribe(a.connection(), None, &filters)),
        vec![
            granted(true),
            refused(ReasonCode::NotAuthorized),
            refused(ReasonCode::NotAuthorized),
            refused(ReasonCode::TopicFilterInvalid),
            granted(true),
            refused(ReasonCode::QuotaExceeded),
            granted(false),
        ]
    );
    let existed = world.broker.unsubscribe(a.connection(), &["a".into(), "zzz".into()]);
    assert_eq!(existed, Ok(vec![UnsubscribeAnswer::Removed, UnsubscribeAnswer::NoneThere]));
    world.broker.deliver_local(message("a"));
    assert_eq!(topics(a.connection()), [""; 0]);
}

#[tokio::test]
async fn an_ended_connection_gets_no_message() {
    let world = World::default();
    let a = world.connect("a").await;
    world.subscribe(&a, "t");
    world.broker.deliver_local(message("t"));
    world.broker.claim_ended(&id("a"), a.connection().epoch(), EndingKind::Takeover);
    world.broker.deliver_local(message("t"));
    assert_eq!(topics(a.connection()), [""; 0], "the order to end comes first, again and again");
    let connection = a.connection().clone();
    a.release(DisconnectReason::Takeovered);
    let other = world.connect("b").await;
    let verdict = world.publish(other.connection(), &message("t"));
    assert_eq!(verdict, PublishVerdict::Accepted { matched: false }, "its subscriptions are gone");
    assert!(!connection.may_send());
}

#[tokio::test]
async fn one_filter_can_be_refused_for_outside_test_suites() {
    let refused_filter = Some("test/nosubscribe");
    let world = World::new(BrokerConfig { refused_filter, ..BrokerConfig::default() });
    let a = world.connect("a").await;
    let filters = ["test/nosubscribe", "test/nosubscribe/x"].map(|filter| (requested(filter), None));
    let answers = now(world.broker.subscribe(a.connection(), None, &filters));
    let granted = SubscribeAnswer::Granted { qos: QoS::AtMostOnce, is_new: true };
    assert_eq!(answers, [SubscribeAnswer::Refused(ReasonCode::UnspecifiedError), granted]);
}
