//! The broker of one node: its parts, and what others ask of it.

use crate::{
    BrokerConfig, ClosingSignal, Connection, OpenSocket,
    damping::Damping,
    events::SessionEvents,
    expiry::Expiries,
    instance_limits::InstanceLimits,
    metrics::{DropReason, Metrics},
    pressure::Slow,
    reconcile::Suspects,
    redispatch::Orphans,
    registry::{Ended, Registry},
    retained::Retained,
    session_store::SessionStore,
    shared_lag::NamedGroups,
    sockets::Sockets,
    subscriptions::Subscriptions,
    system_topics::SystemTopics,
};
use parking_lot::Mutex;
use rollcall_contracts::{
    Admission, ConnectionEnding, DeliveryTarget, EndingKind, EnhancedAuthenticator, LeaseGate, OwnerLinks, Part,
    PartTaken, PeerPublisher, PresenceStore, RouteBoard, SessionLinks,
};
use rollcall_session::Order;
use rollcall_types::{ClientId, DisconnectReason, Epoch, Message};
use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio_util::task::TaskTracker;

/// The shell around the sessions of this node. Shared by listeners, the presence store and the mesh.
pub struct Broker {
    pub(crate) config: BrokerConfig,
    pub(crate) store: Arc<dyn PresenceStore>,
    pub(crate) lease: Arc<dyn LeaseGate>,
    pub(crate) admission: Arc<dyn Admission>,
    pub(crate) peers: Arc<dyn PeerPublisher>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) sessions: Arc<dyn SessionStore>,
    pub(crate) sockets: Arc<Sockets>,
    pub(crate) damping: Damping,
    pub(crate) takeovers: Damping,
    pub(crate) limits: InstanceLimits,
    pub(crate) suspects: Suspects,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) draining: AtomicBool,
    pub(crate) elsewhere: Mutex<Option<Arc<str>>>,
    pub(crate) connects_under_way: AtomicUsize,
    pub(crate) next_number: AtomicU64,
    pub(crate) retained: Retained,
    pub(crate) owners: OnceLock<Arc<dyn OwnerLinks>>,
    pub(crate) authenticators: OnceLock<Vec<Arc<dyn EnhancedAuthenticator>>>,
    pub(crate) session_links: OnceLock<Arc<dyn SessionLinks>>,
    /// Sessions on their way here, at most one for each CONNECT under way, and those being discarded.
    pub(crate) handovers: TaskTracker,
    /// Messages of publishers without a connection whose verdict is not in, as many as the edge lets in at once.
    pub(crate) publishes: TaskTracker,
    pub(crate) system_topics: SystemTopics,
    pub(crate) orphans: Orphans,
    pub(crate) named_groups: NamedGroups,
    pub(crate) session_events: SessionEvents,
    pub(crate) expiries: Arc<Expiries>,
}

impl Broker {
    /// A broker that nobody is connected to. What `sessions` keeps is resumed.
    #[must_use]
    pub fn new(
        config: BrokerConfig,
        store: Arc<dyn PresenceStore>,
        lease: Arc<dyn LeaseGate>,
        admission: Arc<dyn Admission>,
        peers: Arc<dyn PeerPublisher>,
        sessions: Arc<dyn SessionStore>,
    ) -> Arc<Self> {
        let metrics = Arc::new(Metrics::new());
        let subscriptions = Subscriptions::new(config.shared_strategy);
        Arc::new(Broker {
            config,
            store,
            lease,
            admission,
            peers,
            registry: Arc::new(Registry::new()),
            subscriptions,
            sessions,
            sockets: Arc::new(Sockets::new(metrics.clone())),
            damping: Damping::default(),
            takeovers: Damping::default(),
            limits: InstanceLimits::default(),
            suspects: Suspects::default(),
            metrics,
            draining: AtomicBool::new(false),
            elsewhere: Mutex::default(),
            connects_under_way: AtomicUsize::new(0),
            next_number: AtomicU64::new(0),
            retained: Retained::default(),
            owners: OnceLock::new(),
            authenticators: OnceLock::new(),
            session_links: OnceLock::new(),
            handovers: TaskTracker::new(),
            publishes: TaskTracker::new(),
            system_topics: SystemTopics::default(),
            orphans: Orphans::default(),
            named_groups: NamedGroups::default(),
            session_events: SessionEvents::default(),
            expiries: Arc::default(),
        })
    }

    /// The lease that the gate asks.
    #[must_use]
    pub fn lease(&self) -> &Arc<dyn LeaseGate> {
        &self.lease
    }

    /// The other nodes are told of subscriptions from now on. Without this, nobody is.
    pub fn set_routes(&self, routes: Arc<dyn RouteBoard>) {
        self.subscriptions.set_routes(routes);
    }

