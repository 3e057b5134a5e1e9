//! A few replications in one process: real stores in temporary folders, real links over loopback.

use async_trait::async_trait;
use bytes::Bytes;
use rollcall_cluster::planner;
use rollcall_contracts::{PeerCall, PeerHandler, PresenceStore as _};
use rollcall_mesh::{HelloSource, Mesh, MeshConfig};
use rollcall_presence::ClaimDetails;
use rollcall_proto::Kind;
use rollcall_raft::{GroupsConfig, Replication, Topology};
use rollcall_retained::RetainedLimits;
use rollcall_storage::{DataDirectory, Store, StoreConfig};
use rollcall_types::{ClientId, GroupId, Incarnation, NodeId, NodeName, Owner, Protocol};
use std::{
    collections::BTreeMap,
    net::TcpListener,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};

/// Longest wait for anything that must come true.
pub(crate) const WITHIN: Duration = Duration::from_secs(20);

/// Bounds of each partition.
pub(crate) const RETAINED_LIMITS: RetainedLimits = RetainedLimits { messages: 2000, bytes: 0 };

#[derive(Default)]
struct Calls(OnceLock<Arc<Replication>>);

#[async_trait]
impl PeerHandler for Calls {
    async fn handle(&self, call: PeerCall) -> Result<Bytes, String> {
        let replication = self.0.get().ok_or("starting")?;
        let kind = Kind::try_from(i32::try_from(call.kind).unwrap()).unwrap();
        replication.answer_peer(kind, call).await
    }
}

struct NoHello;

impl HelloSource for NoHello {
    fn hello(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// One node.
pub(crate) struct TestNode {
    pub(crate) replication: Arc<Replication>,
    pub(crate) mesh: Arc<Mesh>,
    store: Arc<Store>,
    _folder: tempfile::TempDir,
}

impl TestNode {
    /// Ends the node as a crash would look to the others.
    pub(crate) async fn stop(&self) {
        self.mesh.shutdown().await;
        self.replication.shutdown().await;
        self.store.close();
    }
}

/// The nodes, by id.
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<NodeId, TestNode>,
    pub(crate) topology: Topology,
}

impl Cluster {
    pub(crate) async fn start(count: u64, partitions: u16, replicas: u8) -> Cluster {
        let ids: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let topology = Topology {
            partitions,
            cluster_voters: planner::cluster_group_voters(&ids, &[]),
            placement: planner::initial_placement(&ids, partitions, replicas),
            former: BTreeMap::new(),
            names: ids.iter().map(|id| (*id, NodeName(format!("n{id}")))).collect(),
        };
        let listeners: BTreeMap<NodeId, TcpListener> =
            ids.iter().map(|id| (*id, TcpListener::bind("127.0.0.1:0").unwrap())).collect();
        let addresses: BTreeMap<NodeId, String> =
            listeners.iter().map(|(id, l)| (*id, l.local_addr().unwrap().to_string())).collect();
        let mut nodes = BTreeMap::new();
        for (id, listener) in listeners {
            nodes.insert(id, node(id, listener, &addresses, &topology).await);
        }
        let cluster = Cluster { nodes, topology };
        cluster.initialize().await;
        cluster
    }

    async fn initialize(&self) {
        for (id, node) in &self.nodes {
            for handle in node.replication.groups().handles() {
                let replicas = match handle.id().as_partition() {
                    None => self.topology.cluster_voters.clone(),
                    Some(p) => self.topology.placement[&p].iter().copied().collect(),
                };
                let first = match handle.id().as_partition() {
                    None => *self.topology.cluster_voters.first().unwrap(),
                    Some(p) => self.topology.placement[&p][0],
                };
                if first == *id {
                    handle.initialize(&replicas).await.unwrap();
                }
            }
        }
        for node in self.nodes.values() {
            for handle in node.replication.groups().handles() {
                if handle.id() != GroupId::CLUSTER {
                    eventually("every replica knows its leader", || handle.leader().is_some()).await;
                }
            }
        }
    }

    pub(crate) fn node(&self, id: u64) -> &TestNode {
        &self.nodes[&NodeId(id)]
    }

    /// Begins a serving term on every node.
    pub(crate) fn serve(&self) {
        for (id, node) in &self.nodes {
            let owner = Owner { node: *id, incarnation: Incarnation(1) };
            node.replication.presence().begin(owner);
            node.replication.retained().begin(owner);
        }
    }
}

async fn node(
    me: NodeId,
    listener: TcpListener,
    addresses: &BTreeMap<NodeId, String>,
    topology: &Topology,
) -> TestNode {
    let folder = tempfile::tempdir().unwrap();
    let directory = DataDirectory::open(folder.path()).unwrap();
    let store = Arc::new(Store::open(&directory, StoreConfig::default()).unwrap());
    let calls = Arc::new(Calls::default());
    let name = topology.names[&me].clone();
    let config = MeshConfig::new(listener, addresses[&me].clone(), "test".to_owned(), name);
    let mesh = Arc::new(Mesh::start(config, calls.clone(), Arc::new(NoHello)).unwrap());
    mesh.identify(me, "test-cluster".to_owned());
    let mut peers = addresses.clone();
    peers.remove(&me);
    mesh.set_peers(peers);
    let config = GroupsConfig { retained: RETAINED_LIMITS, ..GroupsConfig::default() };
    let replication = Replication::start(me, topology.clone(), &store, mesh.clone(), config).await.unwrap();
    let _ = calls.0.set(Arc::clone(&replication));
    TestNode { replication, mesh, store, _folder: folder }
}

/// Waits for a condition.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(WITHIN, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

pub(crate) fn id(text: &str) -> ClientId {
    ClientId::new(text).unwrap()
}

pub(crate) fn claim(text: &str) -> ClaimDetails {
    ClaimDetails {
        client_id: id(text),
        username: "user0".to_owned(),
        protocol: Protocol::V5,
        clean_start: true,
        keep_alive_s: 60,
        session_expiry_s: 0,
        peer: "127.0.0.1:5000".to_owned(),
        bind_account: true,
        will: None,
    }
}

/// Asks until there is an answer; refusals are allowed only for a while.
pub(crate) async fn answered(node: &TestNode, text: &str) -> rollcall_contracts::StatusAnswer {
    let until = Instant::now() + WITHIN;
    loop {
        match node.replication.presence().status(id(text)).await {
            Ok(answer) => return answer,
            Err(error) => assert!(Instant::now() < until, "no answer: {error}"),
        }
    }
}
