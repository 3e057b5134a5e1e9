//! The way of a message: from a client to this node's sessions and the other nodes, and to a session's queue.

use crate::{
    Broker, Connection,
    client_session::{ClientSession, Over},
    metrics::DropReason,
    point_to_point,
    pressure::Slow,
    redispatch::not_here,
    subscriptions::Wanted,
};
use rollcall_contracts::{Account, Asked, Charge, Part, QueryRefusal};
use rollcall_routing::hash_of_client;
use rollcall_session::{ClientLimit, Delivery, Offered, PublishVerdict, QueueLimits, Receipt};
use rollcall_types::{BootTime, ClientId, Incarnation, Message, QoS};
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
pub(crate) const NO_GRANT_RETRY_S: u32 = 1;

/// What became of a message on this node.
pub(crate) struct Delivered {
    /// Somebody here wanted it.
    pub(crate) matched: bool,
    /// Shared groups that nobody here could take it for.
    pub(crate) unserved: Vec<Arc<str>>,
}

/// What became of a publish.
#[derive(Debug)]
pub enum Published {
    /// It is decided.
    Now(PublishVerdict),
    /// The sessions of this node have it; whether those of the other nodes have is not known yet, or a slow consumer is
    /// waited for.
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

/// Whose message it is, as far as that matters once it is admitted.
pub(crate) trait Origin: Clone + Send + Sync + 'static {
    /// The publisher's session, which may not want its own messages.
    fn session(&self) -> Option<&ClientSession>;

    /// What the message is handed on under: what the other nodes say counts only while its lease is valid.
    fn incarnation(&self) -> Incarnation;

    /// Hash of the publisher's client id, for shared subscriptions that go by it.
    fn client_hash(&self) -> u64;
}

impl Origin for Arc<Connection> {
    fn session(&self) -> Option<&ClientSession> {
        Some(&self.session)
    }

    fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    fn client_hash(&self) -> u64 {
        hash_of_client(self.client_id.as_str())
    }
}

/// A publisher that has no MQTT connection.
#[derive(Clone)]
pub(crate) struct WithoutConnection {
    pub(crate) incarnation: Incarnation,
    pub(crate) client_id: ClientId,
}

impl Origin for WithoutConnection {
    fn session(&self) -> Option<&ClientSession> {
        None
    }

    fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    fn client_hash(&self) -> u64 {
        hash_of_client(self.client_id.as_str())
    }
}

/// Resolves when no slow consumer of this node is waited for any more.
type Eased = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the sessions of this node made of a publish.
struct TakenHere {
    matched: bool,
    unserved: Vec<Arc<str>>,
    client_hash: u64,
    eased: Option<Eased>,
}

/// The verdict of a publish, once the other nodes have answered and slow consumers are eased. Resolves in any case: a
/// silent node is fenced, and a wait is bounded.
pub struct LaterVerdict {
    matched: bool,
    all: Pin<Box<dyn Future<Output = bool> + Send>>,
}

impl Future for LaterVerdict {
    type Output = PublishVerdict;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<PublishVerdict> {
        let all = ready!(self.all.as_mut().poll(cx));
        Poll::Ready(if all { PublishVerdict::Accepted { matched: self.matched } } else { PublishVerdict::Failed })
    }
}

impl fmt::Debug for LaterVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaterVerdict").field("matched", &self.matched).finish_non_exhaustive()
    }
}

impl Broker {
    /// A client publishes. Charged before anything else is done for it; never waits. Unless something has to come first,
    /// the sessions of this node have taken charge when it returns.
    pub fn publish(self: &Arc<Self>, from: &Arc<Connection>, message: &Arc<Message>) -> Published {
        if let Err(verdict) = self.admit_publish(from, message) {
            return Published::Now(verdict);
        }
        self.hand_on(from, message, message.qos != QoS::AtMostOnce)
    }

