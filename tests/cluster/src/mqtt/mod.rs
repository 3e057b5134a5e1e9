//! A raw MQTT client for 3.1, 3.1.1 and 5.0: it sends what it is told, right or wrong, and shows every byte that comes
//! back.

mod connection;
mod delivery;
mod packet;
mod tls;
mod websocket;

pub use connection::{Arrival, Connack, Connection, Refused};
pub use delivery::Delivered;
pub use packet::{Connect, Packet, Version, Will, kind, packet, publish, subscribe};
pub use tls::Identity;
pub use websocket::WebSocket;
