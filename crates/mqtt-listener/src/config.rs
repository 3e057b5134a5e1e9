//! Settings of the MQTT listeners.

use rollcall_session::Limits;
use rollcall_tls::Certificates;
use std::{net::SocketAddr, sync::Arc};

/// Settings of the MQTT listeners of one node.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Where plain MQTT is listened for. Port 0: any free port, kept when the listener is opened again.
    pub mqtt: Option<SocketAddr>,
    /// Where MQTT over TLS is listened for.
    pub mqtts: Option<SocketAddr>,
    /// Where MQTT over WebSocket is listened for, at the path `/mqtt`.
    pub ws: Option<SocketAddr>,
    /// Where MQTT over WebSocket over TLS is listened for, at the path `/mqtt`.
    pub wss: Option<SocketAddr>,
    /// The certificates for `mqtts` and `wss`.
    pub certificates: Option<Arc<Certificates>>,
    /// A header of the PROXY protocol comes first on each connection, whatever the listener.
    pub proxy_protocol: bool,
    /// Threads that serve connections, at least 1.
    pub workers: usize,
    /// Sockets before CONNACK, beyond which no further socket is accepted until some are through (B-129).
    pub pending_max: usize,
    /// Connections that wait in the kernel to be accepted.
    pub backlog: u32,
    /// Refuse client ids, user names, topics and filters with control characters and non-characters, which a server
    /// may (MQTT-1.5.4), as outside test suites expect.
    pub plain_names: bool,
    /// Say why in words to MQTT 5 clients that are refused something, unless they do not want it. Outside test suites
    /// compare packets byte for byte.
    pub reason_strings: bool,
    /// Limits of each connection, the connect timeout among them.
    pub limits: Arc<Limits>,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        ListenerConfig {
            mqtt: Some(SocketAddr::from(([127, 0, 0, 1], 1883))),
            mqtts: None,
            ws: None,
            wss: None,
            certificates: None,
            proxy_protocol: false,
            workers: 1,
            pending_max: 4096,
            backlog: 4096,
            plain_names: false,
            reason_strings: false,
            limits: Arc::new(Limits::default()),
        }
    }
}
