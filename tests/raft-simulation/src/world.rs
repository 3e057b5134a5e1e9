//! The world of one simulation: nodes, a network between them, disks, one clock, and faults at the script's command.
//!
//! A step is a millisecond: packets arrive, each node runs for that long, then everything is looked at. Nothing here
//! waits in real time.

use crate::{
    chance::Chance,
    clients::Client,
    disk::Faults,
    history::{History, Operation},
    network::{Cut, Network, Weather},
    node::{Common, Node},
    watch::Watch,
};
use rollcall_cluster::{DirectoryId, Founding, FoundingMember, NodeAddresses, planner};
use rollcall_contracts::{ClaimError, ClaimGranted, StatusAnswer, StatusError};
use rollcall_raft::{GroupsConfig, Replication, Topology};
use rollcall_storage::simulation;
use rollcall_types::{Epoch, GroupId, NodeId, NodeName, PartitionId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

/// Longest time for anything that must come true, in simulated milliseconds.
pub const WITHIN: u64 = 60_000;

/// The first moment, in milliseconds: no clock begins at zero.
const BEGIN_MS: u64 = 1_000_000;

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Decides everything that chance decides.
    pub seed: u64,
    /// Nodes, numbered from 1.
    pub nodes: u64,
    /// Partitions.
    pub partitions: u16,
    /// Nodes that hold replicas in the beginning: the first ones.
    pub holders: u64,
    /// Replicas of each partition.
    pub replicas: u8,
    /// Entries between two snapshots.
    pub snapshot_every: u64,
}

impl Setting {
    /// Three nodes that hold one partition.
    #[must_use]
    pub fn three(seed: u64) -> Self {
        Setting { seed, nodes: 3, partitions: 1, holders: 3, replicas: 3, snapshot_every: 20_000 }
    }
}

/// The world.
pub struct World {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    network: Network,
    history: History,
    watch: Watch,
    load: Arc<AtomicBool>,
    now_ms: u64,
    pub(crate) partitions: u16,
    pub(crate) seed: u64,
}

/// What will come of something that runs on a node; nothing, if the node dies first.
pub struct Pending<T>(Receiver<T>);

impl<T> Pending<T> {
    /// The result, if it is there.
    pub fn ready(&self) -> Option<T> {
        self.0.try_recv().ok()
    }
}

impl World {
    /// Starts all nodes, and waits until each serves.
    #[must_use]
    pub fn new(setting: &Setting) -> World {
        let ids: Vec<NodeId> = (1..=setting.nodes).map(NodeId).collect();
        let holders: Vec<NodeId> = (1..=setting.holders).map(NodeId).collect();
        let placement = planner::initial_placement(&holders, setting.partitions, setting.replicas);
        let names: BTreeMap<NodeId, NodeName> = ids.iter().map(|id| (*id, NodeName(format!("n{id}")))).collect();
        let members = ids.iter().map(|id| FoundingMember {
            id: *id,
            name: names[id].clone(),
            directory: DirectoryId([u8::try_from(id.0).unwrap(); 16]),
            addresses: NodeAddresses { mesh: format!("n{id}:7400"), mqtt: None, http: None, admin: None, zone: None },
        });
        let founding = Founding {
            cluster_id: "0".repeat(32),
            name: "simulation".to_owned(),
            partitions: setting.partitions,
            replicas: setting.replicas,
            lease_ms: 5000,
            members: members.collect(),
            placement: placement.clone(),
            users: Vec::new(),
            policies: Vec::new(),
            offline_record_keep_s: 604_800,
        };
        let topology = Topology {
            partitions: setting.partitions,
            // Every node needs the cluster state; that the rest learn it is the controller's work.
            cluster_voters: ids.iter().copied().collect(),
            placement,
            former: BTreeMap::new(),
            names,
        };
        let config = GroupsConfig { snapshot_every: setting.snapshot_every, ..GroupsConfig::default() };
        let common = Common {
            seed: setting.seed,
            network: Network::new(setting.seed),
            history: History::default(),
            founding,
            topology,
            config,
            load: Arc::new(AtomicBool::new(false)),
        };
        let mut world = World {
            nodes: ids.iter().map(|id| (*id, Node::new(*id, common.clone()))).collect(),
            network: common.network,
            history: common.history,
            watch: Watch::default(),
            load: common.load,
            now_ms: BEGIN_MS,
            partitions: setting.partitions,
            seed: setting.seed,
        };
        simulation::set_now_ms(world.now_ms);
        for id in ids {
            world.start(id.0);
        }
        world.until("every node serves", WITHIN, |world| world.nodes.values().all(Node::serves));
        world
    }

    /// A millisecond goes by.
    pub fn step(&mut self) {
        self.now_ms += 1;
        simulation::set_now_ms(self.now_ms);
        self.network.advance(self.now_ms * 1000);
        self.nodes.values_mut().for_each(Node::tick);
        self.watch.look(self.nodes.values());
        assert!(self.watch.found().is_empty(), "{}: {:#?}", self.place(), self.watch.found());
    }

