//! Calls over a common node, where a pair of nodes has no link.

use crate::{
    nodes::{ECHO, FACTS, NEVER, NOTE, Node, REFUSE, WITHIN, until, within},
    wire::{Mode, Wire},
};
use bytes::Bytes;
use rollcall_contracts::CallError;
use rollcall_types::NodeId;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, timeout_at};

const MINUTE: Duration = Duration::from_secs(60);

/// Nodes from 1 on that all dial each other, with a wire for each direction of each pair.
pub(crate) struct Net {
    pub(crate) nodes: Vec<Node>,
    wires: BTreeMap<(u64, u64), Wire>,
}

impl Net {
    pub(crate) async fn of(count: u64) -> Net {
        let nodes: Vec<Node> = (1..=count).map(|id| Node::identified(id, |_| {})).collect();
        let mut wires = BTreeMap::new();
        for (from, node) in (1..).zip(&nodes) {
            let mut peers = BTreeMap::new();
            for (to, peer) in (1..).zip(&nodes).filter(|(to, _)| *to != from) {
                let wire = Wire::to(peer.mesh.local_addr()).await;
                peers.insert(NodeId(to), wire.address.to_string());
                wires.insert((from, to), wire);
            }
            node.mesh.set_peers(peers);
        }
        let net = Net { nodes, wires };
        for from in 1..=count {
            for to in (1..=count).filter(|to| *to != from) {
                net.node(from).linked(to).await;
            }
        }
        net
    }

    pub(crate) fn node(&self, id: u64) -> &Node {
        &self.nodes[usize::try_from(id - 1).unwrap()]
    }

    /// What calls of one to the other, and back, meet.
    pub(crate) fn set(&self, pair: [u64; 2], mode: Mode) {
        self.wires[&(pair[0], pair[1])].set(mode);
        self.wires[&(pair[1], pair[0])].set(mode);
    }

    /// Waits until one reaches the other over that node.
    pub(crate) async fn relayed(&self, from: u64, to: u64, over: u64) {
        until(|| self.node(from).mesh.relayed().get(&NodeId(to)) == Some(&NodeId(over))).await;
    }

    /// Waits until it relays nothing.
    pub(crate) async fn direct(&self, from: u64) {
        until(|| self.node(from).mesh.relayed().is_empty()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_without_a_link_goes_over_a_node_that_both_reach_until_the_link_is_back() {
    let net = Net::of(3).await;
    let first = net.node(1);
    net.set([1, 2], Mode::Cut);
    net.relayed(1, 2, 3).await;
    net.relayed(2, 1, 3).await;
    assert!(!first.mesh.is_connected(NodeId(2)) && first.mesh.reached_watch().borrow().contains_key(&NodeId(2)));
    assert_eq!(first.echo(2, "there").await, Ok(Bytes::from("there")));
    assert_eq!(net.node(2).echo(1, "back").await, Ok(Bytes::from("back")));
    let facts = first.mesh.call(NodeId(2), FACTS, 5, 0, Bytes::new(), Duration::from_millis(1234)).await;
    assert_eq!(facts, Ok(Bytes::from("from 1 kind 7 group 5 1234 ms")), "it is the call of its origin");
    let refused = first.mesh.call(NodeId(2), REFUSE, 0, 0, Bytes::from("no room"), WITHIN).await;
    assert_eq!(refused, Err(CallError::Refused("no room".to_owned())));

    let begun: Vec<_> =
        (0..500_u32).map(|n| first.mesh.begin_call(NodeId(2), NOTE, n, 7, Bytes::new(), WITHIN).unwrap()).collect();
    for answer in begun {
        within(answer.wait()).await.unwrap();
    }
    let noted: Vec<u32> = net.node(2).script.noted.lock().unwrap().iter().map(|(group, _)| *group).collect();
    assert_eq!(noted, (0..500).collect::<Vec<_>>(), "a lane keeps its order");

    net.set([1, 2], Mode::Pass);
    first.linked(2).await;
    let up = Instant::now();
    net.direct(1).await;
    net.direct(2).await;
    assert!(up.elapsed() > Duration::from_secs(1), "a link has to hold for a while first: {:?}", up.elapsed());
    assert_eq!(first.echo(2, "there").await, Ok(Bytes::from("there")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lowest_common_node_is_taken_and_the_next_one_when_it_goes() {
    let mut net = Net::of(4).await;
    net.set([1, 2], Mode::Cut);
    net.relayed(1, 2, 3).await;
    // A node in the middle that breaks leaves calls under way without an answer: they may have been handled.
    let waiting = net.node(1).mesh.begin_call(NodeId(2), NEVER, 0, 0, Bytes::new(), MINUTE).unwrap();
    net.node(2).holds(1).await;
    net.set([2, 3], Mode::Cut);
    let outcome = within(waiting.wait()).await;
    assert!(matches!(outcome, Err(CallError::Unknown(_))), "{outcome:?}");
    net.relayed(1, 2, 4).await;
    assert_eq!(net.node(1).echo(2, "there").await, Ok(Bytes::from("there")));
    let fourth = net.nodes.remove(3);
    fourth.mesh.shutdown().await;
    net.direct(1).await;
    let nobody = net.node(1).echo(2, "x").await;
    assert!(matches!(nobody, Err(CallError::Unreachable(_))), "{nobody:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_relayed_to_a_node_that_nobody_reaches_nor_over_two_nodes() {
    let mut net = Net::of(5).await;
    // Between 1 and 4 there is only the way over 3 and 5; 2 is dead.
    for pair in [[1, 4], [1, 5], [3, 4]] {
        net.set(pair, Mode::Cut);
    }
    let dead = net.nodes.remove(1);
    dead.mesh.shutdown().await;
    drop(dead);
    let first = &net.nodes[0];
    // When this one is relayed to, the choice for the others was made as well.
    until(|| first.mesh.relayed() == BTreeMap::from([(NodeId(5), NodeId(3))])).await;
    until(|| net.nodes[1].mesh.relayed() == BTreeMap::from([(NodeId(4), NodeId(5))])).await;
    // At each change of the ways that there is for a while.
    let mut ways = first.mesh.reached_watch();
    let end = Instant::now() + Duration::from_secs(2);
    loop {
        assert_eq!(first.mesh.relayed(), BTreeMap::from([(NodeId(5), NodeId(3))]));
        for lost in [2, 4] {
            let outcome = first.mesh.call(NodeId(lost), ECHO, 0, 0, Bytes::new(), WITHIN).await;
            assert!(matches!(outcome, Err(CallError::Unreachable(_))), "{lost}: {outcome:?}");
        }
        if timeout_at(end, ways.changed()).await.is_err() {
            return;
        }
    }
}
