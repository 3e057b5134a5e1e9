//! Runs the sessions of one node: who is connected here, the way of a CONNECT to its claim, endings, and messages.
//!
//! [`Broker`] is the shell around the rules of `session` and `routing`. It asks the mechanisms of `contracts` (presence
//! store, lease, admission, other nodes) and never a socket: a listener hands it a valid CONNECT with
//! [`Broker::connect`], gets a [`HeldClaim`] with the [`Connection`] behind it, writes only while
//! [`Connection::may_send`] says so, and at the end closes its socket and then calls [`HeldClaim::release`].
//!
//! What does not belong here: bytes, codecs, sockets, Raft, the mesh, accounts.
//!
//! Sessions outlive their connections on this node until their expiry, and a CONNECT on this node resumes them; one on
//! another node brings them there (`handover.rs`). A message of a
//! shared subscription goes to one member in the cluster: the publisher's node chooses a node, that node a member.
//!
//! Start reading at `connect.rs`, the way of a CONNECT; `registry.rs` has the one slot per client id,
//! `client_session.rs` what outlives a connection.

#![forbid(unsafe_code)]

mod access;
mod announce;
mod broker;
mod client_control;
mod client_session;
mod config;
mod connect;
mod connection;
mod damping;
mod data_plane;
mod drain;
mod enhanced;
mod events;
mod expiry;
mod handover;
mod handover_answers;
mod handover_wire;
mod held_back;
mod held_claim;
mod instance_limits;
mod interests;
mod keep_alive;
mod memory_sessions;
mod message_rate;
mod metrics;
mod peer;
mod point_to_point;
mod pressure;
mod publish;
mod reconcile;
mod redispatch;
mod registry;
mod retained;
mod session_store;
mod sessions;
mod shared;
mod shared_lag;
mod sockets;
mod standing_order;
mod subscribe;
mod subscriptions;
mod system_topics;
mod turn;

pub use announce::{LaterAnswers, Subscribed};
pub use broker::Broker;
pub use config::BrokerConfig;
pub use connection::{Connection, ToConnection};
pub use drain::DrainReport;
pub use enhanced::{Authenticated, Exchange, Proved};
pub use events::SubscribersEased;
pub use held_claim::HeldClaim;
pub use memory_sessions::MemorySessions;
pub use metrics::describe_metrics;
pub use peer::Peer;
pub use publish::{FirstSteps, LaterVerdict, Published};
pub use reconcile::Reconciled;
pub use session_store::{DetachedSession, NotKept, SessionStore, SessionsUnavailable};
pub use sockets::{ClosingSignal, OpenSocket};
pub use subscribe::OverRate;
