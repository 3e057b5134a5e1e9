//! What lies between a socket and its MQTT bytes, put in place within the connect timeout: the header of the PROXY
//! protocol, TLS, WebSocket. Below them all is the socket's own gate, so that none of them gets a byte past it.

use crate::{
    metrics::Unanswered,
    proxy_header,
    serve::{Shared, Transport},
    socket::{Gate, GatedTcp, SocketClosed},
    websocket::{self, Refused},
};
use ntex::{
    io::{Filter, Io, IoBoxed, Layer},
    time::Millis,
    tls::{
        Servername,
        rustls::{PeerCertChain, TlsServerFilter},
    },
};
use rollcall_broker::Peer;
use rollcall_tls::Certificates;
use std::{io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};
use tokio::net::TcpStream;

/// How long a refused upgrade may take to be flushed.
const REFUSAL_LIMIT: Duration = Duration::from_millis(1500);

/// A socket that is ready for MQTT.
pub(crate) struct Opened {
    pub(crate) io: IoBoxed,
    pub(crate) closed: SocketClosed,
    pub(crate) peer: Peer,
}

/// Puts all layers in place. Takes at most `limit`, as long as its caller waits for it no longer.
pub(crate) async fn open(
    tcp: std::net::TcpStream,
    address: SocketAddr,
    transport: Transport,
    limit: Duration,
    shared: &Shared,
    gate: Rc<Gate>,
) -> Result<Opened, Unanswered> {
    let gone = |error: io::Error| {
        tracing::debug!(%error, "an accepted socket cannot be served");
        Unanswered::PeerGone
    };
    let mut tcp = TcpStream::from_std(tcp).map_err(gone)?;
    let mut peer = Peer::from(address);
    if shared.proxy_protocol {
        match proxy_header::read(&mut tcp).await {
            Ok(client) => peer.address = client.unwrap_or(address),
            Err(proxy_header::Fault::Gone) => return Err(Unanswered::PeerGone),
            Err(proxy_header::Fault::Malformed) => return Err(Unanswered::ProxyHeader),
        }
    }
    let (stream, closed) = GatedTcp::new(tcp, gate);
    let io = Io::new(stream, shared.io.clone());
    if !transport.is_secure() {
        return over(io, closed, peer, transport, shared).await;
    }
    let certificates = shared.certificates.as_ref().ok_or(Unanswered::Tls)?;
    let io = secured(io, certificates, limit).await?;
    let chain = io.query::<PeerCertChain<'static>>();
    let server_name = io.query::<Servername>();
    let admitted = {
        let name = server_name.as_ref().map(|name| name.0.as_str());
        certificates.admit(name, chain.as_ref().map(|chain| chain.0.as_slice())).map_err(|_| Unanswered::Tls)?
    };
    peer.certificate = admitted.certificate;
    over(io, closed, peer, transport, shared).await
}

async fn secured<F: Filter>(
    io: Io<F>,
    certificates: &Arc<Certificates>,
    limit: Duration,
) -> Result<Io<Layer<TlsServerFilter, F>>, Unanswered> {
    let limit = Millis(u32::try_from(limit.as_millis()).unwrap_or(u32::MAX));
    TlsServerFilter::create(io, certificates.server_config(), limit).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotConnected => Unanswered::PeerGone,
        io::ErrorKind::TimedOut => Unanswered::ConnectTimeout,
        _ => Unanswered::Tls,
    })
}

async fn over<F: Filter>(
    io: Io<F>,
    mut closed: SocketClosed,
    peer: Peer,
    transport: Transport,
    shared: &Shared,
) -> Result<Opened, Unanswered> {
    if !transport.is_web() {
        return Ok(Opened { io: io.into(), closed, peer });
    }
    let (io, refused) = match websocket::upgrade(io, shared.limits.packet_bytes_max).await {
        Ok(io) => return Ok(Opened { io: io.into(), closed, peer }),
        Err(refused) => refused,
    };
    // An error means that the client has gone meanwhile.
    drop(io.encode_slice(refused.answer().as_bytes()));
    io.close();
    closed.wait(REFUSAL_LIMIT).await;
    Err(if refused == Refused::Gone { Unanswered::PeerGone } else { Unanswered::Invalid })
}
