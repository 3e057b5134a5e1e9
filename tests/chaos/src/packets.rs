//! Faults of single packets between namespaces: cuts of one direction or one pair, loss, resets. Whole links are taken
//! down by `rollcall_test_cluster::network`. Each fault is healed by [`heal`], which takes all of them away.

use rollcall_test_cluster::network::Network;
use rollcall_test_cluster::tools::run;

const MESH_PORT: u16 = 7400;

/// Drops what goes from one node to another over the links between nodes, not what comes back.
pub fn cut_one_way(network: &Network, from: usize, to: usize) {
    bridge_rule(network, &format!("iifname peers{from} oifname peers{to} drop"));
}

/// Drops everything between a node and its clients.
pub fn cut_from_clients(network: &Network, node: usize) {
    bridge_rule(network, &format!("iifname clients{node} drop"));
    bridge_rule(network, &format!("oifname clients{node} drop"));
}

/// Loses so many of a hundred packets that arrive at a node from others.
pub fn lose(network: &Network, node: usize, of_hundred: u32) {
    node_rule(network, node, &format!("iifname peers numgen random mod 100 < {of_hundred} drop"));
}

/// Resets every connection of others to a node.
pub fn reset(network: &Network, node: usize) {
    node_rule(network, node, &format!("iifname peers tcp dport {MESH_PORT} reject with tcp reset"));
}

/// Takes all faults of this module away.
pub fn heal(network: &Network, nodes: usize) {
    // A table that is not there is no fault here.
    drop(nft(&network.switch(), "delete table bridge faults"));
    for node in 0..nodes {
        drop(nft(&network.namespace(node), "delete table inet faults"));
    }
}

fn bridge_rule(network: &Network, rule: &str) {
    let at = network.switch();
    for command in [
        "add table bridge faults",
        "add chain bridge faults pass { type filter hook forward priority 0 ; }",
        &format!("add rule bridge faults pass {rule}"),
    ] {
        nft(&at, command).expect("nft works as root");
    }
}

fn node_rule(network: &Network, node: usize, rule: &str) {
    let at = network.namespace(node);
    for command in [
        "add table inet faults",
        "add chain inet faults arrive { type filter hook input priority 0 ; }",
        &format!("add rule inet faults arrive {rule}"),
    ] {
        nft(&at, command).expect("nft works as root");
    }
}

fn nft(namespace: &str, command: &str) -> Result<(), String> {
    run("ip", &["netns", "exec", namespace, "nft", command]).map(drop)
}