    /// So many milliseconds go by.
    pub fn run(&mut self, ms: u64) {
        (0..ms).for_each(|_| self.step());
    }

    /// Time goes by until this holds; it must within so many milliseconds. Returns how many it took.
    pub fn until(&mut self, what: &str, within: u64, condition: impl Fn(&World) -> bool) -> u64 {
        let begun = self.now_ms;
        while !condition(self) {
            assert!(self.now_ms < begun + within, "{}: never within {within} ms: {what}", self.place());
            self.step();
        }
        self.now_ms - begun
    }

    /// Time goes by until this is there.
    pub fn wait<T>(&mut self, what: &str, pending: &Pending<T>) -> T {
        let begun = self.now_ms;
        loop {
            if let Some(value) = pending.ready() {
                return value;
            }
            assert!(self.now_ms < begun + WITHIN, "{}: never within {WITHIN} ms: {what}", self.place());
            self.step();
        }
    }

    /// Where a failure happened, so that it can be found again.
    fn place(&self) -> String {
        format!("seed {}, {} ms after the beginning", self.seed, self.now_ms - BEGIN_MS)
    }

    /// Runs something on a node that runs.
    pub fn on<T, F>(&self, node: u64, work: impl FnOnce(Arc<Replication>) -> F) -> Pending<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (sender, receiver) = channel();
        let node = &self.nodes[&NodeId(node)];
        if let Some(replication) = node.replication() {
            let work = work(Arc::clone(replication));
            node.spawn(async move { drop(sender.send(work.await)) });
        }
        Pending(receiver)
    }

    fn client<T, F>(&self, node: u64, work: impl FnOnce(Client) -> F) -> Pending<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (sender, receiver) = channel();
        let node = &self.nodes[&NodeId(node)];
        if let Some(client) = node.client() {
            let work = work(client);
            node.spawn(async move { drop(sender.send(work.await)) });
        }
        Pending(receiver)
    }

    /// A client claims its id at a node.
    pub fn claim(&self, node: u64, key: &str) -> Pending<Result<ClaimGranted, ClaimError>> {
        self.client(node, |client| client.claim(key))
    }

    /// A client's claim is released.
    pub fn release(&self, node: u64, key: &str, epoch: Epoch) -> Pending<bool> {
        self.client(node, |client| client.release(key, epoch))
    }

    /// A node is asked whether a client is online.
    pub fn status(&self, node: u64, key: &str) -> Pending<Result<StatusAnswer, StatusError>> {
        self.client(node, |client| client.status(key))
    }

    /// A release that must be applied, and is waited for.
    pub fn released(&mut self, node: u64, key: &str, epoch: Epoch) {
        let pending = self.release(node, key, epoch);
        assert!(self.wait("a release", &pending), "{}: {key} was not released", self.place());
    }

    /// A claim that must be granted, and is waited for. Tried again while it is refused.
    pub fn claimed(&mut self, node: u64, key: &str) -> ClaimGranted {
        self.insist("a claim", |world| world.claim(node, key))
    }

    /// A question that must be answered, and is waited for. Asked again while it is refused.
    pub fn answered(&mut self, node: u64, key: &str) -> StatusAnswer {
        self.insist("an answer", |world| world.status(node, key))
    }

    fn insist<T, E>(&mut self, what: &str, begin: impl Fn(&World) -> Pending<Result<T, E>>) -> T {
        let begun = self.now_ms;
        loop {
            let pending = begin(self);
            if let Ok(value) = self.wait(what, &pending) {
                return value;
            }
            assert!(self.now_ms < begun + WITHIN, "{}: never within {WITHIN} ms: {what}", self.place());
            self.step();
        }
    }

    /// Clients on every node work from now on, or rest.
    pub fn load(&self, on: bool) {
        self.load.store(on, Ordering::SeqCst);
    }

    /// Starts a node that is down.
    pub fn start(&mut self, node: u64) {
        self.watch.started(NodeId(node));
        self.node(node).start();
    }

    /// A node loses its power.
    pub fn crash(&mut self, node: u64) {
        self.node(node).crash();
    }

    /// Every node loses its power.
    pub fn crash_all(&mut self) {
        self.nodes.values_mut().for_each(Node::crash);
    }

    /// Starts every node that is down.
    pub fn start_all(&mut self) {
        let down: Vec<u64> = self.nodes.values().filter(|node| node.is_down()).map(|node| node.id.0).collect();
        down.into_iter().for_each(|node| self.start(node));
    }

    /// Whether a node's process is there and does not stand still.
    #[must_use]
    pub fn runs(&self, node: u64) -> bool {
        self.nodes[&NodeId(node)].runs()
    }

    /// A node's process stands still.
    pub fn stop(&mut self, node: u64) {
        self.node(node).stop();
    }

    /// A process that stands still goes on.
    pub fn resume(&mut self, node: u64) {
        self.node(node).resume();
    }

    /// A node's disk behaves so from now on.
    pub fn disk(&mut self, node: u64, faults: Faults) {
        if faults.syncs_fail {
            self.watch.may_fail(NodeId(node));
        }
        self.node(node).disk.set_faults(faults);
    }

    pub(crate) fn node(&mut self, node: u64) -> &mut Node {
        self.nodes.get_mut(&NodeId(node)).unwrap()
    }

    /// Packets of all nodes fare so from now on.
    pub fn weather(&self, weather: Weather) {
        self.network.set_weather(weather);
    }

    /// Cuts one direction of a link.
    pub fn cut_one_way(&self, from: u64, to: u64, cut: Cut) {
        self.network.cut(NodeId(from), NodeId(to), cut);
    }

    /// Cuts both directions of a link.
    pub fn cut(&self, a: u64, b: u64, cut: Cut) {
        self.cut_one_way(a, b, cut);
        self.cut_one_way(b, a, cut);
    }

    /// Cuts a node off from all others.
    pub fn isolate(&self, node: u64, cut: Cut) {
        self.others(node).into_iter().for_each(|other| self.cut(node, other, cut));
    }

    /// Ends all cuts.
    pub fn heal(&self) {
        self.network.heal(None);
    }

    /// Ends the cuts between two nodes.
    pub fn heal_between(&self, a: u64, b: u64) {
        let (a, b) = (NodeId(a), NodeId(b));
        self.network.heal(Some(&BTreeSet::from([(a, b), (b, a)])));
    }

    /// All nodes but one.
    #[must_use]
    pub fn others(&self, node: u64) -> Vec<u64> {
        self.nodes.keys().map(|id| id.0).filter(|id| *id != node).collect()
    }

    /// The one node that leads a partition and runs, by its own belief.
    #[must_use]
    pub fn leader(&self, partition: u16) -> Option<u64> {
        let group = GroupId::partition(PartitionId(partition));
        let leads = |node: &&Node| {
            let handle = node.replication().filter(|_| node.runs()).and_then(|r| r.groups().handle(group));
            handle.is_some_and(|handle| handle.is_leader())
        };
        let mut leaders = self.nodes.values().filter(leads);
        leaders.next().filter(|_| leaders.next().is_none()).map(|node| node.id.0)
    }

    /// Waits for the one leader of a partition, other than these nodes.
    pub fn elected(&mut self, partition: u16, not: &[u64]) -> u64 {
        let group = GroupId::partition(PartitionId(partition));
        let leads = |world: &World| {
            let eligible = world.nodes.values().filter(|node| node.runs() && !not.contains(&node.id.0));
            let mut leaders = eligible.filter(|node| {
                node.replication().and_then(|r| r.groups().handle(group)).is_some_and(|handle| handle.is_leader())
            });
            leaders.next().map(|node| node.id.0)
        };
        self.until("a leader is elected", WITHIN, |world| leads(world).is_some());
        leads(self).unwrap()
    }

    /// The crate under test on a node that has started.
    #[must_use]
    pub fn replication(&self, node: u64) -> Option<&Arc<Replication>> {
        self.nodes[&NodeId(node)].replication()
    }

    /// Where a node's replica of a partition stands.
    #[must_use]
    pub fn applied(&self, node: u64, partition: u16) -> u64 {
        let hosted = self.replication(node).and_then(|r| r.groups().replica_of(PartitionId(partition)));
        hosted.map_or(0, |hosted| hosted.replica().position().index)
    }

    /// Up to where a node's log of a partition was removed, and up to where its newest snapshot reaches.
    #[must_use]
    pub fn purged_and_snapshot(&self, node: u64, partition: u16) -> (u64, u64) {
        let image = self.nodes[&NodeId(node)].disk.image(GroupId::partition(PartitionId(partition)));
        let snapshot = image.snapshot.and_then(|(meta, _)| meta.last_log_id);
        (image.purged.map_or(0, |purged| purged.index), snapshot.map_or(0, |last| last.index))
    }

    /// Milliseconds since the beginning.
    #[must_use]
    pub fn elapsed(&self) -> u64 {
        self.now_ms - BEGIN_MS
    }

    /// What the clients did so far.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        self.history.operations()
    }

    /// A number that depends on every packet so far, and how many there were.
    #[must_use]
    pub fn trace(&self) -> (u64, u64) {
        self.network.trace()
    }

    /// How often a leader was elected, over all groups.
    #[must_use]
    pub fn elections(&self) -> usize {
        self.watch.terms_led()
    }

    /// Chance for the script, apart from all other.
    #[must_use]
    pub fn chance(&self) -> Chance {
        Chance::new(self.seed, &[4])
    }
}

/// A duration in simulated milliseconds, for what runs on nodes.
#[must_use]
pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
