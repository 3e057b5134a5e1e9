//! Retained messages: what was acknowledged is there, whatever happens to the nodes.

use rollcall_test_cluster::mqtt::{Arrival, Version};
use rollcall_test_cluster::{Cluster, Options, tools};
use std::collections::BTreeMap;
use std::time::Duration;

const TOPICS: usize = 20;
/// A new subscriber has its retained messages within this time, an election included.
/// The PUBACK of a message that is kept: nobody is there who wants it (MQTT 5.0, 3.4.2.1), or a node that came back has
/// not told yet what it wants.
const ACCEPTED: [u8; 2] = [0x10, 0];
const WITHIN: Duration = Duration::from_secs(15);
/// After so long without one more, there is no further message.
const QUIET: Duration = Duration::from_millis(500);

/// Publishes through a node until everything is acknowledged, and gives what must be retained then.
fn retain(cluster: &Cluster, place: usize, round: &str) -> BTreeMap<String, Vec<u8>> {
    let mut publisher = cluster.connect(place, &format!("publisher-{round}"));
    let mut kept = BTreeMap::new();
    for number in 0..TOPICS {
        let (topic, payload) = (format!("plant/{number}/state"), format!("{round}-{number}"));
        let code = publisher.publish_acknowledged(&topic, payload.as_bytes(), true).unwrap();
        assert!(ACCEPTED.contains(&code), "{topic}: {code:#x}");
        kept.insert(topic, payload.into_bytes());
    }
    kept
}

/// What a new subscriber at a node gets. More than expected is waited for, too.
fn retained(cluster: &Cluster, place: usize, id: &str, expected: usize) -> BTreeMap<String, Vec<u8>> {
    let mut subscriber = cluster.connect(place, id);
    subscriber.subscribe("plant/+/state").unwrap();
    let mut got = BTreeMap::new();
    loop {
        match subscriber.next(if got.len() < expected { WITHIN } else { QUIET }) {
            Arrival::Packet(packet) => {
                assert_eq!(packet.first & 1, 1, "RETAIN is set: {packet:?}");
                let (topic, payload) = packet.publish(Version::V5).expect("a message");
                assert_eq!(got.insert(topic.clone(), payload), None, "{topic} came twice");
            }
            Arrival::Silence => return got,
            closed @ Arrival::Closed(_) => panic!("{id}: {closed:?}"),
        }
    }
}

#[test]
fn an_acknowledged_retained_message_survives_kill_9_of_any_node() {
    let mut cluster = Cluster::of_three();
    for victim in 0..3 {
        let round = format!("round-{victim}");
        let kept = retain(&cluster, victim, &round);
        cluster.nodes[victim].kill();
        for survivor in cluster.others(victim) {
            let got = retained(&cluster, survivor, &format!("{round}-at-{survivor}"), TOPICS);
            assert_eq!(got, kept, "n{} after n{} was killed", survivor + 1, victim + 1);
        }
        cluster.nodes[victim].start();
        cluster.wait_node_ready(victim);
        assert_eq!(retained(&cluster, victim, &format!("{round}-back"), TOPICS), kept, "n{} is back", victim + 1);
    }
    let mut publisher = cluster.connect(0, "clears");
    for number in 0..TOPICS {
        let code = publisher.publish_acknowledged(&format!("plant/{number}/state"), b"", true).unwrap();
        assert!(ACCEPTED.contains(&code), "{code:#x}");
    }
    assert_eq!(retained(&cluster, 1, "after-clearing", 0), BTreeMap::new());
}

#[test]
fn an_acknowledged_retained_message_survives_power_loss_of_all_nodes() {
    let scenario = "an acknowledged retained message survives power loss of all nodes";
    if !tools::available(scenario, "root, loop devices, mkfs.ext4 and python3", tools::loop_disks()) {
        return;
    }
    let mut cluster = Cluster::on_disks(Options::default());
    for cycle in 0..3 {
        let kept = retain(&cluster, cycle, &format!("cycle-{cycle}"));
        for disk in &cluster.disks {
            disk.cut_power();
        }
        for node in &mut cluster.nodes {
            node.kill();
        }
        for disk in &cluster.disks {
            disk.restore_power();
        }
        cluster.start_all();
        for place in 0..3 {
            let got = retained(&cluster, place, &format!("cycle-{cycle}-at-{place}"), TOPICS);
            assert_eq!(got, kept, "cycle {cycle} at n{}", place + 1);
        }
    }
}
