//! The way of a message: from a client to this node's sessions and the other nodes, and to a session's queue.

use crate::{
    Broker, Connection,
    client_session::{ClientSession, Over},
    metrics::DropReason,
    point_to_point,
    subscribe::Wanted,
};
use rollcall_contracts::{Account, Charge, LeaseGate, QueryRefusal};
use rollcall_session::{ClientLimit, Delivery, Offered, PublishVerdict, QueueLimits, Receipt};
use rollcall_types::{BootTime, Incarnation, Message, QoS};
use std::{
    fmt,
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

/// What clients may not publish under: the broker's own topics, and what no subscription can ever match (MQTT 5.0, 4.8.2).
const RESERVED: [&str; 3] = ["$events", "$SYS", "$share"];

/// Seconds a client waits while the node holds no grant at all.
const NO_GRANT_RETRY_S: u32 = 1;

/// Members of a shared subscription that are tried for one message before it counts as dropped.
const MEMBERS_TRIED: usize = 4;

/// What became of a publish.
#[derive(Debug)]
pub enum Published {
    /// It is decided.
    Now(PublishVerdict),
    /// The sessions of this node have it; whether those of the other nodes have is not known yet.
    Later(LaterVerdict),
    /// It is to be retained before anybody gets it, or its receiver has to be looked up. Nothing that the client publishes
    /// after it may be handed on before this resolves, to `Now` or `Later`.
    First(FirstSteps),
}

/// What a publish waits for before it is handed on.
pub struct FirstSteps(Pin<Box<dyn Future<Output = Published> + Send>>);

impl Future for FirstSteps {
    type Output = Published;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Published> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for FirstSteps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FirstSteps")
    }
}

impl Published {
    /// The other nodes have the message in their queues. What they take counts only while this node holds its lease:
    /// without it, they may have counted it out.
    fn after(charge: Charge, matched: bool, lease: Arc<dyn LeaseGate>, incarnation: Incarnation) -> Self {
        if charge.nodes == 0 {
            return Published::Now(PublishVerdict::Accepted { matched });
        }
        let peers = Box::pin(async move {
            charge.taken.await;
            lease.may_serve(incarnation)
        });
        Published::Later(LaterVerdict { peers })
    }

    /// The verdict, however long it takes.
    pub async fn verdict(self) -> PublishVerdict {
        let mut published = self;
        loop {
            published = match published {
                Published::Now(verdict) => return verdict,
                Published::Later(later) => return later.await,
                Published::First(first) => first.await,
            };
        }
    }
}

/// The verdict of a publish, once the other nodes have answered. Resolves in any case: a silent node is fenced.
pub struct LaterVerdict {
    peers: Pin<Box<dyn Future<Output = bool> + Send>>,
}

impl Future for LaterVerdict {
    type Output = PublishVerdict;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<PublishVerdict> {
        let all = ready!(self.peers.as_mut().poll(cx));
        // Whether sessions of other nodes matched, they do not say.
        Poll::Ready(if all { PublishVerdict::Accepted { matched: true } } else { PublishVerdict::Failed })
    }
}

impl fmt::Debug for LaterVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LaterVerdict")
    }
}

impl Broker {
    /// A client publishes. Charged before anything else is done for it; never waits. Unless something has to come first,
    /// the sessions of this node have taken charge when it returns.
    pub fn publish(self: &Arc<Self>, from: &Arc<Connection>, message: &Arc<Message>) -> Published {
        if let Err(verdict) = self.admit_publish(from, message) {
            return Published::Now(verdict);
        }
        let acknowledged = message.qos != QoS::AtMostOnce;
        if point_to_point::target(&message.topic).is_some() || (message.retain && acknowledged) {
            let (broker, from, message) = (self.clone(), from.clone(), message.clone());
            return Published::First(FirstSteps(Box::pin(async move { broker.publish_first(&from, &message).await })));
        }
        if message.retain {
            self.retain_soon(message);
        }
        self.spread(from, message)
    }

    /// A retained message is committed before anybody gets it, so that one that is refused leaves no trace.
    async fn publish_first(&self, from: &Connection, message: &Arc<Message>) -> Published {
        if let Some(client) = point_to_point::target(&message.topic) {
            return Published::Now(self.send_to_client(client, message).await);
        }
        match self.retain(message).await {
            Ok(()) => self.spread(from, message),
            Err(verdict) => Published::Now(verdict),
        }
    }

