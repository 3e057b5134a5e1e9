//! Limits of one client: what follows when one is reached, and its metric.

use crate::world::{World, deliveries, message, message_at, next, now, peer, poll, request, requested};
use metrics_exporter_prometheus::PrometheusBuilder;
use rollcall_broker::BrokerConfig;
use rollcall_broker::OverRate;
use rollcall_contracts::Rated;
use rollcall_presence::Displaced;
use rollcall_session::{
    ClientLimit, ConnectRefusal, ConnectRequest, PublishVerdict, ReasonCode, SubscribeAnswer, UnsubscribeAnswer,
};
use rollcall_types::{DisconnectReason, Epoch, Incarnation, NodeId, Owner, QoS, Will};
use std::sync::atomic::Ordering;

/// Runs the steps in a world of their own; the text of its metrics.
fn metrics_after(config: BrokerConfig, steps: impl AsyncFnOnce(World)) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(steps(World::new(config)));
    });
    handle.render()
}

fn assert_counted(metrics: &str, kind: &str, times: u64) {
    let line = format!("rollcall_quota_limited_total{{kind=\"{kind}\"}} {times}");
    assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
}

#[test]
fn a_client_that_publishes_too_much_is_over_quota_and_takes_nothing_from_others() {
    let config = BrokerConfig { client_messages_per_second: 2, ..BrokerConfig::default() };
    let metrics = metrics_after(config, async |world| {
        let (a, b) = (world.connect("a").await, world.connect("b").await);
        let over = PublishVerdict::OverQuota { retry_after_s: 1 };
        let passed = PublishVerdict::Accepted { matched: false };
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            assert_eq!(world.publish(a.connection(), &message_at("t", qos)), passed);
        }
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            assert_eq!(world.publish(a.connection(), &message_at("t", qos)), over, "{qos:?}");
        }
        assert_eq!(world.admission.charged.load(Ordering::SeqCst), 2, "the instance is not charged for the rest");
        assert_eq!(world.publish(b.connection(), &message("t")), passed, "each has its own");
        world.lease.pass(500);
        assert_eq!(world.publish(a.connection(), &message("t")), passed);
        assert_eq!(world.publish(a.connection(), &message("t")), over);
    });
    assert_counted(&metrics, "client_messages_per_second", 4);
}

#[test]
fn a_filter_too_many_is_refused_with_0x97() {
    let config = BrokerConfig { client_filters: 1, ..BrokerConfig::default() };
    let metrics = metrics_after(config, async |world| {
        let a = world.connect("a").await;
        world.subscribe(&a, "t");
        world.subscribe(&a, "t");
        let answers = now(world.broker.subscribe(a.connection(), None, &[(requested("u"), None)]));
        assert_eq!(answers, [SubscribeAnswer::Refused(ReasonCode::QuotaExceeded)]);
    });
    assert_counted(&metrics, "client_filters", 1);
}

#[test]
fn a_client_that_acknowledges_nothing_gets_as_many_as_it_takes() {
    let metrics = metrics_after(BrokerConfig::default(), async |world| {
        let a = world.connect("a").await;
        world.subscribe_at(&a, "t", QoS::AtLeastOnce);
        for _ in 0..11 {
            world.publish(a.connection(), &message_at("t", QoS::AtLeastOnce));
        }
        assert_eq!(deliveries(a.connection()).len(), 10);
        assert_eq!(next(a.connection()), None);
    });
    assert_counted(&metrics, "client_inflight", 1);
}

#[test]
fn a_queue_is_bounded_in_bytes() {
    let config = BrokerConfig { client_queue_bytes: 200, ..BrokerConfig::default() };
    let metrics = metrics_after(config, async |world| {
        let a = world.connect("a").await;
        world.subscribe(&a, "t");
        for _ in 0..5 {
            world.publish(a.connection(), &message("t"));
        }
        assert_eq!(deliveries(a.connection()).len(), 3);
    });
    let line = "rollcall_messages_dropped_total{reason=\"queue_full\"} 2";
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
}

#[test]
fn connects_and_takeovers_of_one_id_are_counted_apart() {
    let config =
        BrokerConfig { client_connects_per_minute: 3, client_takeovers_per_minute: 1, ..BrokerConfig::default() };
    let metrics = metrics_after(config, async |world| {
        let owner = Owner { node: NodeId(1), incarnation: Incarnation(1) };
        *world.store.displaced.lock().unwrap() = Some(Displaced { owner, epoch: Epoch(1) });
        let _taken = world.connect("a").await;
        for _ in 0..4 {
            assert_eq!(world.refused("a").await, ConnectRefusal::Flapping);
        }
    });
    assert_counted(&metrics, "client_takeovers_per_minute", 2);
    assert_counted(&metrics, "client_connects_per_minute", 2);
}

#[test]
fn limits_that_the_machine_of_a_connection_finds_reached_are_counted_by_name() {
    let metrics = metrics_after(BrokerConfig::default(), async |world| {
        for limit in ClientLimit::ALL {
            world.broker.limit_reached(limit);
        }
    });
    for limit in ClientLimit::ALL {
        assert_counted(&metrics, limit.name(), 1);
    }
}

