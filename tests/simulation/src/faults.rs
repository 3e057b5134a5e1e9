//! Faults: nodes that die or stand still, links that are cut one way or both, messages lost. Each passes by itself, and
//! at the end of the fault phase all do.

use crate::{plan::FAULTS_UNTIL_MS, world::World};

impl World {
    /// One fault after the other.
    pub(crate) fn fault_loop(&mut self) {
        if self.now >= FAULTS_UNTIL_MS {
            return;
        }
        self.fault();
        let pause = self.random.u64(1..2 * self.plan.fault_pause_ms);
        self.after(pause, Box::new(World::fault_loop));
    }

    fn fault(&mut self) {
        let faults = self.plan.faults;
        let node = self.random.usize(0..self.nodes.len());
        let other = (node + self.random.usize(1..self.nodes.len())) % self.nodes.len();
        let lease = u64::from(self.plan.lease_ms);
        let lasts = match self.random.u8(0..3) {
            0 => self.random.u64(5..lease / 4),
            1 => self.random.u64(lease / 4..lease),
            _ => self.random.u64(lease..3 * lease),
        };
        match self.random.u8(0..6) {
            0 if faults.crash => {
                self.kill_node(node);
                self.after(
                    lasts,
                    Box::new(move |world| {
                        if !world.nodes[node].up {
                            world.start_node(node);
                        }
                    }),
                );
            }
            1 if faults.pause && self.nodes[node].up => {
                self.pause_node(node);
                self.after(lasts, Box::new(move |world| world.resume_node(node)));
            }
            2 if faults.isolate => {
                let pairs = (0..self.nodes.len()).filter(|n| *n != node).flat_map(|n| [(n, node), (node, n)]);
                self.cut(pairs.collect(), lasts);
            }
            3 if faults.one_way => self.cut(vec![(node, other)], lasts),
            4 if faults.bridge => self.cut(vec![(node, other), (other, node)], lasts),
            5 if faults.loss => {
                self.network.loss = self.random.u8(1..40);
                self.note("messages are lost");
                self.after(lasts, Box::new(|world| world.network.loss = 0));
            }
            _ => {}
        }
    }

    fn cut(&mut self, pairs: Vec<(usize, usize)>, lasts: u64) {
        self.note(&format!("cut {pairs:?} for {lasts} ms"));
        for (from, to) in &pairs {
            self.network.set(*from, *to, true);
        }
        self.after(
            lasts,
            Box::new(move |world| {
                for (from, to) in pairs {
                    world.network.set(from, to, false);
                }
            }),
        );
    }

    /// Everything works again.
    pub(crate) fn heal(&mut self) {
        self.note("all is healed");
        self.network.heal();
        for node in 0..self.nodes.len() {
            self.resume_node(node);
            if !self.nodes[node].up {
                self.start_node(node);
            }
        }
    }
}