    /// Counts, checks and charges what a client publishes.
    fn admit_publish(&self, from: &Connection, message: &Message) -> Result<(), PublishVerdict> {
        self.metrics.received(message.qos);
        if !self.may_publish(&from.account, from.client_id.as_str(), &message.topic, from.source) {
            self.metrics.dropped(DropReason::NotAuthorized);
            return Err(PublishVerdict::NotAuthorized);
        }
        // Before the instance's quota, so that one client beyond its own takes nothing from it.
        let most = self.config.client_messages_per_second;
        if most > 0
            && let Err(retry_after_s) = from.rate.lock().take(most, self.lease.now())
        {
            self.metrics.limited("client_messages_per_second");
            return Err(PublishVerdict::OverQuota { retry_after_s });
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

    /// To the subscribers here and to the other nodes. Where a peer's queue is full, that comes first: it is how the
    /// publisher is slowed down.
    fn spread(&self, from: &Connection, message: &Arc<Message>) -> Published {
        let matched = self.deliver(message, Some(&from.session));
        if message.qos == QoS::AtMostOnce {
            self.peers.publish_to_peers(message.clone());
            return Published::Now(PublishVerdict::Accepted { matched });
        }
        let (peers, lease, incarnation) = (self.peers.clone(), self.lease.clone(), from.incarnation);
        let message = message.clone();
        let mut queued: Pin<Box<dyn Future<Output = Charge> + Send>> =
            Box::pin(async move { peers.publish(message).await });
        let follow = move |charge: Charge| Published::after(charge, matched, lease, incarnation);
        // Most of the time there is room, and nothing to wait for.
        match queued.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(charge) => follow(charge),
            Poll::Pending => Published::First(FirstSteps(Box::pin(async move { follow(queued.await) }))),
        }
    }

    /// The verdict of a publish whose connection had ended before it came: its session, if it still lives, answers the
    /// client on its return. Only QoS 2 cares; a QoS 1 message comes again.
    pub fn settle_late(&self, from: &Connection, receipt: Receipt, verdict: PublishVerdict) {
        if receipt.exactly_once {
            let accepted = matches!(verdict, PublishVerdict::Accepted { .. } | PublishVerdict::NoReceiver);
            from.session.settle_late(receipt.packet_id, accepted);
        }
    }

    /// A publish over quota was given up: MQTT 3 clients that wait are not counted, dropped ones are.
    pub fn dropped_over_quota(&self) {
        self.metrics.dropped(DropReason::OverQuota);
    }

    /// The machine of a connection found a limit reached.
    pub fn limit_reached(&self, limit: ClientLimit) {
        self.metrics.limited(limit.name());
    }

    /// A delivery did not fit what its client can take.
    pub fn dropped_too_large(&self) {
        self.metrics.dropped(DropReason::TooLarge);
    }

    pub(crate) fn may_publish(&self, account: &Account, client_id: &str, topic: &str, source: IpAddr) -> bool {
        !is_reserved(topic) && self.admission.may_publish(account, client_id, topic, source)
    }

    /// Queues the message for every matching session of this node, once each. True when there was one.
    pub(crate) fn deliver(&self, message: &Arc<Message>, from: Option<&ClientSession>) -> bool {
        let (wanted, matched) = self.subscriptions.wanted(&message.topic, from);
        let now = self.lease.now();
        for Wanted { session, qos, retain_as_published, subscription_ids, group } in wanted {
            let delivery = Delivery {
                retain: message.retain && retain_as_published,
                subscription_ids,
                group,
                ..Delivery::new(message.clone(), qos.min(message.qos), now)
            };
            self.queue(&session, delivery, now);
        }
        matched
    }

    /// Charges and queues one delivery; one of a shared subscription goes to another member if this one cannot take it.
    /// True when it is in a queue; what is not is counted.
    pub(crate) fn queue(&self, session: &ClientSession, delivery: Delivery, now: BootTime) -> bool {
        if self.admission.charge(1).is_err() {
            self.metrics.dropped(DropReason::OverQuota);
            return false;
        }
        let (qos, group) = (delivery.qos, delivery.group);
        let again = group.map(|_| delivery.clone());
        match self.offer(session, delivery, now) {
            Ok(Offered::Queued) => {
                self.metrics.sent(qos);
                true
            }
            Ok(Offered::QueuedInsteadOf(dropped)) => {
                self.metrics.sent(qos);
                (0..dropped).for_each(|_| self.metrics.dropped(DropReason::QueueFull));
                true
            }
            Ok(Offered::Full | Offered::NotKept) | Err(Over) => match again {
                Some(delivery) => self.queue_elsewhere(delivery, now),
                None => {
                    let away = !session.is_held();
                    self.metrics.dropped(if away { DropReason::ClientAway } else { DropReason::QueueFull });
                    false
                }
            },
        }
    }

    fn queue_elsewhere(&self, delivery: Delivery, now: BootTime) -> bool {
        let qos = delivery.qos;
        for _ in 0..MEMBERS_TRIED {
            let Some(member) = delivery.group.and_then(|group| self.subscriptions.member(group)) else { break };
            if let Ok(Offered::Queued | Offered::QueuedInsteadOf(_)) = self.offer(&member, delivery.clone(), now) {
                self.metrics.sent(qos);
                return true;
            }
        }
        self.metrics.dropped(DropReason::QueueFull);
        false
    }

    pub(crate) fn offer(&self, session: &ClientSession, delivery: Delivery, now: BootTime) -> Result<Offered, Over> {
        session.deliver(delivery, self.queue_limits(), now)
    }

    pub(crate) fn queue_limits(&self) -> QueueLimits {
        QueueLimits { messages: self.config.client_queue_messages, bytes: self.config.client_queue_bytes }
    }
}

/// What an ended session owed to shared subscriptions goes to other members. It was charged before.
pub(crate) fn deliver_again(broker: &Broker, orphans: Vec<Delivery>) {
    let now = broker.lease.now();
    for orphan in orphans {
        if orphan.qos != QoS::AtMostOnce {
            broker.queue_elsewhere(orphan, now);
        }
    }
}

/// Whether the topic is a reserved one, or below it.
fn is_reserved(topic: &str) -> bool {
    RESERVED.iter().any(|root| topic.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_brokers_own_topics_and_those_nobody_can_read_are_reserved() {
        for reserved in ["$events", "$events/client_connected", "$SYS/x", "$SYS/", "$share/g/a"] {
            assert!(is_reserved(reserved), "{reserved}");
        }
        for free in ["events", "$eventsx", "$SYSTEM/x", "$shared/x", "a/$SYS/x", "$sys/x", "/$SYS"] {
            assert!(!is_reserved(free), "{free}");
        }
    }
}