#[test]
fn one_connection_too_many_is_refused_and_a_newer_one_of_a_client_that_is_there_is_not() {
    let metrics = metrics_after(BrokerConfig::default(), async |world| {
        world.broker.set_instance_limits(2, usize::MAX);
        let (a, _b) = (world.connect("a").await, world.connect("b").await);
        let refusal = world.refused("c").await;
        assert_eq!(refusal, ConnectRefusal::TooManyConnections);
        assert_eq!(refusal.reason_code(), Some(ReasonCode::QuotaExceeded));
        assert_eq!(world.store.asked(), 2, "nothing is claimed");
        let newer = world.connect("a").await;
        a.release(DisconnectReason::Takeovered);
        newer.release(DisconnectReason::Normal);
        let _c = world.connect("c").await;
        world.broker.set_instance_limits(1, usize::MAX);
        assert_eq!(world.refused("d").await, ConnectRefusal::TooManyConnections);
        assert_eq!(world.broker.sessions_online(), 2, "those that are there stay");
    });
    assert_counted(&metrics, "connections", 2);
}

#[test]
fn of_connections_that_come_at_once_no_more_get_in_than_there_is_room_for() {
    let metrics = metrics_after(BrokerConfig::default(), async |world| {
        world.broker.set_instance_limits(2, usize::MAX);
        world.store.hold();
        let mut all: Vec<_> = ["a", "b", "c"].map(|client| world.connecting(client)).into();
        assert!(all.iter_mut().all(|one| poll(one).is_pending()), "there is room as far as each can tell");
        world.store.answer();
        let (mut held, mut refused) = (Vec::new(), Vec::new());
        for one in all {
            match one.await {
                Ok(one) => held.push(one),
                Err(refusal) => refused.push(refusal),
            }
        }
        assert_eq!((held.len(), refused), (2, vec![ConnectRefusal::TooManyConnections]));
        let released = world.store.released();
        assert!(matches!(released[..], [(_, DisconnectReason::QuotaExceeded)]), "its claim is over: {released:?}");
        assert_eq!(world.broker.sessions_kept(), 0);
    });
    assert_counted(&metrics, "connections", 1);
}

#[test]
fn one_subscription_too_many_on_this_node_is_refused_with_0x97_whoever_makes_it() {
    let metrics = metrics_after(BrokerConfig::default(), async |world| {
        world.broker.set_instance_limits(usize::MAX, 2);
        let (a, b) = (world.connect("a").await, world.connect("b").await);
        world.subscribe(&a, "t");
        world.subscribe(&b, "$share/g/t");
        world.subscribe(&b, "$share/g/t");
        for filter in ["u", "$share/g/u"] {
            let answers = now(world.broker.subscribe(b.connection(), None, &[(requested(filter), None)]));
            assert_eq!(answers, [SubscribeAnswer::Refused(ReasonCode::QuotaExceeded)]);
        }
        let gone = world.broker.unsubscribe(b.connection(), &["$share/g/t".to_owned()]);
        assert_eq!(gone, Ok(vec![UnsubscribeAnswer::Removed]));
        world.subscribe(&a, "u");
    });
    assert_counted(&metrics, "subscriptions", 2);
}

#[tokio::test]
async fn over_its_rate_a_connect_with_a_will_is_refused_and_one_without_is_not() {
    let world = World::default();
    world.admission.over_rate.lock().unwrap().insert(Rated::WillConnects);
    let will = Will { message: (*message("t")).clone(), delay_s: 0 };
    let with_will = ConnectRequest { will: Some(will), ..request("a") };
    let refusal = world.broker.connect(with_will, peer()).await.unwrap_err();
    assert_eq!(refusal, ConnectRefusal::RateExceeded);
    assert_eq!(refusal.reason_code().map(ReasonCode::byte), Some(0x9F));
    world.connect("a").await.release(DisconnectReason::Normal);
}

#[tokio::test]
async fn over_their_rates_nothing_is_subscribed_and_nothing_unsubscribed() {
    let world = World::default();
    let a = world.connect("a").await;
    world.subscribe(&a, "t");
    *world.admission.over_rate.lock().unwrap() = [Rated::Subscribes, Rated::Unsubscribes].into();
    let filters = [(requested("u"), None), (requested("v"), Some(ReasonCode::TopicFilterInvalid))];
    let answers = now(world.broker.subscribe(a.connection(), None, &filters));
    let refused = |code| SubscribeAnswer::Refused(code);
    assert_eq!(answers, [refused(ReasonCode::QuotaExceeded), refused(ReasonCode::TopicFilterInvalid)]);
    let over = world.broker.unsubscribe(a.connection(), &["t".to_owned()]);
    assert_eq!(over, Err(OverRate { retry_after_s: 1 }));
    world.publish(a.connection(), &message("t"));
    assert_eq!(deliveries(a.connection()).len(), 1, "it is still subscribed");
}
