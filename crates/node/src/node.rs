//! One node, from the first listener to the last sync: the order of starting and of stopping.
//!
//! Starting: the data directory is locked; HTTP and admin answer (503 until there is something to say); the mesh
//! listens; the node learns who it is; the groups start; then serving terms follow one another. Stopping goes the
//! other way, clients first.

use crate::{
    accounts::ReplicatedAccounts,
    config::Config,
    errors::StartError,
    feed_reader::FeedReader,
    formation::{self, Greeting},
    late_presence::LatePresence,
    metrics_text,
    peer_calls::{Parts, PeerCalls},
    peer_publisher::Publisher,
    readiness::{Looked, NodeReadiness},
    serving::Serving,
    settings,
};
use rollcall_admission::Admission;
use rollcall_broker::Broker;
use rollcall_cluster::{ClusterChange, ClusterOutcome, DirectoryId, Founding, Hello, LeaseTerms, planner};
use rollcall_controller::{LeaderDuties, NodeLeaseGate};
use rollcall_http_gateway::{Addresses, Gateway, GatewayParts};
use rollcall_mesh::Mesh;
use rollcall_raft::{FeedSink, GroupsConfig, Replication, Topology, payload};
use rollcall_storage::{DataDirectory, Store};
use rollcall_types::{GroupId, NodeId, NodeName};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long other founders are left the first word on a group before this node makes it, too.
const INITIALIZE_AFTER: Duration = Duration::from_millis(1500);
/// Longest wait for one proposal of the founding before it is made again.
const FORM_WITHIN: Duration = Duration::from_secs(2);
/// Longest wait between two looks at whether the cluster is founded.
const FOUNDED_EVERY: Duration = Duration::from_millis(50);
/// Longest time for clients to leave when the node stops.
const DRAIN_BUDGET: Duration = Duration::from_secs(10);

/// A running node.
pub struct Node {
    gateway: Gateway,
    mesh: Arc<Mesh>,
    stop: CancellationToken,
    run: JoinSet<Result<(), StartError>>,
    upkeep: JoinSet<()>,
}

/// What the parts share before the node knows who it is.
struct Shell {
    config: Config,
    terms: LeaseTerms,
    directory: DataDirectory,
    mesh: Arc<Mesh>,
    greeting: Arc<Greeting>,
    calls: Arc<PeerCalls>,
    presence: Arc<LatePresence>,
    accounts: Arc<ReplicatedAccounts>,
    gate: Arc<NodeLeaseGate>,
    readiness: Arc<NodeReadiness>,
    publisher: Arc<Publisher>,
    broker: Arc<Broker>,
}

impl Node {
    /// Opens the data directory and the listeners that answer from the first moment on; everything else follows in
    /// the background.
    ///
    /// # Errors
    /// When the configuration contradicts itself, the directory cannot be used, or a listener cannot be opened.
    pub async fn start(config: Config) -> Result<Node, StartError> {
        config.validate()?;
        let metrics = metrics_text::renderer();
        let terms = settings::lease_terms(&config)?;
        let directory = DataDirectory::open(&config.node.data_dir)?;
        let presence = Arc::new(LatePresence::default());
        let accounts = Arc::new(ReplicatedAccounts::new(settings::allow_by_default(&config)));
        let gate = Arc::new(NodeLeaseGate::new(terms));
        let readiness = Arc::new(NodeReadiness::default());
        let publisher = Arc::new(Publisher::default());
        let admission = Arc::new(Admission::new(settings::admission(&config), accounts.clone()));
        let broker = Broker::new(
            settings::broker(&config),
            presence.clone(),
            gate.clone(),
            admission.clone(),
            publisher.clone(),
        );
        let gateway = Gateway::start(
            settings::gateway(&config)?,
            GatewayParts {
                presence: presence.clone(),
                admission,
                readiness: readiness.clone(),
                metrics,
                runtime: tokio::runtime::Handle::current(),
            },
        )?;
        let greeting = Arc::new(Greeting::default());
        let calls = Arc::new(PeerCalls::default());
        let mesh = Mesh::start(settings::mesh(&config)?, calls.clone(), greeting.clone())?;
        mesh.set_snapshot_handler(calls.clone());
        let mesh = Arc::new(mesh);
        publisher.set_mesh(Arc::clone(&mesh));
        let stop = CancellationToken::new();
        let shell = Shell {
            config,
            terms,
            directory,
            mesh: Arc::clone(&mesh),
            greeting,
            calls,
            presence,
            accounts,
            gate,
            readiness,
            publisher,
            broker,
        };
        let mut run = JoinSet::new();
        run.spawn(shell.run(stop.clone()));
        let mut upkeep = JoinSet::new();
        upkeep.spawn(async {
            loop {
                tokio::time::sleep(metrics_text::UPKEEP_EVERY).await;
                metrics_text::upkeep();
            }
        });
        Ok(Node { gateway, mesh, stop, run, upkeep })
    }

