//! One simulated node: a disk that stays, and a process that comes and goes. A process is the whole of the raft crate
//! on a runtime and a clock of its own, so it can be stopped between any two of its steps, as SIGSTOP would: its tasks
//! stand still while packets arrive and time goes by, and then everything is due at once.

use crate::{
    chance::Chance, clients::Client, disk::Disk, history::History, links::Links, log::MemoryStores, network::Network,
};
use rollcall_cluster::{ClusterChange, ClusterOutcome, ClusterRefusal, Founding};
use rollcall_contracts::PeerLinks;
use rollcall_raft::{GroupsConfig, Replication, Topology};
use rollcall_storage::simulation;
use rollcall_types::{Incarnation, NodeId, Owner};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

/// Most packets that wait for a process. More are lost, as in a socket that is full.
const INBOX_MAX: usize = 65_536;
/// Clients of the load on each node.
const CLIENTS: u64 = 2;
/// Longest wait for one proposal to the cluster group before it is made again.
const PROPOSE_WITHIN: Duration = Duration::from_secs(2);
/// Pause between two such tries.
const PAUSE: Duration = Duration::from_millis(20);

/// What all nodes of a world have in common.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) seed: u64,
    pub(crate) network: Network,
    pub(crate) history: History,
    pub(crate) founding: Founding,
    pub(crate) topology: Topology,
    pub(crate) config: GroupsConfig,
    pub(crate) load: Arc<AtomicBool>,
}

/// A node.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) disk: Disk,
    common: Common,
    process: Option<Process>,
    /// Milliseconds that the process has been stopped for, while it is.
    stopped: Option<u64>,
    boots: u64,
}

struct Process {
    runtime: Runtime,
    begun: Instant,
    /// Milliseconds of its clock.
    age: u64,
    chance: u64,
    seat: Arc<Seat>,
}

/// Where a process puts what others look at.
#[derive(Default)]
struct Seat {
    replication: Arc<OnceLock<Arc<Replication>>>,
    /// The incarnation that it serves as; 0 before.
    serves: AtomicU64,
}

impl Node {
    pub(crate) fn new(id: NodeId, common: Common) -> Self {
        let disk = Disk::new(Chance::new(common.seed, &[1, id.0]));
        Node { id, disk, common, process: None, stopped: None, boots: 0 }
    }

    /// Starts a process on what the disk holds.
    pub(crate) fn start(&mut self) {
        assert!(self.process.is_none(), "node {} runs already", self.id);
        self.boots += 1;
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let seat = Arc::new(Seat::default());
        let (inbox, arriving) = tokio::sync::mpsc::channel(INBOX_MAX);
        self.common.network.listen(self.id, inbox);
        let links = Arc::new(Links::new(self.id, self.common.network.clone(), self.boots << 32));
        let begun = runtime.block_on(async { Instant::now() });
        runtime.spawn(Arc::clone(&links).serve(arriving, Arc::clone(&seat.replication)));
        let (stores, write) = MemoryStores::open(self.disk.clone());
        runtime.spawn(write);
        let stores = Arc::new(stores);
        let boot = Boot { me: self.id, number: self.boots, common: self.common.clone(), stores, links };
        runtime.spawn(boot.run(Arc::clone(&seat)));
        let chance = Chance::new(self.common.seed, &[2, self.id.0, self.boots]).draw();
        self.process = Some(Process { runtime, begun, age: 0, chance, seat });
        self.stopped = None;
    }

    /// The process ends between two steps, and with it all that it had not synced.
    pub(crate) fn crash(&mut self) {
        self.common.network.gone(self.id);
        self.disk.crash();
        self.stopped = None;
        drop(self.process.take());
    }

    /// The process stands still from now on.
    pub(crate) fn stop(&mut self) {
        if self.process.is_some() {
            self.stopped.get_or_insert(0);
        }
    }

    /// The process goes on: for it, all the time it missed goes by at once.
    pub(crate) fn resume(&mut self) {
        if let (Some(missed), Some(process)) = (self.stopped.take(), &mut self.process) {
            process.age += missed;
            process.run(async move { tokio::time::advance(Duration::from_millis(missed)).await });
        }
    }

