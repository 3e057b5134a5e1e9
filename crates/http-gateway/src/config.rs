//! What the gateway is started with.

use rollcall_contracts::{
    AccessControl, Admission, ClientControl, DataPlane, Interests, Membership, PresenceFeeds, PresenceQuestions,
    PresenceStore, QuotaBoard, Readiness, RetainedStore,
};
use rollcall_tls::Certificates;
use rollcall_types::CLIENT_ID_BYTES_MAX;
use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

/// Where to listen.
#[derive(Debug)]
pub enum Listen {
    /// Bind this address (port 0: any free port, see [`crate::Gateway::addresses`]).
    Address(SocketAddr),
    /// Serve this listener, bound by somebody else.
    Listener(TcpListener),
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Listen::Address(address)
    }
}

impl From<TcpListener> for Listen {
    fn from(listener: TcpListener) -> Self {
        Listen::Listener(listener)
    }
}

/// Listeners and bounds. `Default` has no listener.
pub struct GatewayConfig {
    /// Data plane in the clear; HTTP/1.0 and 1.1.
    pub http: Option<Listen>,
    /// Data plane over TLS 1.2 and 1.3; HTTP/1.0, 1.1 and 2.
    pub https: Option<(Listen, Arc<Certificates>)>,
    /// Health and metrics; HTTP/1.0 and 1.1.
    pub admin: Option<Listen>,
    /// Threads that serve the data plane; 0 = one for two cores. The admin listener has one thread of its own, so that a
    /// busy data plane does not make the node look dead.
    pub workers: usize,
    /// Data-plane connections at once; further ones wait in the backlog. Shared out evenly over the workers.
    pub connections_max: usize,
    /// Longest wait for a connection's first request head; then 408.
    pub request_head_timeout: Duration,
    /// A connection without a request for so long is closed.
    pub keep_alive: Duration,
    /// Longest client id accepted, in bytes (`client_id_bytes_max`); beyond it 400.
    pub client_id_bytes_max: usize,
    /// Name of the cluster: a list's cursor goes on in the cluster that made it, and in no other.
    pub cluster: String,
    /// How long a node's clients may go on being told as online after it died, as the rich form says (`lease_ms`).
    pub lease: Duration,
    /// Long polls that may wait at once; beyond it 503.
    pub waits_max: usize,
    /// Streams of events that may be open at once (`event_streams`); beyond it 503. 0 = no bound.
    pub streams_max: usize,
    /// Longest time for which a stream of events says nothing.
    pub stream_heartbeat: Duration,
    /// Bounds of messages that are published.
    pub publish: PublishLimits,
    /// Longest keep-alive that a connection is given, in seconds (`keep_alive_max_s`); 0 = off.
    pub keep_alive_max_s: u16,
    /// How long [`crate::Gateway::stop`] waits for requests in progress. Whole seconds.
    pub shutdown_timeout: Duration,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        GatewayConfig {
            http: None,
            https: None,
            admin: None,
            workers: 0,
            connections_max: 50_000,
            request_head_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            client_id_bytes_max: CLIENT_ID_BYTES_MAX,
            cluster: String::new(),
            lease: Duration::from_millis(5000),
            waits_max: 10_000,
            streams_max: 1_000,
            stream_heartbeat: Duration::from_secs(10),
            publish: PublishLimits::default(),
            keep_alive_max_s: 0,
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

/// The bounds that MQTT's messages have, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublishLimits {
    /// Longest topic, in bytes (`topic_bytes_max`); beyond it 400.
    pub topic_bytes_max: usize,
    /// Most levels of a topic (`topic_levels_max`); beyond it 400.
    pub topic_levels_max: usize,
    /// Largest payload, in bytes (`payload_bytes_max`, or what a packet may have where that is off); beyond it 413.
    pub payload_bytes_max: usize,
}

impl Default for PublishLimits {
    fn default() -> Self {
        PublishLimits { topic_bytes_max: 1024, topic_levels_max: 128, payload_bytes_max: 1024 * 1024 }
    }
}

/// Renders all metrics as Prometheus text, format 0.0.4.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What the gateway asks.
#[derive(Clone)]
pub struct GatewayParts {
    /// Answers the question. Its futures are polled on the gateway's threads.
    pub presence: Arc<dyn PresenceStore>,
    /// Answers the larger questions. Its futures are polled in `runtime`'s context.
    pub questions: Arc<dyn PresenceQuestions>,
    /// What streams of events are made of. Its futures are polled in `runtime`'s context.
    pub feeds: Arc<dyn PresenceFeeds>,
    /// `true` once readers of streams are to go to another node.
    pub leaving: tokio::sync::watch::Receiver<bool>,
    /// Credentials, permissions, quota.
    pub admission: Arc<dyn Admission>,
    /// Takes messages and changes connections. Its futures are polled in `runtime`'s context.
    pub data_plane: Arc<dyn DataPlane>,
    /// What operators do to clients, for the management API. Its futures are polled in `runtime`'s context.
    pub clients: Arc<dyn ClientControl>,
    /// Who wants which messages, for the management API. Its futures are polled in `runtime`'s context.
    pub interests: Arc<dyn Interests>,
    /// Retained messages, for the management API. Its futures are polled in `runtime`'s context.
    pub retained: Arc<dyn RetainedStore>,
    /// Users, policies, block rules and tokens, for the management API.
    pub access: Arc<dyn AccessControl>,
    /// The members, for the management API.
    pub membership: Arc<dyn Membership>,
    /// The instance's quota, to be shown.
    pub quota: Arc<dyn QuotaBoard>,
    /// What `/readyz` says.
    pub readiness: Arc<dyn Readiness>,
    /// What `/metrics` says.
    pub metrics: RenderMetrics,
    /// Password verification and the work for larger questions run here, never on the gateway's threads.
    pub runtime: tokio::runtime::Handle,
}
