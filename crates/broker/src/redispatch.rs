//! Messages of shared subscriptions whose member, or whose node, cannot take them: they go to another one, here or on
//! another node.
//!
//! The publisher is acknowledged when somebody has the message, or everybody that may be tried was. What an ended session
//! leaves, and a will that is due, has no publisher that waits: it queues up here, bounded.

use crate::{Broker, client_session::ClientSession, metrics::DropReason, pressure::Slow, subscriptions::Wanted};
use parking_lot::Mutex;
use rollcall_contracts::{Part, Spread, Unserved};
use rollcall_session::Delivery;
use rollcall_types::{BootTime, Home, Message, QoS};
use std::{collections::BTreeSet, fmt, sync::Arc};
use tokio::{sync::mpsc, task::JoinSet};

/// Members of a group on this node that are tried for one message.
const MEMBERS_TRIED: usize = 4;
/// Nodes that are tried for one message of a group before it counts as dropped.
const NODES_TRIED: usize = 8;
/// Messages without a publisher that wait for a member; beyond it they count as dropped.
const ORPHANS_MAX: usize = 65_536;
/// Most of them that are on their way at once.
const AT_ONCE_MAX: usize = 64;

/// Messages without a publisher, on their way to members of shared subscriptions.
pub(crate) struct Orphans {
    queue: mpsc::Sender<Orphan>,
    waiting: Mutex<Option<mpsc::Receiver<Orphan>>>,
}

/// One of them.
struct Orphan {
    message: Arc<Message>,
    unserved: Unserved,
}

impl Default for Orphans {
    fn default() -> Self {
        let (queue, waiting) = mpsc::channel(ORPHANS_MAX);
        Orphans { queue, waiting: Mutex::new(Some(waiting)) }
    }
}

impl fmt::Debug for Orphans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Orphans")
    }
}

impl Broker {
    /// Charges and queues one delivery of a shared subscription, for this member or else another one here. False when
    /// none can take it; one of QoS 0 over quota is dropped, which is no reason to ask others.
    pub(crate) fn queue_shared(
        &self,
        member: &ClientSession,
        delivery: Delivery,
        client_hash: u64,
        now: BootTime,
        slow: &mut Slow,
    ) -> bool {
        if !self.charge_delivery(delivery.qos) {
            return true;
        }
        let (message, group) = (delivery.message.clone(), delivery.group.clone());
        self.put(member, delivery, now, slow)
            || group.is_some_and(|group| self.queue_for_member(&message, (&group, client_hash), 1, now, slow))
    }

    /// Queues a message that was charged already for a member of a group here, by the hash of its publisher's client id
    /// where members are chosen by it; so many could not take it before. False when none can take it.
    fn queue_for_member(
        &self,
        message: &Arc<Message>,
        (group, client_hash): (&Arc<str>, u64),
        tried: usize,
        now: BootTime,
        slow: &mut Slow,
    ) -> bool {
        for attempt in 0..MEMBERS_TRIED {
            let Some(Wanted { session, qos, retain_as_published, subscription_ids, group }) =
                self.subscriptions.member(group, client_hash, tried + attempt)
            else {
                return false;
            };
            let delivery = Delivery {
                retain: message.retain && retain_as_published,
                subscription_ids,
                group,
                ..Delivery::new(message.clone(), qos.min(message.qos), now)
            };
            if self.put(&session, delivery, now, slow) {
                return true;
            }
        }
        false
    }

    /// Hands a message to another node with members of the group until one of them has it, or enough were tried.
    pub(crate) async fn dispatch_again(&self, message: &Arc<Message>, unserved: Unserved) {
        let mut unserved = unserved;
        // It was waited for already, and is one of few.
        let mut slow = Slow::default();
        while unserved.tried.len() < NODES_TRIED
            && let Some(home) = self.peers.choose_again(&unserved)
        {
            let Unserved { group, client_hash, .. } = &unserved;
            let failed = match home {
                Home::Here => !self.queue_for_member(message, (group, *client_hash), 0, self.lease.now(), &mut slow),
                Home::Peer(node) => {
                    let part = Part { groups: vec![group.clone()], client_hash: *client_hash, ..Part::none() };
                    let spread = Spread { here: Part::none(), peers: vec![(node, part)], view: None };
                    !self.peers.publish(message.clone(), spread).await.taken.await.is_empty()
                }
            };
            if !failed {
                return;
            }
            unserved.tried.insert(home);
        }
        self.metrics.dropped(DropReason::NoMember);
    }

    /// What an ended session owed to shared subscriptions goes to other members. It was charged before. Who published it
    /// is not known any more: where that counts, all of it goes to one member.
    pub(crate) fn deliver_again(&self, orphans: Vec<Delivery>) {
        let now = self.lease.now();
        for orphan in orphans {
            if let Some(group) = orphan.group.filter(|_| orphan.qos != QoS::AtMostOnce)
                && !self.queue_for_member(&orphan.message, (&group, 0), 0, now, &mut Slow::default())
            {
                self.adopt(&orphan.message, not_here(group, 0));
            }
        }
    }

    /// A message that no publisher waits for is to find a member somewhere.
    pub(crate) fn adopt(&self, message: &Arc<Message>, unserved: Unserved) {
        if self.orphans.queue.try_send(Orphan { message: message.clone(), unserved }).is_err() {
            self.metrics.dropped(DropReason::NoMember);
        }
    }

    /// Finds members for messages that no publisher waits for, for as long as it is polled. One caller at a time.
    pub async fn find_members(self: Arc<Self>) {
        let Some(mut waiting) = self.orphans.waiting.lock().take() else { return };
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
                orphan = waiting.recv(), if under_way.len() < AT_ONCE_MAX => {
                    let Some(Orphan { message, unserved }) = orphan else { return };
                    let broker = self.clone();
                    under_way.spawn(async move { broker.dispatch_again(&message, unserved).await });
                }
            }
        }
    }
}

/// A group that nobody of this node took a message for.
pub(crate) fn not_here(group: Arc<str>, client_hash: u64) -> Unserved {
    Unserved { group, tried: BTreeSet::from([Home::Here]), client_hash }
}
