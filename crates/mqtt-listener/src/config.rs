//! Settings of the MQTT listeners.

use rollcall_session::Limits;
use std::{net::SocketAddr, sync::Arc};

/// Settings of the MQTT listeners of one node.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Where plain MQTT is listened for. Port 0: any free port, kept when the listener is opened again.
    pub mqtt: Option<SocketAddr>,
    /// Where MQTT over WebSocket is listened for, at the path `/mqtt`.
    pub ws: Option<SocketAddr>,
    /// Threads that serve connections, at least 1.
    pub workers: usize,
    /// Sockets before CONNACK, beyond which no further socket is accepted until some are through (B-129).
    pub pending_max: usize,
    /// Connections that wait in the kernel to be accepted.
    pub backlog: u32,
    /// Limits of each connection, the connect timeout among them.
    pub limits: Arc<Limits>,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        ListenerConfig {
            mqtt: Some(SocketAddr::from(([127, 0, 0, 1], 1883))),
            ws: None,
            workers: 1,
            pending_max: 4096,
            backlog: 4096,
            limits: Arc::new(Limits::default()),
        }
    }
}