    /// Where the HTTP listeners are.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.gateway.addresses()
    }

    /// Runs until `shutdown` completes or the node fails; then drains and stops everything in order.
    ///
    /// # Errors
    /// When the node could not join its cluster, or its groups could not start.
    pub async fn run_until_stopped(mut self, shutdown: impl Future<Output = ()>) -> Result<(), StartError> {
        let result = tokio::select! {
            () = shutdown => {
                self.stop.cancel();
                self.run.join_next().await
            }
            result = self.run.join_next() => result,
        };
        self.gateway.stop().await;
        self.mesh.shutdown().await;
        self.upkeep.shutdown().await;
        match result {
            None | Some(Ok(Err(StartError::Stopped))) => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(panicked)) => Err(StartError::Internal(panicked.to_string())),
        }
    }
}

impl Shell {
    async fn run(self, stop: CancellationToken) -> Result<(), StartError> {
        let (me, founding) = self.identity(&stop).await?;
        tracing::info!(node = %me, cluster = %founding.cluster_id, "member of the cluster");
        let store = Arc::new(Store::open(&self.directory, settings::store(&self.config))?);
        let topology = topology(&founding);
        let peers = founding.members.iter().map(|m| (m.id, m.addresses.mesh.clone())).collect();
        self.mesh.identify(me, founding.cluster_id.clone());
        self.connect_peers(me, peers);
        let config = self.groups_config(&founding);
        let replication = Replication::start(me, topology.clone(), &store, Arc::clone(&self.mesh), config).await?;
        let duties = Arc::new(LeaderDuties::new(Arc::clone(&replication), self.terms));
        self.calls.set(Parts {
            replication: Arc::clone(&replication),
            duties: Arc::clone(&duties),
            broker: Arc::clone(&self.broker),
        });
        self.presence.set(Arc::clone(&replication));
        self.accounts.set(Arc::clone(&replication));
        self.readiness.set(Looked {
            replication: Arc::clone(&replication),
            store: Arc::clone(&store),
            gate: Arc::clone(&self.gate),
        });
        let reconcile = Arc::new(Notify::new());
        let feeds: Arc<dyn FeedSink> =
            Arc::new(FeedReader { me, broker: Arc::clone(&self.broker), reconcile: Arc::clone(&reconcile) });
        replication.follow_feeds(&feeds);

        let background = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(follow_accounts(Arc::clone(&replication), Arc::clone(&self.accounts), background.clone()));
        let duty = Arc::clone(&duties);
        let ended = background.clone();
        tasks.spawn(async move { duty.run(ended).await });
        let result =
            self.serve(me, &founding, &topology, &replication, duties, reconcile, &stop, &background, &tasks).await;

        background.cancel();
        tasks.close();
        tasks.wait().await;
        replication.hand_leadership_over().await;
        self.presence.shutdown().await;
        self.publisher.shutdown().await;
        replication.shutdown().await;
        store.close();
        result
    }

