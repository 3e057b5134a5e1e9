//! The mesh of one node, as the shells use it.

use crate::{
    config::{ConfigError, Listen, MeshConfig, MeshTls},
    dial,
    join::{self, JoinHandler},
    limits::{CALL_DEADLINE_MAX, SHUTDOWN_WAIT},
    link::Answer,
    listen,
    local::{Identity, Local, Parts},
    relaying,
    secret::Secret,
    snapshot::{self, Outgoing, SnapshotHandler},
    ways::{self, Way},
};
use async_trait::async_trait;
use bytes::Bytes;
use rollcall_contracts::{CallError, PeerHandler, PeerLinks};
use rollcall_proto::Request;
use rollcall_types::NodeId;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;

/// Gives the node's present hello: what others may hear before ids are known. Opaque to the mesh; at most
/// [`HELLO_BYTES_MAX`](crate::HELLO_BYTES_MAX) bytes. Called on the network's tasks: it must not block.
pub trait HelloSource: Send + Sync + 'static {
    /// The encoded hello.
    fn hello(&self) -> Vec<u8>;
}

/// Why a mesh does not start.
#[derive(Debug, thiserror::Error)]
pub enum MeshError {
    /// The settings are refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be listened on.
    #[error("the mesh cannot listen on {address}: {source}")]
    Listen {
        /// The address wanted.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The certificates cannot be used.
    #[error("the files of [cluster.tls] cannot be used: {0}")]
    Tls(String),
    /// Started outside of a tokio runtime.
    #[error("the mesh must be started within a tokio runtime")]
    NoRuntime,
}

/// The links of this node to the others. Everything ends with [`Mesh::shutdown`], or at the latest when it is dropped.
pub struct Mesh {
    local: Arc<Local>,
    address: SocketAddr,
}

impl Mesh {
    /// Starts to listen. Only hello is answered until [`Mesh::identify`] is called. Must be called within a tokio
    /// runtime.
    ///
    /// A future of `handler` is dropped when its call's deadline passes or its link ends, since nobody hears its answer
    /// then; one that panics ends the link.
    ///
    /// # Errors
    /// See [`MeshError`].
    pub fn start(
        config: MeshConfig,
        handler: Arc<dyn PeerHandler>,
        hello: Arc<dyn HelloSource>,
    ) -> Result<Mesh, MeshError> {
        config.validate()?;
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(MeshError::NoRuntime);
        }
        let listener = bind(config.listen)?;
        let failed = |source| MeshError::Listen { address: "the bound listener".to_owned(), source };
        let address = listener.local_addr().map_err(failed)?;
        let local = Arc::new(Local::new(Parts {
            name: config.me.name,
            cluster_name: config.cluster_name,
            secret: config.secret.as_deref().map(Secret::new),
            tls: config.tls,
            call_queue_max: config.call_queue_max,
            resolver: config.resolver,
            handler,
            hello,
        }));
        let server = listen::server(&local).map_err(|e| MeshError::Tls(dial::with_causes(&e)))?;
        local.tasks.spawn(listen::run(Arc::clone(&local), listener, server));
        local.tasks.spawn(relaying::run(Arc::clone(&local)));
        Ok(Mesh { local, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Tells who this node is; a cluster id has at most 255 bytes. From now on links are dialled and accepted. With another id or cluster than before, all
    /// links begin anew.
    pub fn identify(&self, me: NodeId, cluster_id: String) {
        let identity = Some(Identity { me, cluster_id });
        let former = self.local.identity.borrow().clone();
        if former != identity {
            self.local.identity.send_replace(identity);
            if former.is_some() {
                self.local.inbound.end_all();
            }
        }
    }

    /// Sets where the snapshots of peers go; the first one counts.
    pub fn set_snapshot_handler(&self, handler: Arc<dyn SnapshotHandler>) {
        if self.local.snapshots.set(handler).is_err() {
            tracing::error!("the snapshot handler is set already");
        }
    }

    /// Sets who decides about new members; the first one counts.
    pub fn set_join_handler(&self, handler: Arc<dyn JoinHandler>) {
        if self.local.joins.set(handler).is_err() {
            tracing::error!("the join handler is set already");
        }
    }

    /// The peers to keep links to, with the `host:port` to dial. Those no longer named are let go; an address that has
    /// changed counts from the next dial on, which comes at once when there is no link.
    pub fn set_peers(&self, peers: BTreeMap<NodeId, String>) {
        self.local.peers.set(&self.local, peers);
    }

    /// Uses other certificates for all connections from now on; present ones go on.
    ///
    /// # Errors
    /// When they cannot be used; the former ones stay. When the mesh was started without TLS.
    pub fn renew_tls(&self, tls: MeshTls) -> Result<(), MeshError> {
        if self.local.tls.borrow().is_none() {
            return Err(MeshError::Tls("the mesh was started without TLS".to_owned()));
        }
        listen::check(&tls).map_err(|e| MeshError::Tls(dial::with_causes(&e)))?;
        self.local.tls.send_replace(Some(tls));
        Ok(())
    }

    /// Asks whoever answers at `host:port` for its hello, within the deadline. Both sides prove the cluster secret.
    ///
    /// # Errors
    /// `Unreachable` when there is no such answer, `Refused` with the peer's sentence.
    pub async fn hello(&self, address: &str, deadline: Duration) -> Result<Vec<u8>, CallError> {
        let deadline = deadline.min(CALL_DEADLINE_MAX);
        match tokio::time::timeout(deadline, dial::dial(&self.local, address, None)).await {
            Ok(Ok(dialled)) => Ok(dialled.hello.to_vec()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                Err(CallError::Unreachable(format!("{address} gave no hello within {} ms", deadline.as_millis())))
            }
        }
    }

    /// Asks whoever answers at `host:port` to become a member, within the deadline. Both sides prove the cluster secret.
    ///
    /// # Errors
    /// `Refused` with the peer's sentence, `Unreachable` when nobody was asked, `Unknown` when the answer is missing;
    /// asking again is harmless.
    pub async fn join(&self, address: &str, request: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        let deadline = deadline.min(CALL_DEADLINE_MAX);
        let asking = async { join::ask(dial::dial(&self.local, address, None).await?, request).await };
        let late = || CallError::Unknown(format!("{address} gave no answer within {} ms", deadline.as_millis()));
        tokio::time::timeout(deadline, asking).await.unwrap_or_else(|_| Err(late()))
    }

    /// Asks a peer and waits for the answer until the deadline. A peer whose link has been down for a while is asked over
    /// a common node, where there is one.
    ///
    /// # Errors
    /// See [`CallError`]; it tells whether the call was handled.
    pub async fn call(
        &self,
        to: NodeId,
        kind: u32,
        group: u32,
        lane: u32,
        payload: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        self.begin_call(to, kind, group, lane, payload, deadline)?.wait().await
    }

    /// As [`Mesh::call`], in two steps: the call has its place in its lane when this returns, so that many may be under
    /// way in a known order without a task for each.
    ///
    /// # Errors
    /// `Unreachable`, `Full`, and `Refused` for a payload that is too large. Nothing was sent.
    pub fn begin_call(
        &self,
        to: NodeId,
        kind: u32,
        group: u32,
        lane: u32,
        payload: Bytes,
        deadline: Duration,
    ) -> Result<Answer, CallError> {
        let request = Request { kind, group, lane, deadline_ms: 0, payload, relayed: None };
        let begun = ways::begin(&self.local, to, request, deadline);
        if begun.is_err() {
            self.local.metrics.call(&begun);
        }
        begun
    }

    /// Sends a snapshot to a peer and waits until it is installed. Needs no link: it takes a connection of its own, and is
    /// never relayed.
    ///
    /// # Errors
    /// See [`CallError`]; `Refused` also for one that is too large.
    pub async fn send_snapshot(
        &self,
        to: NodeId,
        group: u32,
        head: Bytes,
        data: impl Into<Bytes> + Send,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        let Some(peer) = self.local.peers.get(to) else {
            return Err(CallError::Unreachable(format!("node {to} is no peer of this node")));
        };
        let snapshot = Outgoing { to, address: peer.address(), group, head, data: data.into() };
        let sending = snapshot::send(&self.local, snapshot, deadline.min(CALL_DEADLINE_MAX));
        match self.local.ended.run_until_cancelled(sending).await {
            Some(outcome) => outcome,
            None => Err(CallError::Unknown("this node's mesh has ended".to_owned())),
        }
    }

    /// Whether the link this node dialled to the peer is up.
    #[must_use]
    pub fn is_connected(&self, peer: NodeId) -> bool {
        self.local.connected.borrow().contains(&peer)
    }

    /// The peers whose links are up, as they change.
    #[must_use]
    pub fn connected_watch(&self) -> watch::Receiver<BTreeSet<NodeId>> {
        self.local.connected.subscribe()
    }

    /// The peers that calls have a way to, as they change.
    #[must_use]
    pub fn reached_watch(&self) -> watch::Receiver<BTreeMap<NodeId, Way>> {
        self.local.ways.reached()
    }

    /// The peers that calls go to over a common node, each with that node.
    #[must_use]
    pub fn relayed(&self) -> BTreeMap<NodeId, NodeId> {
        self.local.ways.relayed()
    }

    /// Ends all links, connections and tasks, and waits for them: for 5 seconds at most. Calls under way are unknown.
    pub async fn shutdown(&self) {
        self.local.ended.cancel();
        self.local.tasks.close();
        if tokio::time::timeout(SHUTDOWN_WAIT, self.local.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.local.tasks.len(), "mesh tasks did not end in time");
        }
    }
}

#[async_trait]
impl PeerLinks for Mesh {
    async fn call(
        &self,
        to: NodeId,
        kind: u32,
        group: u32,
        lane: u32,
        payload: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        Mesh::call(self, to, kind, group, lane, payload, deadline).await
    }

    async fn send_snapshot(
        &self,
        to: NodeId,
        group: u32,
        head: Bytes,
        data: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        Mesh::send_snapshot(self, to, group, head, data, deadline).await
    }

    fn is_reached(&self, peer: NodeId) -> bool {
        self.local.ways.way(peer).is_some()
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.local.ended.cancel();
    }
}

fn bind(listen: Listen) -> Result<tokio::net::TcpListener, MeshError> {
    let (address, listener) = match listen {
        Listen::Address(address) => (address.to_string(), TcpListener::bind(address)),
        Listen::Bound(listener) => ("the bound listener".to_owned(), Ok(listener)),
    };
    listener
        .and_then(|listener| {
            listener.set_nonblocking(true)?;
            tokio::net::TcpListener::from_std(listener)
        })
        .map_err(|source| MeshError::Listen { address, source })
}