    /// A millisecond goes by.
    pub(crate) fn tick(&mut self) {
        if let Some(missed) = &mut self.stopped {
            *missed += 1;
        } else if let Some(process) = &mut self.process {
            process.age += 1;
            let until = process.begun + Duration::from_millis(process.age);
            process.run(async move { sleep_until(until).await });
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.process.is_some() && self.stopped.is_none()
    }

    pub(crate) fn is_down(&self) -> bool {
        self.process.is_none()
    }

    /// Whether it has an incarnation.
    pub(crate) fn serves(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.seat.serves.load(Ordering::SeqCst) > 0)
    }

    /// The crate under test, once it has started.
    pub(crate) fn replication(&self) -> Option<&Arc<Replication>> {
        self.process.as_ref()?.seat.replication.get()
    }

    /// A client of this node.
    pub(crate) fn client(&self) -> Option<Client> {
        Some(Client { replication: Arc::clone(self.replication()?), history: self.common.history.clone() })
    }

    /// Runs something within the process, which may die under it.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(process) = &self.process {
            process.runtime.spawn(work);
        }
    }
}

impl Process {
    fn run(&mut self, until: impl Future<Output = ()>) {
        let others = simulation::swap_chance(self.chance);
        self.runtime.block_on(until);
        self.chance = simulation::swap_chance(others);
    }
}

/// The start of a process, as `node` does it: open the groups, make them, found the cluster, get an incarnation, serve.
struct Boot {
    me: NodeId,
    number: u64,
    common: Common,
    stores: Arc<MemoryStores>,
    links: Arc<Links>,
}

impl Boot {
    async fn run(self, seat: Arc<Seat>) {
        let links: Arc<dyn PeerLinks> = self.links.clone();
        let (topology, config) = (self.common.topology.clone(), self.common.config.clone());
        let started = Replication::start(self.me, topology, &self.stores, links, config).await;
        let replication = match started {
            Ok(replication) => replication,
            Err(error) => {
                // A node whose disk fails meanwhile does not start, and is right.
                assert!(self.stores.failed(), "node {} does not start: {error}", self.me);
                return;
            }
        };
        assert!(seat.replication.set(Arc::clone(&replication)).is_ok(), "one process, one start");
        self.make_groups(&replication).await;
        self.found(&replication).await;
        let incarnation = self.register(&replication).await;
        replication.presence().begin(Owner { node: self.me, incarnation });
        seat.serves.store(incarnation.0, Ordering::SeqCst);
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let client = Client { replication: Arc::clone(&replication), history: self.common.history.clone() };
            let chance = Chance::new(self.common.seed, &[3, self.me.0, self.number, number]);
            clients.spawn(client.load(Arc::clone(&self.common.load), chance));
        }
        clients.join_all().await;
    }

    /// Makes the groups whose first replica this node is.
    async fn make_groups(&self, replication: &Replication) {
        let topology = &self.common.topology;
        for handle in replication.groups().handles() {
            let (first, replicas): (Option<NodeId>, BTreeSet<NodeId>) = match handle.id().as_partition() {
                None => (topology.cluster_voters.first().copied(), topology.cluster_voters.clone()),
                Some(partition) => {
                    let replicas = topology.placement.get(&partition).cloned().unwrap_or_default();
                    (replicas.first().copied(), replicas.into_iter().collect())
                }
            };
            if first == Some(self.me) {
                // A disk that fails meanwhile is a fault that some scenarios want.
                let _ = handle.initialize(&replicas).await;
            }
        }
    }

    async fn found(&self, replication: &Replication) {
        let unformed = || replication.groups().cluster().replica().read().state.facts().is_none();
        while unformed() {
            if replication.groups().cluster().handle().is_leader() {
                let form = ClusterChange::Form(Box::new(self.common.founding.clone()));
                let _ = replication.cluster().change(&form, PROPOSE_WITHIN).await;
            }
            sleep(PAUSE).await;
        }
    }

    async fn register(&self, replication: &Replication) -> Incarnation {
        let mut after = replication.groups().cluster().replica().read().state.last_incarnation(self.me);
        let member = self.common.founding.members.iter().find(|member| member.id == self.me).unwrap();
        loop {
            let change = ClusterChange::RegisterIncarnation {
                node: self.me,
                directory: member.directory,
                addresses: member.addresses.clone(),
                after,
            };
            match replication.cluster().change(&change, PROPOSE_WITHIN).await {
                Ok(ClusterOutcome::Registered { incarnation }) => return incarnation,
                Ok(ClusterOutcome::Refused(ClusterRefusal::NotTheLast { last })) => after = last,
                _ => sleep(PAUSE).await,
            }
        }
    }
}
