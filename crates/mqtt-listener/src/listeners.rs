//! The listeners of one node, on threads of their own: one that accepts, and the workers.

use crate::{
    ListenerConfig,
    accept::Listener,
    serve::{Accepted, Shared, Transport},
    workers::Workers,
};
use rollcall_broker::Broker;
use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread::JoinHandle,
};
use tokio::sync::{mpsc, oneshot};

/// Commands that wait for the accepting thread.
const COMMANDS_WAITING: usize = 4;

/// Where the listeners listen, with the ports they got. They stay the same when listeners are closed and opened again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Addresses {
    /// Plain MQTT.
    pub mqtt: Option<SocketAddr>,
    /// MQTT over TLS.
    pub mqtts: Option<SocketAddr>,
    /// MQTT over WebSocket.
    pub ws: Option<SocketAddr>,
    /// MQTT over WebSocket over TLS.
    pub wss: Option<SocketAddr>,
}

/// Why listeners could not be opened. Nothing listens then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened at. Retry when it is free, or with another.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A listener over TLS has no certificate to show.
    #[error("mqtts and wss need certificates")]
    NoCertificate,
    /// The thread could not be started, or has ended.
    #[error("the listeners' thread is not running: {0}")]
    Thread(String),
}

/// The MQTT listeners of one node. To be shut down with [`MqttListeners::shutdown`]; dropping them stops the threads
/// without waiting.
#[derive(Debug)]
pub struct MqttListeners {
    commands: mpsc::Sender<Command>,
    thread: Option<JoinHandle<()>>,
    addresses: Addresses,
}

#[derive(Debug)]
enum Command {
    Open(oneshot::Sender<Result<Addresses, StartError>>),
    Close(oneshot::Sender<()>),
    Shutdown(oneshot::Sender<()>),
}

impl MqttListeners {
    /// Starts the threads and opens the listeners.
    ///
    /// # Errors
    /// When an address cannot be listened at, or no thread can be started.
    pub async fn start(config: ListenerConfig, broker: Arc<Broker>) -> Result<Self, StartError> {
        let (commands, received) = mpsc::channel(COMMANDS_WAITING);
        let thread = std::thread::Builder::new()
            .name("mqtt-accept".into())
            .spawn(move || {
                ntex::rt::System::new("mqtt", ntex::rt::DefaultRuntime).block_on(attend(config, broker, received));
            })
            .map_err(|error| StartError::Thread(error.to_string()))?;
        let mut listeners = MqttListeners { commands, thread: Some(thread), addresses: Addresses::default() };
        listeners.addresses = listeners.open().await?;
        Ok(listeners)
    }

    /// Where they listen.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Closes the listening sockets: from now on new TCP connections are refused. Open connections are not touched;
    /// the broker closes them. Does nothing when they are closed.
    pub async fn close(&self) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::Close(done)).await.is_ok() {
            // An error means that the thread has ended, and its sockets with it.
            drop(wait.await);
        }
    }

    /// Opens the listening sockets again, at the same addresses. Does nothing when they are open.
    ///
    /// # Errors
    /// When an address cannot be listened at; then none is open.
    pub async fn open(&self) -> Result<Addresses, StartError> {
        let ended = || StartError::Thread("it has ended".into());
        let (done, wait) = oneshot::channel();
        self.commands.send(Command::Open(done)).await.map_err(|_| ended())?;
        wait.await.map_err(|_| ended())?
    }

    /// Closes the listeners and stops the threads. Connections still open are dropped, so the broker should have
    /// closed them before.
    pub async fn shutdown(mut self) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::Shutdown(done)).await.is_ok() {
            drop(wait.await);
        }
        if let Some(thread) = self.thread.take()
            && tokio::task::spawn_blocking(move || thread.join()).await.is_err()
        {
            tracing::error!("the listeners' thread did not end properly");
        }
    }
}

