//! The gateway's life: one thread that owns an actix system with a server for the data plane and one for the admin
//! listener, started and stopped from outside.

use crate::{
    admin::AdminFactory,
    config::{GatewayConfig, GatewayParts, Listen},
    connection_number,
    error::GatewayError,
    status::StatusFactory,
};
use actix_web::{
    HttpServer,
    dev::{Server, ServerHandle},
    rt::System,
};
use parking_lot::Mutex;
use rollcall_tls::Certificates;
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

/// Connections the kernel holds for a listener that is not accepting fast enough.
const BACKLOG: u32 = 4096;
/// The admin listener serves probes and scrapes.
const ADMIN_CONNECTIONS_MAX: usize = 1024;
/// A client that does not end its half of a closed connection is cut after this.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Where a running gateway listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Addresses {
    /// Data plane in the clear.
    pub http: Option<SocketAddr>,
    /// Data plane over TLS.
    pub https: Option<SocketAddr>,
    /// Health and metrics.
    pub admin: Option<SocketAddr>,
}

/// A running gateway. Dropping it stops it without waiting; [`Gateway::stop`] lets requests end.
pub struct Gateway {
    addresses: Addresses,
    running: Mutex<Option<Running>>,
    /// Kept as long as they are shown: it is they who watch their files.
    _certificates: Option<Arc<Certificates>>,
}

struct Running {
    handles: Vec<ServerHandle>,
    thread: JoinHandle<()>,
}

struct Started {
    addresses: Addresses,
    servers: Vec<Server>,
}

impl Gateway {
    /// Opens the listeners and serves them on threads of its own. Blocks only until they are open. The metrics
    /// recorder must be installed before.
    ///
    /// # Errors
    /// When a listener cannot be opened, the certificate is unusable or the thread cannot be started; nothing runs then.
    pub fn start(config: GatewayConfig, parts: GatewayParts) -> Result<Gateway, GatewayError> {
        if config.http.is_none() && config.https.is_none() && config.admin.is_none() {
            return Err(GatewayError::NoListener);
        }
        let certificates = config.https.as_ref().map(|(_, certificates)| certificates.clone());
        let (sender, receiver) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("http-gateway".into())
            .spawn(move || System::new().block_on(run(config, parts, sender)))
            .map_err(|error| GatewayError::Thread(error.to_string()))?;
        let (addresses, handles) =
            receiver.recv().map_err(|_| GatewayError::Thread("it ended before it listened".into()))??;
        tracing::info!(?addresses, "http gateway listens");
        Ok(Gateway { addresses, running: Mutex::new(Some(Running { handles, thread })), _certificates: certificates })
    }

    /// Where it listens, with the ports that were given out.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// False once it was stopped, or its thread ended by itself.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.lock().as_ref().is_some_and(|running| !running.thread.is_finished())
    }

    /// Accepts nothing new, lets requests in progress end (at most `shutdown_timeout`), closes the connections and ends
    /// the threads. A second call does nothing.
    pub async fn stop(&self) {
        let Some(Running { handles, thread }) = self.running.lock().take() else { return };
        for stopping in handles.iter().map(|handle| handle.stop(true)).collect::<Vec<_>>() {
            stopping.await;
        }
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the http gateway's thread did not end well");
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(running) = self.running.get_mut().take() {
            for handle in running.handles {
                // The command is sent by the call; the future only waits for its completion.
                drop(handle.stop(false));
            }
        }
    }
}

type StartReport = Result<(Addresses, Vec<ServerHandle>), GatewayError>;

async fn run(config: GatewayConfig, parts: GatewayParts, sender: mpsc::SyncSender<StartReport>) {
    let Started { addresses, servers } = match open(config, parts) {
        Ok(started) => started,
        Err(error) => {
            // The receiver waits in `start`; were it gone, nobody could be told.
            let _told = sender.send(Err(error));
            return;
        }
    };
    let handles = servers.iter().map(Server::handle).collect();
    if sender.send(Ok((addresses, handles))).is_err() {
        return;
    }
    for outcome in futures_util::future::join_all(servers).await {
        if let Err(error) = outcome {
            tracing::error!(%error, "an http server ended with an error");
        }
    }
}

fn open(config: GatewayConfig, parts: GatewayParts) -> Result<Started, GatewayError> {
    let factory = StatusFactory::new(&config, parts);
    let data_plane = factory.clone();
    // Everything that can fail comes first: a server that runs cannot be taken back.
    let http = config.http.map(listener).transpose()?;
    let https = config.https.map(|(listen, tls)| Ok::<_, GatewayError>((listener(listen)?, tls))).transpose()?;
    let admin = config.admin.map(listener).transpose()?;
    let addresses = Addresses {
        http: http.as_ref().map(|(_, address)| *address),
        https: https.as_ref().map(|((_, address), _)| *address),
        admin: admin.as_ref().map(|(_, address)| *address),
    };
    let shutdown_s = config.shutdown_timeout.as_secs().max(1);
    let mut status_server = None;

    if http.is_some() || https.is_some() {
        let workers = match config.workers {
            0 => thread::available_parallelism().map_or(1, usize::from).div_ceil(2),
            workers => workers,
        };
        let mut server = HttpServer::new(move || factory.clone())
            .workers(workers)
            .on_connect(connection_number::give)
            .max_connections(config.connections_max.div_ceil(workers).max(1))
            .keep_alive(config.keep_alive)
            .client_request_timeout(config.request_head_timeout)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .tls_handshake_timeout(config.request_head_timeout)
            .tcp_nodelay(true)
            .shutdown_timeout(shutdown_s)
            .disable_signals();
        if let Some((listener, _)) = http {
            server = server.listen(listener).map_err(GatewayError::Listener)?;
        }
        if let Some(((listener, _), certificates)) = https {
            // The HTTP layer adds its protocols (`h2`, `http/1.1`) to a copy.
            let tls = certificates.server_config().as_ref().clone();
            server = server.listen_rustls_0_23(listener, tls).map_err(GatewayError::Listener)?;
        }
        status_server = Some(server);
    }

    let mut admin_server = None;
    if let Some((listener, _)) = admin {
        let factory = AdminFactory { data_plane };
        let server = HttpServer::new(move || factory.clone())
            .workers(1)
            .max_connections(ADMIN_CONNECTIONS_MAX)
            .keep_alive(config.keep_alive)
            .client_request_timeout(config.request_head_timeout)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .shutdown_timeout(shutdown_s)
            .disable_signals()
            .listen(listener)
            .map_err(GatewayError::Listener)?;
        admin_server = Some(server);
    }
    let servers = status_server.map(HttpServer::run).into_iter().chain(admin_server.map(HttpServer::run)).collect();
    Ok(Started { addresses, servers })
}

fn listener(listen: Listen) -> Result<(TcpListener, SocketAddr), GatewayError> {
    match listen {
        Listen::Listener(listener) => {
            let address = listener.local_addr().map_err(GatewayError::Listener)?;
            Ok((listener, address))
        }
        Listen::Address(address) => {
            let bound = bind(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
            let (bound_to, listener) = bound.map_err(|source| GatewayError::Listen { address, source })?;
            Ok((listener, bound_to))
        }
    }
}

/// Binds with a backlog of its own choice, which the standard library's listener does not offer.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}
