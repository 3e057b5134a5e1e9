//! The words of Rollcall: identifiers, positions, times and the facts of a connection.
//!
//! What belongs here: a word that at least two rule crates use, and the validation that makes a value of it. What
//! does not: logic, I/O, clocks, randomness. Stored and sent forms derive `serde`; enums that are stored only ever
//! grow at their end, since the encoding numbers their variants.

#![forbid(unsafe_code)]

mod client;
mod home;
mod ids;
mod message;
mod reason;
mod time;
mod topic;

pub use client::{CLIENT_ID_BYTES_MAX, ClientId, ClientIdError, Protocol, partition_of};
pub use home::Home;
pub use ids::{
    Epoch, FeedPosition, GroupId, Incarnation, LogIndex, NodeId, NodeName, OperationNumber, Owner, PartitionId,
};
pub use message::{Message, MessageProperties, QoS, Will};
pub use reason::DisconnectReason;
pub use time::{BootTime, ClusterTime};
pub use topic::{
    SHARE_PREFIX, TOPIC_BYTES_MAX, TopicFilterError, TopicNameError, check_topic_filter, check_topic_name,
    split_shared, topic_levels,
};
