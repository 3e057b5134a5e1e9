//! The cluster grows, shrinks and heals while it serves.

use rollcall_test_cluster::config::OPERATOR;
use rollcall_test_cluster::mqtt::kind;
use rollcall_test_cluster::{Cluster, Options, deadline, http, metrics};
use std::collections::BTreeSet;
use std::time::Duration;

const PARTITIONS: u16 = 6;
/// Joining, catching up and evening out, on a busy machine.
const MOVED_WITHIN: Duration = Duration::from_secs(60);

fn cluster() -> Cluster {
    Cluster::start(Options { partitions: PARTITIONS, ..Options::default() })
}

/// Partitions that this node has a replica of.
fn replicas_at(cluster: &Cluster, place: usize) -> Result<usize, String> {
    let samples = metrics::samples(cluster.nodes[place].addresses.admin, "rollcall_partition_replicas")?;
    samples.first().map(|sample| sample.value as usize).ok_or_else(|| "not told".to_owned())
}

/// Waits until the nodes hold so many replicas each.
fn settled(cluster: &Cluster, places: &[usize], each: &[usize]) {
    deadline::until(&format!("replicas {each:?}"), MOVED_WITHIN, || {
        let mut held: Vec<usize> = places.iter().map(|place| replicas_at(cluster, *place)).collect::<Result<_, _>>()?;
        held.sort_unstable();
        if held == each { Ok(()) } else { Err(format!("{held:?}")) }
    });
}

#[test]
fn two_nodes_join_and_take_their_share_while_clients_come_and_go() {
    let mut cluster = cluster();
    let kept: Vec<_> = (0..12).map(|number| cluster.connect(number % 3, &format!("kept-{number}"))).collect();
    for name in ["n4", "n5"] {
        let place = cluster.add_node(name);
        cluster.wait_node_ready(place);
        let id = format!("first-on-{name}");
        let device = cluster.connect(place, &id);
        for asked in 0..=place {
            cluster.assert_online(&[asked], &id, true);
        }
        device.disconnect().unwrap();
        cluster.wait_online(&[0, place], &id, false, MOVED_WITHIN);
    }
    let all = [0, 1, 2, 3, 4];
    settled(&cluster, &all, &[3, 3, 4, 4, 4]);
    for (number, _connection) in kept.iter().enumerate() {
        cluster.assert_online(&all, &format!("kept-{number}"), true);
    }
    // A founder may fail: the new ones carry their part.
    cluster.nodes[0].kill();
    for number in 0..12 {
        cluster.wait_online(&[1, 2, 3, 4], &format!("kept-{number}"), number % 3 != 0, cluster.offline_within() * 2);
    }
}

#[test]
fn a_node_that_lost_its_disk_comes_back_under_its_name() {
    let mut cluster = cluster();
    let _kept: Vec<_> = (0..6).map(|number| cluster.connect(number % 2, &format!("kept-{number}"))).collect();
    let _lost = cluster.connect(2, "lost");
    cluster.nodes[2].kill();
    let place = cluster.add_node("n3");
    cluster.wait_node_ready(place);
    let here = [0, 1, place];
    settled(&cluster, &here, &[6, 6, 6]);
    for number in 0..6 {
        cluster.assert_online(&here, &format!("kept-{number}"), true);
    }
    cluster.assert_online(&here, "lost", false);
    // The new one carries its part: another node may fail now.
    cluster.nodes[1].kill();
    cluster.wait_online(&[0, place], "kept-1", false, cluster.offline_within() * 2);
    cluster.wait_online(&[0, place], "kept-0", true, cluster.offline_within());
    let names: BTreeSet<_> = (0..3).filter_map(|_| cluster.ask(0, "kept-0").ok()?.node).collect();
    assert_eq!(names, BTreeSet::from(["n1".to_owned()]));
}

#[test]
fn nodes_leave_when_told_and_the_cluster_shrinks_while_it_serves() {
    let mut cluster = cluster();
    let fourth = cluster.add_node("n4");
    cluster.wait_node_ready(fourth);
    settled(&cluster, &[0, 1, 2, 3], &[4, 4, 5, 5]);
    let _kept: Vec<_> = (0..9).map(|number| cluster.connect(number % 3, &format!("kept-{number}"))).collect();
    let mut gone = cluster.connect(fourth, "gone");
    // Told by any node, also one that is to stay.
    leave(&cluster, 1, "n4", 202);
    let packets = gone.to_the_end(MOVED_WITHIN).unwrap();
    assert_eq!(packets.len(), 1, "{packets:?}");
    assert_eq!((packets[0].kind(), packets[0].body.first()), (kind::DISCONNECT, Some(&0x9d)));
    let elsewhere = packets[0].body.windows(2).any(|bytes| bytes[0] == 0x1c);
    assert!(elsewhere, "a server reference: {:02x?}", packets[0].body);
    let status = cluster.nodes[fourth].ended(MOVED_WITHIN);
    assert!(status.success(), "{status}: {}", cluster.nodes[fourth].log_end());
    settled(&cluster, &[0, 1, 2], &[6, 6, 6]);
    for number in 0..9 {
        cluster.assert_online(&[0, 1, 2], &format!("kept-{number}"), true);
    }
    cluster.assert_online(&[0, 1, 2], "gone", false);
    // Its directory belongs to nobody any more.
    cluster.nodes[fourth].start();
    let status = cluster.nodes[fourth].ended(MOVED_WITHIN);
    assert!(!status.success());
    assert!(cluster.nodes[fourth].log_end().contains("has left the cluster"), "{}", cluster.nodes[fourth].log_end());
    // A dead one leaves as well, and the founder that leaves last is none of the last.
    cluster.nodes[2].kill();
    leave(&cluster, 0, "n3", 202);
    settled(&cluster, &[0, 1], &[6, 6]);
    for number in [0, 1, 3, 4] {
        // What it led finds another leader first.
        cluster.wait_online(&[0, 1], &format!("kept-{number}"), true, MOVED_WITHIN);
    }
    leave(&cluster, 0, "n9", 404);
}

/// Tells a member to leave, over the admin listener of a node.
fn leave(cluster: &Cluster, asked: usize, name: &str, expected: u16) {
    let authorization = http::basic(OPERATOR.0, OPERATOR.1);
    deadline::until("the cluster decides", MOVED_WITHIN, || {
        let target = format!("/api/v1/nodes/{name}");
        let admin = cluster.nodes[asked].addresses.admin;
        let answer = http::request(admin, "DELETE", &target, &[("Authorization", &authorization)])?;
        if answer.status == expected { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text())) }
    });
}
