//! The serving terms of a node: one incarnation after the other, each with a lease, its connections and its claims.
//!
//! A term begins with a registration at the cluster group, opens the MQTT listeners when the first heartbeat is
//! acknowledged, and ends with the lease: then every socket is closed at once, and the node registers anew.

use crate::{
    errors::StartError, members, peer_publisher::Publisher, quota_seat::NodeQuota, readiness::NodeReadiness, reconcile,
};
use rollcall_broker::Broker;
use rollcall_cluster::{ClusterChange, ClusterOutcome, ClusterRefusal, DirectoryId, LeaseTerms, NodeAddresses};
use rollcall_contracts::QuotaSeat as _;
use rollcall_controller::{Keeper, LeaderDuties, LeaseEnd, NodeLeaseGate, keep_lease};
use rollcall_mqtt_listener::{ListenerConfig, MqttListeners, StartError as ListenError};
use rollcall_raft::Replication;
use rollcall_session::Order;
use rollcall_types::{DisconnectReason, Incarnation, Owner};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Longest wait for a registration before it is tried afresh.
const REGISTER_WITHIN: Duration = Duration::from_secs(2);
/// Pause before a refused registration is tried again.
const REGISTER_PAUSE: Duration = Duration::from_millis(100);

/// Pause before listening sockets that did not open are tried again.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);
/// Longest wait for the sockets of a lost lease to close.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// What a term needs.
pub(crate) struct Serving {
    pub(crate) replication: Arc<Replication>,
    pub(crate) duties: Arc<LeaderDuties>,
    pub(crate) gate: Arc<NodeLeaseGate>,
    pub(crate) quota: Arc<NodeQuota>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) readiness: Arc<NodeReadiness>,
    pub(crate) listeners: ListenerConfig,
    pub(crate) directory: DirectoryId,
    pub(crate) addresses: NodeAddresses,
    pub(crate) terms: LeaseTerms,
    pub(crate) drain_budget: Duration,
    pub(crate) reconcile: Arc<Notify>,
    /// Said to readers of streams: go to another node.
    pub(crate) leaving: Arc<watch::Sender<bool>>,
}

