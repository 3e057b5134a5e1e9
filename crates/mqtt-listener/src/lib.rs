//! The MQTT edge of a node: sockets and bytes on one side, `broker` on the other.
//!
//! MQTT 3.1, 3.1.1 and 5.0 on one port, over TCP, TLS and WebSocket. ntex gives workers, buffers, filters and the codecs of
//! ntex-mqtt; the connection engine is ours: [`rollcall_session::Connection`] decides, `connection.rs` carries out.
//! Listening sockets can be closed and opened again within one process while the workers stay, which a node does when
//! its lease runs out and it comes back with a new incarnation.
//!
//! One task serves a connection, beside the one that moves its bytes. Every packet to a client passes
//! `outbound.rs`, and the bytes pass the lease once more right before the system call that writes them
//! (`socket.rs`).
//!
//! What does not belong here: protocol rules (`session`), the registry, claims and subscriptions (`broker`).
//!
//! TLS and WebSocket are filters between the socket and the MQTT bytes; `layers.rs` puts them in place.

#![forbid(unsafe_code)]

mod accept;
mod acknowledgements;
mod authentication;
mod config;
mod connection;
mod finish;
mod first;
mod layers;
mod listeners;
mod metrics;
mod outbound;
mod proxy_header;
mod publishing;
mod serve;
mod socket;
mod timer;
mod translate;
mod verdicts;
mod waiting;
mod websocket;
mod wire;
mod workers;

pub use config::ListenerConfig;
pub use listeners::{Addresses, MqttListeners, StartError};
pub use metrics::describe_metrics;
