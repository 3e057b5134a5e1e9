//! A message on its way to one client: what the client's session keeps of it until it is acknowledged.

use rollcall_types::{BootTime, Message, QoS};
use std::{
    num::{NonZeroU16, NonZeroU32},
    sync::Arc,
};

/// Bytes counted for a message beside its topic, payload and properties.
const OVERHEAD_BYTES: usize = 64;

/// A message for one client, as the subscription it came by asks for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// The message, shared by all who get it.
    pub message: Arc<Message>,
    /// QoS of this delivery: the lower of the publish's and the subscription's.
    pub qos: QoS,
    /// RETAIN flag of this delivery.
    pub retain: bool,
    /// Subscription identifiers of the matching subscriptions; empty for MQTT 3.
    pub subscription_ids: Vec<NonZeroU32>,
    /// When the message expires, on the clock of this node.
    pub expires_at: Option<BootTime>,
    /// The shared subscription this client was chosen for, by its whole filter; another member is chosen when the session
    /// ends first.
    pub group: Option<Arc<str>>,
}

impl Delivery {
    /// A delivery with nothing special about it. The message's expiry counts from now.
    #[must_use]
    pub fn new(message: Arc<Message>, qos: QoS, now: BootTime) -> Self {
        let expires_at = message.properties.expiry_s.map(|seconds| now.plus_ms(u64::from(seconds) * 1000));
        Delivery { message, qos, retain: false, subscription_ids: Vec::new(), expires_at, group: None }
    }

    pub(crate) fn has_expired(&self, now: BootTime) -> bool {
        self.expires_at.is_some_and(|at| now >= at)
    }

    /// The bytes a queue counts for it. A message shared by many queues counts in each: the bound of one client must
    /// not depend on others.
    pub(crate) fn bytes(&self) -> usize {
        let properties = &self.message.properties;
        let texts = [&properties.content_type, &properties.response_topic];
        let texts: usize = texts.iter().map(|text| text.as_ref().map_or(0, String::len)).sum();
        let user: usize = properties.user.iter().map(|(key, value)| key.len() + value.len()).sum();
        let correlation = properties.correlation_data.as_ref().map_or(0, Vec::len);
        self.message.topic.len() + self.message.payload.len() + texts + user + correlation + OVERHEAD_BYTES
    }
}

/// A PUBLISH to a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutgoingPublish {
    /// The message and how it is delivered.
    pub delivery: Delivery,
    /// Packet identifier, for QoS 1 and 2.
    pub packet_id: Option<NonZeroU16>,
    /// It may have been sent before.
    pub dup: bool,
    /// What is left of the message's expiry, in seconds, at least 1.
    pub expiry_s: Option<u32>,
    /// MQTT 5: the alias of the topic.
    pub alias: Option<OutgoingAlias>,
}

/// The alias in a PUBLISH to a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutgoingAlias {
    /// The alias.
    pub alias: NonZeroU16,
    /// The client does not know it yet: the topic goes with it.
    pub is_new: bool,
}

impl OutgoingPublish {
    pub(crate) fn new(delivery: Delivery, packet_id: Option<NonZeroU16>, dup: bool, now: BootTime) -> Self {
        // Rounded up, so that a message that has not expired is never sent as one that has.
        let left = |at: BootTime| u32::try_from(at.since(now).div_ceil(1000).max(1)).unwrap_or(u32::MAX);
        let expiry_s = delivery.expires_at.map(left);
        OutgoingPublish { delivery, packet_id, dup, expiry_s, alias: None }
    }
}
