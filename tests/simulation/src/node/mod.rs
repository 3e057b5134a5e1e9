//! A node's process: the shell around the rules, as thin as it can be. What a real shell awaits, this one awaits in simulated
//! time; each module names the file that it follows.
//!
//! What does not belong here: a rule. Those are the real ones, of the crates `presence`, `cluster` and `session`.

mod broker;
mod changes;
mod connection;
mod duties;
mod feed;
mod lease;
mod operations;
mod points;
mod proposer;
mod reader;
mod reconcile;
mod registry;
mod serving;

pub use broker::Request;
pub use connection::{FromClient, ToClient};
pub use reader::Answer;
pub(crate) use reconcile::GRACE_MS;

use crate::{plan::Ms, replica::Replica, world::World};
use duties::Leading;
use operations::Serving;
use registry::Registry;
use rollcall_cluster::{ClusterState, NodeLease};
use rollcall_presence::PartitionState;
use rollcall_types::{BootTime, ClientId, GroupId, Incarnation, NodeId, Owner, PartitionId};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    rc::Rc,
};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Pause before a question, a batch or a change is tried again (`crates/raft/src/config.rs`).
const RETRY_PAUSE_MS: Ms = 15;

/// A partition's replica here, with the way to its proposer.
pub struct Hosted {
    /// The replica.
    pub replica: Rc<Replica<PartitionState>>,
    proposer: mpsc::Sender<proposer::Waiting>,
    queue: RefCell<Option<mpsc::Receiver<proposer::Waiting>>>,
}

/// One process.
pub struct Process {
    /// The run.
    pub world: Rc<World>,
    /// The node.
    pub me: NodeId,
    /// Tells this process from others of the node.
    pub life: u64,
    /// The cluster group's replica.
    pub cluster: Rc<Replica<ClusterState>>,
    /// The partitions' replicas.
    pub hosted: BTreeMap<PartitionId, Hosted>,
    lease: RefCell<NodeLease>,
    leading: RefCell<Leading>,
    registry: RefCell<Registry>,
    serving: RefCell<Option<Rc<Serving>>>,
    hints: RefCell<BTreeMap<PartitionId, NodeId>>,
    lanes: RefCell<BTreeMap<NodeId, mpsc::Sender<reader::Question>>>,
    turn: Cell<usize>,
    open_for_clients: Cell<bool>,
    draining: Cell<bool>,
    drain: CancellationToken,
    closing: watch::Sender<u64>,
    compare: Notify,
    suspects: RefCell<reconcile::Seen>,
    dead: Cell<bool>,
}

impl Process {
    /// A process with what its machine's disk holds. Nothing runs yet.
    pub fn new(world: &Rc<World>, me: NodeId, life: u64) -> Rc<Self> {
        let cluster = Replica::open(world, me, &world.cluster);
        let hosted = world.placement.iter().filter(|(_, replicas)| replicas.contains(&me)).map(|(partition, _)| {
            let (proposer, queue) = mpsc::channel(proposer::BATCHES_WAITING_MAX);
            let replica = Replica::open(world, me, world.partition(*partition));
            (*partition, Hosted { replica, proposer, queue: RefCell::new(Some(queue)) })
        });
        let hosted = hosted.collect();
        Rc::new(Process {
            world: Rc::clone(world),
            me,
            life,
            cluster,
            hosted,
            lease: RefCell::new(NodeLease::new(world.terms)),
            leading: RefCell::new(Leading::new(world)),
            registry: RefCell::default(),
            serving: RefCell::default(),
            hints: RefCell::default(),
            lanes: RefCell::default(),
            turn: Cell::new(0),
            open_for_clients: Cell::new(false),
            draining: Cell::new(false),
            drain: CancellationToken::new(),
            closing: watch::Sender::new(0),
            compare: Notify::new(),
            suspects: RefCell::default(),
            dead: Cell::new(false),
        })
    }

