//! More nodes than replicas: a node answers, claims and learns for partitions of which it holds no replica.

use rollcall_test_cluster::mqtt::kind;
use rollcall_test_cluster::{Cluster, Options, deadline, metrics};
use std::collections::BTreeSet;
use std::time::Duration;

const ALL: [usize; 4] = [0, 1, 2, 3];
const PARTITIONS: u16 = 6;
const SOON: Duration = Duration::from_secs(10);

fn cluster() -> Cluster {
    Cluster::start(Options { nodes: 4, partitions: PARTITIONS, replicas: 3, ..Options::default() })
}

/// Partitions whose log this node applies.
fn replicas_at(cluster: &Cluster, place: usize) -> BTreeSet<u32> {
    metrics::samples(cluster.nodes[place].addresses.admin, "rollcall_raft_applied_index")
        .unwrap()
        .iter()
        .filter_map(|sample| sample.labels.split("partition-").nth(1)?.trim_end_matches('"').parse().ok())
        .collect()
}

#[test]
fn each_partition_has_three_replicas_and_leaders_stand_on_at_least_three_nodes() {
    let cluster = cluster();
    let copies: usize = ALL.iter().map(|place| replicas_at(&cluster, *place).len()).sum();
    assert_eq!(copies, usize::from(PARTITIONS) * 3);
    deadline::until("leaders stand on three nodes", SOON * 3, || {
        let led: Vec<Vec<String>> = ALL.iter().map(|place| cluster.led_by(*place)).collect::<Result<_, _>>()?;
        let leading = led.iter().filter(|groups| groups.iter().any(|g| g.contains("partition"))).count();
        let partitions: usize = led.iter().flatten().filter(|group| group.contains("partition")).count();
        if leading >= 3 && partitions == usize::from(PARTITIONS) { Ok(()) } else { Err(format!("{led:?}")) }
    });
}

#[test]
fn a_node_serves_partitions_of_which_it_holds_no_replica() {
    let cluster = cluster();
    let held: Vec<BTreeSet<u32>> = ALL.iter().map(|place| replicas_at(&cluster, *place)).collect();
    let mut without_replica = 0;
    for number in 0..48 {
        let (id, owner) = (format!("device-{number}"), number % 4);
        // The claim is forwarded where the owner holds no replica.
        let mut old = cluster.connect(owner, &id);
        for place in ALL {
            let answer = cluster.ask(place, &id).unwrap();
            assert!(answer.online, "{id} at n{}: {answer:?}", place + 1);
            without_replica += usize::from(!held[place].contains(&answer.partition));
        }
        // And it learns that it was displaced.
        let new = cluster.connect((owner + 1) % 4, &id);
        let packets = old.to_the_end(SOON).unwrap();
        assert_eq!(packets.len(), 1, "{packets:?}");
        assert_eq!((packets[0].kind(), packets[0].body.first()), (kind::DISCONNECT, Some(&0x8e)));
        new.disconnect().unwrap();
        cluster.wait_online(&ALL, &id, false, SOON);
    }
    assert!(without_replica >= 24, "only {without_replica} answers came from nodes without a replica");
}

#[test]
fn a_killed_node_of_four_takes_no_partition_with_it() {
    let mut cluster = cluster();
    for victim in [0, 3] {
        let others = cluster.others(victim);
        let devices: Vec<_> =
            (0..24).map(|number| cluster.connect(number % 4, &format!("v{victim}-{number}"))).collect();
        cluster.nodes[victim].kill();
        for number in 0..devices.len() {
            let online = number % 4 != victim;
            cluster.wait_online(&others, &format!("v{victim}-{number}"), online, cluster.offline_within() + SOON);
        }
        cluster.nodes[victim].start();
        cluster.wait_ready();
        for number in 0..devices.len() {
            cluster.assert_online(&[victim], &format!("v{victim}-{number}"), number % 4 != victim);
        }
    }
}
