//! Everything of one run: machines, network, groups, clients, the oracle. Founds the cluster and starts and ends processes.

use crate::{
    broken::Broken,
    chance::Chance,
    group::Group,
    machine::{Clock, Disk, Machine},
    network::Network,
    node::Process,
    oracle::Oracle,
    plan::{Ms, Plan},
    scheduler::Scheduler,
};
use rollcall_cluster::{
    ClusterState, DirectoryId, Founding, FoundingMember, LeaseTerms, NodeAddresses,
    planner::{cluster_group_voters, initial_placement},
};
use rollcall_presence::{FEED_AGE_MS_MAX_DEFAULT, PartitionLimits, PartitionState};
use rollcall_types::{BootTime, ClientId, GroupId, NodeId, NodeName, PartitionId, partition_of};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// Where a run stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// Faults happen.
    Faults,
    /// Everything is mended, and has its time to recover.
    Mended,
    /// Everything serves; clients go on, and must be served.
    Whole,
    /// Clients hold still.
    Quiet,
}

/// One run.
pub struct World {
    /// Time, tasks, chance and trace.
    pub scheduler: Rc<Scheduler>,
    /// What the seed decided.
    pub plan: Plan,
    /// The rule that is broken in this run, if one is.
    pub broken: Option<Broken>,
    /// The lease of all nodes.
    pub terms: LeaseTerms,
    /// The links.
    pub network: Network,
    /// The cluster group.
    pub cluster: Rc<Group<ClusterState>>,
    /// The partitions' groups.
    pub partitions: Vec<Rc<Group<PartitionState>>>,
    /// Which partition lives where.
    pub placement: BTreeMap<PartitionId, Vec<NodeId>>,
    /// The judge.
    pub oracle: Oracle,
    /// The client ids that devices use.
    pub clients: Vec<ClientId>,
    /// All client ids: those, and the one that probes.
    pub all_clients: Vec<ClientId>,
    /// Where the run stands.
    pub phase: Cell<Phase>,
    /// Followers that are slow to apply.
    pub slow: RefCell<BTreeSet<NodeId>>,
    machines: Vec<Machine>,
    next: Cell<u64>,
}

impl World {
    /// A world in which nothing has happened yet.
    #[must_use]
    pub fn new(plan: Plan, broken: Option<Broken>) -> Rc<Self> {
        let scheduler = Scheduler::new(plan.seed);
        let machines: Vec<Machine> =
            (1..).zip(&plan.clock_rates_ppm).map(|(id, rate)| machine(id, *rate, &scheduler.chance)).collect();
        let nodes: Vec<NodeId> = machines.iter().map(|machine| machine.id).collect();
        let placement = initial_placement(&nodes, plan.partitions, plan.replicas);
        let voters = cluster_group_voters(&nodes, &[]).into_iter().collect();
        let limits =
            PartitionLimits { feed_entries_max: plan.feed_entries_max, feed_age_ms_max: FEED_AGE_MS_MAX_DEFAULT };
        let partitions = (0..plan.partitions).map(PartitionId).map(|partition| {
            let voters = placement.get(&partition).cloned().unwrap_or_default();
            Group::new(GroupId::partition(partition), voters.clone(), voters, PartitionState::new(partition, limits))
        });
        let clients: Vec<ClientId> =
            (0..plan.clients).filter_map(|n| ClientId::new(&format!("client-{n}")).ok()).collect();
        let all_clients = clients.iter().cloned().chain(ClientId::new("probe")).collect();
        let Ok(terms) = LeaseTerms::new(plan.lease_ms) else { unreachable!("the plan has a lease within bounds") };
        Rc::new(World {
            terms,
            network: Network::new(plan.quality),
            cluster: Group::new(GroupId::CLUSTER, nodes, voters, ClusterState::default()),
            partitions: partitions.collect(),
            oracle: Oracle::new(plan.partitions),
            clients,
            all_clients,
            phase: Cell::new(Phase::Faults),
            slow: RefCell::default(),
            next: Cell::new(1),
            placement,
            machines,
            scheduler,
            plan,
            broken,
        })
    }

    /// All chance of the run.
    pub fn chance(&self) -> &Chance {
        &self.scheduler.chance
    }

    /// Adds a line to the trace.
    pub fn note(&self, line: impl FnOnce() -> String) {
        self.scheduler.trace.line(self.scheduler.now_us(), &line());
    }

    /// Whether this run breaks the rule.
    pub fn is_broken(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }

    /// A number that was never given before.
    pub fn number(&self) -> u64 {
        self.next.replace(self.next.get() + 1)
    }

