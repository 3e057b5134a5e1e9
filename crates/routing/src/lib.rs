//! Who wants which message: the subscriptions of one node, and the routes of all.
//!
//! [`SubscriptionTable`] maps topic filters to the sessions that subscribed to them and finds all subscriptions that a
//! topic name matches (MQTT 5.0, 4.7). It is generic over what names a session and over what a subscription carries,
//! and its answers come in a fixed order.
//!
//! [`OwnRoutes`] is what a node tells the others of its interests, [`PeerRoutes`] what it knows of theirs, and a
//! [`Group`] chooses the member of a shared subscription that gets a message.
//!
//! The grammar of names and filters is checked with the functions of `types`, passed on here. What does not belong
//! here: permissions, sessions' queues, the way from node to node.

#![forbid(unsafe_code)]

mod affinity;
mod id_table;
mod levels;
mod matching;
mod peer_routes;
mod routes;
mod session_filters;
mod shared;
mod subscribers;
mod table;
mod trie;

pub use affinity::Affinity;
pub use matching::filter_matches;
pub use peer_routes::{Interested, PeerRoutes, Told};
pub use rollcall_types::{
    SHARE_PREFIX, TOPIC_BYTES_MAX, TopicFilterError, TopicNameError, check_topic_filter, check_topic_name,
    split_shared, topic_levels,
};
pub use routes::{OwnRoutes, Route, RouteChange, RouteDigest, RouteSnapshot};
pub use shared::{Draw, Group, Strategy, hash_of_client};
pub use table::{Added, SubscriptionTable};
