//! From an accepted socket to a connection that is served: socket, filters, engine.

use crate::{
    connection::{Engine, Parts},
    metrics::{Unanswered, unanswered},
    outbound::Outbound,
    socket::{Gate, GatedTcp, SocketClosed},
    websocket::{self, Refused},
    wire::Wire,
};
use ntex::{
    SharedCfg,
    io::{Io, IoBoxed, IoConfig},
    time::Seconds,
};
use rollcall_broker::{Broker, ClosingSignal, OpenSocket};
use rollcall_session::{Connection, Limits};
use rollcall_types::BootTime;
use std::{net::SocketAddr, net::TcpStream, rc::Rc, sync::Arc, time::Duration};

/// How long ntex flushes a stream that shuts down.
const FLUSH_LIMIT: Seconds = Seconds(1);

/// How long a refused upgrade may take to be flushed.
const REFUSAL_LIMIT: Duration = Duration::from_millis(1500);

/// What lies between the socket and the MQTT bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transport {
    /// Nothing.
    Tcp,
    /// WebSocket.
    WebSocket,
}

/// A socket that a listener accepted.
pub(crate) struct Accepted {
    pub(crate) tcp: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) opened: BootTime,
    pub(crate) socket: OpenSocket,
}

/// What all connections share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) broker: Arc<Broker>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) io: SharedCfg,
}

impl Shared {
    pub(crate) fn new(broker: Arc<Broker>, limits: Arc<Limits>) -> Self {
        let io = SharedCfg::new("mqtt").add(IoConfig::new().set_disconnect_timeout(FLUSH_LIMIT)).into();
        Shared { broker, limits, io }
    }
}

/// Serves one socket to its end.
pub(crate) async fn serve(accepted: Accepted, shared: Shared) {
    // Subscribed before anything else, so that no close is missed.
    let mut closing = shared.broker.closing_signal();
    let gate = Rc::new(Gate::default());
    let Accepted { tcp, peer, transport, opened, socket } = accepted;
    let (stream, mut closed) = match GatedTcp::new(tcp, gate.clone()) {
        Ok(opened) => opened,
        Err(error) => return tracing::debug!(%error, "an accepted socket cannot be served"),
    };
    let io = Io::new(stream, shared.io.clone());
    // TLS will be a filter added here, before the WebSocket.
    let io = match transport {
        Transport::Tcp => Some(IoBoxed::from(io)),
        Transport::WebSocket => Box::pin(web_socket(io, &shared.limits, &mut closing, &mut closed)).await,
    };
    let Some(io) = io else { return };
    let engine = Engine::new(Parts {
        outbound: Outbound { io, wire: Wire::new(shared.limits.packet_bytes_max), gate },
        closed,
        session: Connection::new(shared.limits, rand::random(), opened),
        socket,
        closing,
        peer,
        broker: shared.broker,
    });
    Box::pin(engine.run()).await;
}

/// Upgrades to WebSocket within the connect timeout; `None` when it was refused and the socket is closed.
async fn web_socket(
    io: Io,
    limits: &Limits,
    closing: &mut ClosingSignal,
    closed: &mut SocketClosed,
) -> Option<IoBoxed> {
    let upgrading = websocket::upgrade(io, limits.packet_bytes_max);
    let limit = match limits.connect_timeout_ms {
        0 => Duration::MAX,
        limit_ms => Duration::from_millis(limit_ms),
    };
    let (io, refused) = tokio::select! {
        biased;
        () = closing.closing() => {
            unanswered(Unanswered::Closing);
            return None;
        }
        upgraded = tokio::time::timeout(limit, upgrading) => match upgraded {
            Ok(Ok(io)) => return Some(io.into()),
            Ok(Err(refused)) => refused,
            Err(_elapsed) => {
                unanswered(Unanswered::ConnectTimeout);
                return None;
            }
        },
    };
    unanswered(if refused == Refused::Gone { Unanswered::PeerGone } else { Unanswered::Invalid });
    // An error means that the client has gone meanwhile.
    drop(io.encode_slice(refused.answer().as_bytes()));
    io.close();
    closed.wait(REFUSAL_LIMIT).await;
    None
}
