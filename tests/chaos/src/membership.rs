//! Two nodes join, one of the others dies meanwhile and comes back, and the two leave again. What does not belong here:
//! faults without a change of members.

use rollcall_test_cluster::config::OPERATOR;
use rollcall_test_cluster::deadline::until;
use rollcall_test_cluster::{Cluster, http};
use std::time::Duration;

/// Joining, catching up and moving, on a busy machine.
const MOVES_WITHIN: Duration = Duration::from_secs(60);
/// The names of those that come and go.
const GUESTS: [&str; 2] = ["n4", "n5"];

/// From three members to five and back, with a `kill -9` in between.
pub fn grow_and_shrink(cluster: &mut Cluster, target: usize) {
    let members = cluster.nodes.len();
    for name in GUESTS {
        let place = cluster.add_node(name);
        cluster.wait_node_ready(place);
    }
    cluster.nodes[target].kill();
    cluster.nodes[target].start();
    cluster.wait_node_ready(target);
    let asked = (target + 1) % members;
    for (place, name) in (members..).zip(GUESTS) {
        leave(cluster, asked, name);
        let ended = cluster.nodes[place].ended(MOVES_WITHIN);
        assert!(ended.success(), "a node that has left ends with success: {ended}");
    }
    cluster.nodes.truncate(members);
}

fn leave(cluster: &Cluster, asked: usize, name: &str) {
    let authorization = http::basic(OPERATOR.0, OPERATOR.1);
    let (admin, target) = (cluster.nodes[asked].addresses.admin, format!("/api/v1/nodes/{name}"));
    until("the cluster decides", MOVES_WITHIN, || {
        let answer = http::request(admin, "DELETE", &target, &[("Authorization", &authorization)])?;
        if answer.status == 202 { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text())) }
    });
}
