//! What the disk of a stopped node says.

use rollcall_test_cluster::{Cluster, Options, binary};
use std::process::{Command, Output};

fn inspect(cluster: &Cluster, more: &[&str]) -> Output {
    let mut command = Command::new(binary::rollcall());
    command.arg("inspect").arg(cluster.data_dir(0)).args(more);
    command.output().expect("rollcall inspect starts")
}

#[test]
fn the_disk_of_a_stopped_node_tells_who_connected_and_left() {
    let mut cluster = Cluster::start(Options { nodes: 1, ..Options::default() });
    drop(cluster.connect(0, "device"));
    let online = cluster.connect(0, "other");
    cluster.wait_online(&[0], "device", false, cluster.lease());
    let epoch = cluster.ask(0, "device").unwrap().epoch.unwrap();

    let refused = inspect(&cluster, &[]);
    let sentence = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && sentence.contains("in use by another process"), "{sentence}");

    cluster.nodes[0].kill();
    drop(online);
    let all = inspect(&cluster, &["--client", "device"]);
    let text = String::from_utf8_lossy(&all.stdout);
    let transitions: Vec<&str> = text.lines().filter(|line| line.contains("client_id")).collect();
    assert_eq!(transitions.len(), 2, "{text}");
    for (line, transition) in transitions.iter().zip(["\"transition\":\"connected\"", "\"reason\":\"connection_lost\""])
    {
        assert!(line.contains(transition) && line.contains(&format!("\"epoch\":{epoch},")), "{line}");
    }
    let other = inspect(&cluster, &["--client", "other"]);
    assert!(String::from_utf8_lossy(&other.stdout).contains("\"transition\":\"connected\""));
}
