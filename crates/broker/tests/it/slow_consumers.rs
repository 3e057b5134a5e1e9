//! Consumers that read more slowly than others publish: who waits for them, and for how long.

use crate::world::{World, deliveries, message_at, next, poll};
use rollcall_broker::{BrokerConfig, HeldClaim, LaterVerdict, Published, ToConnection};
use rollcall_contracts::{DeliveryTarget, StatusAnswer};
use rollcall_session::{Outgoing, PublishVerdict};
use rollcall_types::{DisconnectReason, LogIndex, PartitionId, QoS};
use std::{
    task::Poll,
    time::{Duration, Instant},
};

/// The longest wait.
const BOUND: Duration = Duration::from_millis(500);

const ACCEPTED: PublishVerdict = PublishVerdict::Accepted { matched: true };

/// A world in which a queue of more than four messages presses, and eight fill it.
async fn world() -> (World, HeldClaim, HeldClaim) {
    let world = World::new(BrokerConfig { client_queue_messages: 8, ..BrokerConfig::default() });
    let consumer = world.connect_for("consumer", true, 60).await;
    world.subscribe_at(&consumer, "t", QoS::AtLeastOnce);
    let publisher = world.connect("publisher").await;
    (world, consumer, publisher)
}

/// So many publishes that are acknowledged at once.
fn publish(world: &World, from: &HeldClaim, count: usize) {
    for _ in 0..count {
        assert_eq!(world.publish(from.connection(), &message_at("t", QoS::AtLeastOnce)), ACCEPTED);
    }
}

/// A publish that is not.
fn slowed(world: &World, from: &HeldClaim) -> LaterVerdict {
    match world.broker.publish(from.connection(), &message_at("t", QoS::AtLeastOnce)) {
        Published::Later(mut later) => {
            assert!(poll(&mut later).is_pending());
            later
        }
        other => panic!("{other:?}"),
    }
}

/// Takes so many messages.
fn take(consumer: &HeldClaim, count: usize) {
    for _ in 0..count {
        assert!(matches!(next(consumer.connection()), Some(ToConnection::Send(Outgoing::Publish(_)))));
    }
}

#[tokio::test]
async fn a_publisher_is_held_from_half_a_queue_on_and_let_go_when_the_consumer_takes() {
    let (world, consumer, publisher) = world().await;
    publish(&world, &publisher, 4);
    let (mut first, mut second) = (slowed(&world, &publisher), slowed(&world, &publisher));
    take(&consumer, 1);
    assert!(poll(&mut first).is_pending(), "five of eight wait");
    take(&consumer, 1);
    assert_eq!((poll(&mut first), poll(&mut second)), (Poll::Ready(ACCEPTED), Poll::Ready(ACCEPTED)));
    take(&consumer, 1);
    publish(&world, &publisher, 1);
}

/// What waits behind retained messages will be in the same queue.
#[tokio::test]
async fn a_publisher_is_held_by_what_waits_behind_retained_messages_too() {
    let (world, consumer, publisher) = world().await;
    world.broker.hold_back(consumer.connection());
    publish(&world, &publisher, 4);
    let mut verdict = slowed(&world, &publisher);
    world.broker.let_go(consumer.connection());
    assert!(poll(&mut verdict).is_pending(), "five of eight wait");
    take(&consumer, 1);
    assert_eq!(poll(&mut verdict), Poll::Ready(ACCEPTED));
    take(&consumer, 4);
}

#[tokio::test]
async fn a_consumer_that_takes_too_little_is_waited_for_up_to_the_bound_again_and_again() {
    let (world, consumer, publisher) = world().await;
    publish(&world, &publisher, 4);
    for _ in 0..2 {
        let (mut first, second, begun) = (slowed(&world, &publisher), slowed(&world, &publisher), Instant::now());
        let early = tokio::time::timeout(BOUND / 5, &mut first).await;
        assert!(early.is_err());
        take(&consumer, 1);
        assert_eq!((first.await, second.await), (ACCEPTED, ACCEPTED));
        assert!(begun.elapsed() >= BOUND);
        assert!(begun.elapsed() < BOUND * 2, "one wait does not begin behind the other");
        take(&consumer, 1);
    }
}

