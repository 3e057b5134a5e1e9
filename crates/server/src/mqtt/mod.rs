//! A small MQTT 3.1.1 client over plain TCP: CONNECT, PINGREQ, DISCONNECT and nothing else. Enough for devices that
//! come and go, and cheap enough to open thousands of.

mod connection;
mod packet;

pub(crate) use connection::MqttConnection;
pub(crate) use packet::{Connect, push_length};