    /// A message that is admitted goes its way. `acknowledged`: its publisher hears what becomes of it.
    pub(crate) fn hand_on<O: Origin>(
        self: &Arc<Self>,
        from: &O,
        message: &Arc<Message>,
        acknowledged: bool,
    ) -> Published {
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
    async fn publish_first<O: Origin>(self: &Arc<Self>, from: &O, message: &Arc<Message>) -> Published {
        if let Some(client) = point_to_point::target(&message.topic) {
            let mut slow = Slow::default();
            let verdict = self.send_to_client(client, message, &mut slow).await;
            return match (self.eased(slow), verdict) {
                (Some(eased), PublishVerdict::Accepted { matched }) => {
                    let (broker, here) = (self.clone(), from.incarnation());
                    let all = Box::pin(async move {
                        eased.await;
                        broker.lease.may_serve(here)
                    });
                    Published::Later(LaterVerdict { matched, all })
                }
                (_, verdict) => Published::Now(verdict),
            };
        }
        match self.retain(message).await {
            Ok(()) => self.spread(from, message),
            Err(verdict) => Published::Now(verdict),
        }
    }

    /// Counts, checks and charges what a client publishes.
    fn admit_publish(&self, from: &Connection, message: &Message) -> Result<(), PublishVerdict> {
        self.metrics.received(message.qos);
        if !self.may_publish(&from.account, from.client_id.as_str(), message, from.source) {
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
    fn spread<O: Origin>(self: &Arc<Self>, from: &O, message: &Arc<Message>) -> Published {
        let client_hash = from.client_hash();
        let spread = self.peers.spread(&message.topic, client_hash);
        let mut slow = Slow::default();
        let Delivered { matched, unserved } = self.deliver(message, from.session(), &spread.here, &mut slow);
        let matched = matched || !spread.peers.is_empty();
        if message.qos == QoS::AtMostOnce {
            self.peers.publish_to_peers(message.clone(), spread.peers);
            return Published::Now(PublishVerdict::Accepted { matched });
        }
        let eased = self.eased(slow);
        // The usual case on one node, which should cost nothing more.
        if unserved.is_empty() && eased.is_none() && self.peers.concerns_nobody(&spread) {
            return Published::Now(self.verdict_under_lease(from.incarnation(), matched));
        }
        let (peers, handed_on) = (self.peers.clone(), message.clone());
        let mut queued: Pin<Box<dyn Future<Output = Charge> + Send>> =
            Box::pin(async move { peers.publish(handed_on, spread).await });
        let (broker, message, incarnation) = (self.clone(), message.clone(), from.incarnation());
        let here = TakenHere { matched, unserved, client_hash, eased };
        let follow = move |charge: Charge| broker.after(charge, here, message, incarnation);
        // Most of the time there is room, and nothing to wait for.
        match queued.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(charge) => follow(charge),
            Poll::Pending => Published::First(FirstSteps(Box::pin(async move { follow(queued.await) }))),
        }
    }

    /// What others take, and that nobody else wants a message, counts only while this node holds its lease: without it,
    /// they may have counted it out.
    fn verdict_under_lease(&self, incarnation: Incarnation, matched: bool) -> PublishVerdict {
        let holds = self.lease.may_serve(incarnation);
        if holds { PublishVerdict::Accepted { matched } } else { PublishVerdict::Failed }
    }

    /// The other nodes have the message in their queues, and shared groups that nobody served yet go on to other nodes.
    fn after(
        self: Arc<Self>,
        charge: Charge,
        here: TakenHere,
        message: Arc<Message>,
        incarnation: Incarnation,
    ) -> Published {
        let TakenHere { matched, unserved, client_hash, eased } = here;
        // Also one that came to want it since it was decided who does.
        let matched = matched || charge.nodes > 0;
        if charge.nodes == 0 && unserved.is_empty() && eased.is_none() {
            return Published::Now(self.verdict_under_lease(incarnation, matched));
        }
        let all = Box::pin(async move {
            let elsewhere = charge.taken.await;
            let here = unserved.into_iter().map(|group| not_here(group, client_hash));
            for one in here.chain(elsewhere) {
                self.dispatch_again(&message, one).await;
            }
            if let Some(eased) = eased {
                eased.await;
            }
            self.lease.may_serve(incarnation)
        });
        Published::Later(LaterVerdict { matched, all })
    }

    /// The wait for the slow consumers of this node that a publish met.
    pub(crate) fn eased(&self, slow: Slow) -> Option<Eased> {
        if slow.is_none() {
            return None;
        }
        self.metrics.acknowledgements_delayed.increment(1);
        Some(Box::pin(slow.wait_here(self.lease.clone(), self.metrics.clone())))
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

    pub(crate) fn may_publish(&self, account: &Account, client_id: &str, message: &Message, source: IpAddr) -> bool {
        let asked =
            Asked { qos: message.qos, retain: message.retain, ..Asked::publish(client_id, &message.topic, source) };
        !is_reserved(&message.topic) && self.admission.may(account, &asked)
    }

    /// Queues a part of a message for every matching session of this node, once each. A shared subscription whose member
    /// cannot take it goes to another one; where none can, its group is given back, or the message dropped for it at QoS 0. Sessions that are
    /// pressed by it are noted.
    pub(crate) fn deliver(
        &self,
        message: &Arc<Message>,
        from: Option<&ClientSession>,
        part: &Part,
        slow: &mut Slow,
    ) -> Delivered {
        let (wanted, matched) = self.subscriptions.wanted(message, from, part);
        let now = self.lease.now();
        // A member may have left since its node was chosen.
        let missing = |named: &&Arc<str>| !wanted.iter().any(|one| one.group.as_ref() == Some(*named));
        let mut unserved: Vec<Arc<str>> = part.groups.iter().filter(missing).cloned().collect();
        for Wanted { session, qos, retain_as_published, subscription_ids, group } in wanted {
            let delivery = Delivery {
                retain: message.retain && retain_as_published,
                subscription_ids,
                group: group.clone(),
                ..Delivery::new(message.clone(), qos.min(message.qos), now)
            };
            match group {
                None => drop(self.queue(&session, delivery, now, slow)),
                Some(group) if self.queue_shared(&session, delivery, part.client_hash, now, slow) => drop(group),
                Some(group) => unserved.push(group),
            }
        }
        if message.qos == QoS::AtMostOnce {
            unserved.drain(..).for_each(|_| self.metrics.dropped(DropReason::NoMember));
        }
        Delivered { matched, unserved }
    }

    /// Charges one delivery. At QoS 0 there may be no room for it, which is counted; what was acknowledged is delivered
    /// whatever the quota says, and owed.
    pub(crate) fn charge_delivery(&self, qos: QoS) -> bool {
        if qos > QoS::AtMostOnce {
            self.admission.owe(1);
            return true;
        }
        let admitted = self.admission.charge(1).is_ok();
        if !admitted {
            self.metrics.dropped(DropReason::OverQuota);
        }
        admitted
    }

    /// Charges and queues one delivery. True when it is in a queue; what is not is counted.
    pub(crate) fn queue(&self, session: &ClientSession, delivery: Delivery, now: BootTime, slow: &mut Slow) -> bool {
        if !self.charge_delivery(delivery.qos) {
            return false;
        }
        let taken = self.put(session, delivery, now, slow);
        if !taken {
            let away = !session.is_held();
            self.metrics.dropped(if away { DropReason::ClientAway } else { DropReason::QueueFull });
        }
        taken
    }

    /// Queues one delivery that was charged already. True when it is in the queue.
    pub(crate) fn put(&self, session: &ClientSession, delivery: Delivery, now: BootTime, slow: &mut Slow) -> bool {
        let qos = delivery.qos;
        let asked = slow.asks(qos);
        let offered = session.deliver(delivery, self.queue_limits(), now, asked).map(|(offered, pressed)| {
            if let Some(pressed) = pressed {
                slow.note(pressed, now, &self.metrics);
            }
            offered
        });
        match offered {
            Ok(Offered::Queued) => {}
            Ok(Offered::QueuedInsteadOf(dropped)) => {
                (0..dropped).for_each(|_| self.metrics.dropped(DropReason::QueueFull));
            }
            Ok(Offered::Full | Offered::NotKept) | Err(Over) => return false,
        }
        self.metrics.sent(qos);
        true
    }

    pub(crate) fn queue_limits(&self) -> QueueLimits {
        QueueLimits { messages: self.config.client_queue_messages, bytes: self.config.client_queue_bytes }
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