/// The accepting thread's one task: obeys commands and accepts sockets.
async fn attend(config: ListenerConfig, broker: Arc<Broker>, mut commands: mpsc::Receiver<Command>) {
    let mut workers = Workers::start(config.workers, Shared::new(broker.clone(), &config));
    workers.ready().await;
    let mut attendant = Attendant { config, broker, listeners: [const { None }; PORTS.len()] };
    loop {
        tokio::select! {
            biased;
            command = commands.recv() => match command {
                Some(Command::Open(done)) => {
                    // Here and below an error means that nobody waits any more.
                    let _ = done.send(attendant.open());
                }
                Some(Command::Close(done)) => {
                    attendant.close();
                    let _ = done.send(());
                }
                Some(Command::Shutdown(done)) => {
                    attendant.close();
                    workers.stop().await;
                    let _ = done.send(());
                    return;
                }
                None => {
                    attendant.close();
                    workers.stop().await;
                    return;
                }
            },
            (tcp, peer, transport) = attendant.accept() => attendant.hand_over(&workers, tcp, peer, transport),
        }
    }
}

/// The listeners there may be.
const PORTS: [Transport; 4] = [Transport::Tcp, Transport::Tls, Transport::WebSocket, Transport::SecureWebSocket];

struct Attendant {
    config: ListenerConfig,
    broker: Arc<Broker>,
    /// One for each of [`PORTS`].
    listeners: [Option<Listener>; PORTS.len()],
}

impl Attendant {
    fn open(&mut self) -> Result<Addresses, StartError> {
        let opened = self.open_each();
        match &opened {
            Ok(addresses) => {
                // A port that was chosen is kept.
                self.config.mqtt = addresses.mqtt;
                self.config.mqtts = addresses.mqtts;
                self.config.ws = addresses.ws;
                self.config.wss = addresses.wss;
            }
            Err(_) => self.close(),
        }
        opened
    }

    fn open_each(&mut self) -> Result<Addresses, StartError> {
        let config = &self.config;
        let wanted = [config.mqtt, config.mqtts, config.ws, config.wss];
        for ((listener, address), transport) in self.listeners.iter_mut().zip(wanted).zip(PORTS) {
            if let (None, Some(address)) = (&listener, address) {
                if transport.is_secure() && config.certificates.is_none() {
                    return Err(StartError::NoCertificate);
                }
                let opened =
                    Listener::open(address, config.backlog).map_err(|source| StartError::Listen { address, source })?;
                tracing::info!(address = %opened.address, ?transport, "listening");
                *listener = Some(opened);
            }
        }
        let [mqtt, mqtts, ws, wss] =
            self.listeners.each_ref().map(|listener| listener.as_ref().map(|listener| listener.address));
        Ok(Addresses { mqtt, mqtts, ws, wss })
    }

    fn close(&mut self) {
        for listener in self.listeners.iter_mut().filter_map(Option::take) {
            tracing::info!(address = %listener.address, "no longer listening");
        }
    }

    /// The next socket of any listener, once there are not too many before CONNACK.
    async fn accept(&self) -> (TcpStream, SocketAddr, Transport) {
        self.broker.pending_at_most(self.config.pending_max.saturating_sub(1)).await;
        let [mqtt, mqtts, ws, wss] = self.listeners.each_ref().map(Option::as_ref);
        let ((tcp, peer), transport) = tokio::select! {
            accepted = accept_from(mqtt) => (accepted, Transport::Tcp),
            accepted = accept_from(mqtts) => (accepted, Transport::Tls),
            accepted = accept_from(ws) => (accepted, Transport::WebSocket),
            accepted = accept_from(wss) => (accepted, Transport::SecureWebSocket),
        };
        (tcp, peer, transport)
    }

    fn hand_over(&self, workers: &Workers, tcp: TcpStream, peer: SocketAddr, transport: Transport) {
        // Subscribed before the socket counts: whoever closes all that count reaches those no worker has taken up yet.
        let closing = self.broker.closing_signal();
        let socket = self.broker.socket_opened();
        let opened = self.broker.lease().now();
        if !workers.hand_over(Accepted { tcp, peer, transport, opened, socket, closing }) {
            tracing::warn!("no worker takes a socket");
        }
    }
}

async fn accept_from(listener: Option<&Listener>) -> (TcpStream, SocketAddr) {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}