    /// All nodes.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.machines.iter().map(|machine| machine.id).collect()
    }

    /// One machine. Node ids count from 1.
    pub fn machine(&self, node: NodeId) -> &Machine {
        let place = usize::try_from(node.0).unwrap_or(1).saturating_sub(1);
        &self.machines[place.min(self.machines.len() - 1)]
    }

    /// The boot clock of a machine.
    pub fn boot_time(&self, node: NodeId) -> BootTime {
        self.machine(node).clock.now(&self.scheduler)
    }

    /// Whether a process runs there and does not stand still.
    pub fn is_up(&self, node: NodeId) -> bool {
        !self.scheduler.is_paused(node) && self.machine(node).process.borrow().is_some()
    }

    /// Whether two nodes hear each other now.
    pub fn connected(&self, a: NodeId, b: NodeId) -> bool {
        self.is_up(a) && self.is_up(b) && self.network.passes(a, b) && self.network.passes(b, a)
    }

    /// The partition of a client.
    pub fn partition_of(&self, client_id: &ClientId) -> PartitionId {
        partition_of(client_id.as_str(), self.plan.partitions)
    }

    /// The group of a partition.
    pub fn partition(&self, partition: PartitionId) -> &Rc<Group<PartitionState>> {
        &self.partitions[usize::from(partition.0).min(self.partitions.len() - 1)]
    }

    /// How long a node takes to apply an entry, beyond what is worth telling.
    pub fn apply_delay_us(&self, node: NodeId) -> u64 {
        if self.slow.borrow().contains(&node) { self.chance().between(1000, 200_000) } else { 0 }
    }

    /// Waits, in ideal time.
    pub async fn pause_ms(&self, ms: Ms) {
        self.scheduler.sleep_us(ms * 1000).await;
    }

    /// What the cluster is founded with.
    pub fn founding(&self) -> Founding {
        let members = self.machines.iter().map(|machine| FoundingMember {
            id: machine.id,
            name: machine.name.clone(),
            directory: machine.directory,
            addresses: NodeAddresses::default(),
        });
        Founding {
            cluster_id: "c".repeat(32),
            name: "simulated".to_owned(),
            partitions: self.plan.partitions,
            replicas: self.plan.replicas,
            lease_ms: self.plan.lease_ms,
            members: members.collect(),
            placement: self.placement.clone(),
            users: Vec::new(),
            policies: Vec::new(),
            offline_record_keep_s: 60,
        }
    }

    /// Starts the groups.
    pub fn start_groups(self: &Rc<Self>) {
        self.scheduler.spawn(None, Rc::clone(&self.cluster).run(Rc::clone(self)));
        for group in &self.partitions {
            self.scheduler.spawn(None, Rc::clone(group).run(Rc::clone(self)));
        }
    }

    /// Starts a process on a machine that has none.
    pub fn start(self: &Rc<Self>, node: NodeId) {
        let machine = self.machine(node);
        if machine.process.borrow().is_some() {
            return;
        }
        machine.lives.set(machine.lives.get() + 1);
        self.note(|| format!("{node} starts, life {}", machine.lives.get()));
        let process = Process::new(self, node, machine.lives.get());
        *machine.process.borrow_mut() = Some(Rc::clone(&process));
        process.start();
    }

    /// Ends a node's process at once. What it had not synced is gone; what it had is on its machine.
    pub fn crash(&self, node: NodeId) {
        let Some(process) = self.machine(node).process.borrow_mut().take() else { return };
        self.note(|| format!("{node} dies"));
        process.dead();
        self.scheduler.resume(node);
        self.cluster.forget(node);
        for group in &self.partitions {
            group.forget(node);
        }
        self.oracle.process_ended(self, node);
        self.scheduler.crash(node);
    }

    /// Lets a node that stood still go on.
    pub fn resume(&self, node: NodeId) {
        if self.scheduler.is_paused(node) {
            self.note(|| format!("{node} goes on"));
            self.scheduler.resume(node);
        }
    }

    /// Whether some group is without a leader that reaches its quorum.
    pub fn without_leader(&self) -> bool {
        !self.cluster.is_led(self) || self.partitions.iter().any(|group| !group.is_led(self))
    }

    /// Takes everything apart, so that nothing of the run is left in memory.
    pub fn clear(&self) {
        for node in self.nodes() {
            let process = self.machine(node).process.borrow_mut().take();
            drop(process);
        }
        self.scheduler.clear();
    }
}

fn machine(id: u64, rate_ppm: u64, chance: &Chance) -> Machine {
    let mut directory = [0; 16];
    directory[..8].copy_from_slice(&id.to_be_bytes());
    Machine {
        id: NodeId(id),
        name: NodeName(format!("node-{id}")),
        directory: DirectoryId(directory),
        clock: Clock {
            begin_ms: chance.between(0, 1_000_000_000),
            rate_ppm,
            wall_ms: 1_700_000_000_000 + chance.between(0, 7_200_000),
        },
        disk: RefCell::new(Disk::default()),
        process: RefCell::new(None),
        lives: Cell::new(0),
    }
}
