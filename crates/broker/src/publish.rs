//! The way of a message: from a client to this node's sessions and the other nodes, and to a client's queue.

use crate::{Broker, Connection, mailbox::NotQueued, metrics::DropReason, point_to_point, subscribe::Wanted};
use rollcall_contracts::{Account, QueryRefusal};
use rollcall_session::{Delivery, PublishVerdict};
use rollcall_types::{Message, QoS};
use std::{net::IpAddr, sync::Arc};

/// What only the broker publishes under (interface, 5).
const RESERVED: [&str; 2] = ["$events", "$SYS"];

/// Seconds a client waits while the node holds no grant at all.
const NO_GRANT_RETRY_S: u32 = 1;

impl Broker {
    /// A client publishes. Charged before anything else is done for it; never waits.
    pub fn publish(&self, from: &Connection, message: &Arc<Message>) -> PublishVerdict {
        if let Err(verdict) = self.admit_publish(from, message) {
            return verdict;
        }
        if message.retain {
            self.retain_soon(message);
        }
        self.spread(from, message)
    }

    /// Whether [`Broker::publish_waiting`] is to be used: the message is to be retained before it is acknowledged, or
    /// its receiver has to be looked up.
    #[must_use]
    pub fn must_wait(&self, message: &Message) -> bool {
        point_to_point::target(&message.topic).is_some() || (message.retain && message.qos != QoS::AtMostOnce)
    }

    /// As [`Broker::publish`], for a message that must wait. A retained one is committed before anybody gets it, so that
    /// one that is refused leaves no trace.
    pub async fn publish_waiting(&self, from: &Connection, message: &Arc<Message>) -> PublishVerdict {
        if let Err(verdict) = self.admit_publish(from, message) {
            return verdict;
        }
        if let Some(client) = point_to_point::target(&message.topic) {
            return self.send_to_client(client, message).await;
        }
        if message.retain
            && let Err(verdict) = self.retain(message).await
        {
            return verdict;
        }
        self.spread(from, message)
    }

    /// Counts, checks and charges what a client publishes.
    fn admit_publish(&self, from: &Connection, message: &Message) -> Result<(), PublishVerdict> {
        self.metrics.received(message.qos);
        if !self.may_publish(&from.account, from.client_id.as_str(), &message.topic, from.source) {
            self.metrics.dropped(DropReason::NotAuthorized);
            return Err(PublishVerdict::NotAuthorized);
        }
        if let Err(refusal) = self.admission.charge(1) {
            let retry_after_s = match refusal {
                QueryRefusal::OverQuota { retry_after_s } => retry_after_s.max(1),
                QueryRefusal::NoGrant => NO_GRANT_RETRY_S,
            };
            return Err(PublishVerdict::OverQuota { retry_after_s });
        }
        Ok(())
    }

    /// To the subscribers here and to the other nodes.
    fn spread(&self, from: &Connection, message: &Arc<Message>) -> PublishVerdict {
        let matched = self.deliver(message, Some(from));
        self.peers.publish_to_peers(message.clone());
        PublishVerdict::Accepted { matched }
    }

    /// A publish over quota was given up: MQTT 3 clients that wait are not counted, dropped ones are.
    pub fn dropped_over_quota(&self) {
        self.metrics.dropped(DropReason::OverQuota);
    }

    /// A delivery did not fit what its client can take.
    pub fn dropped_too_large(&self) {
        self.metrics.dropped(DropReason::TooLarge);
    }

    pub(crate) fn may_publish(&self, account: &Account, client_id: &str, topic: &str, source: IpAddr) -> bool {
        !is_reserved(topic) && self.admission.may_publish(account, client_id, topic, source)
    }

    /// Queues the message for every matching session of this node, once each. True when there was one.
    pub(crate) fn deliver(&self, message: &Arc<Message>, from: Option<&Connection>) -> bool {
        let wanted = self.subscriptions.wanted(&message.topic, from);
        let matched = !wanted.is_empty();
        for Wanted { connection, retain_as_published, subscription_ids } in wanted {
            let delivery =
                Delivery { message: message.clone(), retain: message.retain && retain_as_published, subscription_ids };
            self.queue(&connection, delivery);
        }
        matched
    }

    /// Charges one delivery and puts it in the client's queue. True when it is there; what is not is counted.
    pub(crate) fn queue(&self, connection: &Connection, delivery: Delivery) -> bool {
        if self.admission.charge(1).is_err() {
            self.metrics.dropped(DropReason::OverQuota);
            return false;
        }
        match connection.deliver(delivery) {
            Ok(()) => {
                self.metrics.sent();
                return true;
            }
            Err(NotQueued::Full) => self.metrics.dropped(DropReason::QueueFull),
            Err(NotQueued::Ended) => {}
        }
        false
    }
}

/// Whether the topic is `$events`, `$SYS`, or below one of them.
fn is_reserved(topic: &str) -> bool {
    RESERVED.iter().any(|root| topic.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_brokers_own_topics_are_reserved() {
        for reserved in ["$events", "$events/client_connected", "$SYS/x", "$SYS/"] {
            assert!(is_reserved(reserved), "{reserved}");
        }
        for free in ["events", "$eventsx", "$SYSTEM/x", "a/$SYS/x", "$sys/x", "/$SYS"] {
            assert!(!is_reserved(free), "{free}");
        }
    }
}
