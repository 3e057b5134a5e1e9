//! Power loss: everything that was not synced is gone, on all nodes at once.

use rollcall_test_cluster::{Cluster, Options, tools};

const CYCLES: usize = 5;

/// The claim of a CONNECT that was acknowledged is there after the power comes back, whatever `kill -9` would have left.
#[test]
fn the_claim_of_an_acknowledged_connect_survives_power_loss_of_all_nodes() {
    let scenario = "the claim of an acknowledged CONNECT survives power loss of all nodes";
    if !tools::available(scenario, "root, loop devices, mkfs.ext4 and python3", tools::loop_disks()) {
        return;
    }
    let mut cluster = Cluster::on_disks(Options::default());
    let mut epoch = 0;
    for cycle in 0..CYCLES {
        // Many connects at once, so that syncs are shared; the last acknowledged is the one to look at.
        let id = format!("last-{cycle}");
        let _crowd: Vec<_> = (0..20).map(|n| cluster.connect(n % 3, &format!("crowd-{n}"))).collect();
        let _returning = cluster.connect(cycle % 3, "returning");
        let before = cluster.ask(cycle % 3, "returning").unwrap().epoch.unwrap();
        assert!(before > epoch, "cycle {cycle}: epoch {before} after {epoch}");
        let last = cluster.connect((cycle + 1) % 3, &id);

        for disk in &cluster.disks {
            disk.cut_power();
        }
        for node in &mut cluster.nodes {
            node.kill();
        }
        drop(last);
        for disk in &cluster.disks {
            disk.restore_power();
        }
        cluster.start_all();

        for place in 0..3 {
            assert!(cluster.ask(place, &id).unwrap().epoch.is_some(), "cycle {cycle}: an acknowledged claim is gone");
            assert_eq!(cluster.ask(place, "returning").unwrap().epoch, Some(before), "cycle {cycle}");
        }
        epoch = before;
    }
}
