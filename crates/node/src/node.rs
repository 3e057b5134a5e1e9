//! One node, from the first listener to the last sync: the order of starting and of stopping.
//!
//! Starting: the data directory is locked; HTTP and admin answer (503 until there is something to say); the mesh
//! listens; the node learns who it is; the groups start; then serving terms follow one another. Stopping goes the
//! other way, clients first.

use crate::{
    access_control::ReplicatedAccess,
    accounts::ReplicatedAccounts,
    authenticators::{self, Authenticators},
    config::Config,
    devices::{self, ReplicatedDevices},
    errors::StartError,
    event_feeds::EventFeeds,
    feed_reader::FeedReader,
    formation::{self, Greeting},
    founding,
    late_presence::LatePresence,
    late_retained::LateRetained,
    management::Management,
    members::Members,
    mesh_certificates, metrics_text,
    owner_links::MeshOwnerLinks,
    peer_calls::{Parts, PeerCalls},
    peer_publisher::{COMPARE_EVERY, Publisher},
    quota_seat::NodeQuota,
    readiness::{Complaint, Looked, NodeReadiness},
    serving::Serving,
    session_links::MeshSessionLinks,
    settings,
};
use rollcall_admission::Admission;
use rollcall_broker::{Broker, MemorySessions};
use rollcall_cluster::{DirectoryId, FormedCluster, Founding, FoundingMember, Hello, KnownMember, LeaseTerms};
use rollcall_contracts::EnhancedAuthenticator;
use rollcall_controller::{LeaderDuties, NodeLeaseGate};
use rollcall_http_gateway::{Addresses, Gateway, GatewayParts};
use rollcall_mesh::Mesh;
use rollcall_raft::{FeedSink, GroupsConfig, Replication, payload};
use rollcall_storage::{DataDirectory, Store};
use rollcall_tls::{Certificates, FileWatch, WATCH_EVERY};
use rollcall_types::NodeId;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Longest time for clients to leave when the node stops.
const DRAIN_BUDGET: Duration = Duration::from_secs(10);

/// How often the lag of shared subscriptions is counted.
const SHARED_LAG_EVERY: Duration = Duration::from_secs(5);

/// A running node.
pub struct Node {
    gateway: Gateway,
    mesh: Arc<Mesh>,
    /// Said to readers of streams: go to another node.
    leaving: Arc<watch::Sender<bool>>,
    stop: CancellationToken,
    run: JoinSet<Result<(), StartError>>,
    upkeep: JoinSet<()>,
    _mesh_certificates: Option<FileWatch>,
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
    retained: Arc<LateRetained>,
    accounts: Arc<ReplicatedAccounts>,
    admission: Arc<Admission>,
    gate: Arc<NodeLeaseGate>,
    quota: Arc<NodeQuota>,
    readiness: Arc<NodeReadiness>,
    management: Arc<Management>,
    access: Arc<ReplicatedAccess>,
    publisher: Arc<Publisher>,
    broker: Arc<Broker>,
    certificates: Option<Arc<Certificates>>,
    devices: Arc<ReplicatedDevices>,
    leaving: Arc<watch::Sender<bool>>,
}

impl Node {
    /// Opens the data directory and the listeners that answer from the first moment on; everything else follows in
    /// the background. `complaint` is asked by `/readyz` as well.
    ///
    /// # Errors
    /// When the configuration contradicts itself, the directory cannot be used, or a listener cannot be opened.
    pub async fn start(config: Config, complaint: Complaint) -> Result<Node, StartError> {
        Node::start_with(config, complaint, Vec::new()).await
    }