    #[allow(clippy::too_many_arguments)]
    async fn serve(
        &self,
        me: NodeId,
        founding: &Founding,
        topology: &Topology,
        replication: &Arc<Replication>,
        duties: Arc<LeaderDuties>,
        reconcile: Arc<Notify>,
        stop: &CancellationToken,
        background: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Result<(), StartError> {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Err(StartError::Stopped),
            founded = self.found(me, founding, topology, replication) => founded?,
        }
        tasks.spawn(follow_members(
            Arc::clone(replication),
            Arc::clone(&self.mesh),
            Arc::clone(&self.publisher),
            background.clone(),
        ));
        let serving = Serving {
            replication: Arc::clone(replication),
            duties,
            gate: Arc::clone(&self.gate),
            broker: Arc::clone(&self.broker),
            readiness: Arc::clone(&self.readiness),
            listeners: settings::listeners(&self.config),
            directory: DirectoryId(self.directory.id().0),
            addresses: settings::addresses(&self.config),
            terms: self.terms,
            drain_budget: DRAIN_BUDGET,
            reconcile,
        };
        serving.run(stop.clone()).await;
        Ok(())
    }

    /// Who this node is: from its directory, or by forming the cluster.
    async fn identity(&self, stop: &CancellationToken) -> Result<(NodeId, Founding), StartError> {
        let mut mine = settings::hello(&self.config, DirectoryId(self.directory.id().0));
        if let Some(identity) = self.directory.identity() {
            let founding: Founding =
                payload::decode(&identity.founding).map_err(|e| StartError::Internal(e.to_string()))?;
            if founding.name != self.config.cluster.name {
                return Err(StartError::Formation(format!(
                    "the data directory belongs to cluster {:?}, the configuration says {:?}; set `name` in [cluster] \
                     or give this node another `data_dir`",
                    founding.name, self.config.cluster.name
                )));
            }
            self.greet(&mut mine, &founding)?;
            return Ok((identity.node, founding));
        }
        self.greeting.set(&mine)?;
        let keep = u32::try_from(self.config.cluster.offline_record_keep_s).unwrap_or(u32::MAX);
        let founding =
            formation::form(&self.config.cluster.seeds, keep, &self.mesh, &self.directory, &mine, stop).await?;
        self.greet(&mut mine, &founding)?;
        let me = founding
            .members
            .iter()
            .find(|m| m.directory == mine.directory)
            .map(|m| m.id)
            .ok_or_else(|| StartError::Internal("this node is not among the founders".to_owned()))?;
        Ok((me, founding))
    }

    fn greet(&self, mine: &mut Hello, founding: &Founding) -> Result<(), StartError> {
        let mut state = rollcall_cluster::ClusterState::default();
        state.apply(
            rollcall_types::LogIndex(1),
            rollcall_cluster::ClusterCommand {
                at: rollcall_types::ClusterTime(1),
                change: ClusterChange::Form(Box::new(founding.clone())),
            },
        );
        mine.formed = state.formed();
        self.greeting.set(mine)
    }

    fn connect_peers(&self, me: NodeId, mut peers: BTreeMap<NodeId, String>) {
        peers.remove(&me);
        self.publisher.set_peers(&peers.keys().copied().collect());
        self.mesh.set_peers(peers);
    }

    fn groups_config(&self, founding: &Founding) -> GroupsConfig {
        GroupsConfig {
            status_deadline: Duration::from_millis(self.config.cluster.status_deadline_ms),
            offline_record_keep_ms: u64::from(founding.offline_record_keep_s) * 1000,
            ..GroupsConfig::default()
        }
    }

