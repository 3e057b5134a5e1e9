//! Faults of single packets between namespaces: cuts of one direction or one pair, loss, resets. Whole links are taken
//! down by `rollcall_test_cluster::network`. Each fault is healed by [`heal`], which takes all of them away.

use crate::delay;
use rollcall_test_cluster::network::Network;
use rollcall_test_cluster::tools::run;
use std::process::{Child, Command, Stdio};

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

/// The process that holds packets back. It ends when this is dropped; its rule goes with [`heal`], which comes first, so
/// that no packet waits in vain.
#[derive(Debug)]
pub struct HoldingBack(Child);

impl Drop for HoldingBack {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Holds back what arrives at a node from others, each packet for `mean_ms` more or less `jitter_ms`.
#[must_use]
pub fn hold_back(network: &Network, node: usize, mean_ms: u64, jitter_ms: u64) -> HoldingBack {
    let this = std::env::current_exe().expect("the path of this program");
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &network.namespace(node)]).arg(this);
    command.args(["delay", &mean_ms.to_string(), &jitter_ms.to_string()]).stdin(Stdio::null());
    let process = HoldingBack(command.spawn().expect("the delaying process starts"));
    // Where nobody takes the packets yet, they pass. nft has no queue in every kernel.
    iptables(network, node, "-A").expect("iptables works as root");
    process
}

/// Lets so many thousand bits a second through to the others from a node, with half a second of queue.
pub fn narrow(network: &Network, node: usize, kbit: u32) {
    let shape = format!("qdisc replace dev peers root tbf rate {kbit}kbit burst 16kb latency 500ms");
    tc(&network.namespace(node), &shape).expect("tc works as root");
}

/// Takes all faults of this module away.
pub fn heal(network: &Network, nodes: usize) {
    // A table that is not there is no fault here.
    drop(nft(&network.switch(), "delete table bridge faults"));
    for node in 0..nodes {
        drop(nft(&network.namespace(node), "delete table inet faults"));
        drop(tc(&network.namespace(node), "qdisc del dev peers root"));
        drop(iptables(network, node, "-D"));
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

fn tc(namespace: &str, command: &str) -> Result<(), String> {
    let words = ["netns", "exec", namespace, "tc"].into_iter().chain(command.split(' '));
    run("ip", &words.collect::<Vec<_>>()).map(drop)
}

/// Adds or deletes the rule that hands packets over to [`delay`].
fn iptables(network: &Network, node: usize, what: &str) -> Result<(), String> {
    let queue = delay::QUEUE.to_string();
    let rule = ["INPUT", "-i", "peers", "-j", "NFQUEUE", "--queue-num", &queue, "--queue-bypass"];
    let namespace = network.namespace(node);
    let words = ["netns", "exec", &namespace, "iptables", what].into_iter().chain(rule);
    run("ip", &words.collect::<Vec<_>>()).map(drop)
}
