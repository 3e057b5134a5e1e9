//! Runs the sessions of one node: who is connected here, the way of a CONNECT to its claim, endings, and messages.
//!
//! [`Broker`] is the shell around the rules of `session` and `routing`. It asks the mechanisms of `contracts` (presence
//! store, lease, admission, other nodes) and never a socket: a listener hands it a valid CONNECT with
//! [`Broker::connect`], gets a [`HeldClaim`] with the [`Connection`] behind it, writes only while
//! [`Connection::may_send`] says so, and at the end closes its socket and then calls [`HeldClaim::release`].
//!
//! What does not belong here: bytes, codecs, sockets, Raft, the mesh, accounts.
//!
//! As yet messages travel at QoS 0: QoS 1 and 2 publishes are acknowledged properly and delivered at QoS 0, SUBACK
//! grants QoS 0, nothing is retained, sessions end with their connection, and shared subscriptions are refused.
//!
//! Start reading at `connect.rs`, the way of a CONNECT; `registry.rs` has the one slot per client id.

#![forbid(unsafe_code)]

mod broker;
mod config;
mod connect;
mod connection;
mod damping;
mod drain;
mod held_claim;
mod mailbox;
mod metrics;
mod peer;
mod publish;
mod reconcile;
mod registry;
mod sockets;
mod subscribe;
mod turn;

pub use broker::Broker;
pub use config::BrokerConfig;
pub use connection::{Connection, ToConnection};
pub use drain::DrainReport;
pub use held_claim::HeldClaim;
pub use metrics::describe_metrics;
pub use peer::Peer;
pub use reconcile::Reconciled;
pub use sockets::{ClosingSignal, OpenSocket};
