//! Deaths at the program's named points: between two steps of an append, a vote, an entry's effect or a snapshot, which a
//! kill from outside hardly hits. Only a program built with mutants has them. What does not belong here: other faults.

use rollcall_test_cluster::Cluster;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

/// The points, each with how often a node passes it before it dies there. Those of votes and snapshots come seldom.
const POINTS: [(&str, u32); 12] = [
    ("before_append", 40),
    ("appended", 40),
    ("before_vote_sync", 1),
    ("vote_synced", 1),
    ("synced", 40),
    ("witness_written", 40),
    ("before_apply", 40),
    ("applied", 40),
    ("before_snapshot", 1),
    ("before_rename", 1),
    ("renamed", 1),
    ("snapshot_named", 1),
];
/// The variable that names the point.
const VARIABLE: &str = "ROLLCALL_CRASH_AT";
/// A node under traffic comes to any point in this time: a snapshot follows a few hundred entries.
const DIES_WITHIN: Duration = Duration::from_secs(30);
/// The signal of `abort`.
const ABORTED: i32 = 6;

/// Kills the node and has it die at each point, one after the other; it comes back whole each time. The points of votes
/// are passed when it votes for the next leader, whose leader is killed for that.
pub(crate) fn die_at_each(cluster: &mut Cluster, target: usize) {
    for (point, pass) in POINTS {
        cluster.nodes[target].kill();
        cluster.nodes[target].set_variable(VARIABLE, &format!("{point}:{pass}"));
        cluster.nodes[target].start();
        let leader_dies = point.contains("vote").then(|| cluster.leader()).filter(|leader| *leader != target);
        if let Some(leader) = leader_dies {
            cluster.nodes[leader].kill();
            cluster.nodes[leader].start();
        }
        let ended = cluster.nodes[target].ended(DIES_WITHIN);
        assert_eq!(ended.signal(), Some(ABORTED), "the node dies at {point}, and nowhere else");
        cluster.nodes[target].unset_variable(VARIABLE);
        cluster.nodes[target].start();
        if let Some(leader) = leader_dies {
            cluster.wait_node_ready(leader);
        }
        cluster.wait_node_ready(target);
    }
}
