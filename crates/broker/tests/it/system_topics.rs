//! `$SYS`: values for those who subscribe to them.

use crate::world::{World, deliveries, message};
use std::collections::BTreeMap;

#[tokio::test]
async fn a_subscriber_gets_the_values_at_once_and_then_again_and_others_get_nothing() {
    let world = World::default();
    let (a, b) = (world.connect("a").await, world.connect("b").await);
    world.subscribe(&b, "#");
    world.broker.publish(b.connection(), &message("t"));
    deliveries(b.connection());
    world.subscribe_for_retained(&a, None, "$SYS/broker/clients/+");
    let first = deliveries(a.connection());
    let values: BTreeMap<_, _> =
        first.iter().map(|d| (d.message.topic.as_str(), d.message.payload.as_slice())).collect();
    assert_eq!(values["$SYS/broker/clients/connected"], b"2");
    assert_eq!(first.len(), 2);
    assert!(first.iter().all(|d| d.retain));
    world.broker.publish_system_topics();
    let again = deliveries(a.connection());
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|d| !d.retain), "an established subscription");
    assert_eq!(deliveries(b.connection()).len(), 0, "hidden from # (MQTT-4.7.2-1)");
    world.subscribe_for_retained(&a, None, "$SYS/broker/messages/received");
    let received = deliveries(a.connection());
    assert_eq!(received[0].message.payload, b"1");
}
