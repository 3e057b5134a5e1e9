//! The links between nodes: which are cut, how long a message takes, and whether it arrives.

use crate::world::{Task, World};

/// Cuts and losses, one direction each.
pub(crate) struct Network {
    cut: Vec<Vec<bool>>,
    /// Messages lost, in per cent.
    pub(crate) loss: u8,
}

impl Network {
    pub(crate) fn new(nodes: usize) -> Self {
        Network { cut: vec![vec![false; nodes]; nodes], loss: 0 }
    }

    pub(crate) fn set(&mut self, from: usize, to: usize, cut: bool) {
        self.cut[from][to] = cut;
    }

    pub(crate) fn heal(&mut self) {
        self.cut.iter_mut().flatten().for_each(|cut| *cut = false);
        self.loss = 0;
    }

    pub(crate) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut[from][to]
    }
}

impl World {
    /// Sends a message: it is handled at the other node after a while, by the process that runs there now, or never.
    pub(crate) fn send(&mut self, from: usize, to: usize, task: Task) {
        if from == to {
            return self.at_node(to, 0, task);
        }
        let lost = self.network.is_cut(from, to) || self.random.u8(0..100) < self.network.loss;
        if lost {
            return;
        }
        // Mostly quick, sometimes late.
        let delay = if self.random.u8(0..20) == 0 { self.random.u64(10..120) } else { self.random.u64(1..6) };
        let process = self.nodes[to].process;
        self.after(
            delay,
            Box::new(move |world| {
                // A cut also swallows what is on its way.
                if !world.network.is_cut(from, to) {
                    world.at_process(to, process, 0, task);
                }
            }),
        );
    }

    /// Whether two nodes hear each other and both run.
    pub(crate) fn hear_each_other(&self, a: usize, b: usize) -> bool {
        let runs = |n: usize| self.nodes[n].up && !self.nodes[n].paused;
        runs(a) && runs(b) && !self.network.is_cut(a, b) && !self.network.is_cut(b, a)
    }

    /// Whether a node reaches a majority of these, itself counted where it is one of them.
    pub(crate) fn reaches_majority(&self, node: usize, of: &[usize]) -> bool {
        of.iter().filter(|other| self.hear_each_other(node, **other)).count() * 2 > of.len()
    }
}
