//! Which node gets which message: those whose subscribers want it, from the SUBACK on.

use rollcall_test_cluster::mqtt::{Arrival, Connection};
use rollcall_test_cluster::{Cluster, deadline, metrics};
use std::time::Duration;

/// MQTT 5.0, 3.4.2.1.
const NO_MATCHING_SUBSCRIBERS: u8 = 0x10;
const WITHIN: Duration = Duration::from_secs(10);
/// SUBSCRIBEs that are followed at once by a publish on each other node.
const ROUNDS: usize = 200;

/// The payload of the next message.
fn take(connection: &mut Connection) -> String {
    loop {
        match connection.next(WITHIN) {
            Arrival::Packet(packet) => {
                connection.answer(&packet).unwrap();
                if let Some(message) = packet.delivered(connection.version()) {
                    return String::from_utf8(message.payload).unwrap();
                }
            }
            other => panic!("no message but {other:?}"),
        }
    }
}

/// Messages that a node was handed by the others.
fn received(cluster: &Cluster, place: usize) -> f64 {
    let samples = metrics::samples(cluster.nodes[place].addresses.admin, "rollcall_peer_messages_received_total");
    samples.unwrap().iter().map(|sample| sample.value).sum()
}

#[test]
fn whatever_is_published_after_the_suback_arrives_from_any_node() {
    let cluster = Cluster::of_three();
    let mut subscriber = cluster.connect(0, "subscriber");
    let mut publishers = [1, 2].map(|place| cluster.connect(place, &format!("publisher-{place}")));
    for round in 0..ROUNDS {
        let topic = format!("round/{round}");
        let filter = if round % 4 == 3 { format!("$share/g/{topic}") } else { topic.clone() };
        assert_eq!(subscriber.subscribe_at(&filter, 1), Ok(Vec::new()));
        // Which one comes first changes, since the one before has given the other time.
        publishers.rotate_left(1);
        for publisher in &mut publishers {
            assert_eq!(publisher.publish_acknowledged(&topic, topic.as_bytes(), false), Ok(0));
            assert_eq!(take(&mut subscriber), topic, "round {round}");
        }
    }
}

#[test]
fn what_nobody_wants_there_does_not_cross() {
    let cluster = Cluster::of_three();
    let mut here = cluster.connect(0, "here");
    let mut there = cluster.connect(1, "there");
    let mut publisher = cluster.connect(0, "publisher");
    assert_eq!(here.subscribe_at("a/#", 1), Ok(Vec::new()));
    assert_eq!(there.subscribe_at("a/+/wanted", 1), Ok(Vec::new()));
    // Until the other nodes have told theirs, they get everything.
    deadline::until("nothing crosses", WITHIN, || {
        let before = [received(&cluster, 1), received(&cluster, 2)];
        assert_eq!(publisher.publish_acknowledged("a/b/first", b"", true), Ok(0));
        let after = [received(&cluster, 1), received(&cluster, 2)];
        if before == after { Ok(()) } else { Err(format!("{before:?}, then {after:?}")) }
    });
    let before = [received(&cluster, 1), received(&cluster, 2)];
    for number in 0..20 {
        for topic in ["a/b/unwanted", "a/b/wanted", "x"] {
            let payload = format!("{topic} {number}");
            let code = if topic == "x" { NO_MATCHING_SUBSCRIBERS } else { 0 };
            assert_eq!(publisher.publish_acknowledged(topic, payload.as_bytes(), number % 2 == 0), Ok(code));
        }
    }
    let after = [received(&cluster, 1), received(&cluster, 2)];
    assert_eq!([after[0] - before[0], after[1] - before[1]], [20.0, 0.0]);
    for number in 0..20 {
        assert_eq!(take(&mut there), format!("a/b/wanted {number}"));
    }
}
