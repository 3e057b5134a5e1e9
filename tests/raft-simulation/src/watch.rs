//! What must hold at every moment in every group, whatever faults there are: looked at after each step of the world.

use crate::node::Node;
use rollcall_types::{GroupId, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// What was seen so far.
#[derive(Default)]
pub(crate) struct Watch {
    leaders: BTreeMap<(GroupId, u64), NodeId>,
    terms: BTreeMap<(GroupId, u64), (u64, NodeId)>,
    may_fail: BTreeSet<NodeId>,
    found: Vec<String>,
}

impl Watch {
    /// The groups of this node may fail from now on: its disk will.
    pub(crate) fn may_fail(&mut self, node: NodeId) {
        self.may_fail.insert(node);
    }

    /// A new process of the node has to be sound.
    pub(crate) fn started(&mut self, node: NodeId) {
        self.may_fail.remove(&node);
    }

    /// Looks at every process that runs.
    pub(crate) fn look<'a>(&mut self, nodes: impl Iterator<Item = &'a Node>) {
        for node in nodes.filter(|node| node.runs()) {
            let Some(replication) = node.replication() else { continue };
            let groups = replication.groups();
            for handle in groups.handles() {
                let group = handle.id();
                if let Some(failure) = handle.failure()
                    && !self.may_fail.contains(&node.id)
                {
                    self.may_fail.insert(node.id);
                    self.found.push(format!("{group} failed on node {}: {failure}", node.id));
                }
                if let Some(term) = handle.leading_term() {
                    let leader = *self.leaders.entry((group, term)).or_insert(node.id);
                    if leader != node.id {
                        self.found.push(format!("{group} has two leaders in term {term}: {leader} and {}", node.id));
                    }
                }
                let position = match group.as_partition() {
                    None => groups.cluster().replica().position(),
                    Some(partition) => match groups.replica_of(partition) {
                        Some(hosted) => hosted.replica().position(),
                        None => continue,
                    },
                };
                let (term, first) = *self.terms.entry((group, position.index)).or_insert((position.term, node.id));
                if term != position.term {
                    self.found.push(format!(
                        "{group} has two entries {}: of term {term} on node {first}, of term {} on node {}",
                        position.index, position.term, node.id
                    ));
                }
            }
        }
    }

    /// What did not hold.
    pub(crate) fn found(&self) -> &[String] {
        &self.found
    }

    /// How many terms had a leader, over all groups.
    pub(crate) fn terms_led(&self) -> usize {
        self.leaders.len()
    }
}
