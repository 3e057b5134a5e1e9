//! What the nodes' disks say once all have stopped, by `rollcall inspect`. What does not belong here: any judgement.

use crate::check::logged::{Disk, Logged};
use rollcall_test_cluster::{Cluster, binary};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::process::Command;

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Transition(Logged),
    Partition { partition: u32, last_index: u64 },
}

/// Kills all nodes and reads their disks, each under its node's name.
pub fn read(cluster: &mut Cluster) -> BTreeMap<String, Disk> {
    cluster.nodes.iter_mut().for_each(rollcall_test_cluster::node::Node::kill);
    (0..cluster.nodes.len()).map(|at| (cluster.nodes[at].name.clone(), inspect(cluster, at))).collect()
}

fn inspect(cluster: &Cluster, at: usize) -> Disk {
    let output = Command::new(binary::rollcall()).arg("inspect").arg(cluster.data_dir(at)).output();
    let output = output.expect("rollcall inspect starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the disk of {} cannot be read: {said}", cluster.nodes[at].name);
    let mut disk = Disk::default();
    for line in String::from_utf8(output.stdout).expect("UTF-8").lines() {
        match serde_json::from_str(line).expect("a line of inspect") {
            Line::Transition(logged) => disk.transitions.push(logged),
            Line::Partition { partition, last_index } => {
                disk.last_index.insert(partition, last_index);
            }
        }
    }
    disk
}