    /// This node's part of the instance's connections and subscriptions from now on; `usize::MAX` for no limit.
    pub fn set_instance_limits(&self, connections: usize, subscriptions: usize) {
        self.limits.set(connections, subscriptions);
    }

    /// A listener accepted a socket.
    #[must_use]
    pub fn socket_opened(&self) -> OpenSocket {
        self.sockets.open()
    }

    /// What ends sockets that hold no claim. Subscribe before looking at anything else.
    #[must_use]
    pub fn closing_signal(&self) -> ClosingSignal {
        self.sockets.signal()
    }

    /// Open sockets, with or without CONNACK.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.sockets.count()
    }

    /// Open sockets before CONNACK.
    #[must_use]
    pub fn connections_pending(&self) -> usize {
        self.sockets.pending()
    }

    /// Waits until at most `most` sockets wait for CONNACK: the listeners' back-pressure (B-129).
    pub async fn pending_at_most(&self, most: usize) {
        self.sockets.pending_at_most(most).await;
    }

    /// Client ids whose claim is held by a connection of this node.
    #[must_use]
    pub fn sessions_online(&self) -> usize {
        self.registry.online()
    }

    /// Ends every connection, claims or not. Sockets close as fast as their tasks run; see [`Broker::all_closed`].
    /// With [`DisconnectReason::NodeLost`] not a packet is sent, just the close.
    pub fn close_all(&self, reason: DisconnectReason) {
        let order = match reason {
            DisconnectReason::Kicked => Order::Kick,
            DisconnectReason::ServerShutdown => Order::Shutdown,
            DisconnectReason::NotAuthorized => Order::NotAuthorized,
            DisconnectReason::QuotaExceeded => Order::QuotaExceeded,
            _ => Order::NodeLost,
        };
        self.sockets.close_pending();
        for connection in self.registry.connections() {
            connection.order(order);
        }
    }

    /// Waits until no socket is open, at most `budget`. True when none was.
    pub async fn all_closed(&self, budget: Duration) -> bool {
        tokio::time::timeout(budget, self.sockets.none_left()).await.is_ok()
    }

    /// The end of a connection whose socket is closed: its slot, unless a later connection has it; its session, which
    /// ends or is kept; then the release, unless the claim is known to be over.
    pub(crate) fn ended(&self, connection: &Arc<Connection>, reason: DisconnectReason) {
        connection.standing_order.close();
        self.expiries.forget(connection);
        self.registry.leave(connection);
        self.leave_session(connection);
        self.count_sessions();
        Metrics::disconnected(reason);
        tracing::debug!(client_id = %connection.client_id, epoch = %connection.epoch, ?reason, "connection ended");
        if connection.owes_release() {
            self.store.release(connection.client_id.clone(), connection.epoch, reason);
        }
    }

    pub(crate) fn count_sessions(&self) {
        #[allow(clippy::cast_precision_loss)] // far below 2^52
        self.metrics.sessions_online.set(self.registry.online() as f64);
    }

    /// Where clients of a drain are pointed to; `None` when nobody else is known.
    #[must_use]
    pub fn elsewhere(&self) -> Option<Arc<str>> {
        self.elsewhere.lock().clone()
    }

    /// A drain has begun: no CONNECT is let in any more.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }
}

impl ConnectionEnding for Broker {
    fn claim_ended(&self, client_id: &ClientId, epoch: Epoch, kind: EndingKind) {
        let Ended::Here(connection) = self.registry.claim_ended(client_id, epoch) else { return };
        connection.claim_is_over();
        connection.order(match kind {
            EndingKind::Takeover => Order::Takeover,
            EndingKind::Kicked => Order::Kick,
            EndingKind::NodeLost => Order::NodeLost,
        });
    }
}

impl DeliveryTarget for Broker {
    fn deliver_local(&self, message: Arc<Message>) -> Option<Duration> {
        self.deliver_part(message, &Part::whole()).wait
    }

    fn deliver_part(&self, message: Arc<Message>, part: &Part) -> PartTaken {
        let mut slow = Slow::default();
        let unserved = self.deliver(&message, None, part, &mut slow).unserved;
        let (named, others): (Vec<_>, Vec<_>) = unserved.into_iter().partition(|group| part.groups.contains(group));
        // Whoever sent this does not know of the others.
        others.iter().for_each(|_| self.metrics.dropped(DropReason::NoMember));
        let wait = slow.wait_elsewhere();
        if wait.is_some() {
            self.metrics.acknowledgements_delayed.increment(1);
        }
        PartTaken { unserved: named, wait }
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("connections", &self.connections())
            .field("sessions_online", &self.sessions_online())
            .finish_non_exhaustive()
    }
}
