//! From an accepted socket to a connection that is served: socket, filters, engine.

use crate::{
    ListenerConfig,
    connection::{Engine, Parts},
    layers::{self, Opened},
    metrics::{Unanswered, unanswered},
    outbound::Outbound,
    socket::Gate,
    wire::{Names, Wire},
};
use ntex::{SharedCfg, io::IoConfig, time::Seconds};
use rollcall_broker::{Broker, ClosingSignal, OpenSocket};
use rollcall_session::{Connection, Limits};
use rollcall_tls::Certificates;
use rollcall_types::BootTime;
use std::{net::SocketAddr, net::TcpStream, rc::Rc, sync::Arc, time::Duration};

/// How long ntex flushes a stream that shuts down.
const FLUSH_LIMIT: Seconds = Seconds(1);

/// What lies between the socket and the MQTT bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transport {
    /// Nothing.
    Tcp,
    /// TLS.
    Tls,
    /// WebSocket.
    WebSocket,
    /// TLS, and WebSocket in it.
    SecureWebSocket,
}

impl Transport {
    pub(crate) fn is_secure(self) -> bool {
        matches!(self, Transport::Tls | Transport::SecureWebSocket)
    }

    pub(crate) fn is_web(self) -> bool {
        matches!(self, Transport::WebSocket | Transport::SecureWebSocket)
    }
}

/// A socket that a listener accepted.
pub(crate) struct Accepted {
    pub(crate) tcp: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) opened: BootTime,
    pub(crate) socket: OpenSocket,
    pub(crate) closing: ClosingSignal,
}

/// What all connections share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) broker: Arc<Broker>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) names: Names,
    pub(crate) reason_strings: bool,
    pub(crate) certificates: Option<Arc<Certificates>>,
    pub(crate) proxy_protocol: bool,
    pub(crate) io: SharedCfg,
}

impl Shared {
    pub(crate) fn new(broker: Arc<Broker>, config: &ListenerConfig) -> Self {
        let io = SharedCfg::new("mqtt").add(IoConfig::new().set_disconnect_timeout(FLUSH_LIMIT)).into();
        let names = if config.plain_names { Names::Plain } else { Names::Any };
        let (limits, certificates) = (config.limits.clone(), config.certificates.clone());
        let (proxy_protocol, reason_strings) = (config.proxy_protocol, config.reason_strings);
        Shared { broker, limits, names, reason_strings, certificates, proxy_protocol, io }
    }
}

/// Serves one socket to its end.
pub(crate) async fn serve(accepted: Accepted, shared: Shared) {
    let gate = Rc::new(Gate::default());
    let Accepted { tcp, peer, transport, opened, socket, mut closing } = accepted;
    let limit = match shared.limits.connect_timeout_ms {
        0 => Duration::MAX,
        limit_ms => Duration::from_millis(limit_ms.saturating_sub(shared.broker.lease().now().since(opened))),
    };
    let layers = Box::pin(layers::open(tcp, peer, transport, limit, &shared, gate.clone()));
    let result = tokio::select! {
        biased;
        () = closing.closing() => Err(Unanswered::Closing),
        result = tokio::time::timeout(limit, layers) => result.unwrap_or(Err(Unanswered::ConnectTimeout)),
    };
    let Opened { io, closed, peer } = match result {
        Ok(opened) => opened,
        Err(cause) => return unanswered(cause),
    };
    let wire = Wire::new(shared.limits.packet_bytes_max, shared.names, shared.reason_strings);
    let engine = Engine::new(Parts {
        outbound: Outbound { io, wire, gate },
        closed,
        session: Connection::new(shared.limits, rand::random(), opened),
        socket,
        closing,
        peer,
        broker: shared.broker,
    });
    Box::pin(engine.run()).await;
}
