//! The protocol machine of one MQTT connection: packet order, keep-alive, acknowledgements on receipt, endings.
//!
//! [`Connection::handle`] takes what happened and when, and returns what the shell must do. Every way a connection can
//! end leaves by one door, [`Effect::End`], whose content comes from one table ([`ending()`]). Time arrives as an
//! argument; randomness (for assigned client ids) is given at the start.
//!
//! What does not belong here: bytes and codecs (packets arrive decoded and neutral of the version), sockets, tasks,
//! clocks, permissions, quotas, the subscription trie, the registry of connections, and what is known of other nodes.
//!
//! Start reading at [`Connection`]; `ending.rs` is the table of endings.

#![forbid(unsafe_code)]

mod connect;
mod connection;
mod ending;
mod event;
mod inbound;
mod keep_alive;
mod limits;
mod outgoing;
mod packet;
mod reason;
mod refusal;

pub use connect::ConnectRequest;
pub use connection::Connection;
pub use ending::{Cause, Ending, Farewell, Fault, Phase, ending};
pub use event::{Delivery, Effect, Event, Order, PublishVerdict, Receipt, SubscribeAnswer};
pub use keep_alive::KeepAlive;
pub use limits::Limits;
pub use outgoing::{ConnAck, Outgoing};
pub use packet::{Connect, DecodeFault, Packet, Password, Publish, RequestedSubscription, RetainHandling, Subscribe};
pub use reason::ReasonCode;
pub use refusal::ConnectRefusal;