    /// The same with more methods of enhanced authentication than the configuration names.
    pub(crate) async fn start_with(
        config: Config,
        complaint: Complaint,
        methods: Vec<Arc<dyn EnhancedAuthenticator>>,
    ) -> Result<Node, StartError> {
        config.validate()?;
        let metrics = metrics_text::renderer();
        let terms = settings::lease_terms(&config)?;
        let directory = DataDirectory::open(&config.node.data_dir)?;
        let presence = Arc::new(LatePresence::default());
        let retained = Arc::new(LateRetained::default());
        let accounts = Arc::new(ReplicatedAccounts::new(settings::allow_by_default(&config)));
        let gate = Arc::new(NodeLeaseGate::new(terms));
        let readiness = Arc::new(NodeReadiness::new(complaint));
        let publisher = Arc::new(Publisher::new(settings::shared_strategy(&config)));
        let management = Arc::new(Management::new(config.node.name.clone()));
        let access = Arc::new(ReplicatedAccess::new(config.node.name.clone(), settings::offers_scram(&config)));
        let devices = Arc::new(ReplicatedDevices::new(config.node.name.clone()));
        let authenticators = Authenticators::of(&config.auth, &devices)?;
        let admission = Admission::new(settings::admission(&config), accounts.clone()).with_chain(authenticators.chain);
        let admission = Arc::new(admission);
        let broker = Broker::new(
            settings::broker(&config),
            presence.clone(),
            gate.clone(),
            admission.clone(),
            publisher.clone(),
            Arc::new(MemorySessions::default()),
        );
        broker.set_routes(publisher.clone());
        devices.tell_by(&broker);
        broker.set_authenticators(authenticators::offered(&config.auth, &admission).chain(methods).collect());
        settings::share_limits(&config, config.cluster.expect_nodes, &admission, &broker);
        let even = settings::even_messages(&config, config.cluster.expect_nodes);
        let burst_percent = config.limits.effective().burst_percent;
        let quota = Arc::new(NodeQuota::new(settings::message_limit(&config), burst_percent, even, admission.clone()));
        admission.bind_message_share(gate.clone());
        let certificates = settings::certificates(&config)?;
        let (leaving, left) = watch::channel(false);
        let leaving = Arc::new(leaving);
        let gateway = Gateway::start(
            settings::gateway(&config, certificates.clone()),
            GatewayParts {
                presence: presence.clone(),
                questions: presence.clone(),
                feeds: presence.clone(),
                leaving: left,
                admission: admission.clone(),
                data_plane: broker.clone(),
                clients: broker.clone(),
                interests: broker.clone(),
                retained: retained.clone(),
                access: access.clone(),
                membership: management.clone(),
                quota: quota.clone(),
                readiness: readiness.clone(),
                metrics,
                runtime: tokio::runtime::Handle::current(),
            },
        )?;
        let greeting = Arc::new(Greeting::default());
        let calls = Arc::new(PeerCalls::default());
        let mesh = Mesh::start(settings::mesh(&config)?, calls.clone(), greeting.clone())?;
        mesh.set_snapshot_handler(calls.clone());
        mesh.set_join_handler(calls.clone());
        let mesh = Arc::new(mesh);
        publisher.set_mesh(Arc::clone(&mesh));
        let mesh_files = config.cluster.tls.as_ref();
        let mesh_certificates =
            mesh_files.map(|files| mesh_certificates::watch(files, Arc::clone(&mesh), WATCH_EVERY)).transpose()?;
        let stop = CancellationToken::new();
        let shell = Shell {
            config,
            terms,
            directory,
            mesh: Arc::clone(&mesh),
            greeting,
            calls,
            presence,
            retained,
            accounts,
            admission,
            gate,
            quota,
            readiness,
            management,
            access,
            publisher,
            broker,
            certificates,
            devices,
            leaving: Arc::clone(&leaving),
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
        for keys in authenticators.fetched {
            upkeep.spawn(async move { keys.keep().await });
        }
        Ok(Node { gateway, mesh, leaving, stop, run, upkeep, _mesh_certificates: mesh_certificates })
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
                self.leaving.send_replace(true);
                self.stop.cancel();
                self.run.join_next().await
            }
            result = self.run.join_next() => result,
        };
        self.leaving.send_replace(true);
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
        let peers = founding.members.iter().map(|m| (m.id, m.addresses.mesh.clone())).collect();
        self.mesh.identify(me, founding.cluster_id.clone());
        self.publisher.identify(me);
        self.connect_peers(me, peers);
        let config = self.groups_config(&founding);
        let replication =
            Replication::start(me, founding::topology(&founding), &store, self.mesh.clone(), config).await?;
        let duties =
            Arc::new(LeaderDuties::new(Arc::clone(&replication), self.terms, settings::message_limit(&self.config)));
        self.calls.set(Parts {
            replication: Arc::clone(&replication),
            duties: Arc::clone(&duties),
            broker: Arc::clone(&self.broker),
            routes: self.publisher.routes(),
        });
        self.presence.set(Arc::clone(&replication));
        self.accounts.set(Arc::clone(&replication));
        self.devices.set(Arc::clone(&replication));
        self.management.set(Arc::clone(&replication));
        self.access.set(Arc::clone(&replication));
        self.readiness.set(Looked {
            replication: Arc::clone(&replication),
            store: Arc::clone(&store),
            gate: Arc::clone(&self.gate),
            quota: Arc::clone(&self.quota),
        });
        self.broker.set_retained(replication.retained().clone());
        self.retained.set(replication.retained().clone());
        self.broker.set_owner_links(Arc::new(MeshOwnerLinks(Arc::clone(replication.groups()))));
        let (groups, publisher) = (Arc::clone(replication.groups()), Arc::clone(&self.publisher));
        self.broker.set_session_links(Arc::new(MeshSessionLinks { groups, publisher }));
        let reconcile = Arc::new(Notify::new());
        let events = Arc::new(EventFeeds::new(Arc::clone(&self.broker), Arc::clone(replication.groups())));
        let feeds: Arc<dyn FeedSink> = Arc::new(FeedReader {
            me,
            broker: Arc::clone(&self.broker),
            groups: Arc::clone(replication.groups()),
            reconcile: Arc::clone(&reconcile),
            events: Arc::clone(&events),
        });
        replication.follow_feeds(&feeds);

