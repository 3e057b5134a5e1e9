//! Incarnations and leases: a node registers, sends heartbeats, and stops when its lease is over; the cluster group's
//! leader acknowledges after a round that began after the receipt, and retires who was not heard of.

use crate::{group::directory, plan::Broken, world::World};
use rollcall_cluster::{ClusterChange, ClusterOutcome, ClusterRefusal, NodeAddresses};
use rollcall_types::{BootTime, Incarnation, Owner};

/// How often a node looks at its own lease.
const LEASE_LOOK_MS: u64 = 10;
/// Pause before a registration is tried again.
const REGISTER_PAUSE_MS: u64 = 150;

impl World {
    /// Asks for the next incarnation until there is one.
    pub(crate) fn register(&mut self, node: usize) {
        if self.nodes[node].serving.is_some() {
            return;
        }
        let after = self.nodes[node].cluster.state.last_incarnation(self.nodes[node].id);
        self.register_after(node, after);
        self.at_node(node, REGISTER_PAUSE_MS, Box::new(move |world| world.register(node)));
    }

    fn register_after(&mut self, node: usize, after: Incarnation) {
        let Some(leader) = self.cluster.leader else { return };
        let id = self.nodes[node].id;
        let change = ClusterChange::RegisterIncarnation {
            node: id,
            directory: directory(node),
            addresses: NodeAddresses::default(),
            after,
        };
        self.send(
            node,
            leader,
            Box::new(move |world| {
                if world.cluster.leader != Some(leader) {
                    return;
                }
                world.propose_cluster(
                    leader,
                    change,
                    Box::new(move |world, outcome| {
                        let Some(outcome) = outcome else { return };
                        world.send(leader, node, Box::new(move |world| world.registered(node, outcome)));
                    }),
                );
            }),
        );
    }

    fn registered(&mut self, node: usize, outcome: ClusterOutcome) {
        if self.nodes[node].serving.is_some() {
            return;
        }
        match outcome {
            ClusterOutcome::Registered { incarnation } => self.begin_term(node, incarnation),
            ClusterOutcome::Refused(ClusterRefusal::NotTheLast { last }) => self.register_after(node, last),
            _ => {}
        }
    }

    fn begin_term(&mut self, node: usize, incarnation: Incarnation) {
        self.note(&format!("n{} serves as incarnation {incarnation}", node + 1));
        let there = &mut self.nodes[node];
        there.serving = Some(incarnation);
        there.lease.started(incarnation);
        there.queues.iter_mut().for_each(|queue| queue.begin());
        there.ended.clear();
        there.suspects.clear();
        self.heartbeat(node, incarnation);
    }

    /// The term is over: hang up, then register anew.
    pub(crate) fn end_term(&mut self, node: usize, why: &str) {
        self.note(&format!("n{} ends its term: {why}", node + 1));
        self.nodes[node].lease.give_up();
        let connections: Vec<u64> = self.nodes[node].connections.keys().copied().collect();
        for connection in connections {
            self.hang_up(node, connection, why);
        }
        self.nodes[node].serving = None;
        self.nodes[node].queues.iter_mut().for_each(|queue| queue.end());
        self.at_node(node, 1, Box::new(move |world| world.register(node)));
    }

    /// Looks at the lease: once it is over, the node stops by itself.
    pub(crate) fn lease_loop(&mut self, node: usize) {
        let boot = self.boot(node);
        let over = self.nodes[node].serving.is_some() && self.nodes[node].lease.observe(boot);
        if over && !self.plan.is_broken(Broken::LeaseIgnored) {
            self.end_term(node, "the lease ran out");
        }
        self.at_node(node, LEASE_LOOK_MS, Box::new(move |world| world.lease_loop(node)));
    }

    fn heartbeat(&mut self, node: usize, incarnation: Incarnation) {
        if self.nodes[node].serving != Some(incarnation) {
            return;
        }
        let sent_at = self.boot(node);
        if let Some(leader) = self.cluster.leader {
            self.send(node, leader, Box::new(move |world| world.heard(leader, node, incarnation, sent_at)));
        }
        let every = self.plan.terms().heartbeat_interval_ms();
        self.at_node(node, every, Box::new(move |world| world.heartbeat(node, incarnation)));
    }

    /// At the leader: the quorum round begins after the receipt.
    fn heard(&mut self, leader: usize, node: usize, incarnation: Incarnation, sent_at: BootTime) {
        if self.cluster.leader != Some(leader) {
            return;
        }
        let (received_at, term) = (self.boot(leader), self.cluster.term);
        let round = self.random.u64(1..10);
        self.at_node(
            leader,
            round,
            Box::new(move |world| {
                let leads = world.cluster.leader == Some(leader) && world.cluster.term == term;
                if !leads || !world.reaches_majority(leader, &world.cluster.voters) {
                    return;
                }
                world.catch_up_cluster(leader);
                let owner = Owner { node: world.nodes[node].id, incarnation };
                let state = &world.nodes[leader].cluster.state;
                let last = state.last_incarnation(owner.node);
                if incarnation < last || incarnation == last && !state.is_alive(owner) {
                    return world.send(
                        leader,
                        node,
                        Box::new(move |world| {
                            if world.nodes[node].serving == Some(incarnation) {
                                world.end_term(node, "the cluster has retired it");
                            }
                        }),
                    );
                }
                world.lead(leader, term);
                if incarnation == last && world.nodes[leader].table.heartbeat(owner.node, incarnation, received_at) {
                    world.send(
                        leader,
                        node,
                        Box::new(move |world| {
                            let now = world.boot(node);
                            world.nodes[node].lease.acknowledged(incarnation, sent_at, now);
                        }),
                    );
                }
            }),
        );
    }

    fn lead(&mut self, leader: usize, term: u64) {
        let now = self.boot(leader);
        let there = &mut self.nodes[leader];
        if term > there.led_term {
            there.led_term = term;
            there.table.became_leader(now);
        }
    }

    /// What the leader of the cluster group does again and again: retire whose lease is over.
    pub(crate) fn duties_loop(&mut self, node: usize) {
        if self.cluster.leader == Some(node) {
            self.catch_up_cluster(node);
            self.lead(node, self.cluster.term);
            let now = self.boot(node);
            let alive: Vec<_> = self.nodes[node].cluster.state.alive_incarnations().collect();
            let mut over = self.nodes[node].table.tick(now, alive.clone());
            if self.plan.is_broken(Broken::RetiredTooEarly) {
                over.extend(alive.into_iter().filter(|(other, _)| {
                    let other = usize::try_from(other.0 - 1).unwrap_or(0);
                    other != node && self.network.is_cut(other, node)
                }));
            }
            for (other, up_to) in over {
                let change = ClusterChange::Retire { node: other, up_to };
                self.propose_cluster(node, change, Box::new(|_, _| {}));
            }
        } else {
            self.nodes[node].table.stepped_down();
        }
        let every = self.plan.terms().tick_interval_ms();
        self.at_node(node, every, Box::new(move |world| world.duties_loop(node)));
    }
}