    /// Makes the groups, where nobody has yet, and proposes the founding until the cluster is formed.
    async fn found(
        &self,
        me: NodeId,
        founding: &Founding,
        topology: &Topology,
        replication: &Arc<Replication>,
    ) -> Result<(), StartError> {
        let groups = replication.groups();
        let initialize = async |mine_only: bool| {
            for handle in groups.handles() {
                let replicas = replicas_of(topology, handle.id());
                let first = match handle.id().as_partition() {
                    None => topology.cluster_voters.first().copied(),
                    Some(p) => topology.placement.get(&p).and_then(|r| r.first().copied()),
                };
                if replicas.contains(&me)
                    && (!mine_only || first == Some(me))
                    && let Err(error) = handle.initialize(&replicas).await
                {
                    tracing::warn!(group = %handle.id(), %error, "the group is not made yet");
                }
            }
        };
        // Its preferred leader makes a group first; the others only if that takes too long.
        initialize(true).await;
        let late = tokio::time::Instant::now() + INITIALIZE_AFTER;
        let mut accounts = None;
        while !self.is_founded(me, topology, replication).await {
            if tokio::time::Instant::now() >= late {
                initialize(false).await;
            }
            let unformed = groups.cluster().replica().read().state.facts().is_none();
            if unformed && groups.cluster().handle().is_leader() {
                // Hashes are dear, so only whoever proposes them computes them.
                if accounts.is_none() {
                    accounts = Some(settings::first_accounts(&self.config).await?);
                }
                let (users, policies) = accounts.clone().unwrap_or_default();
                let change = ClusterChange::Form(Box::new(Founding { users, policies, ..founding.clone() }));
                match replication.cluster().change(&change, FORM_WITHIN).await {
                    Ok(ClusterOutcome::Formed | ClusterOutcome::AlreadyFormed { .. }) => {}
                    Ok(other) => return Err(StartError::Formation(format!("the cluster was not formed: {other:?}"))),
                    Err(error) => tracing::info!(%error, "the founding is not committed yet"),
                }
            }
            let mut watch = groups.cluster().replica().watch();
            let _ = tokio::time::timeout(FOUNDED_EVERY, watch.changed()).await;
        }
        Ok(())
    }

    /// Whether the cluster is formed and every group that this node votes in has been made.
    async fn is_founded(&self, me: NodeId, topology: &Topology, replication: &Replication) -> bool {
        if replication.groups().cluster().replica().read().state.facts().is_none() {
            return false;
        }
        for handle in replication.groups().handles() {
            if replicas_of(topology, handle.id()).contains(&me) && !handle.is_initialized().await {
                return false;
            }
        }
        true
    }
}

fn replicas_of(topology: &Topology, group: GroupId) -> BTreeSet<NodeId> {
    match group.as_partition() {
        None => topology.cluster_voters.clone(),
        Some(partition) => topology.placement.get(&partition).into_iter().flatten().copied().collect(),
    }
}

fn topology(founding: &Founding) -> Topology {
    let ids: Vec<NodeId> = founding.members.iter().map(|m| m.id).collect();
    Topology {
        partitions: founding.partitions,
        cluster_voters: planner::cluster_group_voters(&ids, &[]),
        placement: founding.placement.clone(),
        names: founding.members.iter().map(|m| (m.id, m.name.clone())).collect(),
    }
}

/// Compiles policies anew whenever the cluster state has changed.
async fn follow_accounts(replication: Arc<Replication>, accounts: Arc<ReplicatedAccounts>, stop: CancellationToken) {
    let mut watch = replication.groups().cluster().replica().watch();
    loop {
        accounts.refresh();
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            changed = watch.changed() => if changed.is_err() { return },
        }
    }
}

/// Keeps names, addresses and links as the cluster state has them.
async fn follow_members(
    replication: Arc<Replication>,
    mesh: Arc<Mesh>,
    publisher: Arc<Publisher>,
    stop: CancellationToken,
) {
    let me = replication.groups().me();
    let mut watch = replication.groups().cluster().replica().watch();
    watch.mark_changed();
    let mut known: BTreeMap<NodeId, String> = BTreeMap::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            changed = watch.changed() => if changed.is_err() { return },
        }
        let (peers, names): (BTreeMap<NodeId, String>, BTreeMap<NodeId, NodeName>) = {
            let applied = replication.groups().cluster().replica().read();
            let members = applied.state.members();
            let peers = members.iter().filter(|(id, _)| **id != me);
            (
                peers.map(|(id, m)| (*id, m.addresses.mesh.clone())).collect(),
                members.iter().map(|(id, m)| (*id, m.name.clone())).collect(),
            )
        };
        if names.is_empty() || peers == known {
            continue;
        }
        replication.groups().set_topology(Topology { names, ..replication.groups().topology().as_ref().clone() });
        publisher.set_peers(&peers.keys().copied().collect());
        mesh.set_peers(peers.clone());
        known = peers;
    }
}