        let background = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(events.run(background.clone()));
        let accounts = Arc::clone(&self.accounts);
        let certificates = self.certificates.clone();
        let broker = Arc::clone(&self.broker);
        tasks.spawn(follow_accounts(Arc::clone(&replication), accounts, broker, certificates, background.clone()));
        let members = Members {
            replication: Arc::clone(&replication),
            mesh: Arc::clone(&self.mesh),
            publisher: Arc::clone(&self.publisher),
            greeting: Arc::clone(&self.greeting),
            admission: Arc::clone(&self.admission),
            quota: Arc::clone(&self.quota),
            broker: Arc::clone(&self.broker),
            config: self.config.clone(),
            hello: self.hello(),
        };
        tasks.spawn(members.follow(background.clone()));
        let (publisher, ended) = (Arc::clone(&self.publisher), background.clone());
        tasks.spawn(async move { publisher.compare_now_and_then(COMPARE_EVERY, ended).await });
        let sys_interval = Duration::from_secs(u64::from(self.config.telemetry.sys_interval_s));
        tasks.spawn(serve_subscribers(Arc::clone(&self.broker), sys_interval, background.clone()));
        let duty = Arc::clone(&duties);
        let ended = background.clone();
        tasks.spawn(async move { duty.run(ended).await });
        let result = tokio::select! {
            biased;
            () = stop.cancelled() => Err(StartError::Stopped),
            founded = founding::found(&self.config, me, &founding, &replication) => founded,
        };
        let result = match result {
            Ok(()) => self.serving(&replication, duties, reconcile).run(stop).await,
            Err(error) => Err(error),
        };

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

    fn serving(&self, replication: &Arc<Replication>, duties: Arc<LeaderDuties>, reconcile: Arc<Notify>) -> Serving {
        Serving {
            replication: Arc::clone(replication),
            duties,
            gate: Arc::clone(&self.gate),
            quota: Arc::clone(&self.quota),
            broker: Arc::clone(&self.broker),
            publisher: Arc::clone(&self.publisher),
            readiness: Arc::clone(&self.readiness),
            listeners: settings::listeners(&self.config, self.certificates.clone()),
            directory: DirectoryId(self.directory.id().0),
            addresses: settings::addresses(&self.config),
            terms: self.terms,
            drain_budget: DRAIN_BUDGET,
            reconcile,
            leaving: Arc::clone(&self.leaving),
        }
    }

