//! Calls between the nodes of one cluster: authenticated links, many calls on each, snapshots in pieces.
//!
//! Each node dials every other one and sends its calls on the link it dialled, so a pair of nodes has two links, one for
//! each direction. Where one link is missing, calls go over a node that both reach. A call is answered, refused, or its
//! outcome is unknown; no call is ever sent twice here. On top of
//! them [`OutgoingStreams`] and [`IncomingStreams`] are one ordered stream for each direction of a pair, whose items are
//! sent again until they are taken, and taken once. What the
//! payloads mean belongs to the shells above, and who the peers are is told by them too.

#![forbid(unsafe_code)]

mod batches;
mod config;
mod connection;
mod dial;
mod endpoint;
mod inbound;
mod join;
mod limits;
mod link;
mod listen;
mod local;
mod mesh;
mod metrics;
mod passing_on;
mod peer;
mod peers;
mod relaying;
mod secret;
mod snapshot;
mod stream_in;
mod stream_out;
mod stream_queue;
#[cfg(test)]
mod stream_ways_test;
mod tls;
mod ways;

pub use config::{ConfigError, Listen, MeshConfig, MeshTls, NodeIdentity};
pub use dial::{Resolve, SystemResolver};
pub use join::JoinHandler;
pub use limits::{
    CALL_DEADLINE_MAX, CALL_QUEUE_MAX_DEFAULT, HELLO_BYTES_MAX, LANE_QUEUE_MAX, LANES_PER_LINK_MAX, PAYLOAD_BYTES_MAX,
    SNAPSHOT_BYTES_MAX, SNAPSHOT_HEAD_BYTES_MAX, SNAPSHOT_PIECE_BYTES_MAX,
};
pub use link::Answer;
pub use mesh::{HelloSource, Mesh, MeshError};
pub use snapshot::SnapshotHandler;
pub use stream_in::{IncomingStreams, StreamTarget, Taken};
pub use stream_out::{OutgoingStreams, StreamOpening};
pub use stream_queue::{NotQueued, Sent};
pub use ways::Way;
