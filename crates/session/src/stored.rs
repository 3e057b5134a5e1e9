//! A session as it travels: to another node on takeover, or to a store. Times are what is left of them, since clocks of
//! different machines do not compare.

use crate::{
    Delivery, Session,
    inbound::Inbound,
    queue::QueueLimits,
    window::{Stage, UnderWay, Window},
};
use rollcall_types::{BootTime, Message, QoS};
use serde::{Deserialize, Serialize};
use std::{
    num::{NonZeroU16, NonZeroU32},
    sync::Arc,
};

/// A session without its link and without its subscriptions, which the broker keeps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionState {
    /// Seconds it is kept after its connection.
    pub expiry_s: u32,
    /// What waits, in order.
    pub queue: Vec<StoredDelivery>,
    /// What is under way to the client, in the order of sending.
    pub under_way: Vec<StoredUnderWay>,
    /// Where packet identifiers go on.
    pub next_sequence: u64,
    /// Identifiers of QoS 2 messages of the client that must not be handed on again.
    pub received: Vec<NonZeroU16>,
}

/// A message that waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoredDelivery {
    /// The message.
    pub message: Arc<Message>,
    /// QoS of the delivery.
    pub qos: QoS,
    /// RETAIN flag of the delivery.
    pub retain: bool,
    /// Subscription identifiers.
    pub subscription_ids: Vec<NonZeroU32>,
    /// What is left of its expiry, in milliseconds.
    pub expires_in_ms: Option<u64>,
}

/// A message under way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoredUnderWay {
    /// Tells its packet identifier and its place.
    pub sequence: u64,
    /// The message; absent when PUBREL was sent.
    pub delivery: Option<StoredDelivery>,
}

impl Session {
    /// What another node needs to go on with this session.
    #[must_use]
    pub fn export(&self, now: BootTime) -> SessionState {
        let kept = self.queue.iter().filter(|delivery| delivery.qos != QoS::AtMostOnce && !delivery.has_expired(now));
        SessionState {
            expiry_s: self.expiry_s,
            queue: kept.map(|delivery| StoredDelivery::of(delivery, now)).collect(),
            under_way: self.window.iter().map(|one| StoredUnderWay::of(one, now)).collect(),
            next_sequence: self.window.next_sequence(),
            received: self.inbound.exactly_once().collect(),
        }
    }

    /// Goes on with a session of another node. What is beyond the bounds of this node's queues is left out, newest
    /// first; how many.
    #[must_use]
    pub fn import(state: SessionState, limits: QueueLimits, now: BootTime) -> (Session, usize) {
        let mut session = Session::default();
        session.expiry_s = state.expiry_s;
        let under_way = state.under_way.into_iter().map(|one| one.restore(now)).collect();
        session.window = Window::restore(under_way, state.next_sequence);
        session.inbound = Inbound::restore(state.received);
        let mut left_out = 0;
        for stored in state.queue {
            let offered = session.queue.offer(stored.restore(now), limits);
            left_out += usize::from(offered == crate::Offered::Full);
        }
        (session, left_out)
    }
}

impl Session {
    /// Puts what was collected for the client on its new node behind what the old node had. Where both took the same
    /// QoS 2 message, the client gets it once; one of QoS 1 it may get twice. What does not fit is left out, newest first;
    /// how many.
    pub fn append(&mut self, collected: &Session, limits: QueueLimits) -> usize {
        let mut known: Vec<&Delivery> = Vec::new();
        let mut left_out = 0;
        let earlier = self.queue.clone();
        known.extend(earlier.iter().filter(|delivery| delivery.qos == QoS::ExactlyOnce));
        for delivery in collected.queue.iter() {
            if delivery.qos == QoS::ExactlyOnce
                && let Some(place) = known.iter().position(|one| one.message == delivery.message)
            {
                known.remove(place);
                continue;
            }
            left_out += usize::from(self.queue.offer(delivery.clone(), limits) == crate::Offered::Full);
        }
        left_out
    }
}

impl StoredDelivery {
    fn of(delivery: &Delivery, now: BootTime) -> Self {
        StoredDelivery {
            message: delivery.message.clone(),
            qos: delivery.qos,
            retain: delivery.retain,
            subscription_ids: delivery.subscription_ids.clone(),
            expires_in_ms: delivery.expires_at.map(|at| at.since(now)),
        }
    }

    fn restore(self, now: BootTime) -> Delivery {
        Delivery {
            message: self.message,
            qos: self.qos,
            retain: self.retain,
            subscription_ids: self.subscription_ids,
            expires_at: self.expires_in_ms.map(|ms| now.plus_ms(ms)),
            // Groups are numbered by each node; a message that moved stays with its client.
            group: None,
        }
    }
}

impl StoredUnderWay {
    fn of(one: &UnderWay, now: BootTime) -> Self {
        let delivery = match &one.stage {
            Stage::Published(delivery) => Some(StoredDelivery::of(delivery, now)),
            Stage::Released => None,
        };
        StoredUnderWay { sequence: one.sequence, delivery }
    }

    fn restore(self, now: BootTime) -> UnderWay {
        let stage = match self.delivery {
            Some(stored) => Stage::Published(stored.restore(now)),
            None => Stage::Released,
        };
        UnderWay { sequence: self.sequence, stage }
    }
}
