//! The Raft groups of a node: the cluster group and the partitions placed here, with everything that makes them a
//! presence store: proposals that carry many operations, forwarding, read points, follower reads, feeds.
//!
//! Start reading at [`Replication`]. What does not belong here: the rules themselves (`presence`, `cluster`), the
//! log's bytes (`storage`), links (`mesh`), leases (`controller`), clients and sessions (`broker`).
//!
//! openraft is known to this crate and to `storage` only.

#![forbid(unsafe_code)]

#[cfg(test)]
mod bytes_test;
mod clock;
mod cluster_client;
mod config;
mod feed_follower;
mod feed_window;
mod feeds;
mod group;
mod groups;
mod hosting;
mod housekeeping;
mod machine;
pub mod metrics;
mod network;
mod operations;
mod pace;
mod partition;
pub mod payload;
mod presence_client;
mod presence_reads;
mod proposer;
mod questions;
mod read_point;
mod reader;
mod recall;
mod receiver;
mod replica;
mod replication;
mod reply;
mod retained_client;
mod retained_queue;
mod retained_reads;
#[cfg(test)]
mod stored_test;
mod stores;
mod term_check;
mod violations;
mod waiters;
mod weight;
mod wire;

pub use clock::boot_time;
pub use cluster_client::{ChangeError, ClusterClient};
pub use config::GroupsConfig;
pub use feed_follower::{FeedRead, FeedSink, read_feed};
pub use feeds::Feeds;
pub use group::{Group, GroupError, GroupHandle};
pub use groups::{Groups, Topology};
pub use hosting::Hosted;
pub use partition::{Partition, PartitionEntry, PartitionOutcome};
pub use presence_client::PresenceClient;
pub use questions::Questions;
pub use read_point::{Ask, PointAnswer, ReadPoints};
pub use recall::recall;
pub use replica::{Applied, Position, Replica, Replicated};
pub use replication::Replication;
pub use retained_client::RetainedClient;
pub use stores::{SavedTerm, Snapshots, Stores};