impl Serving {
    /// Serves term after term until told to stop, or to leave; then drains. While the cluster wants it drained it serves
    /// nobody, and has no incarnation.
    ///
    /// # Errors
    /// When the cluster counts this node no more.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), StartError> {
        let mut listeners = None;
        let quit = stop.child_token();
        let mut result = Ok(());
        let mut served = false;
        let leaving = async {
            members::told_to_leave(&self.replication).await;
            tracing::info!("this node is to leave: its clients are asked to go elsewhere");
            self.leaving.send_replace(true);
            quit.cancel();
            std::future::pending::<()>().await;
        };
        let serving = async {
            while !quit.is_cancelled() {
                if members::is_draining(&self.replication) {
                    tracing::info!("this node is drained: it serves nobody until it is told otherwise");
                    tokio::select! {
                        biased;
                        () = quit.cancelled() => break,
                        () = members::told_to_drain(&self.replication, false) => {}
                    }
                }
                // Also where it was taken back before its last client had gone.
                if self.broker.is_draining() {
                    self.broker.serve_again();
                    self.leaving.send_replace(false);
                }
                let incarnation = match self.register(&quit).await {
                    Ok(Some(incarnation)) => incarnation,
                    Ok(None) => break,
                    Err(error) => return Err(error),
                };
                served = true;
                let owner = Owner { node: self.replication.groups().me(), incarnation };
                tracing::info!(%incarnation, "a serving term begins");
                let end = self.term(owner, &mut listeners, &quit).await;
                self.quota.over();
                self.readiness.serving(false);
                match end {
                    LeaseEnd::Stopped if quit.is_cancelled() => break,
                    LeaseEnd::Stopped => tracing::info!(%incarnation, "its clients were asked to go elsewhere"),
                    LeaseEnd::RanOut => tracing::warn!(%incarnation, "lease over, all clients were hung up"),
                    LeaseEnd::Retired => {
                        tracing::warn!(%incarnation, "retired by the cluster, all clients were hung up")
                    }
                }
            }
            Ok(())
        };
        tokio::select! {
            biased;
            served = serving => result = served,
            () = leaving => {}
        }
        if let Some(listeners) = listeners {
            listeners.shutdown().await;
        }
        if result.is_ok() && !stop.is_cancelled() && !served && members::has_departed(&self.replication) {
            return Err(StartError::Departed);
        }
        if result.is_ok() && !stop.is_cancelled() {
            // Its replicas go on until others have taken them over.
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = members::departed(&self.replication) => tracing::info!("this node has left the cluster"),
            }
        }
        result
    }

    /// Opens the listening sockets; the workers behind them live as long as the process.
    async fn open(&self, listeners: &mut Option<MqttListeners>) -> Result<(), ListenError> {
        match listeners {
            Some(listeners) => listeners.open().await.map(|_| ()),
            None => {
                let started = MqttListeners::start(self.listeners.clone(), Arc::clone(&self.broker)).await?;
                *listeners = Some(started);
                Ok(())
            }
        }
    }

    /// Asks for the next incarnation until there is one; `None` when told to stop or to leave.
    async fn register(&self, stop: &CancellationToken) -> Result<Option<Incarnation>, StartError> {
        let node = self.replication.groups().me();
        let mut after = self.replication.groups().cluster().replica().read().state.last_incarnation(node);
        loop {
            let change = ClusterChange::RegisterIncarnation {
                node,
                directory: self.directory,
                addresses: self.addresses.clone(),
                after,
            };
            let outcome = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(None),
                outcome = self.replication.cluster().change(&change, REGISTER_WITHIN) => outcome,
            };
            match outcome {
                Ok(ClusterOutcome::Registered { incarnation }) => return Ok(Some(incarnation)),
                Ok(ClusterOutcome::Refused(ClusterRefusal::UnknownMember { .. })) => return Err(StartError::Departed),
                Ok(ClusterOutcome::Refused(ClusterRefusal::Leaving { .. })) => return Ok(None),
                // An earlier try of ours may have been applied unseen; it serves nobody, so go on from it.
                Ok(ClusterOutcome::Refused(ClusterRefusal::NotTheLast { last })) => {
                    after = last;
                    continue;
                }
                Ok(other) => tracing::info!(?other, "the cluster does not register this node yet"),
                Err(error) => tracing::info!(%error, "registration not committed yet"),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(REGISTER_PAUSE) => {}
            }
        }
    }

    async fn term(&self, owner: Owner, listeners: &mut Option<MqttListeners>, stop: &CancellationToken) -> LeaseEnd {
        self.gate.begin(owner.incarnation);
        self.replication.presence().begin(owner);
        self.replication.retained().begin(owner);
        let (held, mut first) = watch::channel(false);
        let end_lease = CancellationToken::new();
        let keeper = Keeper {
            groups: self.replication.groups(),
            duties: &self.duties,
            gate: &self.gate,
            quota: &*self.quota,
            owner,
            terms: self.terms,
        };
        let lease = keep_lease(&keeper, &held, &end_lease);
        tokio::pin!(lease);
        let ready = async {
            let _ = first.wait_for(|held| *held).await;
            self.publisher.begun(owner.incarnation).await;
        };
        let end = tokio::select! {
            biased;
            end = &mut lease => Some(end),
            () = stop.cancelled() => Some(LeaseEnd::Stopped),
            () = ready => None,
        };
        if let Some(end) = end {
            self.gate.end(owner.incarnation);
            self.replication.retained().end().await;
            self.replication.presence().end().await;
            return end;
        }
        if let Err(error) = self.open(listeners).await {
            tracing::error!(%error, "the mqtt listeners do not open; trying again in a new term");
            self.gate.end(owner.incarnation);
            self.replication.retained().end().await;
            self.replication.presence().end().await;
            tokio::time::sleep(LISTEN_PAUSE).await;
            return LeaseEnd::RanOut;
        }
        self.readiness.serving(true);
        let reconciling = reconcile::run(
            Arc::clone(&self.replication),
            Arc::clone(&self.broker),
            owner,
            Duration::from_millis(self.terms.lease_ms()),
            Arc::clone(&self.reconcile),
        );
        tokio::pin!(reconciling);
        let end = tokio::select! {
            biased;
            end = &mut lease => end,
            () = stop.cancelled() => LeaseEnd::Stopped,
            () = members::told_to_drain(&self.replication, true) => {
                self.leaving.send_replace(true);
                LeaseEnd::Stopped
            }
            () = &mut reconciling => LeaseEnd::RanOut,
        };
        self.readiness.serving(false);
        if end == LeaseEnd::Stopped {
            let moves = members::is_leaving(&self.replication) || members::is_draining(&self.replication);
            let order = if moves { Order::Moved } else { Order::Shutdown };
            // The lease is kept while the clients are asked to leave, so that what they still send counts.
            let drain = self.drain(owner, listeners, order);
            tokio::pin!(drain);
            let mut renewing = true;
            loop {
                tokio::select! {
                    biased;
                    () = &mut drain => break,
                    _ = &mut lease, if renewing => renewing = false,
                }
            }
        } else {
            // Sockets first: the gate lets nothing through any more, and the close must come before the fence.
            self.broker.close_all(DisconnectReason::NodeLost);
            close(listeners).await;
            if !self.broker.all_closed(CLOSE_WITHIN).await {
                tracing::warn!("some sockets are still closing");
            }
        }
        self.gate.end(owner.incarnation);
        self.replication.retained().end().await;
        self.replication.presence().end().await;
        end
    }

    /// The MQTT addresses of the other nodes that serve.
    fn elsewhere(&self) -> Option<Arc<str>> {
        let groups = self.replication.groups();
        let applied = groups.cluster().replica().read();
        let others = applied.state.members().iter().filter(|(id, member)| {
            let stays = !member.leaving && !applied.state.is_draining(**id);
            **id != groups.me() && member.alive().is_some() && stays && groups.mesh().is_reached(**id)
        });
        let addresses: Vec<&str> = others.filter_map(|(_, member)| member.addresses.mqtt.as_deref()).collect();
        (!addresses.is_empty()).then(|| addresses.join(" ").into())
    }

    /// A planned stop: no new clients, those here are asked to leave, their claims are released, and the incarnation
    /// is retired in the log before the node leaves.
    async fn drain(&self, owner: Owner, listeners: &mut Option<MqttListeners>, order: Order) {
        close(listeners).await;
        let report = self.broker.drain(self.drain_budget, order, self.elsewhere()).await;
        if report.left > 0 || !report.released {
            tracing::warn!(?report, "not every client left in time; the retirement ends their claims");
        }
        self.gate.end(owner.incarnation);
        self.quota.over();
        let change = ClusterChange::Retire { node: owner.node, up_to: owner.incarnation };
        if let Err(error) = self.replication.cluster().change(&change, REGISTER_WITHIN).await {
            tracing::warn!(%error, "the incarnation was not retired; its lease ends it");
        }
    }
}

async fn close(listeners: &Option<MqttListeners>) {
    if let Some(listeners) = listeners {
        listeners.close().await;
    }
}