#[tokio::test]
async fn a_stuck_consumer_holds_nobody_twice_until_it_has_drained() {
    let (world, consumer, publisher) = world().await;
    publish(&world, &publisher, 4);
    let mut first = slowed(&world, &publisher);
    world.lease.pass(500);
    publish(&world, &publisher, 1);
    assert_eq!(poll(&mut first), Poll::Ready(ACCEPTED), "nobody waits on for a whole bound without a message taken");
    publish(&world, &publisher, 4);
    assert_eq!(deliveries(consumer.connection()).len(), 8, "what had no room was dropped");
    publish(&world, &publisher, 4);
    drop(slowed(&world, &publisher));
}

#[tokio::test]
async fn a_wait_that_runs_out_with_nothing_taken_finds_the_consumer_stuck() {
    let (world, _consumer, publisher) = world().await;
    publish(&world, &publisher, 4);
    let (first, begun) = (slowed(&world, &publisher), Instant::now());
    world.lease.pass(10);
    assert_eq!(first.await, ACCEPTED);
    assert!(begun.elapsed() >= BOUND);
    publish(&world, &publisher, 2);
}

#[tokio::test]
async fn a_client_that_is_away_is_never_waited_for_and_one_that_goes_no_longer() {
    let (world, consumer, publisher) = world().await;
    publish(&world, &publisher, 4);
    let mut waiting = slowed(&world, &publisher);
    consumer.release(DisconnectReason::ConnectionLost);
    assert_eq!(poll(&mut waiting), Poll::Ready(ACCEPTED));
    publish(&world, &publisher, 10);
    let back = world.connect_for("consumer", false, 60).await;
    assert_eq!(deliveries(back.connection()).len(), 8);
    back.release(DisconnectReason::Normal);
}

#[tokio::test]
async fn qos_0_neither_waits_nor_presses() {
    let (world, consumer, publisher) = world().await;
    for _ in 0..8 {
        assert_eq!(world.publish(publisher.connection(), &message_at("t", QoS::AtMostOnce)), ACCEPTED);
    }
    publish(&world, &publisher, 4);
    let waiting = slowed(&world, &publisher);
    assert_eq!(world.publish(publisher.connection(), &message_at("t", QoS::AtMostOnce)), ACCEPTED);
    let at_most_once = world.connect("other").await;
    world.subscribe_at(&at_most_once, "u", QoS::AtMostOnce);
    for _ in 0..8 {
        assert_eq!(world.publish(publisher.connection(), &message_at("u", QoS::AtLeastOnce)), ACCEPTED);
    }
    consumer.release(DisconnectReason::Normal);
    assert_eq!(waiting.await, ACCEPTED);
}

#[tokio::test]
async fn a_message_for_one_pressed_client_is_acknowledged_later_too() {
    let (world, consumer, publisher) = world().await;
    publish(&world, &publisher, 4);
    let (online, epoch) = (true, Some(consumer.connection().epoch()));
    let status = StatusAnswer { online, partition: PartitionId(0), index: LogIndex(1), epoch, node: None };
    *world.store.status.lock().unwrap() = Some(Ok(status));
    let to_one = message_at("a/p2p/consumer", QoS::AtLeastOnce);
    let Published::First(first) = world.broker.publish(publisher.connection(), &to_one) else {
        panic!("it is looked up")
    };
    let Published::Later(mut later) = first.await else { panic!("the consumer is pressed") };
    assert!(poll(&mut later).is_pending());
    take(&consumer, 1);
    assert_eq!(poll(&mut later), Poll::Ready(ACCEPTED));
}

#[tokio::test]
async fn other_nodes_are_told_how_long_their_publishers_should_wait() {
    let (world, consumer, _publisher) = world().await;
    let waits: Vec<_> =
        (0..9).map(|_| world.broker.deliver_local(message_at("t", QoS::AtLeastOnce)).map(|w| w.as_millis())).collect();
    assert_eq!(waits, [None, None, None, None, Some(31), Some(125), Some(281), Some(500), Some(500)]);
    assert_eq!(world.broker.deliver_local(message_at("t", QoS::AtMostOnce)), None);
    world.lease.pass(500);
    assert_eq!(world.broker.deliver_local(message_at("t", QoS::AtLeastOnce)), None, "it is stuck");
    take(&consumer, 8);
    consumer.release(DisconnectReason::Normal);
}