    /// Starts all that a process does by itself.
    pub fn start(self: &Rc<Self>) {
        self.spawn(Rc::clone(&self.cluster).run(Rc::clone(&self.world), Rc::clone(&self.world.cluster)));
        for (partition, hosted) in &self.hosted {
            let group = Rc::clone(self.world.partition(*partition));
            self.spawn(Rc::clone(&hosted.replica).run(Rc::clone(&self.world), group));
            self.spawn(Rc::clone(self).run_proposer(*partition));
            self.spawn(Rc::clone(self).keep_house(*partition));
        }
        for partition in (0..self.world.plan.partitions).map(PartitionId) {
            self.spawn(Rc::clone(self).follow_feed(partition));
        }
        self.spawn(Rc::clone(self).watch_leases());
        self.spawn(Rc::clone(self).serve_terms());
    }

    /// The process has died: nothing it still holds may do anything.
    pub fn dead(&self) {
        self.dead.set(true);
    }

    /// Tells the process to stop in order.
    pub fn stop(&self) {
        self.drain.cancel();
    }

    /// Whether it was told to.
    pub fn stops(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Whether it takes clients now.
    pub fn serves(&self) -> bool {
        self.open_for_clients.get()
    }

    /// The boot clock of this node.
    pub fn boot_time(&self) -> BootTime {
        self.world.boot_time(self.me)
    }

    /// Waits by this node's clock.
    pub async fn sleep_ms(&self, ms: Ms) {
        let us = self.world.machine(self.me).clock.ideal_us(ms);
        self.world.scheduler.sleep_us(us).await;
    }

    /// The future's result, if it comes in time by this node's clock.
    pub async fn within_ms<T>(&self, ms: Ms, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            result = future => Some(result),
            () = self.sleep_ms(ms) => None,
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.world.scheduler.spawn(Some(self.me), task);
    }

    /// Until when this incarnation may serve, by the rule and whatever a broken gate says; `None` when it may not.
    pub fn lease_of(&self, incarnation: Incarnation) -> Option<BootTime> {
        let lease = self.lease.borrow();
        let now = self.boot_time();
        lease.may_serve(incarnation, now).then(|| lease.valid_until()).flatten()
    }

    /// Who owns the claims of this process now.
    pub fn owner(&self) -> Option<Owner> {
        self.serving.borrow().as_ref().map(|serving| serving.owner)
    }

    fn partition_of(&self, client_id: &ClientId) -> PartitionId {
        self.world.partition_of(client_id)
    }

    /// The leader that this node knows of the cluster group (`crates/raft/src/groups.rs`).
    fn whom_to_ask_of_the_cluster(&self) -> Option<NodeId> {
        let others = || self.world.nodes().into_iter().filter(|node| *node != self.me).collect();
        self.world.cluster.known_leader(self.me).or_else(|| self.one_of(others()))
    }

    /// Whom to ask first about a partition (`crates/raft/src/groups.rs`).
    fn whom_to_ask(&self, partition: PartitionId) -> Option<NodeId> {
        if self.hosted.contains_key(&partition) {
            return self.world.partition(partition).known_leader(self.me);
        }
        if let Some(hint) = self.hints.borrow().get(&partition) {
            return Some(*hint);
        }
        self.one_of(self.world.partition(partition).voters().to_vec())
    }

    fn one_of(&self, nodes: Vec<NodeId>) -> Option<NodeId> {
        let turn = self.turn.replace(self.turn.get().wrapping_add(1));
        nodes.get(turn % nodes.len().max(1)).copied()
    }

    fn note_leader(&self, partition: PartitionId, leader: Option<NodeId>) {
        let mut hints = self.hints.borrow_mut();
        match leader {
            Some(leader) => _ = hints.insert(partition, leader),
            None => _ = hints.remove(&partition),
        }
    }

    fn saved_term(&self, group: GroupId) -> u64 {
        match group.as_partition() {
            None => self.world.cluster.saved_term(self.me),
            Some(partition) => self.world.partition(partition).saved_term(self.me),
        }
    }
}
