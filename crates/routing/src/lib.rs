//! Who wants which message: the subscription table of one node.
//!
//! [`SubscriptionTable`] maps topic filters to the sessions that subscribed to them and finds all subscriptions that a
//! topic name matches (MQTT 5.0, 4.7). It is generic over what names a session and over what a subscription carries,
//! and its answers come in a fixed order.
//!
//! The grammar of names and filters is checked with the functions of `types`, passed on here. What does not belong
//! here: permissions, sessions' queues, the members of a shared subscription, other nodes.

#![forbid(unsafe_code)]

mod matching;
mod subscribers;
mod table;

pub use matching::filter_matches;
pub use rollcall_types::{
    SHARE_PREFIX, TOPIC_BYTES_MAX, TopicFilterError, TopicNameError, check_topic_filter, check_topic_name,
    split_shared, topic_levels,
};
pub use table::{Added, SubscriptionTable};
