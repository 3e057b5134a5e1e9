//! The protocol machine of one MQTT connection, and the state of the session behind it.
//!
//! [`Connection::handle`] takes what happened and when, and returns what the shell must do. Every way a connection can
//! end leaves by one door, [`Effect::End`], whose content comes from one table ([`ending()`]). Time arrives as an
//! argument; randomness (for assigned client ids) is given at the start.
//!
//! [`Session`] is what may outlive the connection: the queue towards the client, the messages under way both ways, and
//! the packet identifiers. It is lent to [`Connection::handle`] by whoever keeps it, takes messages while no connection
//! is there, and can be exported and imported ([`SessionState`]).
//!
//! What does not belong here: bytes and codecs (packets arrive decoded and neutral of the version), sockets, tasks,
//! clocks, permissions, quotas, the subscription trie, the registry of connections, and what is known of other nodes.
//!
//! Start reading at [`Connection`] and [`Session`]; `ending.rs` is the table of endings.

#![forbid(unsafe_code)]

mod alias;
mod authentication;
mod client_limit;
mod connect;
mod connection;
mod delivery;
mod ending;
mod event;
mod inbound;
mod keep_alive;
mod limits;
mod outgoing;
mod packet;
mod publishing;
mod queue;
mod reason;
mod refusal;
mod session;
mod stored;
mod window;

pub use authentication::{Auth, AuthAnswer, AuthPurpose, Authenticating};
pub use client_limit::ClientLimit;
pub use connect::ConnectRequest;
pub use connection::Connection;
pub use delivery::{Delivery, OutgoingAlias, OutgoingPublish};
pub use ending::{Cause, Ending, Farewell, Fault, Phase, ending};
pub use event::{Effect, Event, Order, PublishVerdict, Receipt, SubscribeAnswer, UnsubscribeAnswer};
pub use keep_alive::KeepAlive;
pub use limits::{INFLIGHT_V3, Limits};
pub use outgoing::{ConnAck, Outgoing};
pub use packet::{Connect, DecodeFault, Packet, Password, Publish, RequestedSubscription, RetainHandling, Subscribe};
pub use queue::{Filled, Offered, Queue, QueueLimits};
pub use reason::ReasonCode;
pub use refusal::ConnectRefusal;
pub use session::{EXPIRY_NEVER_S, LinkTerms, Session};
pub use stored::{SessionState, StoredDelivery, StoredUnderWay};