    /// What this node says of itself, before it belongs to a cluster.
    fn hello(&self) -> Hello {
        settings::hello(&self.config, DirectoryId(self.directory.id().0))
    }

    /// Who this node is: from its directory, or by forming or joining the cluster.
    async fn identity(&self, stop: &CancellationToken) -> Result<(NodeId, Founding), StartError> {
        let mine = self.hello();
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
            self.greet(mine, &founding)?;
            return Ok((identity.node, founding));
        }
        self.greeting.set(&mine)?;
        let keep = u32::try_from(self.config.cluster.offline_record_keep_s).unwrap_or(u32::MAX);
        let (me, founding) =
            formation::form(&self.config.cluster.seeds, keep, &self.mesh, &self.directory, &mine, stop).await?;
        self.greet(mine, &founding)?;
        Ok((me, founding))
    }

    /// From now on newcomers hear of the cluster; never again that this node is empty.
    fn greet(&self, mine: Hello, founding: &Founding) -> Result<(), StartError> {
        let known = |m: &FoundingMember| KnownMember { id: m.id, name: m.name.clone(), directory: m.directory };
        let formed = FormedCluster {
            cluster_id: founding.cluster_id.clone(),
            cluster_name: founding.name.clone(),
            members: founding.members.iter().map(known).collect(),
        };
        self.greeting.set(&Hello { formed: Some(formed), ..mine })
    }

    fn connect_peers(&self, me: NodeId, mut peers: BTreeMap<NodeId, String>) {
        peers.remove(&me);
        self.mesh.set_peers(peers);
    }

    fn groups_config(&self, founding: &Founding) -> GroupsConfig {
        GroupsConfig {
            status_deadline: Duration::from_millis(self.config.cluster.status_deadline_ms),
            offline_record_keep_ms: u64::from(founding.offline_record_keep_s) * 1000,
            retained: settings::retained(&self.config, founding.partitions),
            ..GroupsConfig::default()
        }
    }
}

/// What subscribers get without a publish: retained messages, events of sessions, and now and then the values under `$SYS`.
async fn serve_subscribers(broker: Arc<Broker>, sys_interval: Duration, stop: CancellationToken) {
    let system_topics = async {
        while !sys_interval.is_zero() {
            tokio::time::sleep(sys_interval).await;
            broker.publish_system_topics();
        }
    };
    let (retained, shared) = (Arc::clone(&broker).answer_retained(), Arc::clone(&broker).find_members());
    let lag = async {
        loop {
            tokio::time::sleep(SHARED_LAG_EVERY).await;
            broker.count_shared_lag().await;
        }
    };
    let expired = Arc::clone(&broker).end_expired();
    let events = Arc::clone(&broker).tell_session_events();
    let serving = async { tokio::join!(retained, shared, events, system_topics, lag, expired) };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        _ = serving => {}
    }
}

/// Compiles policies anew whenever the cluster state has changed, and sees to it that those who are connected keep to
/// them.
async fn follow_accounts(
    replication: Arc<Replication>,
    accounts: Arc<ReplicatedAccounts>,
    broker: Arc<Broker>,
    certificates: Option<Arc<Certificates>>,
    stop: CancellationToken,
) {
    let mut watch = replication.groups().cluster().replica().watch();
    // What was there when the groups began has been read already.
    if let Some(certificates) = &certificates {
        certificates.set_registered(devices::active_authorities(&replication));
    }
    loop {
        if accounts.refresh() {
            if let Some(certificates) = &certificates {
                certificates.set_registered(devices::active_authorities(&replication));
            }
            broker.access_changed().await;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            changed = watch.changed() => if changed.is_err() { return },
        }
    }
}
