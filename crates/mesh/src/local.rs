//! What all parts of this node's mesh share: who it is, whom it serves with, and what ends with it.

use crate::{
    config::{MeshTls, is_loopback},
    dial::Resolve,
    inbound::InboundLinks,
    join::JoinHandler,
    limits::SNAPSHOTS_AT_ONCE_MAX,
    mesh::HelloSource,
    metrics::Metrics,
    peers::Peers,
    secret::Secret,
    snapshot::SnapshotHandler,
    ways::Ways,
};
use rollcall_contracts::PeerHandler;
use rollcall_types::{NodeId, NodeName};
use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Arc, OnceLock},
};
use tokio::sync::{Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Who this node is, once that is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    pub(crate) me: NodeId,
    pub(crate) cluster_id: String,
}

/// This node's side of the mesh.
pub(crate) struct Local {
    pub(crate) name: NodeName,
    pub(crate) cluster_name: String,
    pub(crate) secret: Option<Secret>,
    pub(crate) tls: watch::Sender<Option<MeshTls>>,
    pub(crate) call_queue_max: usize,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) handler: Arc<dyn PeerHandler>,
    pub(crate) hello: Arc<dyn HelloSource>,
    pub(crate) snapshots: OnceLock<Arc<dyn SnapshotHandler>>,
    pub(crate) joins: OnceLock<Arc<dyn JoinHandler>>,
    pub(crate) snapshot_room: Arc<Semaphore>,
    pub(crate) identity: watch::Sender<Option<Identity>>,
    pub(crate) connected: watch::Sender<BTreeSet<NodeId>>,
    pub(crate) peers: Peers,
    pub(crate) ways: Ways,
    pub(crate) inbound: InboundLinks,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) tasks: TaskTracker,
    pub(crate) ended: CancellationToken,
}

/// What a mesh is handed at its start.
pub(crate) struct Parts {
    pub(crate) name: NodeName,
    pub(crate) cluster_name: String,
    pub(crate) secret: Option<Secret>,
    pub(crate) tls: Option<MeshTls>,
    pub(crate) call_queue_max: usize,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) handler: Arc<dyn PeerHandler>,
    pub(crate) hello: Arc<dyn HelloSource>,
}

impl Local {
    pub(crate) fn new(parts: Parts) -> Self {
        Local {
            name: parts.name,
            cluster_name: parts.cluster_name,
            secret: parts.secret,
            tls: watch::Sender::new(parts.tls),
            call_queue_max: parts.call_queue_max,
            resolver: parts.resolver,
            handler: parts.handler,
            hello: parts.hello,
            snapshots: OnceLock::new(),
            joins: OnceLock::new(),
            snapshot_room: Arc::new(Semaphore::new(SNAPSHOTS_AT_ONCE_MAX)),
            identity: watch::Sender::new(None),
            connected: watch::Sender::new(BTreeSet::new()),
            peers: Peers::default(),
            ways: Ways::default(),
            inbound: InboundLinks::default(),
            metrics: Arc::new(Metrics::new()),
            tasks: TaskTracker::new(),
            ended: CancellationToken::new(),
        }
    }

    pub(crate) fn identity(&self) -> Option<Identity> {
        self.identity.borrow().clone()
    }

    /// Whether this node may talk to an address at all: without secret and TLS only to its own machine.
    pub(crate) fn may_reach(&self, address: IpAddr) -> bool {
        self.secret.is_some() || self.tls.borrow().is_some() || is_loopback(address)
    }

    /// Notes that the link to a peer is up or down.
    pub(crate) fn set_connected(&self, peer: NodeId, up: bool) {
        self.connected.send_if_modified(|set| if up { set.insert(peer) } else { set.remove(&peer) });
        self.ways.look(&self.connected);
        let count = u32::try_from(self.connected.borrow().len()).unwrap_or(u32::MAX);
        self.metrics.links.set(f64::from(count));
    }
}
